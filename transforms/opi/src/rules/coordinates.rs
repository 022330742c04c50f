//! Accounts: IBAN, BIC, postal account.

use super::payment::{Need, account};
use crate::codes::{iban_fault, is_bic, is_sepa};
use crate::order::Beneficiario;
use crate::order::report::{Report, quoted};
use crate::words::{TipoPagamento, Word};

/// Characters of a remittance text that a credit transfer carries (ISO 20022, unstructured remittance information).
const SEPA_CAUSALE_MAX: usize = 140;

pub(super) fn check(paid: &Beneficiario, path: &str, report: &mut Report) {
    let (tipo, name) = (paid.tipo_pagamento, paid.tipo_pagamento.text());
    match (account(tipo), &paid.iban) {
        (Need::Must, None) => report.add("opi.iban-mancante", format!("{path}/iban"), format!("{name} needs `iban`")),
        (Need::Never, Some(_)) => {
            let detail = format!("{name} uses no account; leave `iban` out or correct `tipo_pagamento`");
            report.add("opi.coordinate", format!("{path}/iban"), detail);
        }
        (_, Some(iban)) => account_number(iban, tipo, path, report),
        (_, None) => {}
    }
    bank(paid, path, report);
    without_account(paid, path, report);
    postal_account(paid, path, report);
    if account(tipo) == Need::Must && paid.parte.causale.chars().count() > SEPA_CAUSALE_MAX {
        let detail = format!(
            "`causale` has more than the {SEPA_CAUSALE_MAX} characters that a credit transfer carries; shorten it"
        );
        report.add("opi.testo", format!("{path}/causale"), detail);
    }
}

fn account_number(iban: &str, tipo: TipoPagamento, path: &str, report: &mut Report) {
    let field = format!("{path}/iban");
    if let Some(fault) = iban_fault(iban) {
        report.add("opi.iban", field, format!("IBAN {fault}"));
    } else if tipo == TipoPagamento::SepaCreditTransfer && !is_sepa(iban) {
        report.add("opi.iban-sepa", field, "IBAN is outside SEPA; use BONIFICO ESTERO EURO");
    }
}

fn bank(paid: &Beneficiario, path: &str, report: &mut Report) {
    match &paid.bic {
        None if paid.tipo_pagamento == TipoPagamento::BonificoEsteroEuro => {
            report.add("opi.bic-mancante", format!("{path}/bic"), "BONIFICO ESTERO EURO needs `bic`");
        }
        Some(bic) if !is_bic(bic) => {
            let detail = format!("BIC {} must have 8 or 11 capitals and digits, six letters first", quoted(bic));
            report.add("opi.bic", format!("{path}/bic"), detail);
        }
        _ => {}
    }
}

/// Bank code and references stand beside an account in the flow: without one they have no place there.
fn without_account(paid: &Beneficiario, path: &str, report: &mut Report) {
    if paid.iban.is_some() || account(paid.tipo_pagamento) == Need::Must {
        return;
    }
    let lost = [
        ("bic", paid.bic.is_some()),
        ("end_to_end", paid.end_to_end.is_some()),
        ("category_purpose", paid.category_purpose.is_some()),
    ];
    for (name, _) in lost.into_iter().filter(|(_, present)| *present) {
        let detail = format!("`{name}` stands only beside `iban`; leave it out");
        report.add("opi.coordinate", format!("{path}/{name}"), detail);
    }
}

fn postal_account(paid: &Beneficiario, path: &str, report: &mut Report) {
    let field = format!("{path}/conto_corrente_postale");
    let postal = paid.tipo_pagamento == TipoPagamento::AccreditoContoCorrentePostale;
    match &paid.conto_corrente_postale {
        None if postal => {
            let detail = "ACCREDITO CONTO CORRENTE POSTALE needs `conto_corrente_postale`";
            report.add("opi.conto-postale", field, detail);
        }
        Some(_) if !postal => {
            let detail = "`conto_corrente_postale` stands only in ACCREDITO CONTO CORRENTE POSTALE; leave it out";
            report.add("opi.conto-postale", field, detail);
        }
        Some(number) if !number.bytes().all(|b| b.is_ascii_alphanumeric() || b",/ .-".contains(&b)) => {
            let detail = format!("postal account {} must be digits, letters and `,/ .-` only", quoted(number));
            report.add("opi.conto-postale", field, detail);
        }
        _ => {}
    }
}
