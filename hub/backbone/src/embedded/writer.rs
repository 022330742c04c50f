mod first;
mod job;
mod retry;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use hub_failpoint::{Point, at as failpoint};
use rusqlite::Connection;
use tracing::{debug, warn};

use super::alarm::AlarmKind;
use super::epochs;
use super::group::{Group, Trouble};
use super::mark::Mark;
use super::places::Head;
use super::schema::{count_transactions, page_bytes};
use super::shared::{Shared, closed};
use super::view::{View, ViewError};
use crate::{Error, Offset, Place};
pub(super) use job::{BeginJob, CommitJob, Job, Task, TaskJob, TrimJob};
use retry::Retry;

/// Commits in one transaction, at most.
const GROUP_COMMITS_MAX: usize = 256;
/// Bytes in one transaction, about; one larger commit goes alone.
const GROUP_BYTES_MAX: usize = 8 << 20;
/// SQLite's own limit of pages in a file.
const PAGES_MAX: u64 = 0xffff_fffe;

/// The thread that owns the write connection.
pub(super) struct Writer {
    conn: Connection,
    shared: Arc<Shared>,
    view: Option<Box<dyn View>>,
    /// What is durable, by slot.
    heads: Vec<Head>,
    epoch_id: i64,
    /// Transactions since the file was made.
    transactions: u64,
    mark: Mark,
    waiting: VecDeque<Job>,
    retry: Retry,
    /// The limit of size that SQLite has, in bytes.
    bytes_max: Option<u64>,
}

/// Whether the queue still has callers.
#[derive(PartialEq, Eq)]
enum Queue {
    Open,
    Closed,
}

impl Writer {
    pub(super) fn new(
        conn: Connection,
        shared: Arc<Shared>,
        heads: Vec<Head>,
        epoch_id: i64,
        (transactions, mark): (u64, Mark),
        (first, max): (Duration, Duration),
    ) -> Self {
        let (waiting, retry) = (VecDeque::new(), Retry::new(first, max));
        Self { conn, shared, view: None, heads, epoch_id, transactions, mark, waiting, retry, bytes_max: None }
    }

    /// Lets a view make its tables.
    pub(super) fn prepare(&mut self, mut view: Box<dyn View>) -> Result<(), Error> {
        let failed = |e: ViewError| Error::Io(format!("a view cannot make its tables: {e}"));
        let tx = self.conn.transaction().map_err(|e| failed(e.into()))?;
        view.prepare(&tx).map_err(failed)?;
        tx.commit().map_err(|e| failed(e.into()))?;
        self.view = Some(view);
        Ok(())
    }

    /// Works until all callers are gone, then ends the epoch. After a failure it only refuses.
    pub(super) fn run(mut self, queue: &Receiver<Job>) {
        while self.fill(queue) == Queue::Open {
            self.work();
        }
        self.retry.over();
        while !self.waiting.is_empty() && self.retry.at.is_none() {
            self.work();
        }
        self.waiting.drain(..).for_each(|job| job.refuse(closed()));
        self.end();
    }

    fn end(&mut self) {
        if self.shared.check().is_ok() {
            failpoint(Point::StoreEnd);
            let ended = epochs::end(&self.conn, self.epoch_id);
            let shrunk = self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
            // nothing is lost: the next opening does the same work
            debug!(?ended, ?shrunk, "the store is closed");
            failpoint(Point::StoreEnded);
        }
        self.shared.end_with(closed());
    }

    /// Takes what waits in the queue. Blocks while there is nothing to do, or until it is time to try again.
    fn fill(&mut self, queue: &Receiver<Job>) -> Queue {
        loop {
            let job = match self.retry.at {
                Some(at) => queue.recv_timeout(at.saturating_duration_since(Instant::now())),
                None if self.waiting.is_empty() => queue.recv().map_err(RecvTimeoutError::from),
                None => queue.try_recv().map_err(|e| match e {
                    TryRecvError::Empty => RecvTimeoutError::Timeout,
                    TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
                }),
            };
            match job {
                // with a full disk, what makes room goes first
                Ok(job @ Job::Trim(_)) if self.retry.at.is_some() => {
                    self.waiting.push_front(job);
                    return Queue::Open;
                }
                Ok(job) => self.waiting.push_back(job),
                Err(RecvTimeoutError::Timeout) => return Queue::Open,
                Err(RecvTimeoutError::Disconnected) => return Queue::Closed,
            }
            if self.retry.at.is_none() && self.waiting.len() >= GROUP_COMMITS_MAX {
                return Queue::Open;
            }
        }
    }

    /// Does the first job, or the first group of commits.
    fn work(&mut self) {
        let group = self.group_size();
        let result = self.shared.check().map_err(Trouble::Fatal).and_then(|()| self.limit()).and_then(|()| match self
            .waiting
            .front_mut()
        {
            None => Ok(()),
            Some(Job::Commit(_)) => self.commit(group),
            Some(Job::Trim(_)) => self.trim(),
            Some(Job::Task(_)) => self.task(),
            Some(Job::Begin(_)) => self.begin_log(),
        });
        match result {
            Ok(()) => {}
            Err(Trouble::Wait(kind, text)) => self.wait(kind, text),
            Err(Trouble::Own(error)) => self.refuse_first(error),
            Err(Trouble::Fatal(error)) => self.give_up(error),
        }
    }

    fn wait(&mut self, kind: AlarmKind, text: String) {
        self.roll_back();
        self.shared.alarms.raise(kind, text);
        self.retry.later();
    }

    fn refuse_first(&mut self, error: Error) {
        self.roll_back();
        let error = error.in_file(&self.shared.path);
        if let Some(job) = self.waiting.pop_front() {
            job.refuse(error);
        }
    }

    fn give_up(&mut self, error: Error) {
        self.roll_back();
        let error = error.in_file(&self.shared.path);
        self.shared.fail(error.clone());
        self.retry.over();
        self.waiting.drain(..).for_each(|job| job.refuse(error.clone()));
    }

    fn roll_back(&self) {
        if !self.conn.is_autocommit()
            && let Err(error) = self.conn.execute_batch("ROLLBACK")
        {
            warn!(%error, "a transaction could not be rolled back");
        }
    }

    /// Tells SQLite the limit of size, if it changed.
    fn limit(&mut self) -> Result<(), Trouble> {
        let bytes_max = self.shared.bytes_max();
        if bytes_max != self.bytes_max {
            let page = page_bytes(&self.conn)?;
            let pages = bytes_max.map_or(PAGES_MAX, |bytes| (bytes / page).clamp(1, PAGES_MAX));
            let sql = format!("PRAGMA max_page_count = {pages}");
            self.conn.query_row(&sql, [], |row| row.get::<_, i64>(0))?;
            self.bytes_max = bytes_max;
        }
        Ok(())
    }

    /// How many of the first jobs are commits that fit into one transaction.
    fn group_size(&self) -> usize {
        let mut bytes = 0;
        let fits = |job: &&Job| match job {
            Job::Commit(job) => {
                bytes += job.bytes;
                bytes <= GROUP_BYTES_MAX
            }
            _ => false,
        };
        self.waiting.iter().take(GROUP_COMMITS_MAX).take_while(fits).count().max(1)
    }

    /// Commits the first jobs in one transaction. If one of them is at fault, again with each apart from the others.
    fn commit(&mut self, count: usize) -> Result<(), Trouble> {
        let (results, heads) = match self.transaction(count, false) {
            Err(Trouble::Own(_)) => {
                self.roll_back();
                self.transaction(count, true)?
            }
            other => other?,
        };
        self.heads = heads;
        let done = results.iter().flatten();
        let (commits, records) = done.fold((0, 0), |(n, all), offsets| (n + 1, all + offsets.len() as u64));
        self.shared.publish(&self.heads, commits, records);
        for (job, result) in self.waiting.drain(..count).zip(results) {
            if let Job::Commit(job) = job {
                // a caller who gave up does not listen
                let _gone = job.ack.send(result).is_err();
            }
        }
        Ok(())
    }

    fn transaction(&mut self, count: usize, apart: bool) -> Result<(Vec<CommitResult>, Vec<Head>), Trouble> {
        self.begin()?;
        let mut group = Group::new(&self.conn, &self.shared.places, &self.heads)?;
        let mut results = Vec::with_capacity(count);
        for job in self.waiting.iter().take(count) {
            let Job::Commit(CommitJob { commit, .. }) = job else { break };
            let view = self.view.as_deref_mut();
            results.push(match apart {
                true => group.apply_apart(commit, view)?,
                false => Ok(group.apply(commit, view)?),
            });
        }
        let heads = group.finish()?;
        let last = self.shared.places.grown(&self.heads, &heads);
        self.end_transaction(last)?;
        Ok((results, heads))
    }

    fn task(&mut self) -> Result<(), Trouble> {
        self.begin()?;
        if let Some(Job::Task(job)) = self.waiting.front_mut() {
            (job.run)(&self.conn)?;
        }
        self.end_transaction(None)?;
        if let Some(Job::Task(job)) = self.waiting.pop_front() {
            let _gone = job.ack.send(Ok(())).is_err();
        }
        Ok(())
    }

    /// Begins a transaction, and finds out whether the store is still ours.
    fn begin(&self) -> Result<(), Trouble> {
        self.mark.check_place().map_err(Trouble::Fatal)?;
        failpoint(Point::StoreBegin);
        self.conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        match epochs::newest(&self.conn)? {
            id if id == self.epoch_id => Ok(()),
            _ => Err(Trouble::Fatal(Error::Fenced(format!(
                "the store {} was opened by another process in spite of its lock; end one of the two",
                self.shared.path.display()
            )))),
        }
    }

    /// Makes the transaction durable. If the disk was full before, it is not any more: said before callers are answered.
    /// Whoever is answered after it finds it again: the mark says how far the store had come.
    fn end_transaction(&mut self, last: Option<(Place, Offset)>) -> Result<(), Trouble> {
        let transactions = self.transactions + 1;
        count_transactions(&self.conn, transactions)?;
        failpoint(Point::StoreCommit);
        self.conn.prepare_cached("COMMIT")?.execute([])?;
        failpoint(Point::StoreCommitted);
        self.transactions = transactions;
        self.mark.advance(transactions, last);
        failpoint(Point::StoreMarked);
        if self.retry.at.is_some() {
            self.shared.alarms.writes_again();
            self.retry.over();
        }
        Ok(())
    }
}

type CommitResult = Result<Vec<Offset>, Error>;

impl Drop for Writer {
    /// Also when a view panics: nobody waits for ever.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.shared.fail(Error::Io("the writer of the store panicked: stop the hub and start it again".to_owned()));
        }
        self.shared.end_with(closed());
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("path", &self.shared.path).field("waiting", &self.waiting.len()).finish()
    }
}
