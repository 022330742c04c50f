//! Rules of each part of an order, whatever its way of paying.

use std::collections::BTreeSet;

use super::amounts::{parts_path, sum};
use super::{Context, coordinates, debts, payment};
use crate::codes::is_digits;
use crate::order::report::{Report, quoted};
use crate::order::{Anagrafica, Beneficiario, Contenuto, Ordine, Parte, Versante};
use crate::words::{Tipo, TipoOperazione, TipoRiscossione};

/// What the rules of a part need to know about its order.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) tipo: Tipo,
    pub(super) operazione: TipoOperazione,
}

pub(super) fn check(order: &Ordine, path: &str, context: &Context<'_>, report: &mut Report) {
    let around = Around { context, tipo: order.tipo(), operazione: order.tipo_operazione };
    let base = parts_path(order, path);
    let mut seen = BTreeSet::new();
    for (at, part) in order.parti().into_iter().enumerate() {
        let path = format!("{base}/{at}");
        if !seen.insert(part.progressivo) {
            let detail =
                format!("`progressivo` {} stands twice in the order; number its parts 1, 2, 3", part.progressivo);
            report.add("opi.progressivo", format!("{path}/progressivo"), detail);
        }
        common(part, &path, &around, report);
    }
    match &order.contenuto {
        Contenuto::Mandato(mandato) => {
            for (at, beneficiary) in mandato.beneficiari.iter().enumerate() {
                paid(beneficiary, &format!("{base}/{at}"), &around, report);
            }
        }
        Contenuto::Reversale(payers) => {
            for (at, payer) in payers.iter().enumerate() {
                collected(payer, &format!("{base}/{at}"), report);
            }
        }
    }
}

fn common(part: &Parte, path: &str, around: &Around<'_>, report: &mut Report) {
    if part.classificazioni.is_empty() && around.operazione == TipoOperazione::Inserimento {
        let detail = "no SIOPE line; an INSERIMENTO needs at least one in `classificazioni` (SIOPE+ error 109)";
        report.add("opi.classificazione", format!("{path}/classificazioni"), detail);
    }
    for (at, line) in part.classificazioni.iter().enumerate() {
        debts::check(line, &part.anagrafica, &format!("{path}/classificazioni/{at}"), around, report);
    }
    party(&part.anagrafica, &format!("{path}/anagrafica"), report);
    outstanding(part, path, report);
}

fn party(party: &Anagrafica, path: &str, report: &mut Report) {
    let country = party.stato.as_deref();
    if country.is_some_and(|c| c.len() != 2 || !c.bytes().all(|b| b.is_ascii_uppercase())) {
        let detail = "`stato` must be a country code of two capitals, for example IT";
        report.add("opi.stato", format!("{path}/stato"), detail);
    }
}

fn outstanding(part: &Parte, path: &str, report: &mut Report) {
    let mut seen = BTreeSet::new();
    for (at, item) in part.sospesi.iter().enumerate().filter(|(_, item)| !seen.insert(item.numero)) {
        let detail = format!("outstanding item {} stands twice; join the two", item.numero);
        report.add("opi.sospesi", format!("{path}/sospesi/{at}/numero"), detail);
    }
    let total = sum(part.sospesi.iter().map(|item| &item.importo));
    if total > part.importo {
        let is = part.importo;
        let detail = format!("outstanding items add up to {total:.2}, more than the amount {is:.2}; lower them");
        report.add("opi.sospesi", format!("{path}/sospesi"), detail);
    }
}

fn paid(paid: &Beneficiario, path: &str, around: &Around<'_>, report: &mut Report) {
    payment::check(paid, path, around, report);
    coordinates::check(paid, path, report);
    let kept = sum(paid.ritenute.iter().map(|item| &item.importo));
    if kept > paid.parte.importo {
        let is = paid.parte.importo;
        let detail = format!("`ritenute` add up to {kept:.2}, more than the amount {is:.2}; lower them");
        report.add("opi.ritenute", format!("{path}/ritenute"), detail);
    }
    for (at, delegate) in paid.delegati.iter().enumerate() {
        let path = format!("{path}/delegati/{at}");
        party(delegate, &path, report);
        if delegate.codice_fiscale.is_none() {
            let detail = "a delegate needs `codice_fiscale`";
            report.add("opi.delegato", format!("{path}/codice_fiscale"), detail);
        }
    }
    if let Some(creditor) = &paid.creditore_effettivo {
        party(creditor, &format!("{path}/creditore_effettivo"), report);
    }
    pension_code(paid, path, report);
}

fn pension_code(paid: &Beneficiario, path: &str, report: &mut Report) {
    let Some(code) = &paid.codice_versante else { return };
    let good = code.starts_with(|c: char| c.is_ascii_alphabetic()) && is_digits(&code[1..], 9..=9);
    if !good {
        let detail = format!("`codice_versante` {} must be one letter and nine digits", quoted(code));
        report.add("opi.codice-versante", format!("{path}/codice_versante"), detail);
    }
}

fn collected(payer: &Versante, path: &str, report: &mut Report) {
    let draws = payer.tipo_riscossione == TipoRiscossione::PrelievoDaCcPostale;
    if draws != payer.numero_ccp.is_some() {
        let detail = "PRELIEVO DA CC POSTALE needs the account in `numero_ccp`, and no other way of collecting has one";
        report.add("opi.ccp", format!("{path}/numero_ccp"), detail);
    }
    if payer.tipo_riscossione == TipoRiscossione::Regolarizzazione && payer.parte.sospesi.is_empty() {
        let detail = "REGOLARIZZAZIONE needs the outstanding items that it settles in `sospesi`";
        report.add("opi.sospesi", format!("{path}/sospesi"), detail);
    }
}
