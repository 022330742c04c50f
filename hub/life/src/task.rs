//! The life of a task for people.

use hub_core::journal::{Decision, TaskKind};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What is durable about one task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskState {
    /// Approve or to do.
    pub kind: TaskKind,
    /// Who may decide.
    pub role: String,
    /// How many distinct people must approve.
    pub people: u32,
    /// Who asked for it: may not approve. Empty if unknown.
    pub requester: String,
    /// The entity it belongs to; people see only theirs. Empty: no entity.
    pub entity: String,
    /// Hash of the document that is shown.
    pub sha256: String,
    /// Until when.
    pub deadline: Timestamp,
    /// When which role may decide, too.
    pub escalate: Option<(Timestamp, String)>,
    /// Whether that has happened.
    pub escalated: bool,
    /// Who has approved so far.
    pub approvals: Vec<String>,
    /// `None`: open.
    pub outcome: Option<Outcome>,
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Enough people said yes.
    Approved,
    /// Someone said no.
    Rejected,
    /// Someone saw to it.
    Done,
    /// Nobody decided in time.
    Expired,
    /// It is no longer needed (the answer came).
    Withdrawn,
}

/// A person's word about a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    /// Who, as authenticated.
    pub person: String,
    /// Their roles.
    pub roles: Vec<String>,
    /// The entities they may see; empty: all.
    pub entities: Vec<String>,
    /// What they say.
    pub decision: Decision,
    /// Their comment.
    pub comment: String,
    /// Hash of the document that they were shown.
    pub sha256: String,
}

/// Why a person's word does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The task is unknown.
    Unknown,
    /// The task is closed, or its deadline has passed.
    NotOpen,
    /// None of their roles may decide.
    WrongRole,
    /// The task belongs to an entity that is not theirs.
    WrongEntity,
    /// They asked for the payment themselves.
    Requester,
    /// They have approved already; another person is needed.
    SamePerson,
    /// They were shown another document.
    OtherDocument,
    /// That word does not fit this kind of task.
    WrongDecision,
}

/// What happened to a task.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A person spoke.
    Said(Word),
    /// The escalation time has come.
    EscalationDue,
    /// The deadline has come.
    DeadlineDue,
    /// It is no longer needed.
    Withdrawn,
}

/// What follows.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Write down a person's decision.
    Decided,
    /// Write down that this role may decide, too.
    Escalated(String),
    /// The task is over: the message goes on.
    Closed(Outcome),
}

impl TaskState {
    /// Whether people may still decide.
    #[must_use]
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.outcome.is_none() && now < self.deadline
    }
}

/// What becomes of a task when `event` happens.
///
/// | event | condition | becomes | commands |
/// |---|---|---|---|
/// | `Said(Approve)` | enough people have approved | closed | `Decided`, `Closed(Approved)` |
/// | `Said(Approve)` | more people are needed | one more approval | `Decided` |
/// | `Said(Reject)` | | closed | `Decided`, `Closed(Rejected)` |
/// | `Said(Done)` | | closed | `Decided`, `Closed(Done)` |
/// | `EscalationDue` | open, its time has come, first time | escalated | `Escalated` |
/// | `DeadlineDue` | not closed, its time has come | closed | `Closed(Expired)` |
/// | `Withdrawn` | not closed | closed | `Closed(Withdrawn)` |
///
/// Anything else that is not a person's word changes nothing and gives no command.
///
/// # Errors
/// The first reason why a person's word does not count, judged in this order: open, role, entity, fitting decision, same
/// document, not the requester (approvals), another person (approvals). The task is then unchanged. No role stands above
/// this: an administrator approves only with the task's role.
pub fn advance(task: &TaskState, event: Event, now: Timestamp) -> Result<(TaskState, Vec<Command>), Refusal> {
    match event {
        Event::Said(word) => judge(task, &word, now).map(|()| said(task, word)),
        Event::EscalationDue => Ok(escalate(task, now)),
        Event::DeadlineDue if now >= task.deadline => Ok(close(task, Outcome::Expired)),
        Event::Withdrawn => Ok(close(task, Outcome::Withdrawn)),
        Event::DeadlineDue => Ok((task.clone(), Vec::new())),
    }
}

fn judge(task: &TaskState, word: &Word, now: Timestamp) -> Result<(), Refusal> {
    let approves = word.decision == Decision::Approve;
    let checks = [
        (task.is_open(now), Refusal::NotOpen),
        (has_role(task, word), Refusal::WrongRole),
        (sees_entity(task, word), Refusal::WrongEntity),
        (fits(task.kind, word.decision), Refusal::WrongDecision),
        (word.sha256 == task.sha256, Refusal::OtherDocument),
        (!(approves && is_same(&task.requester, &word.person)), Refusal::Requester),
        (!(approves && task.approvals.iter().any(|person| is_same(person, &word.person))), Refusal::SamePerson),
    ];
    checks.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, refusal)| Err(refusal))
}

fn has_role(task: &TaskState, word: &Word) -> bool {
    let escalated = task.escalate.as_ref().filter(|_| task.escalated).map(|(_, role)| role);
    word.roles.iter().any(|role| *role == task.role || Some(role) == escalated)
}

fn sees_entity(task: &TaskState, word: &Word) -> bool {
    task.entity.is_empty() || word.entities.is_empty() || word.entities.contains(&task.entity)
}

fn fits(kind: TaskKind, decision: Decision) -> bool {
    match kind {
        TaskKind::Approve => matches!(decision, Decision::Approve | Decision::Reject),
        TaskKind::Todo => decision == Decision::Done,
    }
}

/// Whether two names mean one person. Case and spaces around a name are ignored: the requester's name comes from the
/// message, not from our authentication, and must not slip past four eyes as `M.Rossi`.
fn is_same(one: &str, other: &str) -> bool {
    one.trim().to_lowercase() == other.trim().to_lowercase()
}

fn said(task: &TaskState, word: Word) -> (TaskState, Vec<Command>) {
    let mut next = task.clone();
    next.outcome = match word.decision {
        Decision::Reject => Some(Outcome::Rejected),
        Decision::Done => Some(Outcome::Done),
        Decision::Approve => {
            next.approvals.push(word.person);
            let enough = next.approvals.len() >= usize::try_from(task.people.max(1)).unwrap_or(usize::MAX);
            enough.then_some(Outcome::Approved)
        }
    };
    let closed = next.outcome.map(Command::Closed);
    (next, std::iter::once(Command::Decided).chain(closed).collect())
}

fn escalate(task: &TaskState, now: Timestamp) -> (TaskState, Vec<Command>) {
    match &task.escalate {
        Some((at, role)) if !task.escalated && now >= *at && task.is_open(now) => {
            (TaskState { escalated: true, ..task.clone() }, vec![Command::Escalated(role.clone())])
        }
        _ => (task.clone(), Vec::new()),
    }
}

fn close(task: &TaskState, outcome: Outcome) -> (TaskState, Vec<Command>) {
    match task.outcome {
        Some(_) => (task.clone(), Vec::new()),
        None => (TaskState { outcome: Some(outcome), ..task.clone() }, vec![Command::Closed(outcome)]),
    }
}
