//! Sums: what SIOPE+ calls error 106, and the ones that banks check later.

use rust_decimal::Decimal;

use crate::order::report::Report;
use crate::order::{Classificazione, Contenuto, Ordine, Parte};
use crate::words::{Gestione, TipoDebito};

/// The pointer to the parts of an order.
pub(super) fn parts_path(order: &Ordine, path: &str) -> String {
    match order.contenuto {
        Contenuto::Mandato(_) => format!("{path}/beneficiari"),
        Contenuto::Reversale(_) => format!("{path}/versanti"),
    }
}

/// The sum, as far as 28 digits reach; amounts have 15 and lists are bounded.
pub(super) fn sum<'a>(amounts: impl Iterator<Item = &'a Decimal>) -> Decimal {
    amounts.fold(Decimal::ZERO, |sum, amount| sum.saturating_add(*amount))
}

pub(super) fn check(order: &Ordine, path: &str, report: &mut Report) {
    let parts = order.parti();
    let total = sum(parts.iter().map(|part| &part.importo));
    if total != order.importo {
        let (is, field) = (order.importo, format!("{path}/importo"));
        let detail = format!("total is {is:.2}, its parts add up to {total:.2}; make them agree");
        report.add("opi.importo-ordine", field, detail);
    }
    let base = parts_path(order, path);
    for (at, part) in parts.iter().enumerate() {
        part_sums(part, &format!("{base}/{at}"), report);
    }
    budget(order, path, report);
}

fn part_sums(part: &Parte, path: &str, report: &mut Report) {
    let lines = sum(part.classificazioni.iter().map(|line| &line.importo));
    if !part.classificazioni.is_empty() && lines != part.importo {
        let is = part.importo;
        let detail = format!("amount is {is:.2}, its SIOPE lines add up to {lines:.2}; make them agree");
        report.add("opi.importo-parte", format!("{path}/importo"), detail);
    }
    for (at, line) in part.classificazioni.iter().enumerate() {
        invoices(line, &format!("{path}/classificazioni/{at}"), report);
    }
    harmonised(part, path, report);
}

/// A commercial line is paid invoice by invoice.
fn invoices(line: &Classificazione, path: &str, report: &mut Report) {
    let debt = &line.debito;
    let paid = sum(debt.fatture.iter().map(|invoice| &invoice.importo));
    if debt.tipo == TipoDebito::Commerciale && !debt.fatture.is_empty() && paid != line.importo {
        let is = line.importo;
        let detail = format!("SIOPE line is {is:.2}, its invoices add up to {paid:.2}; make them agree");
        report.add("opi.importo-fatture", format!("{path}/importo"), detail);
    }
}

/// With harmonised accounts every cent of a part has its economic code and its function.
fn harmonised(part: &Parte, path: &str, report: &mut Report) {
    let lines = || part.classificazioni.iter().filter_map(|line| line.arconet.as_ref());
    if lines().next().is_none() {
        return;
    }
    let total = sum(lines().map(|line| &line.importo));
    if total != part.importo {
        let is = part.importo;
        let detail = format!("amount is {is:.2}, its economic codes add up to {total:.2}; make them agree");
        report.add("opi.arconet", format!("{path}/importo"), detail);
    }
    for (at, line) in part.classificazioni.iter().enumerate() {
        let Some((arconet, cofog)) = line.arconet.as_ref().and_then(|a| a.cofog.as_ref().map(|c| (a, c))) else {
            continue;
        };
        if arconet.importo != cofog.importo {
            let (is, other) = (arconet.importo, cofog.importo);
            let detail = format!("economic code is {is:.2}, its cofog {other:.2}; make them agree");
            report.add("opi.arconet", format!("{path}/classificazioni/{at}/arconet/cofog/importo"), detail);
        }
    }
}

fn budget(order: &Ordine, path: &str, report: &mut Report) {
    for (at, line) in order.bilancio.iter().enumerate() {
        let field = format!("{path}/bilancio/{at}/anno_residuo");
        match (line.gestione, line.anno_residuo) {
            (Gestione::Residuo, None) => report.add("opi.bilancio", field, "RESIDUO needs its year in `anno_residuo`"),
            (Gestione::Competenza, Some(_)) => {
                report.add("opi.bilancio", field, "COMPETENZA has no `anno_residuo`; leave it out");
            }
            _ => {}
        }
    }
}
