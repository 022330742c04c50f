//! What each way of paying needs, may have, and has no place for.

use super::parts::Around;
use crate::codes::is_digits;
use crate::order::report::Report;
use crate::order::{Anagrafica, Beneficiario};
use crate::words::{TipoOperazione, TipoPagamento, Word};

/// Whether a way of paying needs a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    Must,
    May,
    Never,
}

/// The coordinates that a way of paying uses.
pub(super) fn account(tipo: TipoPagamento) -> Need {
    match tipo {
        TipoPagamento::SepaCreditTransfer | TipoPagamento::BonificoEsteroEuro => Need::Must,
        TipoPagamento::AccreditoTesoreriaProvincialeStato
        | TipoPagamento::AddebitoPreautorizzato
        | TipoPagamento::DisposizioneDocumentoEsterno
        | TipoPagamento::Regolarizzazione => Need::May,
        _ => Need::Never,
    }
}

/// Paid by hand or by post: the bank has to find the person.
fn needs_address(tipo: TipoPagamento) -> bool {
    matches!(
        tipo,
        TipoPagamento::Cassa
            | TipoPagamento::AssegnoCircolare
            | TipoPagamento::DisposizioneDocumentoEsterno
            | TipoPagamento::Compensazione
    )
}

pub(super) fn check(paid: &Beneficiario, path: &str, around: &Around<'_>, report: &mut Report) {
    dates(paid, path, around, report);
    if needs_address(paid.tipo_pagamento) {
        address(&paid.parte.anagrafica, paid.tipo_pagamento, &format!("{path}/anagrafica"), report);
    }
    cheque(paid, path, report);
    notice(paid, path, report);
    let tipo = paid.tipo_pagamento;
    if tipo == TipoPagamento::DisposizioneDocumentoEsterno && paid.parte.riferimento_documento_esterno.is_none() {
        let detail = "DISPOSIZIONE DOCUMENTO ESTERNO needs `riferimento_documento_esterno`";
        report.add("opi.documento-esterno", format!("{path}/riferimento_documento_esterno"), detail);
    }
    if tipo == TipoPagamento::Regolarizzazione && paid.parte.sospesi.is_empty() {
        let detail = "REGOLARIZZAZIONE needs the outstanding items that it settles in `sospesi`";
        report.add("opi.sospesi", format!("{path}/sospesi"), detail);
    }
}

/// Dates bind the insertion; a cancellation repeats them when they may be past.
fn dates(paid: &Beneficiario, path: &str, around: &Around<'_>, report: &mut Report) {
    let execution = paid.data_esecuzione_pagamento;
    let field = format!("{path}/data_esecuzione_pagamento");
    if execution.is_some() && paid.data_scadenza_pagamento.is_some() {
        let detail = "`data_esecuzione_pagamento` and `data_scadenza_pagamento` exclude each other; leave one out";
        report.add("opi.date-esclusive", &field, detail);
    }
    if around.operazione == TipoOperazione::Annullo {
        return;
    }
    let today = around.context.today;
    if execution.is_some_and(|date| date <= today) {
        let detail = format!("`data_esecuzione_pagamento` must come after today ({today})");
        report.add("opi.data-esecuzione", field, detail);
    } else if execution.is_none() && paid.tipo_pagamento == TipoPagamento::F24Ep {
        report.add("opi.f24ep", field, "F24EP needs `data_esecuzione_pagamento`, in the future");
    }
}

fn address(party: &Anagrafica, tipo: TipoPagamento, path: &str, report: &mut Report) {
    let italian = party.stato.as_deref().is_none_or(|country| country == "IT");
    let missing: Vec<_> = [
        ("indirizzo", party.indirizzo.is_none()),
        ("cap", party.cap.is_none()),
        ("localita", party.localita.is_none()),
        ("provincia", party.provincia.is_none() && italian),
        ("stato", party.stato.is_none()),
    ]
    .into_iter()
    .filter_map(|(name, missing)| missing.then_some(name))
    .collect();
    if !missing.is_empty() {
        let detail = format!("{} needs the full address; add {}", tipo.text(), missing.join(", "));
        report.add("opi.indirizzo", path, detail);
    }
}

fn cheque(paid: &Beneficiario, path: &str, report: &mut Report) {
    let cheque = paid.tipo_pagamento == TipoPagamento::AssegnoCircolare;
    if cheque != paid.tipo_postalizzazione.is_some() {
        let detail = "ASSEGNO CIRCOLARE needs `tipo_postalizzazione`, and no other way of paying has one";
        report.add("opi.postalizzazione", format!("{path}/tipo_postalizzazione"), detail);
    }
}

fn notice(paid: &Beneficiario, path: &str, report: &mut Report) {
    let pagopa = paid.tipo_pagamento == TipoPagamento::AvvisoPagoPa;
    if pagopa != paid.avviso_pagopa.is_some() {
        let detail = "AVVISO PAGOPA needs `avviso_pagopa`, and no other way of paying has one";
        report.add("opi.avviso-pagopa", format!("{path}/avviso_pagopa"), detail);
    }
    let Some(notice) = &paid.avviso_pagopa else { return };
    let number = |text: &str, digits: usize| is_digits(text, 1..=digits) && text.bytes().any(|b| b != b'0');
    if !number(&notice.codice_identificativo_ente, 11) || !number(&notice.numero_avviso, 18) {
        let detail = "a pagoPA notice has the creditor's fiscal code (11 digits) and a number of 18 digits";
        report.add("opi.avviso-pagopa", format!("{path}/avviso_pagopa"), detail);
    }
}
