//! What a partition of the outbox knows of the last recovery, and what follows for a message.

use std::collections::HashMap;

use hub_core::Repeat;
use hub_life::outbound::Event;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::record::Outbound;
use crate::recovery::{Era, LaneRelease};

/// What this partition knows of the last recovery.
#[derive(Default)]
pub(super) struct Held {
    pub(super) era: Option<Era>,
    pub(super) lanes: HashMap<String, LaneRelease>,
    /// When this life of the hub learnt that a lane was released; see [`super::fence`].
    seen: HashMap<String, Instant>,
    /// The same of the recovery's end.
    pub(super) seen_ended: Option<Instant>,
}

impl Held {
    /// The era to which judged messages belong.
    pub(super) fn era(&self) -> &str {
        self.era.as_ref().map_or("", |era| &era.id)
    }

    /// Whether nothing of a lane may be sent.
    pub(super) fn holds(&self, lane: &str) -> bool {
        self.is_open() && !self.lanes.contains_key(lane)
    }

    pub(super) fn is_open(&self) -> bool {
        self.era.as_ref().is_some_and(|era| era.ended.is_none())
    }

    /// When a person said that no lost life runs any more.
    fn released_at(&self, lane: &str) -> Option<Timestamp> {
        let lane = self.lanes.get(lane).map(|release| release.at);
        lane.or(self.era.as_ref().and_then(|era| era.ended))
    }

    /// The same, by the boot clock: as far as this life of the hub can know.
    pub(super) fn seen_released(&self, lane: &str) -> Option<Instant> {
        self.seen.get(lane).copied().or(self.seen_ended)
    }

    pub(super) fn release(&mut self, lane: &str, release: LaneRelease) {
        let _ = self.lanes.insert(lane.to_owned(), release);
        let _ = self.seen.insert(lane.to_owned(), Instant::now());
    }

    /// What a message that comes to the outbox, or stands in it, has to hear first.
    pub(super) fn doubt_about(&self, out: &Outbound, repeat: Repeat) -> Option<Event> {
        let era = self.era.as_ref()?;
        let over_at = self.released_at(&out.lane);
        let before = match (&out.work.admitted, over_at) {
            (Some(admitted), Some(over)) => *admitted < over,
            _ => true,
        };
        let doubtful = out.work.era != era.id || before || (self.is_open() && repeat == Repeat::Askable);
        doubtful.then_some(Event::Recovered { since: era.since, over_at })
    }
}
