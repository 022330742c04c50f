//! What a person has to know before they release a lane.

use hub_core::Value;
use jiff::Timestamp;
use serde::Serialize;

/// What is known about a recovery.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RecoveryReport {
    /// Which recovery.
    pub id: String,
    /// What the store's opening found.
    pub reason: String,
    /// What is missing, as far as the anchor tells.
    pub gaps: Vec<String>,
    /// From when on a lost life of the hub may have sent something.
    pub since: Timestamp,
    /// When the store was opened.
    pub began: Timestamp,
    /// The lanes that have messages or were released.
    pub lanes: Vec<LaneReport>,
    /// Messages that a proof of the receiver has settled since, in all.
    pub settled_count: u64,
    /// The first of them.
    pub settled: Vec<Settled>,
    /// Answers that came since and that nobody awaits, in all: most are about messages that the store has lost.
    pub unclaimed_count: u64,
    /// The first of them.
    pub unclaimed: Vec<Unclaimed>,
}

/// A sending lane.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LaneReport {
    /// The lane, for example `siope/UFAAAA`.
    pub lane: String,
    /// Who released it; `None`: nothing of it is sent.
    pub released: Option<LaneWord>,
    /// Messages that are not sent.
    pub waiting: u64,
    /// Those that a release sends, unless the receiver shows them after all.
    pub proposed: u64,
    /// Those that a person has to decide one by one.
    pub to_decide: u64,
    /// The first of them all.
    pub messages: Vec<MessageReport>,
}

/// A person's word about a lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LaneWord {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// Why.
    pub note: String,
}

/// A message that is not sent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MessageReport {
    /// Identity; decisions about a parked one name it.
    pub id: String,
    /// The case.
    pub case: String,
    /// The entity.
    pub entity: Option<String>,
    /// The route.
    pub route: String,
    /// Kind of the sink.
    pub sink: String,
    /// `ready`, `in_doubt`, `parked`, `sending`.
    pub state: String,
    /// How often the receiver was asked.
    pub asked: u32,
    /// What the last answer looked at, or why it is parked.
    pub evidence: Value,
    /// `wait` (it is being asked about), `release` (the receiver does not show it: the lane's release sends it), `decide` (a
    /// person has to say what became of it).
    pub proposal: &'static str,
}

/// A message that a proof has settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Settled {
    /// Identity.
    pub id: String,
    /// Its lane.
    pub lane: String,
    /// Its case.
    pub case: String,
    /// The entity.
    pub entity: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// An answer that nobody awaits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unclaimed {
    /// What for, for example `siope-ack`.
    pub name: String,
    /// What it is about, for example the identity of a flow.
    pub key: String,
    /// The message that brought it.
    pub by: String,
    /// When.
    pub at: Timestamp,
}
