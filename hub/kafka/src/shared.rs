//! What the handle and the threads have in common.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;

use hub_backbone::{Error, Offset, Place, Term};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};

use crate::KafkaSettings;
use crate::epochs::Lives;
use crate::facts::{Facts, Told};
use crate::lock::FileLock;
use crate::marks::{Marks, Patience};
use crate::names::{Names, index, places};
use crate::partition::Partition;
use crate::quarantine::Quarantine;
use crate::restore::Restore;
use crate::terms::TermTable;
use crate::wire::{Hand, OLDEST, mark};

/// Jobs that may wait for the writer.
pub(crate) const QUEUE_SLOTS: usize = 4_096;
/// What one slot of the queue has room for, in bytes: 64 MiB wait, at most.
const SLOT_BYTES: usize = 16_384;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: KafkaSettings,
    pub(crate) names: Names,
    pub(crate) epoch: String,
    pub(crate) quarantine: Quarantine,
    /// Proves to the next process on this machine that this life is over.
    pub(crate) lock: Option<FileLock>,
    pub(crate) terms: Arc<TermTable>,
    /// When open transactions of dead hubs were ended last.
    pub(crate) ended_the_dead: Mutex<Option<Instant>>,
    /// What other hubs tell this one.
    pub(crate) told: Mutex<Told>,
    /// Rings for what is told, and for new facts.
    pub(crate) heard: Notify,
    lives: RwLock<Lives>,
    facts: RwLock<Facts>,
    /// By index. One lock: a commit becomes visible at once in all partitions that it touches. Of slots without a term, what
    /// stands here means nothing.
    partitions: RwLock<Vec<Partition>>,
    ends: Vec<watch::Sender<Offset>>,
    failed: OnceLock<Error>,
    queue: Arc<Semaphore>,
    /// Nobody waits for results any more: what cannot be known soon need not be asked again.
    stop: Arc<AtomicBool>,
    /// The version of records that is written.
    version: AtomicU8,
    /// The writer has ended: the hub leaves the group.
    left: AtomicBool,
}

impl Shared {
    pub(crate) fn new(settings: KafkaSettings, lock: Option<FileLock>, epoch: String, stop: Arc<AtomicBool>) -> Self {
        let count = settings.partitions;
        Self {
            names: Names::new(&settings.prefix),
            epoch,
            quarantine: Quarantine::default(),
            lock,
            terms: Arc::new(TermTable::new(count)),
            ended_the_dead: Mutex::default(),
            told: Mutex::default(),
            heard: Notify::new(),
            lives: RwLock::default(),
            facts: RwLock::default(),
            ends: places(count).map(|_| watch::Sender::new(0)).collect(),
            partitions: RwLock::new(places(count).map(|place| Partition::new(place, 0)).collect()),
            failed: OnceLock::new(),
            queue: Arc::new(Semaphore::new(QUEUE_SLOTS)),
            stop,
            version: AtomicU8::new(OLDEST),
            left: AtomicBool::new(false),
            settings,
        }
    }

    pub(crate) fn index(&self, place: Place) -> usize {
        index(place, self.settings.partitions)
    }

    pub(crate) fn look(&self) -> RwLockReadGuard<'_, Vec<Partition>> {
        self.partitions.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn change(&self) -> RwLockWriteGuard<'_, Vec<Partition>> {
        self.partitions.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The term of a slot, for somebody who asks about one of its partitions.
    pub(crate) fn owned(&self, place: Place) -> Result<Term, Error> {
        self.terms.term(place.partition).ok_or(Error::Lost { slot: place.partition })
    }

    /// Wakes those who wait for more of a partition.
    pub(crate) fn announce(&self, index: usize, end: Offset) {
        let _ = self.ends[index].send_replace(end);
    }

    pub(crate) async fn changed(&self, place: Place, after: Offset) -> Result<(), Error> {
        let (mut end, mut news) = (self.ends[self.index(place)].subscribe(), self.terms.news());
        loop {
            self.check()?;
            let _term = self.owned(place)?;
            if *end.borrow_and_update() > after {
                return Ok(());
            }
            let rung = tokio::select! {
                rung = end.changed() => rung,
                rung = news.changed() => rung,
            };
            rung.map_err(|_| self.failure())?;
        }
    }

    /// What is known of the lives of this store.
    pub(crate) fn lives(&self) -> RwLockReadGuard<'_, Lives> {
        self.lives.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn lives_mut(&self) -> RwLockWriteGuard<'_, Lives> {
        self.lives.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the store may be worked on: it may be on its way to another one.
    pub(crate) fn check_note(&self, lives: &Lives) -> Result<(), Error> {
        match lives.note() {
            Some(note) if !self.settings.moving => note.check(&format!("in Kafka under {}", self.settings.prefix)),
            _ => Ok(()),
        }
    }

    /// What all hubs know.
    pub(crate) fn facts(&self) -> RwLockReadGuard<'_, Facts> {
        self.facts.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn facts_mut(&self) -> RwLockWriteGuard<'_, Facts> {
        self.facts.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is needed to read topics back. `given_up` says that nobody wants it any more, `blocked` is called while a
    /// transaction stands in the way.
    pub(crate) fn restore<'a>(
        &'a self,
        given_up: &'a (dyn Fn() -> bool + Sync),
        blocked: &'a (dyn Fn() + Sync),
    ) -> Result<Restore<'a>, Error> {
        let deadline = Instant::now() + self.settings.timeouts.open.0;
        Ok(Restore {
            settings: &self.settings,
            names: &self.names,
            quarantine: &self.quarantine,
            patience: Patience { deadline, given_up, blocked },
            marks: Marks::open(&self.settings)?,
        })
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
            self.terms.lost();
            self.heard.notify_waiters();
        }
    }

    /// Lets the writer end even if no broker answers.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.terms.wake();
    }

    pub(crate) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub(crate) fn stop_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// How records of logs are written now.
    pub(crate) fn hand(&self) -> Hand {
        Hand { version: self.version.load(Ordering::Relaxed), mark: mark(&self.epoch) }
    }

    /// Writes records of this version from now on.
    pub(crate) fn write_version(&self, version: u8) {
        self.version.store(version, Ordering::Relaxed);
    }

    /// The newest version of records that this hub reads and may write.
    pub(crate) fn knows(&self) -> u8 {
        self.settings.record_version
    }

    /// Lets the hub leave the group.
    pub(crate) fn leave(&self) {
        self.left.store(true, Ordering::Relaxed);
    }

    /// Whether the hub is to be no member of the group: it has ended, well or badly.
    pub(crate) fn left(&self) -> bool {
        self.left.load(Ordering::Relaxed) || self.failed.get().is_some()
    }

    /// Room in the queue for so many bytes; freed when it is dropped.
    pub(crate) async fn room(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let slots = (1 + bytes / SLOT_BYTES).min(QUEUE_SLOTS);
        Arc::clone(&self.queue).acquire_many_owned(u32::try_from(slots).unwrap_or(1)).await.ok()
    }
}
