//! The handle: opening, closing, and the trait.

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use async_trait::async_trait;
use bytes::Bytes;
use hub_backbone::chain::{admit, admit_place};
use hub_backbone::{Backbone, Commit, Error, Offset, Place, Stored};
use tokio::sync::{mpsc, oneshot};

use crate::KafkaSettings;
use crate::client;
use crate::epochs::Said;
use crate::names::Names;
use crate::quarantine::{Quarantine, Quarantined};
use crate::reader::{Page, Reader};
use crate::restore::{Restored, restore};
use crate::shared::{QUEUE_SLOTS, Shared};
use crate::topics::{self, Admin};
use crate::transact::Transactor;
use crate::wire::{self, First};
use crate::writer::{CommitJob, Job, Writer};

/// Readings from brokers at once.
const READINGS: usize = 8;

/// The backbone on Apache Kafka, for one hub that owns all partitions. See the crate's comment.
///
/// Dropping it is like the death of the process: what was handed over is finished, but the life is not over for those who
/// come after it. [`Kafka::close`] ends it.
pub struct Kafka {
    shared: Arc<Shared>,
    reader: Arc<Reader>,
    /// Each reading from a broker has a thread and a client of its own: so many at once.
    readings: tokio::sync::Semaphore,
    admin: Admin,
    /// Callers wait here for room one by one, so that their commits keep their order.
    gate: tokio::sync::Mutex<()>,
    /// The way to the writer; `None` once closed.
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Kafka {
    /// Makes and checks the topics, takes the `transactional.id` (whoever had it before is fenced from now on), reads back
    /// what earlier lives left, and begins a new epoch.
    ///
    /// # Errors
    /// [`Error::Io`] if the settings or the cluster's cannot be right, or if no broker answers in time; [`Error::Corrupt`] if
    /// what earlier lives left is damaged; [`Error::Fenced`] if another process takes the id meanwhile.
    pub async fn open(settings: KafkaSettings) -> Result<Self, Error> {
        settings.check()?;
        let names = Names::new(&settings.prefix);
        first_word(&settings).await?;
        let admin = topics::prepare(&settings, &names).await?;
        let opening = tokio::task::spawn_blocking(move || begin(settings, &names));
        let (shared, transactor) =
            opening.await.map_err(|error| Error::Io(format!("Kafka: opening failed: {error}")))??;
        let (jobs, queue) = mpsc::channel(QUEUE_SLOTS + 64);
        let writer = Writer::new(Arc::clone(&shared), transactor);
        let thread = std::thread::Builder::new()
            .name("kafka-writer".to_owned())
            .spawn(move || writer.run(queue))
            .map_err(|error| Error::Io(format!("Kafka: the writer thread cannot be started: {error}")))?;
        let opened = Self {
            reader: Arc::new(Reader::new(Arc::clone(&shared))),
            readings: tokio::sync::Semaphore::new(READINGS),
            shared,
            admin,
            gate: tokio::sync::Mutex::default(),
            jobs: Mutex::new(Some(jobs)),
            thread: Mutex::new(Some(thread)),
        };
        opened.say(opened.epoch().to_owned(), None).await?;
        Ok(opened)
    }

    /// Records in our topics that no hub wrote: how many were met in this life, and the newest thousand of them.
    #[must_use]
    pub fn quarantined(&self) -> (u64, Vec<Quarantined>) {
        self.shared.quarantine.list()
    }

    /// Declares that a life is over, for somebody who knows: its machine is off, a fencing command has succeeded. A wrong
    /// word here can send a payment twice.
    ///
    /// # Errors
    /// [`Error::Io`] if it is this life, or if it cannot be written down.
    pub async fn declare_over(&self, epoch: &str, reason: &str) -> Result<(), Error> {
        let known = self.shared.lives().knows(epoch);
        if epoch == self.epoch() || !known {
            return Err(Error::Io(format!("Kafka: epoch {epoch} is this hub's own, or was never heard of")));
        }
        self.say(epoch.to_owned(), Some(format!("declared: {reason}"))).await?;
        self.shared.set_over(epoch, reason);
        Ok(())
    }

    /// Finishes what waits, writes the end record of this life and lets go of the cluster. Call it when nothing of this hub
    /// can send any more: others may repeat its attempts from now on. Every later call gets [`Error::Io`].
    pub async fn close(&self) {
        let patience = 4 * self.shared.settings.timeouts.transaction.0;
        let ended = tokio::time::timeout(patience, self.say(self.epoch().to_owned(), Some("closed".to_owned()))).await;
        if !matches!(ended, Ok(Ok(()))) {
            tracing::warn!(target: "kafka", "the end of epoch {} is not written: {ended:?}", self.epoch());
        }
        drop(lock(&self.jobs).take());
        self.shared.stop();
        let thread = lock(&self.thread).take();
        // runs to its end even if the caller gives up; a panic of the writer was reported to every caller
        drop(tokio::task::spawn_blocking(move || thread.map(JoinHandle::join)).await);
        self.shared.fail(Error::Io("Kafka: the backbone is closed".to_owned()));
    }

    async fn say(&self, epoch: String, over: Option<String>) -> Result<(), Error> {
        let hub = self.shared.settings.transactional_id.clone();
        let said = Said { format: wire::VERSION, hub, over };
        let (ack, answer) = oneshot::channel();
        self.send(Job::Say(epoch, said, ack)).await?;
        answer.await.unwrap_or_else(|_| Err(self.shared.failure()))
    }

    async fn send(&self, job: Job) -> Result<(), Error> {
        self.shared.check()?;
        let jobs = lock(&self.jobs).clone();
        let Some(jobs) = jobs else { return Err(self.shared.failure()) };
        jobs.send(job).await.map_err(|_| self.shared.failure())
    }

    /// Reads on a thread that may block.
    async fn read_from_broker(&self, page: Page) -> Result<Vec<crate::reader::Found>, Error> {
        self.shared.check()?;
        let _place = self.readings.acquire().await;
        let reader = Arc::clone(&self.reader);
        let read = tokio::task::spawn_blocking(move || reader.read(page)).await;
        read.unwrap_or_else(|error| Err(Error::Io(format!("Kafka: reading failed: {error}"))))
    }

    fn with<T>(&self, place: Place, look: impl FnOnce(&crate::partition::Partition) -> T) -> Result<T, Error> {
        admit_place(place, self.shared.settings.partitions)?;
        Ok(look(&self.shared.look()[self.shared.slot(place)]))
    }
}

/// Finds out, before anything else, why a cluster would not talk to this hub.
async fn first_word(settings: &KafkaSettings) -> Result<(), Error> {
    let settings = settings.clone();
    let word =
        tokio::task::spawn_blocking(move || client::reach(&settings, settings.timeouts.open.0.min(6 * client::STEP)));
    word.await.unwrap_or_else(|error| Err(Error::Io(format!("Kafka: opening failed: {error}"))))
}

/// The part of opening that blocks.
fn begin(settings: KafkaSettings, names: &Names) -> Result<(Arc<Shared>, Transactor), Error> {
    let stop = Arc::new(AtomicBool::new(false));
    let transactor = Transactor::open(&settings, Arc::clone(&stop))?;
    let quarantine = Quarantine::default();
    let Restored { lives, partitions } = restore(&settings, names, &quarantine)?;
    lives.check()?;
    let epoch = format!("k{}", uuid::Uuid::now_v7().simple());
    Ok((Arc::new(Shared::new(settings, quarantine, epoch, lives, partitions, stop)), transactor))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Spaces become part of a key on the wire.
fn admit_spaces(commit: &Commit) -> Result<(), Error> {
    let wrong = commit.state.iter().find(|change| change.space.is_empty() || change.space.contains('\0'));
    wrong.map_or(Ok(()), |change| Err(Error::Io(format!("{:?} cannot be the name of a space", change.space))))
}

fn size_of(commit: &Commit) -> usize {
    let outputs = commit.outputs.iter().map(|(_, record)| record.key.len() + record.bytes.len() + 200);
    let state = commit.state.iter().map(|change| change.key.len() + change.value.as_ref().map_or(0, Bytes::len) + 200);
    outputs.sum::<usize>() + state.sum::<usize>()
}

#[async_trait]
impl Backbone for Kafka {
    fn partitions(&self) -> u16 {
        self.shared.settings.partitions
    }

    fn epoch(&self) -> &str {
        &self.shared.epoch
    }

    fn is_over(&self, epoch: &str) -> bool {
        epoch != self.epoch() && self.shared.lives().is_over(epoch)
    }

    async fn commit(&self, commit: Commit) -> Result<Vec<Offset>, Error> {
        admit(&commit, self.shared.settings.partitions)?;
        admit_spaces(&commit)?;
        self.shared.check()?;
        if commit.is_empty() {
            return Ok(Vec::new());
        }
        let (bytes, (ack, answer)) = (size_of(&commit), oneshot::channel());
        let order = self.gate.lock().await;
        let room = self.shared.room(bytes).await;
        self.send(Job::Commit(CommitJob { commit, bytes, ack, _room: room })).await?;
        drop(order);
        answer.await.unwrap_or_else(|_| Err(self.shared.failure()))
    }

    async fn read(
        &self,
        place: Place,
        from: Offset,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Stored>, Error> {
        if let Some(page) = self.with(place, |partition| partition.newest(from, records_max, bytes_max))? {
            return Ok(page);
        }
        let found = self.read_from_broker(Page { place, from, records_max, bytes_max }).await?;
        Ok(found.into_iter().map(|found| found.stored).collect())
    }

    async fn position(&self, place: Place) -> Result<Offset, Error> {
        self.with(place, |partition| partition.position)
    }

    async fn end(&self, place: Place) -> Result<Offset, Error> {
        self.with(place, |partition| partition.end.0)
    }

    async fn changed(&self, place: Place, after: Offset) -> Result<(), Error> {
        admit_place(place, self.shared.settings.partitions)?;
        self.shared.changed(place, after).await
    }

    async fn get(&self, place: Place, space: &str, key: &str) -> Result<Option<Bytes>, Error> {
        self.with(place, |partition| partition.get(space, key))
    }

    async fn scan(
        &self,
        place: Place,
        space: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Bytes)>, Error> {
        self.with(place, |partition| partition.scan(space, after, limit))
    }

    async fn spaces(&self, place: Place) -> Result<Vec<String>, Error> {
        self.with(place, crate::partition::Partition::spaces)
    }

    /// The mark is durable first: from then on the records are gone for every reader, whether the brokers have removed them
    /// or not. That they could not is no reason to stop: the next trim removes them, too.
    async fn trim(&self, place: Place, before: Offset) -> Result<(), Error> {
        let (first, end) = self.with(place, |partition| (partition.first.0, partition.end.0))?;
        let before = before.min(end);
        if before <= first {
            return self.shared.check();
        }
        let last = Page { place, from: before - 1, records_max: 1, bytes_max: 1 };
        let Some(last) = self.read_from_broker(last).await?.pop() else { return Err(self.shared.failure()) };
        let first = First { offset: before, chain: last.stored.chain, at: last.at + 1 };
        let (ack, answer) = oneshot::channel();
        self.send(Job::Trim(place, first, ack)).await?;
        answer.await.unwrap_or_else(|_| Err(self.shared.failure()))?;
        let topic = self.shared.names.log(place.topic);
        if let Err(error) = self.admin.remove(&topic, i32::from(place.partition), first.at).await {
            tracing::warn!(target: "kafka", "records of {place} are not removed yet: {error}");
        }
        Ok(())
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        drop(lock(&self.jobs).take());
        self.shared.stop();
        if let Some(thread) = lock(&self.thread).take() {
            // a panic of the writer was reported to every caller
            drop(thread.join());
        }
        self.shared.fail(Error::Io("Kafka: the backbone is closed".to_owned()));
    }
}

impl fmt::Debug for Kafka {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = &self.shared.settings;
        f.debug_struct("Kafka").field("prefix", &settings.prefix).field("epoch", &self.shared.epoch).finish()
    }
}
