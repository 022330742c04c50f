//! A store that was put back: nothing is sent until a person releases it, lane by lane.
//!
//! The store does not know what its lost future has sent. So each message that it knows as undelivered counts as in doubt
//! ([`hub_life::outbound::Event::Recovered`]), those that come later from what it had admitted too; and senders whose orders
//! were taken in the lost future send them again, under keys that are no longer known here. What is decided about a recovery
//! is keyed state of each outbox partition (space `recovery`), and belongs to that one recovery: a copy that is put back in
//! the middle of another begins anew.
//!
//! A message belongs to an *era*: the recovery after which it was admitted. What is of an earlier era stays doubtful even when
//! the recovery is over.

mod report;
mod told;

pub(crate) use report::report;
pub use told::{LaneReport, LaneWord, MessageReport, RecoveryReport, Settled, Unclaimed};

use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use hub_backbone::{Backbone, Place, Topic};
use hub_core::Case;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::record::decode;

/// The space of keyed state.
pub(crate) const SPACE: &str = "recovery";
/// The key of the [`Era`] in it.
pub(crate) const ERA: &str = "era";
/// What begins the key of a released lane in it.
pub(crate) const LANE: &str = "lane:";
/// The space of what was proved delivered meanwhile.
pub(crate) const SETTLED: &str = "recovered";
/// A lost life may have begun so long before the journal's last time: its clock may have been off.
const SLACK: Duration = Duration::from_secs(600);
/// How far back to look when the journal says nothing.
const LOOK_BACK: Duration = Duration::from_secs(30 * 24 * 3600);

/// The store is an old one: what its opening has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Identity of this finding: what people decided about an earlier one does not count for it.
    pub id: String,
    /// What was found.
    pub reason: String,
    /// What is missing, each in a line for people.
    pub gaps: Vec<String>,
}

/// The recovery that a partition of the outbox knows last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Era {
    pub(crate) id: String,
    /// From when on a lost life may have sent something.
    pub(crate) since: Timestamp,
    pub(crate) began: Timestamp,
    /// When a person ended it.
    pub(crate) ended: Option<Timestamp>,
}

/// A person's word about a lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LaneRelease {
    pub(crate) era: String,
    pub(crate) at: Timestamp,
    pub(crate) by: String,
    pub(crate) note: String,
}

/// A message of the store that a proof has settled in this recovery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SettledByProof {
    pub(crate) lane: String,
    pub(crate) case: String,
    pub(crate) entity: Option<String>,
    pub(crate) at: Timestamp,
}

/// What all loops know about the recovery.
#[derive(Debug)]
pub(crate) struct Recovering {
    /// What the opening has found.
    pub(crate) found: Option<Recovery>,
    /// The era to which new messages belong; empty: the store was never put back.
    pub(crate) era: String,
    pub(crate) since: Timestamp,
    /// Partitions of the outbox in which it is not over.
    open: AtomicU16,
}

impl Recovering {
    pub(crate) async fn begin(
        backbone: &dyn Backbone,
        found: Option<Recovery>,
        now: Timestamp,
        written: Timestamp,
    ) -> Result<Self, Error> {
        let era = match &found {
            Some(found) => found.id.clone(),
            // Where several hubs share the log, nothing was put back under one of them.
            None if backbone.term(0) != Some(0) => String::new(),
            None => era(backbone, Place::new(Topic::OUTBOX, 0)).await?.map(|era| era.id).unwrap_or_default(),
        };
        let lost_from = if written == Timestamp::MIN { now.checked_sub(LOOK_BACK) } else { written.checked_sub(SLACK) };
        let open = if found.is_some() { backbone.partitions() } else { 0 };
        Ok(Self { found, era, since: lost_from.unwrap_or(now), open: AtomicU16::new(open) })
    }

    /// A partition has learnt that a person has ended it.
    pub(crate) fn over_in_one(&self) {
        let less = |open: u16| Some(open.saturating_sub(1));
        let _before = self.open.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
    }

    /// What was found, until it is over everywhere.
    pub(crate) fn now(&self) -> Option<&Recovery> {
        self.found.as_ref().filter(|_| self.open.load(Ordering::SeqCst) > 0)
    }
}

/// What a partition of the outbox knows.
pub(crate) async fn era(backbone: &dyn Backbone, place: Place) -> Result<Option<Era>, Error> {
    let bytes = backbone.get(place, SPACE, ERA).await?;
    bytes.map(|bytes| decode("the recovery of the outbox", &bytes)).transpose()
}

/// The story that tells what people decided about a recovery.
pub(crate) fn case_of(era: &str) -> Case {
    Case { kind: "recovery".into(), id: format!("recovery/{era}"), entity: None, amount: None }
}
