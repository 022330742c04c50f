//! Compares what was offered with what SIOPE+ saw.

use std::time::Duration;

use hub_core::Value;
use serde::Serialize;

use super::orders::{Offer, Order};
use super::sender::Answer;
use super::world::World;
use crate::client::Api;

/// What the demo prints.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// Orders that the hub said it had taken.
    pub orders_accepted: usize,
    /// Offers that the hub refused (or parked with the reason, where it could not answer).
    pub orders_refused: usize,
    /// Flows that SIOPE+ took.
    pub flows_sent: usize,
    /// Flows that SIOPE+ accepted.
    pub acks_ok: usize,
    /// Flows that SIOPE+ refused for a reason of content.
    pub acks_ko: usize,
    /// Orders that the bank carried out: paid, collected, or cancelled as asked.
    pub orders_paid: usize,
    /// Messages parked because nobody knows whether they went out.
    pub in_doubt: usize,
    /// All messages that wait for a person, the refused files among them.
    pub parked: usize,
    /// Orders that stand in more than one accepted insertion.
    pub duplicates: usize,
    /// Orders that were taken and are neither at SIOPE+ nor parked.
    pub lost: usize,
    /// How long it took.
    pub seconds: f32,
    #[serde(skip)]
    unfinished: usize,
}

impl Report {
    /// Whether every accepted order has come to an end.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.unfinished == 0 && self.lost == 0
    }

    /// Whether the demo showed what it promises.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.is_finished() && self.duplicates == 0 && self.in_doubt == 0
    }
}

/// What SIOPE+ saw, and what waits for people at the hub.
#[derive(Clone, Debug)]
pub struct Seen {
    flows: Vec<Value>,
    orders: Vec<Value>,
    parked: Vec<Value>,
}

impl Seen {
    /// Looks at both.
    ///
    /// # Errors
    /// When one of them does not answer.
    pub async fn look(world: &World, admin: &str) -> anyhow::Result<Self> {
        let api = Api::new(admin, world.team.token("controllore"))?;
        let list = |value: Value| value.as_array().cloned().unwrap_or_default();
        let parked = api.get("parked", &[("limit", "200".into())]).await?;
        let parked = parked["items"].as_array().cloned().unwrap_or_default();
        Ok(Self { flows: list(world.ask("flows").await?), orders: list(world.ask("orders").await?), parked })
    }

    /// The flows that SIOPE+ took and that carry an order and its operation.
    #[must_use]
    pub fn flows_of(&self, order: &Order) -> Vec<&Value> {
        let carries = |flow: &&Value| {
            let same =
                |line: &Value| line["tipo_operazione"] == order.operazione.as_str() && is_line(order, flow, line);
            flow["result"] == "taken" && flow["orders"].as_array().into_iter().flatten().any(same)
        };
        self.flows.iter().filter(carries).collect()
    }

    fn order(&self, order: &Order) -> Option<&Value> {
        self.orders.iter().find(|seen| order.is(seen))
    }

    /// Whether a person has to decide about something of this case.
    #[must_use]
    pub fn is_parked(&self, order: &Order) -> bool {
        self.parked.iter().any(|parked| parked["case"] == order.case.as_str())
    }

    /// What became of an order.
    #[must_use]
    pub fn end_of(&self, order: &Order) -> End {
        let flows = self.flows_of(order);
        let Some(flow) = flows.last() else {
            return if self.is_parked(order) { End::Parked } else { End::NotSent };
        };
        if flow["ack_state"] == "KO" {
            return End::Refused(flow["ack_codes"].to_string());
        }
        let done = self.order(order).is_some_and(|seen| match order.operazione.as_str() {
            "ANNULLO" => seen["annulled"] == true,
            // A cancellation that comes in time stops the payment, and that is right too.
            _ => seen["paid"] == true || seen["annulled"] == true,
        });
        if done { End::Done } else { End::Sent }
    }

    /// The end of an offer, in words.
    #[must_use]
    pub fn fate_of(&self, offer: &Offer, answer: &Answer) -> String {
        match (answer, &offer.order) {
            (Answer::Refused { status, problem }, _) => format!("refused ({status}): {}", reason(problem)),
            (Answer::Dropped, _) | (_, None) => "not admitted: parked with its reason".into(),
            (Answer::Taken, Some(order)) => {
                let flow = self.flows_of(order).last().map(|flow| flow["identificativo_flusso"].to_string());
                format!("case {}, flow {}: {}", order.case, flow.unwrap_or_else(|| "-".into()), self.end_of(order))
            }
        }
    }
}

/// What became of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Not at SIOPE+ yet.
    NotSent,
    /// At SIOPE+, not yet carried out.
    Sent,
    /// Paid, collected, or cancelled as asked.
    Done,
    /// SIOPE+ refused the flow, with these codes.
    Refused(String),
    /// Waits for a person.
    Parked,
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotSent => f.write_str("not sent"),
            Self::Sent => f.write_str("sent"),
            Self::Done => f.write_str("carried out"),
            Self::Refused(codes) => write!(f, "refused by SIOPE+ {codes}"),
            Self::Parked => f.write_str("parked"),
        }
    }
}

/// Whether a line of a flow is about an order: the flow knows body and year.
fn is_line(order: &Order, flow: &Value, line: &Value) -> bool {
    let mut line = line.clone();
    line["ente"] = flow["ente"].clone();
    line["esercizio"] = flow["esercizio"].clone();
    order.is(&line)
}

fn reason(problem: &Value) -> String {
    match problem["problems"].as_array().and_then(|problems| problems.first()) {
        Some(first) => format!("{} {}", first["field"].as_str().unwrap_or(""), first["detail"].as_str().unwrap_or("")),
        None => problem["detail"].as_str().map_or_else(|| problem.to_string(), str::to_string),
    }
}

/// Counts.
#[must_use]
pub fn judge(offered: &[(Offer, Answer)], seen: &Seen, took: Duration) -> Report {
    let taken: Vec<&Order> =
        offered.iter().filter(|(_, answer)| answer.is_taken()).filter_map(|(offer, _)| offer.order.as_ref()).collect();
    let flows = |state: &str| seen.flows.iter().filter(|flow| flow["ack_state"] == state).count();
    let ends: Vec<End> = taken.iter().map(|order| seen.end_of(order)).collect();
    let unfinished = |end: &&End| matches!(end, End::Sent | End::NotSent);
    Report {
        orders_accepted: taken.len(),
        orders_refused: offered.len() - taken.len(),
        flows_sent: seen.flows.iter().filter(|flow| flow["result"] == "taken").count(),
        acks_ok: flows("OK"),
        acks_ko: flows("KO"),
        orders_paid: ends.iter().filter(|end| **end == End::Done).count(),
        in_doubt: seen.parked.iter().filter(|parked| parked["kind"] == "in_doubt").count(),
        parked: seen.parked.len(),
        duplicates: seen.orders.iter().filter(|order| order["insertions"].as_u64().is_some_and(|n| n > 1)).count(),
        lost: ends.iter().filter(|end| **end == End::NotSent).count(),
        seconds: took.as_secs_f32(),
        unfinished: ends.iter().filter(unfinished).count(),
    }
}
