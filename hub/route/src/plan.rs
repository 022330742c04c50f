//! A route that has been checked: what the runtime carries out.
//!
//! A plan is a tree of segments. Operations of a segment compute and commit together; what ends a segment is the outside
//! world, a wait, or a fork.

use std::collections::BTreeMap;

use hub_core::plugin::Opens;
use hub_core::{Repeat, Sink, Source, Span, Step};
use std::sync::Arc;

use crate::expression::{Mapping, Program};

/// Stable name of a segment: the path of the step that begins it, for example `` (the first), `6` or `8.0.1`.
pub type SegmentId = String;

/// A checked route, ready to be opened.
pub struct Plan {
    /// The route's name.
    pub route: String,
    /// What it is for, in words.
    pub description: String,
    /// Hash of the route and of every file that it names.
    pub version: String,
    /// Where messages come from.
    pub source: SourcePlan,
    /// The case of each message; `None`: the message is its own case.
    pub case: Option<CasePlan>,
    /// The lane of each message; `None`: the case id.
    pub lane: Option<Program>,
    /// Business identity of each message.
    pub idempotent: Option<IdempotentPlan>,
    /// How many operations at the beginning of the first segment only judge: they run during admission.
    pub judges: usize,
    /// All segments; the first one has the id ``.
    pub segments: BTreeMap<SegmentId, Segment>,
    /// What to do when something fails.
    pub on_failure: FailurePlan,
}

/// Where messages come from.
pub struct SourcePlan {
    /// The source's kind.
    pub kind: &'static str,
    /// Whether every hub opens it; see [`hub_core::plugin::SourceConfig::EVERYWHERE`].
    pub everywhere: bool,
    /// Opens it.
    pub opens: Box<dyn Opens<Box<dyn Source>>>,
}

/// How the case of a message is found.
#[derive(Debug, Clone)]
pub struct CasePlan {
    /// The kind of case.
    pub kind: String,
    /// The identity; must give text that is not empty.
    pub id: Program,
    /// The entity's code; must be a row of `config/entities.yaml`.
    pub entity: Option<Program>,
    /// The amount; must give a decimal.
    pub amount: Option<Program>,
}

/// How a repetition is found.
#[derive(Debug, Clone)]
pub struct IdempotentPlan {
    /// The key; hub-wide.
    pub key: Program,
    /// How long a finished key is remembered. A key with unfinished work never expires.
    pub remember: Span,
}

/// What to do when something fails.
#[derive(Debug, Clone)]
pub struct FailurePlan {
    /// Tries after the first one.
    pub times: u32,
    /// First pause.
    pub min: Span,
    /// Longest pause.
    pub max: Span,
    /// Beside parking, open a task for this role.
    pub task: Option<String>,
}

/// Steps that compute and commit together, and what follows.
pub struct Segment {
    /// Its name.
    pub id: SegmentId,
    /// What it computes.
    pub ops: Vec<Op>,
    /// What ends it.
    pub end: End,
}

/// One operation.
pub struct Op {
    /// Stable path of the step in the route, for example `3` or `8.0.0`.
    pub place: String,
    /// Line of the step in its file.
    pub line: usize,
    /// What to do.
    pub what: OpKind,
}

/// What an operation does.
pub enum OpKind {
    /// A plug-in's step.
    Step {
        /// Its kind.
        kind: &'static str,
        /// Opens it.
        opens: Box<dyn Opens<Arc<dyn Step>>>,
        /// Its expression fields.
        params: Vec<(String, Program)>,
        /// The name to bind its result to.
        bind: Option<String>,
    },
    /// Keeps values under `vars`.
    Set(Vec<(String, Mapping)>),
    /// Replaces the body with the mapping's value, as JSON.
    Map(Mapping),
    /// Ends the message here unless the condition is true.
    Filter(Program),
    /// Writes a line to the case's history.
    Log(Program),
    /// Asks the owner of a case to move it.
    State {
        /// The state.
        to: StateName,
        /// Another case than the message's.
        case: Option<Program>,
        /// The entity of that other case.
        entity: Option<Program>,
        /// The kind of that other case.
        kind: Option<String>,
    },
    /// Keeps the body byte for byte.
    Archive {
        /// The archive class.
        class: String,
        /// A name for people.
        name: Option<Program>,
        /// How long it must be kept.
        retain: Span,
    },
    /// Answers a wait.
    Resume {
        /// What for.
        name: String,
        /// The key.
        key: Program,
        /// The answer; `None`: the body as a value.
        answer: Option<Mapping>,
    },
    /// Ends the message here if the key was seen before.
    Idempotent(IdempotentPlan),
    /// The first branch whose condition is true; branches without an outside effect.
    Choice(Vec<Branch<Vec<Op>>>),
}

/// The name of a state: written in the route, or computed.
#[derive(Debug, Clone)]
pub enum StateName {
    /// Written.
    Fixed(String),
    /// Computed.
    Computed(Program),
}

/// One branch of a choice.
pub struct Branch<T> {
    /// The condition; `None`: otherwise.
    pub when: Option<Program>,
    /// What to do.
    pub then: T,
}

/// What ends a segment.
pub enum End {
    /// The message is through.
    Finish,
    /// Another segment follows at once (after a fork).
    Goto(SegmentId),
    /// The first branch whose condition is true; if none is, `next`.
    Choice {
        /// Branches.
        branches: Vec<Branch<SegmentId>>,
        /// What follows when no branch is taken.
        next: SegmentId,
    },
    /// One message for each element; `next` is entered once, by the message itself, at once.
    Split {
        /// The list.
        each: Program,
        /// The name each element is bound to.
        bind: String,
        /// The case of each child; `None`: the parent's.
        case: Option<CasePlan>,
        /// Where children begin.
        item: SegmentId,
        /// Where the message itself goes on.
        next: SegmentId,
    },
    /// A send.
    To(SendPlan),
    /// An answer that comes later.
    Await {
        /// What for.
        name: String,
        /// The keys that the answer may carry.
        keys: Vec<Program>,
        /// How long.
        within: Span,
        /// The name to bind the answer to.
        bind: Option<String>,
        /// What to do when nobody answers.
        on_timeout: OnTimeout,
        /// What follows.
        next: SegmentId,
    },
    /// People.
    Approve(TaskPlan),
}

/// A send.
pub struct SendPlan {
    /// The sink's kind.
    pub kind: &'static str,
    /// Stable path of the step.
    pub place: String,
    /// Opens the sink.
    pub opens: Box<dyn Opens<Arc<dyn Sink>>>,
    /// What repeating means, as far as the configuration says.
    pub repeat: Repeat,
    /// Its expression fields.
    pub params: Vec<(String, Program)>,
    /// The name to bind the receipt to.
    pub bind: Option<String>,
    /// The `await` that follows directly: its name, and those of its keys that are known before the send. They are
    /// registered with the intent, so that a late answer can settle a send in doubt.
    pub witnesses: Option<(String, Vec<Program>)>,
    /// What follows.
    pub next: SegmentId,
}

/// A task for people.
pub struct TaskPlan {
    /// Approve or to do.
    pub kind: hub_core::journal::TaskKind,
    /// Stable path of the step.
    pub place: String,
    /// Who may decide.
    pub role: String,
    /// How many distinct people.
    pub people: u32,
    /// How long.
    pub within: Span,
    /// After this long, this role may decide too.
    pub escalate: Option<(Span, String)>,
    /// A line for people.
    pub title: Option<Program>,
    /// Who asked for it: may not approve.
    pub requester: Option<Program>,
    /// The name to bind the decision to.
    pub bind: Option<String>,
    /// Where a rejected message goes on; `None`: state `respinto`, and the end.
    pub on_reject: Option<SegmentId>,
    /// What follows.
    pub next: SegmentId,
}

/// What to do when nobody answers in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnTimeout {
    /// Park the message. A late answer still wakes it.
    Park,
    /// Open a task for a role and go on waiting.
    Task(String),
    /// Go on at another segment.
    Segment(SegmentId),
}

macro_rules! opaque_debug {
    ($($type:ty => $name:literal),* $(,)?) => {
        $(impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str($name)
            }
        })*
    };
}
opaque_debug!(Plan => "Plan", SourcePlan => "SourcePlan", Segment => "Segment", Op => "Op", OpKind => "OpKind",
    End => "End", SendPlan => "SendPlan", TaskPlan => "TaskPlan");

impl<T> std::fmt::Debug for Branch<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Branch")
    }
}
