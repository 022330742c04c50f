//! The one pure function: an event of the journal becomes changes of rows. No SQL, no clock, no look at what is there.

use hub_core::Value;
use hub_core::journal::{Event, What};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::RowChange;
use crate::summary::{decision_name, kind_of, outcome_name, parked_kind, summary_of, task_kind};

/// Where an event stands in the journal. A case's events all stand in one partition, so that `offset` orders them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// Partition of the journal.
    pub partition: u16,
    /// Position in it.
    pub offset: u64,
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
