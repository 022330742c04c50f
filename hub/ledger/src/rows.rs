//! What the ledger answers with. Times are UTC with a precision of microseconds; amounts are exact decimals in euro.

use hub_core::Value;
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A case: one business story, for example a payment order from its arrival to its payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CaseRow {
    /// Identity, for example `UFAAAA/2026/123`.
    pub id: String,
    /// What kind of story, for example `mandato`.
    pub kind: String,
    /// The body it belongs to; empty if none is known.
    pub entity: String,
    /// The amount, exact, as text.
    #[schema(value_type = Option<String>)]
    #[serde(with = "rust_decimal::serde::str_option")]
    pub amount: Option<Decimal>,
    /// The present state; empty before the first.
    pub state: String,
    /// Time of its first event.
    #[schema(value_type = String, format = DateTime)]
    pub opened_at: Timestamp,
    /// Time of its latest event.
    #[schema(value_type = String, format = DateTime)]
    pub changed_at: Timestamp,
    /// Kind of its last event.
    pub last_event: String,
    /// How many events it has.
    pub events: u64,
}

/// One event of a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EventRow {
    /// Order within the case; grows, with gaps.
    pub n: u64,
    /// When it happened.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// What kind of event, for example `send_settled`.
    pub kind: String,
    /// In words.
    pub summary: String,
    /// The message that caused it; empty if a person did.
    pub message: String,
    /// The route; empty for events that people cause.
    pub route: String,
    /// Where in the route.
    pub segment: String,
    /// All that was written down.
    #[schema(value_type = Object)]
    pub detail: Value,
}

/// A message that was admitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MessageRow {
    /// Identity.
    pub id: String,
    /// Its case.
    pub case: String,
    /// The entity of its case; empty if none is known.
    pub entity: String,
    /// The route that took it.
    pub route: String,
    /// Where it came from.
    pub source: String,
    /// Who sent it; empty if unknown.
    pub sender: String,
    /// Hash of its body.
    pub sha256: String,
    /// Size of its body.
    pub bytes: u64,
    /// When it was admitted.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// `working`, `parked`, `finished`, `dropped`, `given_up`.
    pub state: String,
}

/// A document that is kept byte for byte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DocumentRow {
    /// The case it belongs to.
    pub case: String,
    /// Archive class.
    pub class: String,
    /// A name for people.
    pub name: String,
    /// Hash of the bytes.
    pub sha256: String,
    /// Size.
    pub bytes: u64,
    /// MIME type.
    pub mime: String,
    /// When it was kept.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// It must be kept until then.
    #[schema(value_type = String, format = DateTime)]
    pub retain_until: Timestamp,
}

/// A task for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskRow {
    /// Identity.
    pub id: String,
    /// Its case.
    pub case: String,
    /// The entity of its case; empty if none is known.
    pub entity: String,
    /// `approve` or `todo`.
    pub kind: String,
    /// The role that may decide.
    pub role: String,
    /// The role that may decide too, since the escalation; empty before.
    pub escalated_role: String,
    /// How many distinct people must approve.
    pub people: u32,
    /// How many have.
    pub approvals: u32,
    /// A line for people.
    pub title: String,
    /// Who asked for the payment: may not approve it. Empty if unknown.
    pub requester: String,
    /// Hash of the document that is shown.
    pub sha256: String,
    /// MIME type of the document.
    pub mime: String,
    /// Since when it is open.
    #[schema(value_type = String, format = DateTime)]
    pub opened_at: Timestamp,
    /// Until when.
    #[schema(value_type = String, format = DateTime)]
    pub deadline: Timestamp,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub closed_at: Option<Timestamp>,
    /// How it ended (`approved`, `rejected`, `done`, `expired`, `withdrawn`); empty while it is open.
    pub outcome: String,
}

/// A person's decision about a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DecisionRow {
    /// The task.
    pub task: String,
    /// Who.
    pub person: String,
    /// `approve`, `reject`, `done`.
    pub decision: String,
    /// Their words.
    pub comment: String,
    /// Hash of the document that they were shown.
    pub sha256: String,
    /// How many distinct people had approved then.
    pub approvals: u32,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// A message that waits, or waited, for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ParkedRow {
    /// Identity: what a release names.
    pub id: String,
    /// Its case.
    pub case: String,
    /// The entity of its case; empty if none is known.
    pub entity: String,
    /// `refused`, `step`, `rejected`, `not_sent`, `in_doubt`, `wait`.
    pub kind: String,
    /// In words.
    pub reason: String,
    /// Everything that is known.
    #[schema(value_type = Object)]
    pub evidence: Value,
    /// Hash of the body.
    pub sha256: String,
    /// MIME type of the body.
    pub mime: String,
    /// The message.
    pub message: String,
    /// The route.
    pub route: String,
    /// Where in the route.
    pub segment: String,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// `open` or `released`.
    pub state: String,
    /// What a person may do about it; empty when it is released.
    pub actions: Vec<String>,
    /// What was done; empty while it is open.
    pub action: String,
    /// Who did it.
    pub by: String,
    /// Their words, or the evidence.
    pub note: String,
    /// When.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub released_at: Option<Timestamp>,
}

/// A send to the outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SendRow {
    /// Identity of the outgoing message.
    pub outgoing: String,
    /// Its case.
    pub case: String,
    /// The entity of its case; empty if none is known.
    pub entity: String,
    /// Kind of the sink.
    pub sink: String,
    /// How many attempts were intended.
    pub attempts: u32,
    /// `sending`, `delivered`, `not_sent`, `rejected`, `in_doubt`.
    pub state: String,
    /// The receiver's name for it; empty if unknown.
    pub remote_id: String,
    /// Hash of the bytes.
    pub sha256: String,
    /// When the first attempt was intended.
    #[schema(value_type = String, format = DateTime)]
    pub first_at: Timestamp,
    /// When its state changed last.
    #[schema(value_type = String, format = DateTime)]
    pub changed_at: Timestamp,
}

/// A wait for an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WaitRow {
    /// Identity.
    pub id: String,
    /// Its case.
    pub case: String,
    /// What for, for example `siope-ack`.
    pub name: String,
    /// The keys that the answer may carry.
    pub keys: Vec<String>,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub opened_at: Timestamp,
    /// Until when.
    #[schema(value_type = String, format = DateTime)]
    pub deadline: Timestamp,
    /// `open`, `answered`, `overdue`.
    pub state: String,
    /// The message that answered; empty before.
    pub by: String,
}

/// How many cases of one kind and entity came into one state in one month, and their amounts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatisticsRow {
    /// The entity; empty if none was known.
    pub entity: String,
    /// The month in Italy (Europe/Rome), `2026-03`.
    pub month: String,
    /// Kind of the cases.
    pub kind: String,
    /// The state they came into; empty: they were opened.
    pub state: String,
    /// How often.
    pub count: u64,
    /// Sum of the amounts, exact, as text.
    #[schema(value_type = String)]
    #[serde(with = "rust_decimal::serde::str")]
    pub amount: Decimal,
    /// How many of them are not in the sum: no amount known, more than two decimals, or beyond 100 000 million euro.
    pub without_amount: u64,
}
