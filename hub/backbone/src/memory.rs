//! A backbone in memory, for tests and simulations: the whole contract but surviving the process.
//!
//! It has no threads and no clock of its own, so that a paused tokio clock drives it.

mod cluster;
mod log;
mod moved;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Notify;

pub use self::cluster::Cluster;
use self::log::{Log, Partition};
use crate::chain::{admit, admit_place};
use crate::{Backbone, Commit, Error, Offset, Place, Stored, Term, Terms, Topic};

/// What a fault hook does to a commit.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Nothing.
    None,
    /// The commit takes this long (tokio time) before it is done. Later commits wait behind it.
    Delay(Duration),
    /// The commit is not done, and the caller gets this error.
    Refuse(Error),
    /// The commit is done, but the caller gets this error: it cannot know.
    Lose(Error),
}

type Hook = Arc<dyn Fn(&Commit) -> Fault + Send + Sync>;

/// A backbone in memory. See the module's comment.
pub struct Memory {
    shared: Arc<Shared>,
    hook: Option<Hook>,
    life: u64,
    epoch: String,
    /// Whether it reads everything and owns nothing; see [`Cluster::watch`].
    watches: bool,
}

struct Shared {
    partitions: u16,
    /// Commits go through one by one, in the order of their callers.
    gate: tokio::sync::Mutex<()>,
    log: Mutex<Log>,
    /// Wakes those who wait for more of a partition, in the order in which they began to wait.
    changes: BTreeMap<Place, Notify>,
    /// Wakes those who wait for other terms, or for what another hub tells them.
    news: Notify,
}

impl Memory {
    /// An empty store with as many partitions for each topic (at least one).
    #[must_use]
    pub fn new(partitions: u16) -> Self {
        Self::life_of(Arc::new(Shared::new(partitions.max(1), Log::default())), None)
    }

    /// The next life over the same content, with a new epoch: as if the hub had crashed and begun again. This life is over:
    /// its commits are [`Error::Fenced`] from now on.
    #[must_use]
    pub fn reopen(&self) -> Self {
        self.bury();
        self.take_over()
    }

    /// The next life over the same content, while the process of this one may still run (it is frozen, say): its commits are
    /// [`Error::Fenced`] from now on, but it is not provably over before [`Self::bury`].
    #[must_use]
    pub fn take_over(&self) -> Self {
        Self::life_of(Arc::clone(&self.shared), self.hook.clone())
    }

    /// The process of this life is dead, and everybody can know.
    pub fn bury(&self) {
        let _ = self.shared.lock().over.insert(self.epoch.clone());
    }

    /// A store of its own with the same content, as a copy of the file would be: what happens in one does not in the other.
    #[must_use]
    pub fn copy(&self) -> Self {
        let log = self.shared.lock().clone();
        Self::life_of(Arc::new(Shared::new(self.shared.partitions, log)), self.hook.clone())
    }

    /// Calls `hook` before each commit; it says what shall go wrong.
    #[must_use]
    pub fn with_faults(mut self, hook: impl Fn(&Commit) -> Fault + Send + Sync + 'static) -> Self {
        self.hook = Some(Arc::new(hook));
        self
    }

    /// Changes the content of a record without its chain, as a failing disk would. Says whether there was such a record
    /// with content.
    pub fn damage(&self, place: Place, offset: Offset) -> bool {
        let mut log = self.shared.lock();
        let part = log.places.entry(place).or_default();
        let index = offset.checked_sub(part.first).and_then(|index| usize::try_from(index).ok());
        let Some(record) = index.and_then(|index| part.records.get_mut(index)) else { return false };
        let mut bytes = record.bytes.to_vec();
        let Some(byte) = bytes.first_mut() else { return false };
        *byte ^= 1;
        record.bytes = bytes.into();
        true
    }

    fn life_of(shared: Arc<Shared>, hook: Option<Hook>) -> Self {
        let (life, epoch) = {
            let mut log = shared.lock();
            log.life += 1;
            let epoch = format!("m{:06}", log.life);
            (log.life, epoch)
        };
        shared.changes.values().for_each(Notify::notify_waiters);
        Self { shared, hook, life, epoch, watches: false }
    }

    fn check(&self, log: &Log) -> Result<(), Error> {
        let alive = match &log.slots {
            Some(_) => !log.over.contains(&self.epoch),
            None => log.life == self.life,
        };
        match alive {
            true => Ok(()),
            false => Err(Error::Fenced(format!("epoch {} is over: the store was opened again", self.epoch))),
        }
    }

    /// [`Backbone::commit`] as somebody sees it who looks at the logs: the second offsets are where the records really are,
    /// those for other hubs' slots too.
    ///
    /// # Errors
    /// As `commit`.
    pub async fn commit_seen(&self, commit: Commit) -> Result<(Vec<Offset>, Vec<Offset>), Error> {
        admit(&commit, self.shared.partitions)?;
        let _order = self.shared.gate.lock().await;
        let lost = self.fault(&commit).await?;
        let changed: BTreeSet<Place> = commit.outputs.iter().map(|(place, _)| *place).collect();
        let offsets = {
            let mut log = self.shared.lock();
            self.check(&log)?;
            log.admits(self.life, &commit)?;
            log.apply(self.life, commit)
        };
        changed.iter().filter_map(|place| self.shared.changes.get(place)).for_each(Notify::notify_waiters);
        lost.map_or(Ok(offsets), Err)
    }

    /// The log, for somebody who asks about one of their partitions.
    fn owned(&self, place: Place) -> Result<MutexGuard<'_, Log>, Error> {
        admit_place(place, self.shared.partitions)?;
        let log = self.shared.lock();
        match self.watches || log.term(self.life, place.partition).is_some() {
            true => Ok(log),
            false => Err(Error::Lost { slot: place.partition }),
        }
    }

    async fn fault(&self, commit: &Commit) -> Result<Option<Error>, Error> {
        match self.hook.as_ref().map_or(Fault::None, |hook| hook(commit)) {
            Fault::None => Ok(None),
            Fault::Delay(time) => {
                tokio::time::sleep(time).await;
                Ok(None)
            }
            Fault::Refuse(error) => Err(error),
            Fault::Lose(error) => Ok(Some(error)),
        }
    }
}

impl Shared {
    fn new(partitions: u16, log: Log) -> Self {
        let changes = all_places(partitions).map(|place| (place, Notify::new())).collect();
        Self { partitions, gate: tokio::sync::Mutex::default(), log: Mutex::new(log), changes, news: Notify::new() }
    }

    /// A panic of another test thread does not make the content less true.
    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All partitions of all topics.
fn all_places(partitions: u16) -> impl Iterator<Item = Place> {
    Topic::ALL.into_iter().flat_map(move |topic| (0..partitions).map(move |partition| Place::new(topic, partition)))
}

#[async_trait]
impl Backbone for Memory {
    fn partitions(&self) -> u16 {
        self.shared.partitions
    }

    fn epoch(&self) -> &str {
        &self.epoch
    }

    fn is_over(&self, epoch: &str) -> bool {
        let log = self.shared.lock();
        let newest = log.slots.is_some() || log.life == self.life;
        newest && epoch != self.epoch && log.over.contains(epoch)
    }

    async fn commit(&self, commit: Commit) -> Result<Vec<Offset>, Error> {
        self.commit_seen(commit).await.map(|(offsets, _)| offsets)
    }

    async fn read(
        &self,
        place: Place,
        from: Offset,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Stored>, Error> {
        self.owned(place)?.read(place, from, records_max, bytes_max)
    }

    async fn position(&self, place: Place) -> Result<Offset, Error> {
        Ok(self.owned(place)?.places.get(&place).map_or(0, |part| part.position))
    }

    async fn end(&self, place: Place) -> Result<Offset, Error> {
        Ok(self.owned(place)?.places.get(&place).map_or(0, Partition::end))
    }

    async fn changed(&self, place: Place, after: Offset) -> Result<(), Error> {
        admit_place(place, self.shared.partitions)?;
        let Some(signal) = self.shared.changes.get(&place) else { return Ok(()) };
        loop {
            // Made before the look: a commit in between wakes it all the same.
            let changed = signal.notified();
            if self.end(place).await? > after {
                return Ok(());
            }
            self.check(&self.shared.lock())?;
            changed.await;
        }
    }

    async fn get(&self, place: Place, space: &str, key: &str) -> Result<Option<Bytes>, Error> {
        let log = self.owned(place)?;
        Ok(log.space(place, space).and_then(|space| space.get(key)).cloned())
    }

    async fn scan(
        &self,
        place: Place,
        space: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Bytes)>, Error> {
        let log = self.owned(place)?;
        let Some(space) = log.space(place, space) else { return Ok(Vec::new()) };
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rows = space.range::<str, _>((from, Bound::Unbounded)).take(limit);
        Ok(rows.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    async fn spaces(&self, place: Place) -> Result<Vec<String>, Error> {
        let log = self.owned(place)?;
        let here = log.state.get(&place).into_iter().flatten().filter(|(_, values)| !values.is_empty());
        let mut spaces: Vec<String> = here.map(|(space, _)| space.clone()).collect();
        spaces.sort();
        Ok(spaces)
    }

    async fn trim(&self, place: Place, before: Offset) -> Result<(), Error> {
        let mut log = self.owned(place)?;
        self.check(&log)?;
        log.trim(place, before);
        Ok(())
    }

    fn term(&self, slot: u16) -> Option<Term> {
        self.shared.lock().term(self.life, slot).filter(|_| slot < self.shared.partitions)
    }

    async fn terms_beyond(&self, known: &Terms) -> Result<Terms, Error> {
        loop {
            let news = self.shared.news.notified();
            let terms: Terms = (0..self.shared.partitions).map(|slot| self.term(slot)).collect();
            if terms != *known {
                return Ok(terms);
            }
            self.check(&self.shared.lock())?;
            news.await;
        }
    }

    async fn mail_taken(&self, slot: u16) -> Result<u64, Error> {
        Ok(self.shared.lock().mails(slot))
    }

    async fn share(&self, space: &'static str, key: &str, value: Bytes) -> Result<(), Error> {
        let mut log = self.shared.lock();
        self.check(&log)?;
        log.share(space, key, value);
        Ok(())
    }

    async fn shared(&self, space: &str) -> Result<Vec<(String, Bytes)>, Error> {
        Ok(self.shared.lock().facts(space))
    }

    async fn reply(&self, epoch: &str, bytes: Bytes) -> Result<(), Error> {
        self.shared.lock().tell(epoch, bytes);
        self.shared.news.notify_waiters();
        Ok(())
    }

    async fn told(&self) -> Result<Bytes, Error> {
        loop {
            let news = self.shared.news.notified();
            if let Some(bytes) = self.shared.lock().hear(&self.epoch) {
                return Ok(bytes);
            }
            news.await;
        }
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("partitions", &self.shared.partitions).field("epoch", &self.epoch).finish()
    }
}
