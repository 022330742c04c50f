//! What may change in the ledger, without saying how.

use hub_core::Value;
use hub_core::journal::{Parked, Task};
use jiff::Timestamp;
use rust_decimal::Decimal;

/// One change of the ledger. Those of one event are carried out in order, in one transaction.
///
/// A changed row of a case takes entity and kind from the case's own row: the first known entity is the case's for good,
/// so that a message with another one cannot move a case into another body's sight.
#[derive(Clone, Debug, PartialEq)]
pub enum RowChange {
    /// Opens the case (and counts it under the empty state), or notes what is newer about it.
    Case {
        /// The case.
        id: String,
        /// What kind of story; counts when the case is opened.
        kind: String,
        /// The entity, if known; the first known one counts.
        entity: String,
        /// The amount, if known; the last known one counts.
        amount: Option<Decimal>,
        /// When.
        at: Timestamp,
        /// Its month in Italy.
        month: String,
        /// Kind of the event.
        event: &'static str,
    },
    /// Adds an event to the history of the case.
    Event {
        /// The case.
        case: String,
        /// Order within the case.
        n: u64,
        /// When.
        at: Timestamp,
        /// Kind of the event.
        kind: &'static str,
        /// In words.
        summary: String,
        /// The message.
        message: String,
        /// The route.
        route: String,
        /// The segment.
        segment: String,
        /// All of it.
        detail: Value,
    },
    /// The case came into a state; counted by entity, month, kind and state.
    State {
        /// The case.
        case: String,
        /// The state.
        to: String,
        /// The month in Italy, `2026-03`.
        month: String,
    },
    /// A message was admitted.
    Message {
        /// Identity.
        id: String,
        /// The case.
        case: String,
        /// The route.
        route: String,
        /// The source.
        source: String,
        /// The sender.
        sender: String,
        /// Hash of the body.
        sha256: String,
        /// Size of the body.
        bytes: u64,
        /// When.
        at: Timestamp,
    },
    /// A message is over.
    MessageEnded {
        /// The message.
        id: String,
        /// `finished` or `dropped`.
        state: &'static str,
    },
    /// A document was kept.
    Document {
        /// The case.
        case: String,
        /// Order within the case.
        n: u64,
        /// When.
        at: Timestamp,
        /// The document.
        document: hub_core::journal::Document,
    },
    /// A task was opened.
    Task {
        /// The case.
        case: String,
        /// When.
        at: Timestamp,
        /// `approve` or `todo`.
        kind: &'static str,
        /// The task.
        task: Task,
    },
    /// A person decided about a task.
    Decision {
        /// The task.
        task: String,
        /// Order.
        n: u64,
        /// When.
        at: Timestamp,
        /// Who.
        person: String,
        /// `approve`, `reject`, `done`.
        decision: &'static str,
        /// Their words.
        comment: String,
        /// Hash of the document that they were shown.
        sha256: String,
        /// How many have approved so far.
        approvals: u32,
    },
    /// Another role may decide, too.
    TaskEscalated {
        /// The task.
        task: String,
        /// The role.
        to: String,
    },
    /// A task is over.
    TaskClosed {
        /// The task.
        task: String,
        /// How it ended.
        outcome: String,
        /// When.
        at: Timestamp,
    },
    /// A send is under way, or something is known about it.
    Send {
        /// The outgoing message.
        outgoing: String,
        /// The case.
        case: String,
        /// Kind of the sink.
        sink: String,
        /// The attempt.
        attempt: u32,
        /// `sending`, `delivered`, `not_sent`, `rejected`, `in_doubt`, `given_up`.
        state: &'static str,
        /// The receiver's name for it; empty: nothing new.
        remote_id: String,
        /// Hash of the bytes; empty: nothing new.
        sha256: String,
        /// When.
        at: Timestamp,
    },
    /// A message waits for an answer.
    Wait {
        /// The wait.
        id: String,
        /// The case.
        case: String,
        /// What for.
        name: String,
        /// The keys that an answer may carry.
        keys: Vec<String>,
        /// Since when.
        at: Timestamp,
        /// Until when.
        deadline: Timestamp,
    },
    /// A wait is over.
    WaitClosed {
        /// The wait.
        id: String,
        /// `answered` or `overdue`.
        state: &'static str,
        /// The message that answered.
        by: String,
    },
    /// A message was parked.
    Parked {
        /// The case.
        case: String,
        /// Since when.
        at: Timestamp,
        /// Name of its kind.
        kind: &'static str,
        /// The message.
        message: String,
        /// The route.
        route: String,
        /// The segment.
        segment: String,
        /// Why, and everything that is known.
        parked: Parked,
    },
    /// Someone decided about a parked message; if it was a send in doubt, the doubt is over.
    Released {
        /// The parked message.
        parked: String,
        /// What was done.
        action: String,
        /// Who did it.
        by: String,
        /// Their words.
        note: String,
        /// When.
        at: Timestamp,
    },
}
