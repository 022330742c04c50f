//! The rules an order must keep before anyone signs it.
//!
//! Sources: the official schema 1.7.1 (forms, lists, which elements go together), the checks that SIOPE+ makes after the
//! upload (106 sums, 109 classification) and what treasurers ask for each way of paying. Each problem has one of these
//! codes; they are stable, senders may act on them.
//!
//! | code | means |
//! |---|---|
//! | `opi.campo-mancante`, `opi.campo-tipo`, `opi.campo-sconosciuto`, `opi.elenco` | a field is missing, of another type, unknown; a list too short or long |
//! | `opi.valore`, `opi.numero`, `opi.data`, `opi.importo` | not a value of the closed list; number, date or amount malformed or out of range |
//! | `opi.testo`, `opi.caratteri` | text empty or too long; a control character |
//! | `opi.ente`, `opi.entita` | the order is another body's; the body's row is wrong |
//! | `opi.importo-ordine`, `opi.importo-parte` | total is not the sum of its parts; part is not the sum of its SIOPE lines (106) |
//! | `opi.importo-fatture`, `opi.arconet` | SIOPE line is not the sum of its invoices; harmonised accounts incomplete or wrong |
//! | `opi.classificazione`, `opi.codice-siope` | no SIOPE line; code malformed or not among the body's (109) |
//! | `opi.cig`, `opi.cig-mancante`, `opi.cig-motivo`, `opi.cig-reversale` | tender code malformed; missing; together with an exclusion; in a collection |
//! | `opi.cup`, `opi.cpv`, `opi.ipa` | project, procurement, office code malformed |
//! | `opi.fatture`, `opi.lotto-sdi`, `opi.debito-estero` | invoices missing; neither SDI lot nor paper document, or both; foreign supplier as commercial debt |
//! | `opi.iban`, `opi.iban-mancante`, `opi.iban-sepa`, `opi.bic`, `opi.bic-mancante`, `opi.coordinate` | account wrong, missing, outside SEPA; bank code wrong, missing; coordinates that the way of paying does not use |
//! | `opi.conto-postale`, `opi.ccp`, `opi.postalizzazione`, `opi.indirizzo`, `opi.stato` | postal account, drawing account, way of the cheque, address, country missing or wrong |
//! | `opi.documento-esterno`, `opi.avviso-pagopa`, `opi.delegato`, `opi.codice-versante` | external document, notice, delegate's fiscal code, pension code missing or wrong |
//! | `opi.date-esclusive`, `opi.data-esecuzione`, `opi.f24ep` | both dates given; date of execution not in the future; F24EP without one |
//! | `opi.sospesi`, `opi.ritenute`, `opi.bilancio` | outstanding items, withheld money, budget lines that do not fit |
//! | `opi.progressivo`, `opi.numero-duplicato`, `opi.flusso` | a number used twice in an order, in a flow; orders that cannot share a flow |
//! | `opi.dimensione` | the flow would be too large |

mod amounts;
mod coordinates;
mod debts;
mod parts;
mod payment;

use std::collections::BTreeSet;

use hub_core::{Problem, Value};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::codes::is_ipa;
use crate::entity::Ente;
use crate::order::Ordine;
use crate::order::read::read;
use crate::order::report::{PROBLEMS_MAX, Report};
use crate::words::Word;

/// Orders of one flow; its size is bounded too.
pub const ORDERS_MAX: usize = 500;

/// Codes of the rules that combine fields: they say nothing about an order some of whose fields could not be read.
const DERIVED: [&str; 6] =
    ["opi.importo-ordine", "opi.importo-parte", "opi.importo-fatture", "opi.arconet", "opi.sospesi", "opi.ritenute"];

/// What an order is judged against.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The body's row.
    pub ente: &'a Ente,
    /// The body's code, if it is known: every order must be its own.
    pub codice_ente: Option<&'a str>,
    /// Today in Italy: dates of execution must come after it.
    pub today: Date,
}

impl<'a> Context<'a> {
    /// The context of a message: `now` is the message's own time.
    #[must_use]
    pub fn new(ente: &'a Ente, codice_ente: Option<&'a str>, now: Timestamp) -> Self {
        Self { ente, codice_ente, today: now.to_zoned(rome()).date() }
    }
}

/// Italian time; UTC should the bundled zone data ever lack it.
pub(crate) fn rome() -> TimeZone {
    TimeZone::get("Europe/Rome").unwrap_or(TimeZone::UTC)
}

/// Reads one order, or a list of orders that are to share a flow, and judges them.
///
/// # Errors
/// Everything that is wrong with them, at most 100 problems; fields are JSON pointers into `body`.
pub fn check(body: &Value, context: &Context<'_>) -> Result<Vec<Ordine>, Vec<Problem>> {
    let (orders, mut problems) = match body {
        Value::Array(items) => many(items, context),
        one => judged(one, "", context),
    };
    flow_rules(&orders, &mut problems);
    problems.truncate(PROBLEMS_MAX);
    if problems.is_empty() { Ok(orders) } else { Err(problems) }
}

fn many(items: &[Value], context: &Context<'_>) -> (Vec<Ordine>, Vec<Problem>) {
    if items.is_empty() || items.len() > ORDERS_MAX {
        let detail = format!("a flow holds 1 to {ORDERS_MAX} orders, this list has {}; split it", items.len());
        return (Vec::new(), vec![Problem::at("opi.flusso", "", detail)]);
    }
    let (mut orders, mut problems) = (Vec::new(), Vec::new());
    for (at, item) in items.iter().enumerate() {
        let (order, more) = judged(item, &format!("/{at}"), context);
        orders.extend(order);
        problems.extend(more);
    }
    (orders, problems)
}

/// Reads and judges one order. Rules about a field that could not be read would only repeat its problem.
fn judged(value: &Value, path: &str, context: &Context<'_>) -> (Vec<Ordine>, Vec<Problem>) {
    let mut shape = Report::about(value);
    let Some(order) = read(value, path, &mut shape) else { return (Vec::new(), shape.into_problems()) };
    let mut report = Report::about(value);
    order_rules(&order, path, context, &mut report);
    let mut problems = report.into_problems();
    if !shape.problems().is_empty() {
        problems.retain(|p| !DERIVED.contains(&p.code.as_str()) && !covered(&p.field, shape.problems()));
    }
    let mut all = shape.into_problems();
    all.append(&mut problems);
    (vec![order], all)
}

/// Whether a problem of reading lies at, above or below this field.
fn covered(field: &str, shape: &[Problem]) -> bool {
    let below = |inner: &str, outer: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    shape.iter().any(|p| below(field, &p.field) || below(&p.field, field))
}

fn order_rules(order: &Ordine, path: &str, context: &Context<'_>, report: &mut Report) {
    if !is_ipa(&order.ente) {
        report.add("opi.ente", format!("{path}/ente"), "`ente` must be an IPA office code: 6 of A-Z and 0-9");
    } else if context.codice_ente.is_some_and(|code| code != order.ente) {
        let detail = format!("the order is of body {}, its message of another; send it under its own", order.ente);
        report.add("opi.ente", format!("{path}/ente"), detail);
    }
    amounts::check(order, path, report);
    parts::check(order, path, context, report);
}

/// Orders of one flow: one body, one year, each number once.
fn flow_rules(orders: &[Ordine], problems: &mut Vec<Problem>) {
    let Some(first) = orders.first() else { return };
    let mut seen = BTreeSet::new();
    for (at, order) in orders.iter().enumerate() {
        if (&order.ente, order.esercizio) != (&first.ente, first.esercizio) {
            let detail =
                format!("{order}: body and year differ from the first order's ({first}); send it in another flow");
            problems.push(Problem::at("opi.flusso", format!("/{at}"), detail));
        }
        if !seen.insert((order.tipo().text(), order.numero)) {
            let detail =
                format!("{order}: this number stands twice in the list; a flow takes it once, send the other later");
            problems.push(Problem::at("opi.numero-duplicato", format!("/{at}/numero"), detail));
        }
    }
}
