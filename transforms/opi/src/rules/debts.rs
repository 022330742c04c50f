//! SIOPE lines: codes, tender codes, invoices.

use super::parts::Around;
use crate::codes::{is_cig, is_cpv, is_cup, is_digits, is_ipa, is_siope};
use crate::order::report::{Report, quoted};
use crate::order::{Anagrafica, Arconet, Classificazione, Debito, Documento, Fattura};
use crate::words::{Tipo, TipoDebito};

pub(super) fn check(line: &Classificazione, party: &Anagrafica, path: &str, around: &Around<'_>, report: &mut Report) {
    codes(line, path, around, report);
    let path_debt = format!("{path}/debito");
    match around.tipo {
        Tipo::Mandato => tender_code(&line.debito, &path_debt, report),
        Tipo::Reversale => no_tender_code(&line.debito, &path_debt, report),
    }
    invoices(line, party, &path_debt, report);
    if let Some(arconet) = &line.arconet {
        harmonised(arconet, around.tipo, &format!("{path}/arconet"), report);
    }
}

fn codes(line: &Classificazione, path: &str, around: &Around<'_>, report: &mut Report) {
    let code = &line.codice_siope;
    let listed = around.context.ente.codici_siope.as_ref();
    if !is_siope(code) {
        let detail = format!("SIOPE code `{}` must have 4 or 10 digits", quoted(code));
        report.add("opi.codice-siope", format!("{path}/codice_siope"), detail);
    } else if listed.is_some_and(|codes| !codes.contains(code)) {
        let detail = format!("SIOPE code {code} is not among the body's `codici_siope` in config/entities.yaml");
        report.add("opi.codice-siope", format!("{path}/codice_siope"), detail);
    }
    if let Some(cup) = line.cup.as_ref().filter(|cup| !is_cup(cup)) {
        let detail = format!("CUP `{}` must be 15 capitals and digits", quoted(cup));
        report.add("opi.cup", format!("{path}/cup"), detail);
    }
    let payment = around.tipo == Tipo::Mandato;
    if let Some(cpv) = line.cpv.as_ref().filter(|cpv| !(payment && is_cpv(cpv))) {
        let detail = format!("CPV `{}` must be 8 digits, hyphen, digit, and stands only in payments", quoted(cpv));
        report.add("opi.cpv", format!("{path}/cpv"), detail);
    }
}

/// A commercial debt has a tender code or says why not; another debt may, together with its invoices.
fn tender_code(debt: &Debito, path: &str, report: &mut Report) {
    if let Some(cig) = debt.cig.as_ref().filter(|cig| !is_cig(cig)) {
        let detail = format!(
            "CIG `{}` must be 10 capitals and digits: 7 digits and 3 of 0-9 A-F, or a letter and 9",
            quoted(cig)
        );
        report.add("opi.cig", format!("{path}/cig"), detail);
    }
    let commercial = debt.tipo == TipoDebito::Commerciale;
    match (debt.cig.is_some(), debt.motivo_esclusione_cig.is_some()) {
        (true, true) => {
            let detail = "`cig` and `motivo_esclusione_cig` exclude each other; leave one out";
            report.add("opi.cig-motivo", format!("{path}/motivo_esclusione_cig"), detail);
        }
        (false, false) if commercial || !debt.fatture.is_empty() => {
            let detail = "a debt with invoices needs `cig`, or the reason for its absence in `motivo_esclusione_cig`";
            report.add("opi.cig-mancante", path, detail);
        }
        (false, false) => {}
        _ if debt.fatture.is_empty() && !commercial => {
            let detail = "`cig` or `motivo_esclusione_cig` stands only beside invoices; add `fatture` or leave it out";
            report.add("opi.fatture", format!("{path}/fatture"), detail);
        }
        _ => {}
    }
}

fn no_tender_code(debt: &Debito, path: &str, report: &mut Report) {
    if debt.cig.is_some() || debt.motivo_esclusione_cig.is_some() {
        let detail = "a reversale has neither `cig` nor `motivo_esclusione_cig`; leave them out";
        report.add("opi.cig-reversale", path, detail);
    }
}

fn invoices(line: &Classificazione, party: &Anagrafica, path: &str, report: &mut Report) {
    let debt = &line.debito;
    if debt.tipo == TipoDebito::Commerciale {
        if debt.fatture.is_empty() {
            let detail = "a COMMERCIALE debt needs the invoices that it pays in `fatture`";
            report.add("opi.fatture", format!("{path}/fatture"), detail);
        }
        if foreign(party) {
            let detail = "the invoices of a supplier without Italian VAT number are NON_COMMERCIALE; correct `tipo`";
            report.add("opi.debito-estero", format!("{path}/tipo"), detail);
        }
    }
    for (at, invoice) in debt.fatture.iter().enumerate() {
        invoice_rules(invoice, &format!("{path}/fatture/{at}"), report);
    }
}

/// Seated abroad and not registered for VAT in Italy.
fn foreign(party: &Anagrafica) -> bool {
    let abroad = party.stato.as_deref().is_some_and(|country| country != "IT");
    abroad && !party.partita_iva.as_deref().is_some_and(|vat| is_digits(vat, 11..=11))
}

fn invoice_rules(invoice: &Fattura, path: &str, report: &mut Report) {
    if !is_ipa(&invoice.codice_ipa) {
        let detail = "`codice_ipa` must be the IPA office code that received the invoice: 6 of A-Z and 0-9";
        report.add("opi.ipa", format!("{path}/codice_ipa"), detail);
    }
    let wrong = match invoice.documento {
        None => "an electronic invoice needs its SDI lot in `lotto_sdi`; one outside SDI its `analogica`",
        Some(Documento::Entrambi) => "`lotto_sdi` and `analogica` exclude each other; leave one out",
        _ => return,
    };
    report.add("opi.lotto-sdi", format!("{path}/lotto_sdi"), format!("invoice {}: {wrong}", quoted(&invoice.numero)));
}

fn harmonised(arconet: &Arconet, tipo: Tipo, path: &str, report: &mut Report) {
    let payment = tipo == Tipo::Mandato;
    if arconet.missione_programma.is_some() != payment || arconet.cofog.is_some() != payment {
        let detail = "`missione`, `programma` and `cofog` stand in payments, always, and in collections never";
        report.add("opi.arconet", path, detail);
    }
    let mission = arconet
        .missione_programma
        .iter()
        .flat_map(|(mission, programme)| [("missione", mission), ("programma", programme)]);
    let digits = mission.chain([("economico", &arconet.economico), ("codice_ue", &arconet.codice_ue)]);
    for (name, code) in digits.filter(|(_, code)| !is_digits(code, 1..=30)) {
        let detail = format!("`{name}` {} must be 1 to 30 digits", quoted(code));
        report.add("opi.arconet", format!("{path}/{name}"), detail);
    }
}
