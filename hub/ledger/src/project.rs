//! The one pure function: an event of the journal becomes changes of rows. No SQL, no clock, no look at what is there.

use hub_core::Value;
use hub_core::journal::{Event, Parked, Task, What};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;

use crate::summary::{decision_name, kind_of, outcome_name, parked_kind, summary_of, task_kind};

/// Where an event stands in the journal. A case's events all stand in one partition, so that `offset` orders them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// Partition of the journal.
    pub partition: u16,
    /// Position in it.
    pub offset: u64,
}

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
        /// `sending`, `delivered`, `not_sent`, `rejected`, `in_doubt`.
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
    /// Someone decided about a parked message.
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

/// What an event changes. Pure: the same event at the same place always gives the same changes.
#[must_use]
pub fn project(event: &Event, at: At) -> Vec<RowChange> {
    let mut changes = vec![case_change(event), event_change(event, at)];
    changes.extend(change_of(event, at));
    changes
}

fn case_change(event: &Event) -> RowChange {
    RowChange::Case {
        id: event.case.id.clone(),
        kind: event.case.kind.clone(),
        entity: event.case.entity.clone().unwrap_or_default(),
        amount: event.case.amount,
        at: event.at,
        month: month_of(event.at),
        event: kind_of(&event.what),
    }
}

fn event_change(event: &Event, at: At) -> RowChange {
    RowChange::Event {
        case: event.case.id.clone(),
        n: at.offset,
        at: event.at,
        kind: kind_of(&event.what),
        summary: summary_of(&event.what),
        message: event.message.clone(),
        route: event.route.clone(),
        segment: event.segment.clone(),
        detail: detail_of(&event.what),
    }
}

/// What happened, without its own name: `null` for events that are only a name.
fn detail_of(what: &What) -> Value {
    let value = serde_json::to_value(what).expect("invariant: events hold only values that JSON can hold");
    match value {
        Value::Object(fields) => fields.into_iter().next().map_or(Value::Null, |(_, detail)| detail),
        _ => Value::Null,
    }
}

/// The row beside case and history that this kind of event changes, if any.
fn change_of(event: &Event, at: At) -> Option<RowChange> {
    match &event.what {
        What::Received { .. } | What::Finished | What::Dropped { .. } => message_change(event),
        What::State { to, moved: true, .. } => {
            Some(RowChange::State { case: event.case.id.clone(), to: to.clone(), month: month_of(event.at) })
        }
        What::Archived(document) => Some(RowChange::Document {
            case: event.case.id.clone(),
            n: at.offset,
            at: event.at,
            document: document.clone(),
        }),
        What::TaskOpened(_) | What::TaskDecided { .. } | What::TaskEscalated { .. } | What::TaskClosed { .. } => {
            task_change(event, at)
        }
        What::SendIntended { .. } | What::SendSettled { .. } => send_change(event),
        What::WaitOpened { .. } | What::WaitAnswered { .. } | What::WaitTimedOut { .. } => wait_change(event),
        What::Parked(_) | What::Released { .. } => parked_change(event),
        What::State { .. } | What::Logged { .. } => None,
    }
}

fn message_change(event: &Event) -> Option<RowChange> {
    let id = event.message.clone();
    Some(match &event.what {
        What::Received { source, sender, sha256, bytes } => RowChange::Message {
            id,
            case: event.case.id.clone(),
            route: event.route.clone(),
            source: source.clone(),
            sender: sender.clone(),
            sha256: sha256.clone(),
            bytes: *bytes,
            at: event.at,
        },
        What::Finished => RowChange::MessageEnded { id, state: "finished" },
        What::Dropped { .. } => RowChange::MessageEnded { id, state: "dropped" },
        _ => return None,
    })
}

fn task_change(event: &Event, at: At) -> Option<RowChange> {
    Some(match &event.what {
        What::TaskOpened(task) => RowChange::Task {
            case: event.case.id.clone(),
            at: event.at,
            kind: task_kind(task.kind),
            task: task.clone(),
        },
        What::TaskDecided { task, person, decision, comment, sha256, approvals } => RowChange::Decision {
            task: task.clone(),
            n: at.offset,
            at: event.at,
            person: person.clone(),
            decision: decision_name(*decision),
            comment: comment.clone(),
            sha256: sha256.clone(),
            approvals: *approvals,
        },
        What::TaskEscalated { task, to } => RowChange::TaskEscalated { task: task.clone(), to: to.clone() },
        What::TaskClosed { task, outcome } => {
            RowChange::TaskClosed { task: task.clone(), outcome: outcome.clone(), at: event.at }
        }
        _ => return None,
    })
}

fn send_change(event: &Event) -> Option<RowChange> {
    let case = event.case.id.clone();
    let at = event.at;
    match &event.what {
        What::SendIntended { outgoing, sink, attempt, sha256, .. } => Some(RowChange::Send {
            outgoing: outgoing.clone(),
            case,
            sink: sink.clone(),
            attempt: *attempt,
            state: "sending",
            remote_id: String::new(),
            sha256: sha256.clone(),
            at,
        }),
        What::SendSettled { outgoing, sink, attempt, outcome, remote_id, .. } => Some(RowChange::Send {
            outgoing: outgoing.clone(),
            case,
            sink: sink.clone(),
            attempt: *attempt,
            state: outcome_name(*outcome),
            remote_id: remote_id.clone(),
            sha256: String::new(),
            at,
        }),
        _ => None,
    }
}

fn wait_change(event: &Event) -> Option<RowChange> {
    match &event.what {
        What::WaitOpened { wait, name, keys, deadline } => Some(RowChange::Wait {
            id: wait.clone(),
            case: event.case.id.clone(),
            name: name.clone(),
            keys: keys.clone(),
            at: event.at,
            deadline: *deadline,
        }),
        What::WaitAnswered { wait, by, .. } => {
            Some(RowChange::WaitClosed { id: wait.clone(), state: "answered", by: by.clone() })
        }
        What::WaitTimedOut { wait, .. } => {
            Some(RowChange::WaitClosed { id: wait.clone(), state: "overdue", by: String::new() })
        }
        _ => None,
    }
}

fn parked_change(event: &Event) -> Option<RowChange> {
    match &event.what {
        What::Parked(parked) => Some(RowChange::Parked {
            case: event.case.id.clone(),
            at: event.at,
            kind: parked_kind(parked.kind),
            message: event.message.clone(),
            route: event.route.clone(),
            segment: event.segment.clone(),
            parked: parked.clone(),
        }),
        What::Released { parked, action, by, note } => Some(RowChange::Released {
            parked: parked.clone(),
            action: action.clone(),
            by: by.clone(),
            note: note.clone(),
            at: event.at,
        }),
        _ => None,
    }
}

/// The month in Italy, `2026-03`: an order of 31 March, 23:30 UTC belongs to April.
fn month_of(at: Timestamp) -> String {
    let rome = TimeZone::get("Europe/Rome").unwrap_or(TimeZone::UTC);
    at.to_zoned(rome).strftime("%Y-%m").to_string()
}
