//! What is written down about a case. Everything else (ledger, statistics, metrics) is computed from these events.
//!
//! Events are JSON in the backbone's `journal` topic, one chain for each partition. A field may be added; none changes its
//! meaning. Enums are externally tagged so that numbers keep their text.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Case, Value};

/// One event of a case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Format version of this record.
    pub v: u8,
    /// The case as it was known to the message.
    pub case: Case,
    /// When it happened: the time of the step that caused it, not of the writing.
    pub at: Timestamp,
    /// The message that caused it.
    pub message: String,
    /// The route; empty for events that people cause.
    pub route: String,
    /// The route's version.
    pub version: String,
    /// Where in the route.
    pub segment: String,
    /// What happened.
    pub what: What,
}

/// The present format version of [`Event`].
pub const EVENT_VERSION: u8 = 1;

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A message was admitted.
    Received {
        /// The source's kind and origin.
        source: String,
        /// Who sent it; empty if unknown.
        sender: String,
        /// Hash of its body.
        sha256: String,
        /// Size of its body.
        bytes: u64,
    },
    /// The case was moved, or not: its owner judges.
    State {
        /// The state asked for.
        to: String,
        /// The state before.
        from: String,
        /// Whether the case moved. A late event is recorded and moves nothing back.
        moved: bool,
        /// Why not, if it did not.
        #[serde(default)]
        note: String,
    },
    /// A document was kept byte for byte.
    Archived(Document),
    /// A task was opened for people.
    TaskOpened(Task),
    /// A person decided.
    TaskDecided {
        /// The task.
        task: String,
        /// Who.
        person: String,
        /// What.
        decision: Decision,
        /// Their words.
        #[serde(default)]
        comment: String,
        /// Hash of the document that was shown.
        sha256: String,
        /// How many distinct people have approved so far.
        approvals: u32,
    },
    /// A task passed its escalation time and is now for another role too.
    TaskEscalated {
        /// The task.
        task: String,
        /// The role that may decide now, too.
        to: String,
    },
    /// A task is over.
    TaskClosed {
        /// The task.
        task: String,
        /// `approved`, `rejected`, `done`, `expired`, `withdrawn`.
        outcome: String,
    },
    /// A send is about to happen: the intent is durable.
    SendIntended {
        /// The outgoing message.
        outgoing: String,
        /// Kind of the sink.
        sink: String,
        /// 1 for the first.
        attempt: u32,
        /// The hub's life that tries.
        epoch: String,
        /// After this it may no longer cross.
        not_after: Timestamp,
        /// Hash of the bytes.
        sha256: String,
    },
    /// What is known about a send now.
    SendSettled {
        /// The outgoing message.
        outgoing: String,
        /// Kind of the sink.
        sink: String,
        /// The attempt.
        attempt: u32,
        /// What is known.
        outcome: SendOutcome,
        /// The receiver's name for it.
        #[serde(default)]
        remote_id: String,
        /// The reason or the evidence.
        #[serde(default)]
        evidence: Value,
    },
    /// The message waits for an answer.
    WaitOpened {
        /// The wait.
        wait: String,
        /// What for, for example `siope-ack`.
        name: String,
        /// The keys that the answer may carry.
        keys: Vec<String>,
        /// Until when.
        deadline: Timestamp,
    },
    /// The answer came.
    WaitAnswered {
        /// The wait.
        wait: String,
        /// What for.
        name: String,
        /// The message that brought it.
        by: String,
    },
    /// Nobody answered in time.
    WaitTimedOut {
        /// The wait.
        wait: String,
        /// What for.
        name: String,
    },
    /// The message stopped: a person has to decide.
    Parked(Parked),
    /// A person (or a late answer) decided about a parked message.
    Released {
        /// The parked message.
        parked: String,
        /// `retry`, `delivered`, `not_delivered`, `give_up`, `settled`.
        action: String,
        /// Who.
        by: String,
        /// Their words, or the evidence.
        #[serde(default)]
        note: String,
    },
    /// A line that the route wrote.
    Logged {
        /// The text.
        text: String,
    },
    /// The message went through its whole route.
    Finished,
    /// The message ended before the end of its route.
    Dropped {
        /// Why.
        reason: String,
    },
}

/// A document of a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// The archive class, for example `opi`.
    pub class: String,
    /// A name for people.
    pub name: String,
    /// Hash of the bytes, and their address in the blob store.
    pub sha256: String,
    /// Size.
    pub bytes: u64,
    /// MIME type.
    pub mime: String,
    /// It must be kept until then.
    pub retain_until: Timestamp,
}

/// A task for people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Identity.
    pub id: String,
    /// `approve` (people decide) or `todo` (someone has to look).
    pub kind: TaskKind,
    /// The role that may decide.
    pub role: String,
    /// How many distinct people must approve.
    pub people: u32,
    /// A line for people.
    pub title: String,
    /// Who asked for the payment: may not approve it. Empty if unknown.
    #[serde(default)]
    pub requester: String,
    /// Hash of the document that is shown (and its address in the blob store).
    pub sha256: String,
    /// MIME type of the document.
    pub mime: String,
    /// Until when.
    pub deadline: Timestamp,
}

/// Kinds of tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    /// People approve or reject.
    Approve,
    /// Someone has to look and say "done".
    Todo,
}

/// What a person says about a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Yes.
    Approve,
    /// No.
    Reject,
    /// Seen and done (tasks of kind `todo`).
    Done,
}

/// What is known about a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SendOutcome {
    /// The receiver has it.
    Delivered,
    /// Surely no effect.
    NotSent,
    /// Surely refused.
    Rejected,
    /// Nobody knows.
    InDoubt,
}

/// A message that waits for a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parked {
    /// Identity: the message's id, or the outgoing message's.
    pub id: String,
    /// What it is.
    pub kind: ParkedKind,
    /// In words.
    pub reason: String,
    /// Everything that is known: problems, attempts, answers, epochs.
    pub evidence: Value,
    /// Hash of the body, and its address in the blob store.
    pub sha256: String,
    /// MIME type of the body.
    pub mime: String,
}

/// Kinds of parked messages; decides what a person may do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParkedKind {
    /// It was not admitted; its raw bytes are kept. `give_up`.
    Refused,
    /// A step failed. `retry`, `give_up`.
    Step,
    /// The receiver surely refused it (dead letter). `retry`, `give_up`.
    Rejected,
    /// It was surely not sent, and retries are over. `retry`, `give_up`.
    NotSent,
    /// Nobody knows whether it was sent. `delivered`, `not_delivered` (sends again), `give_up`.
    InDoubt,
    /// An awaited answer did not come. `retry` (waits again), `give_up`.
    Wait,
}

impl ParkedKind {
    /// The actions that a person may take.
    #[must_use]
    pub fn actions(self) -> &'static [&'static str] {
        match self {
            Self::Refused => &["give_up"],
            Self::Step | Self::Rejected | Self::NotSent | Self::Wait => &["retry", "give_up"],
            Self::InDoubt => &["delivered", "not_delivered", "give_up"],
        }
    }
}
