//! The recovery as a person may see it.

use hub_core::Value;
use hub_runtime::{LaneReport, MessageReport, RecoveryReport};
use serde::Serialize;
use utoipa::ToSchema;

use crate::staff::Person;

/// The recovery, if the hub is in one.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Recovery {
    /// Whether the store was put back, and nothing is sent but in released lanes.
    active: bool,
    /// Which recovery; empty: none.
    id: String,
    /// What the opening of the store has found.
    reason: String,
    /// What is missing, as far as the anchor tells.
    gaps: Vec<String>,
    /// From when on a lost life of the hub may have sent something.
    since: Option<String>,
    /// When the store was opened.
    began: Option<String>,
    /// Lanes that have messages, or were released.
    lanes: Vec<HeldLane>,
    /// How many messages a proof of the receiver has settled since.
    settled: u64,
    /// The first of them.
    settled_messages: Vec<SettledMessage>,
    /// How many answers came since that nobody awaits: most are about messages that the store has lost.
    unclaimed: u64,
    /// The first of them.
    unclaimed_answers: Vec<UnclaimedAnswer>,
}

/// A sending lane.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HeldLane {
    /// The lane, for example `siope/UFAAAA`.
    lane: String,
    /// Who released it; `null`: nothing of it is sent.
    released_by: Option<String>,
    /// When.
    released_at: Option<String>,
    /// Messages that are not sent.
    waiting: u64,
    /// Those that the lane's release sends, unless the receiver shows them after all.
    proposed: u64,
    /// Those that a person has to decide one by one (`/parked`).
    to_decide: u64,
    /// The first of them.
    messages: Vec<HeldMessage>,
}

/// A message that is not sent.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HeldMessage {
    /// Identity; a parked one has the same in `/parked`.
    id: String,
    /// The case.
    case: String,
    /// The entity.
    entity: Option<String>,
    /// The route.
    route: String,
    /// Kind of the sink.
    sink: String,
    /// `ready`, `in_doubt`, `parked`, `sending`.
    state: String,
    /// How often the receiver was asked.
    asked: u32,
    /// What the last answer looked at, or why it is parked.
    #[schema(value_type = Object)]
    evidence: Value,
    /// `wait` (it is being asked about), `release` (the receiver does not show it), `decide` (a person has to).
    proposal: String,
}

/// A message that a proof has settled.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SettledMessage {
    /// Identity.
    id: String,
    /// Its lane.
    lane: String,
    /// Its case.
    case: String,
    /// When.
    at: String,
}

/// An answer that nobody awaits.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UnclaimedAnswer {
    /// What for, for example `siope-ack`.
    name: String,
    /// What it is about, for example the identity of a flow.
    key: String,
    /// The message that brought it.
    message: String,
    /// When.
    at: String,
}

impl Recovery {
    pub(super) fn none() -> Self {
        Self {
            active: false,
            id: String::new(),
            reason: String::new(),
            gaps: Vec::new(),
            since: None,
            began: None,
            lanes: Vec::new(),
            settled: 0,
            settled_messages: Vec::new(),
            unclaimed: 0,
            unclaimed_answers: Vec::new(),
        }
    }

    /// As far as the person may see it: messages of other entities are counted, not shown.
    pub(super) fn of(report: RecoveryReport, person: &Person) -> Self {
        let settled = report.settled.into_iter().filter(|one| sees(person, one.entity.as_deref()));
        let settled =
            settled.map(|one| SettledMessage { id: one.id, lane: one.lane, case: one.case, at: one.at.to_string() });
        let all = person.entities().is_empty();
        let unclaimed = report.unclaimed.into_iter().filter(|_| all).map(|one| UnclaimedAnswer {
            name: one.name,
            key: one.key,
            message: one.by,
            at: one.at.to_string(),
        });
        Self {
            active: true,
            id: report.id,
            reason: report.reason,
            gaps: report.gaps,
            since: Some(report.since.to_string()),
            began: Some(report.began.to_string()),
            lanes: report.lanes.into_iter().map(|lane| HeldLane::of(lane, person)).collect(),
            settled: report.settled_count,
            settled_messages: settled.collect(),
            unclaimed: report.unclaimed_count,
            unclaimed_answers: unclaimed.collect(),
        }
    }
}

impl HeldLane {
    fn of(lane: LaneReport, person: &Person) -> Self {
        let messages = lane.messages.into_iter().filter(|one| sees(person, one.entity.as_deref()));
        Self {
            lane: lane.lane,
            released_at: lane.released.as_ref().map(|word| word.at.to_string()),
            released_by: lane.released.map(|word| word.by),
            waiting: lane.waiting,
            proposed: lane.proposed,
            to_decide: lane.to_decide,
            messages: messages.map(HeldMessage::of).collect(),
        }
    }
}

impl HeldMessage {
    fn of(message: MessageReport) -> Self {
        let MessageReport { id, case, entity, route, sink, state, asked, evidence, proposal } = message;
        Self { id, case, entity, route, sink, state, asked, evidence, proposal: proposal.into() }
    }
}

fn sees(person: &Person, entity: Option<&str>) -> bool {
    let all = person.entities();
    all.is_empty() || entity.is_some_and(|entity| all.iter().any(|one| one == entity))
}
