//! What the handle, the writer and the readers have in common.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use hub_backbone::{Error, Offset, Place};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::KafkaSettings;
use crate::epochs::Lives;
use crate::names::{Names, slot};
use crate::partition::Partition;
use crate::quarantine::Quarantine;

/// Jobs that may wait for the writer.
pub(crate) const QUEUE_SLOTS: usize = 4_096;
/// What one slot has room for, in bytes: 64 MiB wait, at most.
const SLOT_BYTES: usize = 16_384;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: KafkaSettings,
    pub(crate) names: Names,
    pub(crate) epoch: String,
    pub(crate) quarantine: Quarantine,
    lives: RwLock<Lives>,
    /// By slot. One lock: a commit becomes visible at once in all partitions that it touches.
    partitions: RwLock<Vec<Partition>>,
    ends: Vec<watch::Sender<Offset>>,
    failed: OnceLock<Error>,
    queue: Arc<Semaphore>,
    /// Nobody waits for results any more: what cannot be known soon need not be asked again.
    stop: Arc<AtomicBool>,
}

impl Shared {
    pub(crate) fn new(
        settings: KafkaSettings,
        quarantine: Quarantine,
        epoch: String,
        lives: Lives,
        partitions: Vec<Partition>,
        stop: Arc<AtomicBool>,
    ) -> Self {
        Self {
            names: Names::new(&settings.prefix),
            settings,
            epoch,
            quarantine,
            lives: RwLock::new(lives),
            ends: partitions.iter().map(|one| watch::Sender::new(one.end.0)).collect(),
            partitions: RwLock::new(partitions),
            failed: OnceLock::new(),
            queue: Arc::new(Semaphore::new(QUEUE_SLOTS)),
            stop,
        }
    }

    pub(crate) fn slot(&self, place: Place) -> usize {
        slot(place, self.settings.partitions)
    }

    pub(crate) fn look(&self) -> RwLockReadGuard<'_, Vec<Partition>> {
        self.partitions.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn change(&self) -> RwLockWriteGuard<'_, Vec<Partition>> {
        self.partitions.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes those who wait for more of a partition.
    pub(crate) fn announce(&self, slot: usize, end: Offset) {
        let _ = self.ends[slot].send_replace(end);
    }

    pub(crate) async fn changed(&self, place: Place, after: Offset) -> Result<(), Error> {
        let mut end = self.ends[self.slot(place)].subscribe();
        loop {
            if *end.borrow_and_update() > after {
                return Ok(());
            }
            self.check()?;
            if end.changed().await.is_err() {
                return Err(self.failure());
            }
        }
    }

    /// What is known of the lives of this store.
    pub(crate) fn lives(&self) -> RwLockReadGuard<'_, Lives> {
        self.lives.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_over(&self, epoch: &str, why: &str) {
        self.lives.write().unwrap_or_else(PoisonError::into_inner).set_over(epoch, why);
    }

    /// Whether the backbone still works.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.failed.get().map_or(Ok(()), |error| Err(error.clone()))
    }

    /// Why it does not work any more.
    pub(crate) fn failure(&self) -> Error {
        self.failed.get().cloned().unwrap_or_else(|| Error::Io("Kafka: the backbone is closed".to_owned()))
    }

    /// Ends the backbone for good, and wakes everybody who waits. The first reason stays.
    pub(crate) fn fail(&self, error: Error) {
        if self.failed.set(error).is_ok() {
            self.ends.iter().for_each(|end| end.send_modify(|_| {}));
        }
    }

    /// Lets the writer end even if no broker answers.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    pub(crate) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub(crate) fn stop_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// Room in the queue for so many bytes; freed when it is dropped.
    pub(crate) async fn room(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let slots = (1 + bytes / SLOT_BYTES).min(QUEUE_SLOTS);
        Arc::clone(&self.queue).acquire_many_owned(u32::try_from(slots).unwrap_or(1)).await.ok()
    }
}
