//! Events in words.

use hub_core::journal::{Decision, ParkedKind, SendOutcome, TaskKind, What};

/// The stable name of what happened, as it stands in the journal.
#[must_use]
pub fn kind_of(what: &What) -> &'static str {
    match what {
        What::Received { .. } => "received",
        What::State { .. } => "state",
        What::Archived(_) => "archived",
        What::TaskOpened(_) => "task_opened",
        What::TaskDecided { .. } => "task_decided",
        What::TaskEscalated { .. } => "task_escalated",
        What::TaskClosed { .. } => "task_closed",
        What::SendIntended { .. } => "send_intended",
        What::SendSettled { .. } => "send_settled",
        What::WaitOpened { .. } => "wait_opened",
        What::WaitAnswered { .. } => "wait_answered",
        What::WaitTimedOut { .. } => "wait_timed_out",
        What::Parked(_) => "parked",
        What::Released { .. } => "released",
        What::Logged { .. } => "logged",
        What::Finished => "finished",
        What::Dropped { .. } => "dropped",
    }
}

/// What happened, in one line for people.
#[must_use]
pub fn summary_of(what: &What) -> String {
    match what {
        What::Received { source, sender, bytes, .. } => {
            let from = if sender.is_empty() { String::new() } else { format!(" from {sender}") };
            format!("received{from} by {source}, {bytes} bytes")
        }
        What::State { to, from, moved: true, .. } if from.is_empty() => format!("state {to}"),
        What::State { to, from, moved: true, .. } => format!("state {from} -> {to}"),
        What::State { to, from, note, .. } => format!("state stays {from}, {to} came too late: {note}"),
        What::Archived(document) => {
            format!("archived {} ({}, {} bytes)", document.name, document.class, document.bytes)
        }
        What::Logged { text } => text.clone(),
        What::Finished => "finished".into(),
        What::Dropped { reason } => format!("ended before the end of its route: {reason}"),
        What::Parked(parked) => format!("parked ({}): {}", parked_kind(parked.kind), parked.reason),
        What::Released { action, by, note, .. } => format!("released by {by}: {action}{}", tail(note)),
        task_or_send => summary_of_task(task_or_send).unwrap_or_else(|| summary_of_send(task_or_send)),
    }
}

fn summary_of_task(what: &What) -> Option<String> {
    Some(match what {
        What::TaskOpened(task) => format!("task for {}: {}", task.role, task.title),
        What::TaskDecided { person, decision, comment, .. } => {
            format!("{person} says {}{}", decision_name(*decision), tail(comment))
        }
        What::TaskEscalated { to, .. } => format!("task escalated to {to}"),
        What::TaskClosed { outcome, .. } => format!("task {outcome}"),
        _ => return None,
    })
}

fn summary_of_send(what: &What) -> String {
    match what {
        What::SendIntended { sink, attempt, .. } => format!("about to send by {sink}, attempt {attempt}"),
        What::SendSettled { sink, attempt, outcome, remote_id, .. } => {
            format!("attempt {attempt} by {sink}: {}{}", outcome_name(*outcome), tail(remote_id))
        }
        What::WaitOpened { name, keys, .. } => format!("waits for {name}: {}", keys.join(", ")),
        What::WaitAnswered { name, by, .. } => format!("{name} answered by {by}"),
        What::WaitTimedOut { name, .. } => format!("{name} did not come in time"),
        other => kind_of(other).to_string(),
    }
}

/// `: text`, or nothing.
fn tail(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

pub(crate) fn decision_name(decision: Decision) -> &'static str {
    match decision {
        Decision::Approve => "approve",
        Decision::Reject => "reject",
        Decision::Done => "done",
    }
}

pub(crate) fn outcome_name(outcome: SendOutcome) -> &'static str {
    match outcome {
        SendOutcome::Delivered => "delivered",
        SendOutcome::NotSent => "not_sent",
        SendOutcome::Rejected => "rejected",
        SendOutcome::InDoubt => "in_doubt",
    }
}

pub(crate) fn task_kind(kind: TaskKind) -> &'static str {
    match kind {
        TaskKind::Approve => "approve",
        TaskKind::Todo => "todo",
    }
}

pub(crate) fn parked_kind(kind: ParkedKind) -> &'static str {
    match kind {
        ParkedKind::Refused => "refused",
        ParkedKind::Step => "step",
        ParkedKind::Rejected => "rejected",
        ParkedKind::NotSent => "not_sent",
        ParkedKind::InDoubt => "in_doubt",
        ParkedKind::Wait => "wait",
    }
}

/// What a person may do about a parked message of this kind.
pub(crate) fn actions_of(kind: &str) -> &'static [&'static str] {
    use ParkedKind::{InDoubt, NotSent, Refused, Rejected, Step, Wait};
    let known = [Refused, Step, Rejected, NotSent, InDoubt, Wait];
    known.into_iter().find(|known| parked_kind(*known) == kind).map_or(&[], ParkedKind::actions)
}
