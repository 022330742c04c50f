//! The handle: opening and closing. What it does as a backbone stands in `backbone.rs`.

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hub_backbone::chain::admit_place;
use hub_backbone::{Backbone, Error, Place};
use rdkafka::producer::ThreadedProducer;
use tokio::sync::{mpsc, oneshot};

use crate::KafkaSettings;
use crate::client::{self, Logged};
use crate::epochs::{self, CLOSED, Said};
use crate::follow::From;
use crate::lock::FileLock;
use crate::names::Names;
use crate::partition::Partition;
use crate::quarantine::Quarantined;
use crate::reader::{Found, Page, Reader};
use crate::shared::{QUEUE_SLOTS, Shared};
use crate::threads::Threads;
use crate::topics::{self, Admin};
use crate::transact::{Outgoing, Transactor};
use crate::work::Job;

/// Readings from brokers at once.
const READINGS: usize = 8;

/// The backbone on Apache Kafka: one of the hubs that share it. See the crate's comment.
///
/// Dropping it is like the death of the process: what was handed over is finished, but the life is not over for those who
/// come after it. [`Kafka::close`] ends it.
pub struct Kafka {
    pub(crate) shared: Arc<Shared>,
    reader: Arc<Reader>,
    /// Each reading from a broker has a thread and a client of its own: so many at once.
    readings: tokio::sync::Semaphore,
    pub(crate) admin: Arc<Admin>,
    /// Tells other hubs what nobody relies on.
    pub(crate) messenger: ThreadedProducer<Logged>,
    /// Callers wait here for room one by one, so that their commits keep their order.
    pub(crate) gate: tokio::sync::Mutex<()>,
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
        first_word(&settings).await?;
        let admin = Arc::new(topics::prepare(&settings, &Names::new(&settings.prefix)).await?);
        let messenger = client::messenger(&settings)?;
        let opening = tokio::task::spawn_blocking(move || begin(settings));
        let (shared, transactor, from) =
            opening.await.map_err(|error| Error::Io(format!("Kafka: opening failed: {error}")))??;
        // commits are bounded by their room; the mail of each slot, from two threads, and a little besides must not wait
        let (jobs, queue) = mpsc::channel(QUEUE_SLOTS + 64 + 2 * usize::from(shared.settings.partitions));
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
            note: None,
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

    pub(crate) async fn write(&self, record: Outgoing) -> Result<(), Error> {
        let (ack, answer) = oneshot::channel();
        self.send(Job::Write(record, ack)).await?;
        answer.await.unwrap_or_else(|_| Err(self.shared.failure()))
    }

    pub(crate) async fn send(&self, job: Job) -> Result<(), Error> {
        self.shared.check()?;
        let jobs = lock(&self.jobs).clone();
        let Some(jobs) = jobs else { return Err(self.shared.failure()) };
        jobs.send(job).await.map_err(|_| self.shared.failure())
    }

    /// Reads on a thread that may block. If the slot was lost meanwhile, its new owner may have removed what was read.
    pub(crate) async fn read_from_broker(&self, page: Page) -> Result<Vec<Found>, Error> {
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

    pub(crate) fn with<T>(&self, place: Place, look: impl FnOnce(&Partition) -> T) -> Result<T, Error> {
        admit_place(place, self.shared.settings.partitions)?;
        self.shared.check()?;
        let partitions = self.shared.look();
        let _term = self.shared.owned(place)?;
        Ok(look(&partitions[self.shared.index(place)]))
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
        shared.check_note(&lives)?;
        shared.write_version(lives.format());
        (*shared.lives_mut(), *shared.facts_mut()) = (lives, facts);
        From { lives: behind_lives, facts: behind_facts, replies: restore.end_of_replies()? }
    };
    Ok((Arc::new(shared), transactor, from))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
