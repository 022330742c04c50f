//! The handle: opening, closing, and the trait.

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use hub_backbone::chain::{admit, admit_place};
use hub_backbone::{Backbone, Commit, Error, Offset, Place, RECORD_BYTES_MAX, Stored, Term, Terms};
use rdkafka::producer::{BaseRecord, ThreadedProducer};
use tokio::sync::{mpsc, oneshot};

use crate::KafkaSettings;
use crate::client::{self, Logged};
use crate::epochs::{self, CLOSED, Said};
use crate::facts;
use crate::follow::From;
use crate::lock::FileLock;
use crate::quarantine::Quarantined;
use crate::reader::{Page, Reader};
use crate::shared::{QUEUE_SLOTS, Shared};
use crate::threads::Threads;
use crate::topics::{self, Admin};
use crate::transact::{Outgoing, Transactor};
use crate::wire::{self, First};
use crate::work::{CommitWork, Job, Work};

/// Readings from brokers at once.
const READINGS: usize = 8;

/// The backbone on Apache Kafka: one of the hubs that share it. See the crate's comment.
///
/// Dropping it is like the death of the process: what was handed over is finished, but the life is not over for those who
/// come after it. [`Kafka::close`] ends it.
pub struct Kafka {
    shared: Arc<Shared>,
    reader: Arc<Reader>,
    /// Each reading from a broker has a thread and a client of its own: so many at once.
    readings: tokio::sync::Semaphore,
    admin: Arc<Admin>,
    /// Tells other hubs what nobody relies on.
    messenger: ThreadedProducer<Logged>,
    /// Callers wait here for room one by one, so that their commits keep their order.
    gate: tokio::sync::Mutex<()>,
    /// The way to the writer; `None` once closed.
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    threads: Mutex<Threads>,
}

impl Kafka {
    /// Makes and checks the topics, takes the `transactional.id` (whoever had it before is fenced from now on), begins a new
    /// epoch, and joins the group of hubs. Returns when what the group has assigned is read back, which may be nothing.
    ///
    /// # Errors
    /// [`Error::Io`] if the settings or the cluster's cannot be right, or if no broker answers in time; [`Error::Corrupt`] if
    /// what earlier lives left is damaged; [`Error::Fenced`] if another process takes the id meanwhile.
    pub async fn open(settings: KafkaSettings) -> Result<Self, Error> {
        settings.check()?;
        let admin = Arc::new(topics::prepare(&settings, &crate::names::Names::new(&settings.prefix)).await?);
        let messenger = client::messenger(&settings)?;
        let opening = tokio::task::spawn_blocking(move || begin(settings));
        let (shared, transactor, from) =
            opening.await.map_err(|error| Error::Io(format!("Kafka: opening failed: {error}")))??;
        let (jobs, queue) = mpsc::channel(QUEUE_SLOTS + 64);
        let mut threads = Threads::default();
        threads.write(&shared, transactor, queue)?;
        let opened = Self {
            reader: Arc::new(Reader::new(Arc::clone(&shared))),
            readings: tokio::sync::Semaphore::new(READINGS),
            shared: Arc::clone(&shared),
            admin: Arc::clone(&admin),
            messenger,
            gate: tokio::sync::Mutex::default(),
            jobs: Mutex::new(Some(jobs.clone())),
            threads: Mutex::new(threads),
        };
        opened.say(opened.epoch(), None).await?;
        opened.bury_the_dead().await?;
        let assigned = lock(&opened.threads).join_group(&shared, &jobs, &admin, from)?;
        drop(jobs);
        opened.await_slots(assigned).await?;
        Ok(opened)
    }

    async fn await_slots(&self, assigned: oneshot::Receiver<Result<(), Error>>) -> Result<(), Error> {
        let patience = self.shared.settings.timeouts.open.0;
        match tokio::time::timeout(patience, assigned).await {
            Ok(answer) => answer.unwrap_or_else(|_| Err(self.shared.failure())),
            Err(_) => Err(Error::Io(format!(
                "Kafka: the group {} has assigned no slots within {} s (`timeouts.open`)",
                self.shared.settings.prefix,
                patience.as_secs()
            ))),
        }
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
        self.say(epoch, Some(format!("declared: {reason}"))).await?;
        self.shared.lives_mut().set_over(epoch, reason);
        Ok(())
    }

    /// Finishes what waits, writes the end record of this life, leaves the group and lets go of the cluster. Call it when
    /// nothing of this hub can send any more: others may repeat its attempts from now on. Every later call gets
    /// [`Error::Io`].
    pub async fn close(&self) {
        let patience = 4 * self.shared.settings.timeouts.transaction.0;
        let ended = tokio::time::timeout(patience, self.say(self.epoch(), Some(CLOSED.to_owned()))).await;
        if !matches!(ended, Ok(Ok(()))) {
            tracing::warn!(target: "kafka", "the end of epoch {} is not written: {ended:?}", self.epoch());
        }
        drop(lock(&self.jobs).take());
        let (shared, threads) = (Arc::clone(&self.shared), std::mem::take(&mut *lock(&self.threads)));
        // runs to its end even if the caller gives up; a panic of a thread was reported to every caller
        drop(tokio::task::spawn_blocking(move || threads.end(&shared)).await);
        self.shared.fail(Error::Io("Kafka: the backbone is closed".to_owned()));
    }

    async fn say(&self, epoch: &str, over: Option<String>) -> Result<(), Error> {
        let known = self.shared.lives().said(epoch).cloned();
        let said = known.unwrap_or_else(|| Said {
            format: self.shared.hand().version,
            knows: self.shared.knows(),
            hub: self.shared.settings.transactional_id.clone(),
            over: None,
            lock: self.shared.lock.as_ref().map(|lock| lock.id().to_owned()),
        });
        self.write(epochs::record(self.shared.names.epochs(), epoch, &Said { over, ..said })?).await
    }

    /// Writes the end of lives that held the lock which is ours now.
    async fn bury_the_dead(&self) -> Result<(), Error> {
        let Some(lock) = &self.shared.lock else { return Ok(()) };
        let dead: Vec<String> = self.shared.lives().open_under(lock.id());
        for epoch in dead.iter().filter(|epoch| *epoch != self.epoch()) {
            self.say(epoch, Some("its lock is free".to_owned())).await?;
            self.shared.lives_mut().set_over(epoch, "its lock is free");
        }
        Ok(())
    }

    async fn write(&self, record: Outgoing) -> Result<(), Error> {
        let (ack, answer) = oneshot::channel();
        self.send(Job::Write(record, ack)).await?;
        answer.await.unwrap_or_else(|_| Err(self.shared.failure()))
    }

    async fn send(&self, job: Job) -> Result<(), Error> {
        self.shared.check()?;
        let jobs = lock(&self.jobs).clone();
        let Some(jobs) = jobs else { return Err(self.shared.failure()) };
        jobs.send(job).await.map_err(|_| self.shared.failure())
    }

    /// Reads on a thread that may block. If the slot was lost meanwhile, its new owner may have removed what was read.
    async fn read_from_broker(&self, page: Page) -> Result<Vec<crate::reader::Found>, Error> {
        self.shared.check()?;
        let term = self.shared.owned(page.place)?;
        let _place = self.readings.acquire().await;
        let reader = Arc::clone(&self.reader);
        let read = tokio::task::spawn_blocking(move || reader.read(page)).await;
        if self.shared.owned(page.place)? != term {
            return Err(Error::Lost { slot: page.place.partition });
        }
        read.unwrap_or_else(|error| Err(Error::Io(format!("Kafka: reading failed: {error}"))))
    }

    fn with<T>(&self, place: Place, look: impl FnOnce(&crate::partition::Partition) -> T) -> Result<T, Error> {
        admit_place(place, self.shared.settings.partitions)?;
        self.shared.check()?;
        let partitions = self.shared.look();
        let _term = self.shared.owned(place)?;
        Ok(look(&partitions[self.shared.index(place)]))
    }
}

/// The part of opening that blocks.
fn begin(settings: KafkaSettings) -> Result<(Arc<Shared>, Transactor, From), Error> {
    let lock = settings.lock.as_deref().map(FileLock::take).transpose()?;
    let stop = Arc::new(AtomicBool::new(false));
    let transactor = Transactor::open(&settings, Arc::clone(&stop))?;
    let epoch = format!("k{}", uuid::Uuid::now_v7().simple());
    let shared = Shared::new(settings, lock, epoch, stop);
    let from = {
        let restore = shared.restore(&|| false, &|| {})?;
        let ((lives, behind_lives), (facts, behind_facts)) = (restore.lives()?, restore.facts()?);
        lives.check(shared.knows())?;
        shared.write_version(lives.format());
        (*shared.lives_mut(), *shared.facts_mut()) = (lives, facts);
        From { lives: behind_lives, facts: behind_facts, replies: restore.end_of_replies()? }
    };
    Ok((Arc::new(shared), transactor, from))
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
        self.send(Job::Work(Work::Commit(CommitWork { commit, bytes, ack, _room: room }))).await?;
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
        self.send(Job::Work(Work::Trim(place, first, ack))).await?;
        answer.await.unwrap_or_else(|_| Err(self.shared.failure()))?;
        let topic = self.shared.names.log(place.topic);
        if let Err(error) = self.admin.remove(&topic, i32::from(place.partition), first.at).await {
            tracing::warn!(target: "kafka", "records of {place} are not removed yet: {error}");
        }
        Ok(())
    }

    fn term(&self, slot: u16) -> Option<Term> {
        self.shared.terms.term(slot)
    }

    async fn terms_beyond(&self, known: &Terms) -> Result<Terms, Error> {
        let mut news = self.shared.terms.news();
        loop {
            let _seen = *news.borrow_and_update();
            let terms = self.shared.terms.terms();
            self.shared.check()?;
            if terms != *known {
                return Ok(terms);
            }
            news.changed().await.map_err(|_| self.shared.failure())?;
        }
    }

    async fn mail_taken(&self, slot: u16) -> Result<u64, Error> {
        let inbox = Place::new(hub_backbone::Topic::INBOX, slot);
        self.with(inbox, |partition| partition.mail)
    }

    async fn share(&self, space: &'static str, key: &str, value: Bytes) -> Result<(), Error> {
        facts::admit(space, key, value.len())?;
        self.shared.check()?;
        if self.shared.facts().knows(space, key) {
            return Ok(());
        }
        if self.shared.facts().is_full() {
            return Err(Error::Io(format!("Kafka: {space} {key} cannot be shared: there are too many facts")));
        }
        let writing = uuid::Uuid::now_v7().simple().to_string();
        self.write(facts::record(self.shared.names.shared(), space, key, &writing, value)).await?;
        loop {
            let heard = self.shared.heard.notified();
            if self.shared.facts().knows(space, key) {
                return Ok(());
            }
            self.shared.check()?;
            heard.await;
        }
    }

    async fn shared(&self, space: &str) -> Result<Vec<(String, Bytes)>, Error> {
        self.shared.check()?;
        Ok(self.shared.facts().of(space))
    }

    async fn reply(&self, epoch: &str, bytes: Bytes) -> Result<(), Error> {
        self.shared.check()?;
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(Error::TooLarge { key: epoch.to_owned(), bytes: bytes.len() });
        }
        if epoch == self.epoch() {
            self.shared.told().push(bytes);
            self.shared.heard.notify_waiters();
            return Ok(());
        }
        let topic = self.shared.names.replies();
        let record = BaseRecord::to(&topic).partition(0).key(epoch).payload(&bytes[..]);
        if let Err((error, _)) = self.messenger.send(record.headers(wire::headers(&wire::plain_header()))) {
            tracing::warn!(target: "kafka", "a reply to {epoch} is not sent: {error}");
        }
        Ok(())
    }

    async fn told(&self) -> Result<Bytes, Error> {
        loop {
            let heard = self.shared.heard.notified();
            if let Some(bytes) = self.shared.told().pop() {
                return Ok(bytes);
            }
            self.shared.check()?;
            heard.await;
        }
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        drop(lock(&self.jobs).take());
        // a panic of a thread was reported to every caller
        std::mem::take(&mut *lock(&self.threads)).end(&self.shared);
        self.shared.fail(Error::Io("Kafka: the backbone is closed".to_owned()));
    }
}

impl fmt::Debug for Kafka {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = &self.shared.settings;
        f.debug_struct("Kafka").field("prefix", &settings.prefix).field("epoch", &self.shared.epoch).finish()
    }
}
