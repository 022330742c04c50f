//! The default backbone: one SQLite file. Log, positions, keyed state and the rows of views change in one fsynced
//! transaction.
//!
//! - [`Embedded`] is the handle. One thread (`writer`) owns the write connection and commits whatever waits: the more
//!   callers, the larger the group, with one fsync for all of it (`group`).
//! - Readers have their own connections and short transactions (`readers`, `records`).
//! - [`Look`] reads a store beside a running hub, for audits.
//! - `lock` keeps a second process out, `mark` knows how far the store had come, `epochs` numbers the lives of the store,
//!   `schema` makes and checks the file.
//! - `anchor` writes down at a second path how far the log goes, `recovery` compares at the opening: an old store that was
//!   put back is not taken for the present one ([`Embedded::recovery`]).
//! - `moved` is what the store knows about its moving to or from another one ([`crate::migrate`]).
//! - A full disk is not an error: what waits is tried again until there is room, and [`Embedded::alarms`] says so. Any
//!   other failure of a write ends the store for good: every later call gets [`Error::Io`], and the hub must be started
//!   again, so that it recovers from what is really on the disk.

mod alarm;
mod anchor;
pub(crate) mod copy;
mod epochs;
mod group;
mod lock;
mod look;
mod mark;
mod moved;
mod places;
mod readers;
mod records;
mod recovery;
mod schema;
mod settings;
mod shared;
mod view;
mod writer;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;

use async_trait::async_trait;
use bytes::Bytes;
use hub_failpoint::{Point, at as failpoint};
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::chain::{admit, admit_place};
use crate::{Backbone, Commit, Error, Offset, Place, Stored};

pub use alarm::{Alarm, AlarmKind};
pub use look::{Bounds, Look, Session};
pub use records::Verified;
pub use recovery::{Gap, Recovery};
pub use settings::EmbeddedSettings;
pub use shared::Counts;
pub use view::{View, ViewError};

use anchor::Keeper;
use lock::FileLock;
use mark::Marked;
use readers::Readers;
use recovery::Opened;
use shared::{Room, Shared};
use writer::{BeginJob, CommitJob, Job, TaskJob, TrimJob, Writer};

/// The embedded backbone. See the module's comment.
///
/// Dropping it waits until queued commits are done, ends the epoch and frees the lock; [`Embedded::close`] does the same
/// without blocking the caller's thread.
pub struct Embedded {
    shared: Arc<Shared>,
    readers: Arc<Readers>,
    /// Callers wait here for room one by one, so that their commits keep their order.
    gate: tokio::sync::Mutex<()>,
    /// The way to the writer; `None` once closed.
    jobs: Mutex<Option<mpsc::SyncSender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Writes the anchor; ends after the writer.
    keeper: Mutex<Option<Keeper>>,
    recovery: Mutex<Option<Recovery>>,
    /// Freed after the writer has ended, and not before, even if it panics.
    lock: Mutex<Option<FileLock>>,
}

impl Embedded {
    /// Opens or makes the store, takes its lock and begins a new epoch. Blocks for some milliseconds of disk work.
    ///
    /// # Errors
    /// [`Error::Fenced`] if another process has it open; [`Error::Io`] if it cannot be used (newer version, other number of
    /// partitions, not a store, no permission); [`Error::Corrupt`] if the heads of the log do not fit its records.
    pub fn open(settings: EmbeddedSettings) -> Result<Self, Error> {
        let path = settings.path.clone();
        Self::open_checked(settings).map_err(|error| error.in_file(&path))
    }

    fn open_checked(settings: EmbeddedSettings) -> Result<Self, Error> {
        let lock = FileLock::take(&settings.path)?;
        let mark = Marked::read(&settings.path)?;
        let (conn, places) = schema::open(&settings.path, settings.partitions)?;
        let transactions = schema::transactions(&conn)?;
        if !settings.moving {
            moved::check(&conn, &settings.path)?;
        }
        let mark = mark.compare(transactions)?;
        let heads = places.load_heads(&conn)?;
        let (epoch, past) = epochs::begin(&conn)?;
        failpoint(Point::StoreOpened);
        let (epoch_id, store) = (epoch.id, schema::identity(&conn)?);
        let opened =
            Opened { conn: &conn, places: &places, heads: &heads, store: &store, epoch: &epoch.name, past: &past };
        let recovery = recovery::judge(&opened, settings.anchor.as_deref())?;
        let shared = Arc::new(Shared::new(&settings, places, epoch.name, past, &heads));
        let mut writer =
            Writer::new(conn, Arc::clone(&shared), heads, epoch_id, (transactions, mark), settings.disk_retry);
        if let Some(view) = settings.view {
            writer.prepare(view)?;
        }
        let (jobs, queue) = mpsc::sync_channel(shared::QUEUE_SLOTS + shared::TRIM_SLOTS);
        let thread = std::thread::Builder::new()
            .name("backbone-writer".to_owned())
            .spawn(move || writer.run(&queue))
            .map_err(|e| Error::Io(format!("the writer thread cannot be started: {e}")))?;
        let keeper = settings.anchor.map(|path| Keeper::start(path, store, Arc::clone(&shared))).transpose()?;
        let readers = Arc::new(Readers::new(Arc::clone(&shared)));
        Ok(Self {
            shared,
            readers,
            gate: tokio::sync::Mutex::default(),
            jobs: Mutex::new(Some(jobs)),
            thread: Mutex::new(Some(thread)),
            keeper: Mutex::new(keeper),
            recovery: Mutex::new(recovery),
            lock: Mutex::new(Some(lock)),
        })
    }

    /// The database file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// What people must know about now: a full disk, a store held by another program, a failure. Empty when all is well.
    #[must_use]
    pub fn alarms(&self) -> Vec<Alarm> {
        self.shared.alarms.list()
    }

    /// Whether this is an old store that was put back, until a person ends it: nothing may be sent meanwhile.
    #[must_use]
    pub fn recovery(&self) -> Option<Recovery> {
        lock(&self.recovery).clone()
    }

    /// Writes down that people have ended the recovery. Durable on return.
    ///
    /// # Errors
    /// [`Error::Io`] if the store cannot be used.
    pub async fn end_recovery(&self) -> Result<(), Error> {
        self.write(|conn| Ok(recovery::forget(conn)?)).await?;
        drop(lock(&self.recovery).take());
        Ok(())
    }

    /// What was written since the store was opened.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.counts()
    }

    /// Sets how large the database file may grow, in bytes (`None`: as the disk allows). Takes effect with the next
    /// attempt to write; a limit below the present size means "no larger than now".
    pub fn limit_bytes(&self, bytes_max: Option<u64>) {
        self.shared.limit_bytes(bytes_max);
    }

    /// Runs a query of the caller on a read-only connection to the same file, within one read transaction: it sees
    /// everything that was committed before. Keep it short, since a long one keeps the write-ahead log from shrinking.
    ///
    /// # Errors
    /// [`Error::Io`] with the query's error, or if the store is closed.
    pub async fn query<T, F>(&self, f: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.readers.run(move |conn| f(conn).map_err(|e| schema::io("a query failed", &e))).await
    }

    /// Runs `f` in a write transaction of its own, for the tables of views (rebuilding a ledger). It must leave the log's
    /// tables alone, and may be called again if the disk was full.
    ///
    /// # Errors
    /// [`Error::Io`] with the reason, if `f` failed (nothing was changed) or the store cannot be used.
    pub async fn write<T, F>(&self, mut f: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnMut(&Connection) -> Result<T, ViewError> + Send + 'static,
    {
        // the value stands here until the transaction is durable
        let value = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&value);
        let run: writer::Task = Box::new(move |conn| {
            *lock(&slot) = Some(f(conn)?);
            Ok(())
        });
        let (ack, answer) = oneshot::channel();
        self.hand_over(0, |room| Job::Task(TaskJob { run, ack, _room: room })).await?;
        answer.await.unwrap_or_else(|_| Err(self.shared.failure()))?;
        let value = lock(&value).take();
        value.ok_or_else(|| self.shared.failure())
    }

    /// Reads a partition from its first kept record to its end and checks every link.
    ///
    /// # Errors
    /// [`Error::Corrupt`] at the first record that does not fit.
    pub async fn verify(&self, place: Place) -> Result<Verified, Error> {
        let id = self.place(place)?;
        self.readers.run(move |conn| records::verify(conn, place, id)).await
    }

    /// Finishes what is queued, writes the log into the main file, ends the epoch and frees the lock. Every later call gets
    /// [`Error::Io`]. Calling it again does nothing.
    pub async fn close(&self) {
        drop(lock(&self.jobs).take());
        let (thread, file_lock) = (lock(&self.thread).take(), lock(&self.lock).take());
        let keeper = lock(&self.keeper).take();
        let readers = Arc::clone(&self.readers);
        let end = move || {
            // the writer's panic was already reported to every caller
            let _panicked = thread.is_some_and(|thread| thread.join().is_err());
            drop(keeper);
            readers.close();
            drop(file_lock);
        };
        // runs to its end even if the caller gives up
        drop(tokio::task::spawn_blocking(end).await);
    }

    fn place(&self, place: Place) -> Result<i64, Error> {
        admit_place(place, self.shared.places.partitions)?;
        self.shared.places.id(place)
    }

    /// Waits for room in the queue and hands over a job. Whoever comes first is first.
    async fn hand_over(&self, bytes: usize, job: impl FnOnce(Room) -> Job) -> Result<(), Error> {
        self.shared.check()?;
        let _order = self.gate.lock().await;
        let room = self.shared.room(bytes).await;
        self.send(job(room))
    }

    fn send(&self, job: Job) -> Result<(), Error> {
        let sent = lock(&self.jobs).as_ref().is_some_and(|jobs| jobs.try_send(job).is_ok());
        if sent { Ok(()) } else { Err(self.shared.failure()) }
    }

    /// Trims a part, and says whether there is more. It passes by the commits that wait: with a full disk, it makes room.
    async fn trim_some(&self, place: Place, before: Offset) -> Result<bool, Error> {
        self.shared.check()?;
        let (ack, answer) = oneshot::channel();
        let room = self.shared.trim_room().await;
        self.send(Job::Trim(TrimJob { place, before, ack, _room: room }))?;
        answer.await.unwrap_or_else(|_| Err(self.shared.failure()))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Backbone for Embedded {
    fn partitions(&self) -> u16 {
        self.shared.places.partitions
    }

    fn epoch(&self) -> &str {
        &self.shared.epoch
    }

    fn is_over(&self, epoch: &str) -> bool {
        self.shared.past_epochs.contains(epoch)
    }

    async fn commit(&self, commit: Commit) -> Result<Vec<Offset>, Error> {
        admit(&commit, self.shared.places.partitions)?;
        let bytes = shared::size_of(&commit);
        let (ack, answer) = oneshot::channel();
        self.hand_over(bytes, |room| Job::Commit(CommitJob { commit, bytes, ack, _room: room })).await?;
        answer.await.unwrap_or_else(|_| Err(self.shared.failure()))
    }

    async fn read(
        &self,
        place: Place,
        from: Offset,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Stored>, Error> {
        let id = self.place(place)?;
        let page = records::Page { from, records_max, bytes_max };
        self.readers.here(|conn| readers::snapshot(conn, |conn| records::read(conn, place, id, page))).await
    }

    async fn position(&self, place: Place) -> Result<Offset, Error> {
        let id = self.place(place)?;
        self.readers.here(|conn| places::head(conn, place, id).map(|head| head.position)).await
    }

    async fn end(&self, place: Place) -> Result<Offset, Error> {
        let id = self.place(place)?;
        self.readers.here(|conn| places::head(conn, place, id).map(|head| head.next)).await
    }

    async fn changed(&self, place: Place, after: Offset) -> Result<(), Error> {
        admit_place(place, self.shared.places.partitions)?;
        self.shared.changed(place, after).await
    }

    async fn get(&self, place: Place, space: &str, key: &str) -> Result<Option<Bytes>, Error> {
        let id = self.place(place)?;
        self.readers.here(|conn| records::get(conn, place, id, space, key)).await
    }

    async fn scan(
        &self,
        place: Place,
        space: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Bytes)>, Error> {
        let id = self.place(place)?;
        self.readers.here(|conn| records::scan(conn, place, id, space, after, limit)).await
    }

    async fn spaces(&self, place: Place) -> Result<Vec<String>, Error> {
        let id = self.place(place)?;
        self.readers.run(move |conn| records::spaces(conn, id)).await
    }

    async fn trim(&self, place: Place, before: Offset) -> Result<(), Error> {
        admit_place(place, self.shared.places.partitions)?;
        while self.trim_some(place, before).await? {}
        Ok(())
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        drop(lock(&self.jobs).take());
        if let Some(thread) = lock(&self.thread).take() {
            // a panic of the writer was already reported to every caller
            drop(thread.join());
        }
        drop(lock(&self.keeper).take());
        self.readers.close();
    }
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded").field("path", &self.shared.path).field("epoch", &self.shared.epoch).finish()
    }
}
