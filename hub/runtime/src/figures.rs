//! What a hub measures of itself: small numbers that its loops keep up to date, and the snapshot that others see.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use hub_backbone::{Place, Topic};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::hub::Shared;

/// "No such instant" among the microseconds.
const NEVER: i64 = i64::MIN;

/// A hub at one instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Since when this life of the hub works.
    pub since: Timestamp,
    /// Name of this life.
    pub epoch: String,
    /// The clock.
    pub now: Timestamp,
    /// Each partition that this hub works on, in order.
    pub partitions: Vec<PartitionFigures>,
    /// Records that may wait in one inbox partition before admission answers "busy".
    pub backlog_max: u64,
    /// Unsent messages of one outbox partition before admission answers "busy" to routes that send.
    pub unsent_max: u64,
    /// When the oldest message that waits to be sent came to its outbox; known of those in memory, which are the oldest.
    pub oldest_unsent: Option<Timestamp>,
    /// When a message was admitted last, in this life.
    pub last_taken: Option<Timestamp>,
    /// When a receipt was recorded last, in this life.
    pub last_sent: Option<Timestamp>,
    /// The store, as far as somebody who knows its file has added it.
    pub store: Option<StoreFigures>,
}

/// One partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionFigures {
    /// Messages that wait for a segment of their route.
    pub inbox: u64,
    /// Messages in lanes that wait for a step which is not available; they have left `inbox`.
    pub held: u64,
    /// Outbound messages and commands that were not looked at yet.
    pub outbox: u64,
    /// Outbound messages that have no receipt yet and hold their lane: in memory, and in the store alone.
    pub unsent: u64,
    /// Waits, answers and decisions that were not looked at yet.
    pub waits: u64,
    /// Events on their way to the owner of their case.
    pub cases: u64,
}

/// The store and the disk below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreFigures {
    /// The folder whose disk is meant.
    pub folder: String,
    /// Bytes of the store's own files (without blobs).
    pub bytes: u64,
    /// Bytes that are free on its disk; `None` where the system does not say.
    pub disk_free: Option<u64>,
    /// Commits of this life.
    pub commits: u64,
    /// Records in them.
    pub records: u64,
    /// Transactions that they took: each one fsync.
    pub transactions: u64,
}

impl Figures {
    /// The largest number of one kind over all partitions.
    pub fn largest(&self, of: impl Fn(&PartitionFigures) -> u64) -> u64 {
        self.partitions.iter().map(of).max().unwrap_or(0)
    }

    /// The sum of one kind over all partitions.
    pub fn total(&self, of: impl Fn(&PartitionFigures) -> u64) -> u64 {
        self.partitions.iter().map(of).sum()
    }
}

/// An instant that loops write and others read.
#[derive(Debug)]
pub(crate) struct Instant(AtomicI64);

impl Default for Instant {
    fn default() -> Self {
        Self(AtomicI64::new(NEVER))
    }
}

impl Instant {
    pub(crate) fn set(&self, at: Option<Timestamp>) {
        self.0.store(at.map_or(NEVER, Timestamp::as_microsecond), Ordering::Relaxed);
    }

    fn get(&self) -> Option<Timestamp> {
        Some(self.0.load(Ordering::Relaxed))
            .filter(|us| *us != NEVER)
            .and_then(|us| Timestamp::from_microsecond(us).ok())
    }
}

/// What the loops of one partition know of themselves.
#[derive(Debug, Default)]
pub(crate) struct PartitionGauges {
    pub(crate) held: AtomicU64,
    pub(crate) unsent: AtomicU64,
    pub(crate) oldest_unsent: Instant,
}

impl PartitionGauges {
    /// The partition is another hub's now.
    pub(crate) fn forget(&self) {
        self.held.store(0, Ordering::Relaxed);
        self.unsent.store(0, Ordering::Relaxed);
        self.oldest_unsent.set(None);
    }
}

/// What the loops know of themselves.
#[derive(Debug)]
pub(crate) struct Gauges {
    since: Timestamp,
    partitions: Vec<PartitionGauges>,
    pub(crate) last_taken: Instant,
    pub(crate) last_sent: Instant,
}

impl Gauges {
    pub(crate) fn new(since: Timestamp, partitions: u16) -> Self {
        let partitions = (0..partitions).map(|_| PartitionGauges::default()).collect();
        Self { since, partitions, last_taken: Instant::default(), last_sent: Instant::default() }
    }

    /// Those of a partition.
    pub(crate) fn of(&self, partition: u16) -> &PartitionGauges {
        &self.partitions[usize::from(partition)]
    }

    /// The largest number of unsent messages of all partitions.
    pub(crate) fn unsent(&self) -> u64 {
        self.partitions.iter().map(|gauges| gauges.unsent.load(Ordering::Relaxed)).max().unwrap_or(0)
    }
}

/// Measures the hub.
pub(crate) async fn figures(shared: &Shared) -> Result<Figures, Error> {
    let mut partitions = Vec::new();
    for partition in shared.slots() {
        match partition_figures(shared, partition).await {
            // it went to another hub meanwhile
            Err(Error::Backbone(hub_backbone::Error::Lost { .. })) => {}
            figures => partitions.push(figures?),
        }
    }
    let gauges = &shared.gauges;
    Ok(Figures {
        since: gauges.since,
        epoch: shared.backbone.epoch().to_string(),
        now: shared.clock.now(),
        partitions,
        backlog_max: shared.limits.backlog_max,
        unsent_max: shared.limits.unsent_max,
        oldest_unsent: gauges.partitions.iter().filter_map(|gauges| gauges.oldest_unsent.get()).min(),
        last_taken: gauges.last_taken.get(),
        last_sent: gauges.last_sent.get(),
        store: None,
    })
}

async fn partition_figures(shared: &Shared, partition: u16) -> Result<PartitionFigures, Error> {
    let waiting = async |topic| {
        let place = Place::new(topic, partition);
        let position = shared.backbone.position(place).await?;
        Ok::<_, Error>(shared.backbone.end(place).await?.saturating_sub(position))
    };
    let gauges = shared.gauges.of(partition);
    Ok(PartitionFigures {
        inbox: waiting(Topic::INBOX).await?,
        held: gauges.held.load(Ordering::Relaxed),
        outbox: waiting(Topic::OUTBOX).await?,
        unsent: gauges.unsent.load(Ordering::Relaxed),
        waits: waiting(Topic::WAITS).await?,
        cases: waiting(Topic::CASES).await?,
    })
}
