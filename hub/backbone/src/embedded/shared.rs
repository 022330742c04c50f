use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::EmbeddedSettings;
use super::alarm::{AlarmKind, Alarms};
use super::places::{Head, Places, Reach};
use crate::{Commit, Error, Offset, Place};

/// Jobs that may wait for the writer, at most.
pub(super) const QUEUE_SLOTS: usize = 4_096;
/// Trims that may wait beside them.
pub(super) const TRIM_SLOTS: usize = 16;
/// What one slot of the queue has room for, in bytes: 64 MiB wait for the writer, at most.
const SLOT_BYTES: usize = 16_384;

/// What a job takes up in the queue; freed when the job is done.
pub(super) type Room = Option<OwnedSemaphorePermit>;

/// What was written since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Commits that are durable.
    pub commits: u64,
    /// Records in them.
    pub records: u64,
    /// Transactions that they took: each one fsync. Fewer than commits when callers come together.
    pub transactions: u64,
}

/// What the handle, the writer and the readers have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) path: PathBuf,
    pub(super) epoch: String,
    pub(super) past_epochs: HashSet<String>,
    pub(super) places: Places,
    pub(super) alarms: Alarms,
    /// Ends by slot, for those who wait for a change.
    ends: Vec<watch::Sender<End>>,
    /// How far each partition goes that is durable, for the anchor.
    reached: Mutex<Vec<Reach>>,
    failed: OnceLock<Error>,
    queue: Arc<Semaphore>,
    trims: Arc<Semaphore>,
    /// 0: no limit.
    bytes_max: AtomicU64,
    commits: AtomicU64,
    records: AtomicU64,
    transactions: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
struct End {
    next: Offset,
    failed: bool,
}

impl Shared {
    pub(super) fn new(
        settings: &EmbeddedSettings,
        places: Places,
        epoch: String,
        past_epochs: HashSet<String>,
        heads: &[Head],
    ) -> Self {
        let reached = places.all().zip(heads);
        let reached = reached.map(|(place, head)| Reach { place, next: head.next, chain: head.chain }).collect();
        let end = |head: &Head| watch::Sender::new(End { next: head.next, failed: false });
        Self {
            path: settings.path.clone(),
            epoch,
            past_epochs,
            places,
            alarms: Alarms::default(),
            ends: heads.iter().map(end).collect(),
            reached: Mutex::new(reached),
            failed: OnceLock::new(),
            queue: Arc::new(Semaphore::new(QUEUE_SLOTS)),
            trims: Arc::new(Semaphore::new(TRIM_SLOTS)),
            bytes_max: AtomicU64::new(settings.bytes_max.unwrap_or(0)),
            commits: AtomicU64::new(0),
            records: AtomicU64::new(0),
            transactions: AtomicU64::new(0),
        }
    }

    /// Waits until the queue has room for a job of so many bytes.
    pub(super) async fn room(&self, bytes: usize) -> Room {
        let slots = (bytes / SLOT_BYTES + 1).min(QUEUE_SLOTS);
        let slots = u32::try_from(slots).expect("invariant: there are fewer than 2^32 slots");
        Arc::clone(&self.queue).acquire_many_owned(slots).await.ok()
    }

    /// Waits until the queue has room for a trim.
    pub(super) async fn trim_room(&self) -> Room {
        Arc::clone(&self.trims).acquire_owned().await.ok()
    }

    /// Completes when the end of a partition is beyond `after`.
    pub(super) async fn changed(&self, place: Place, after: Offset) -> Result<(), Error> {
        let mut end = self.ends[self.places.slot(place)?].subscribe();
        let reached = end.wait_for(|end| end.failed || end.next > after).await;
        match reached.map(|end| end.failed) {
            Ok(false) => Ok(()),
            _ => Err(self.failure()),
        }
    }

    /// Tells what a durable group has changed.
    pub(super) fn publish(&self, heads: &[Head], commits: u64, records: u64) {
        self.commits.fetch_add(commits, Ordering::Relaxed);
        self.records.fetch_add(records, Ordering::Relaxed);
        self.transactions.fetch_add(1, Ordering::Relaxed);
        for (reach, head) in self.reached.lock().unwrap_or_else(PoisonError::into_inner).iter_mut().zip(heads) {
            (reach.next, reach.chain) = (head.next, head.chain);
        }
        for (end, head) in self.ends.iter().zip(heads) {
            end.send_if_modified(|end| std::mem::replace(&mut end.next, head.next) != head.next);
        }
    }

    /// How far each partition goes, durably.
    pub(super) fn reached(&self) -> Vec<Reach> {
        self.reached.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether trouble ended the store (and not its closing).
    pub(super) fn has_failed(&self) -> bool {
        self.alarms.list().iter().any(|alarm| alarm.kind == AlarmKind::Failed)
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            commits: self.commits.load(Ordering::Relaxed),
            records: self.records.load(Ordering::Relaxed),
            transactions: self.transactions.load(Ordering::Relaxed),
        }
    }

    pub(super) fn limit_bytes(&self, bytes_max: Option<u64>) {
        self.bytes_max.store(bytes_max.unwrap_or(0), Ordering::Relaxed);
    }

    pub(super) fn bytes_max(&self) -> Option<u64> {
        Some(self.bytes_max.load(Ordering::Relaxed)).filter(|bytes| *bytes > 0)
    }

    /// Nothing works from now on; the first reason stays.
    pub(super) fn end_with(&self, error: Error) {
        if self.failed.set(error).is_ok() {
            self.ends.iter().for_each(|end| end.send_modify(|end| end.failed = true));
        }
    }

    /// The same, because of trouble: people must know.
    pub(super) fn fail(&self, error: Error) {
        self.alarms.raise(AlarmKind::Failed, error.to_string());
        self.end_with(error);
    }

    /// Why nothing works any more.
    pub(super) fn failure(&self) -> Error {
        self.failed.get().cloned().unwrap_or_else(closed)
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        self.failed.get().map_or(Ok(()), |error| Err(error.clone()))
    }
}

pub(super) fn closed() -> Error {
    Error::Io("the store is closed".to_owned())
}

/// What a commit weighs, in bytes.
pub(super) fn size_of(commit: &Commit) -> usize {
    let outputs = commit.outputs.iter().map(|(_, record)| record.key.len() + record.bytes.len());
    let state = commit.state.iter().map(|change| change.key.len() + change.value.as_ref().map_or(0, bytes::Bytes::len));
    outputs.sum::<usize>() + state.sum::<usize>()
}
