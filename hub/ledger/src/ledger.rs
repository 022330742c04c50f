//! The ledger, asked from async code.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use hub_backbone::Embedded;
use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::{Semaphore, oneshot};

use crate::page::{Page, PageRequest};
use crate::query::{self, Attention, CaseDetail, CaseFilter, Counts, MessageFilter, ParkedFilter, StatisticsFilter};
use crate::query::{TaskFilter, Visible};
use crate::rows::{CaseRow, DecisionRow, DocumentRow, EventRow, MessageRow, ParkedRow, StatisticsRow, TaskRow};
use crate::{Error, sqlite};

/// A question: reads on a connection, and keeps the answer itself.
pub type Job = Box<dyn FnOnce(&Connection) + Send>;

/// Where questions are answered: a pool of reading connections.
#[async_trait]
pub trait Reader: Send + Sync + fmt::Debug {
    /// Runs the job on a connection that sees one consistent state throughout. Dropping the future is safe.
    async fn read(&self, job: Job) -> Result<(), Error>;
}

/// The ledger. Cheap to clone. Every answer is bounded; see [`crate::PAGE_MAX`].
#[derive(Clone, Debug)]
pub struct Ledger {
    reader: Arc<dyn Reader>,
}

impl Ledger {
    /// A ledger that is read through `reader`.
    #[must_use]
    pub fn new(reader: Arc<dyn Reader>) -> Self {
        Self { reader }
    }

    /// A ledger in a SQLite file that someone else writes (the embedded backbone's).
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::new(Arc::new(FileReader::new(path)))
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (answer, answered) = oneshot::channel();
        self.reader.read(Box::new(move |conn| drop(answer.send(question(conn))))).await?;
        answered.await.map_err(|_| Error::Store("the reader dropped the question".into()))?
    }

    /// Cases, newest first.
    ///
    /// # Errors
    /// A bad filter or cursor, or a store that cannot be read; the same for all lists.
    pub async fn cases(&self, filter: CaseFilter) -> Result<Page<CaseRow>, Error> {
        self.ask(move |conn| query::cases(conn, &filter)).await
    }

    /// One case with what belongs to it; `None`: there is none that may be seen.
    ///
    /// # Errors
    /// If the store cannot be read; the same for all that give one thing.
    pub async fn case(&self, id: &str, visible: Visible) -> Result<Option<CaseDetail>, Error> {
        let id = id.to_string();
        self.ask(move |conn| query::case_detail(conn, &id, &visible)).await
    }

    /// The events of a case, oldest first.
    ///
    /// # Errors
    /// As [`Self::cases`].
    pub async fn timeline(
        &self,
        case: &str,
        visible: Visible,
        page: PageRequest,
    ) -> Result<Option<Page<EventRow>>, Error> {
        let id = case.to_string();
        self.ask(move |conn| match query::case(conn, &id, &visible)? {
            None => Ok(None),
            Some(_) => query::timeline(conn, &id, &page).map(Some),
        })
        .await
    }

    /// The documents of a case.
    ///
    /// # Errors
    /// As [`Self::case`].
    pub async fn documents(&self, case: &str, visible: Visible) -> Result<Option<Vec<DocumentRow>>, Error> {
        let id = case.to_string();
        self.ask(move |conn| match query::case(conn, &id, &visible)? {
            None => Ok(None),
            Some(_) => query::documents(conn, &id).map(Some),
        })
        .await
    }

    /// The document of this hash, if a case names it that may be seen.
    ///
    /// # Errors
    /// As [`Self::case`].
    pub async fn document(&self, sha256: &str, visible: Visible) -> Result<Option<DocumentRow>, Error> {
        let sha256 = sha256.to_string();
        self.ask(move |conn| query::document(conn, &sha256, &visible)).await
    }

    /// Tasks, newest first.
    ///
    /// # Errors
    /// As [`Self::cases`].
    pub async fn tasks(&self, filter: TaskFilter) -> Result<Page<TaskRow>, Error> {
        self.ask(move |conn| query::tasks(conn, &filter)).await
    }

    /// One task and what people have said about it.
    ///
    /// # Errors
    /// As [`Self::case`].
    pub async fn task(&self, id: &str, visible: Visible) -> Result<Option<(TaskRow, Vec<DecisionRow>)>, Error> {
        let id = id.to_string();
        self.ask(move |conn| match query::task(conn, &id, &visible)? {
            None => Ok(None),
            Some(task) => query::decisions(conn, &id).map(|decisions| Some((task, decisions))),
        })
        .await
    }

    /// Parked messages, newest first.
    ///
    /// # Errors
    /// As [`Self::cases`].
    pub async fn parked_list(&self, filter: ParkedFilter) -> Result<Page<ParkedRow>, Error> {
        self.ask(move |conn| query::parked_list(conn, &filter)).await
    }

    /// One parked message.
    ///
    /// # Errors
    /// As [`Self::case`].
    pub async fn parked(&self, id: &str, visible: Visible) -> Result<Option<ParkedRow>, Error> {
        let id = id.to_string();
        self.ask(move |conn| query::parked(conn, &id, &visible)).await
    }

    /// Admitted messages, newest first.
    ///
    /// # Errors
    /// As [`Self::cases`].
    pub async fn messages(&self, filter: MessageFilter) -> Result<Page<MessageRow>, Error> {
        self.ask(move |conn| query::messages(conn, &filter)).await
    }

    /// One admitted message.
    ///
    /// # Errors
    /// As [`Self::case`].
    pub async fn message(&self, id: &str, visible: Visible) -> Result<Option<MessageRow>, Error> {
        let id = id.to_string();
        self.ask(move |conn| query::message(conn, &id, &visible)).await
    }

    /// Statistics by entity, month, kind and state.
    ///
    /// # Errors
    /// As [`Self::case`].
    pub async fn statistics(&self, filter: StatisticsFilter) -> Result<Vec<StatisticsRow>, Error> {
        self.ask(move |conn| query::statistics(conn, &filter)).await
    }

    /// What waits for people now.
    ///
    /// # Errors
    /// As [`Self::case`].
    pub async fn counts(&self, visible: Visible) -> Result<Counts, Error> {
        self.ask(move |conn| query::counts(conn, &visible)).await
    }

    /// What needs attention now, over all entities; deadlines before `near` count as near.
    ///
    /// # Errors
    /// As [`Self::case`].
    pub async fn attention(&self, near: Timestamp) -> Result<Attention, Error> {
        self.ask(move |conn| query::attention(conn, near)).await
    }

    /// SHA-256 over all content: equal after a rebuild.
    ///
    /// # Errors
    /// As [`Self::case`].
    pub async fn digest(&self) -> Result<String, Error> {
        self.ask(sqlite::digest).await
    }
}

#[async_trait]
impl Reader for Embedded {
    async fn read(&self, job: Job) -> Result<(), Error> {
        let asked = self.query(move |conn| {
            job(conn);
            Ok(())
        });
        Ok(asked.await?)
    }
}

/// Reading connections to a SQLite file, at most four at a time, on blocking threads.
pub struct FileReader {
    path: PathBuf,
    places: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

/// How many questions are answered at a time; more wait.
const READERS_MAX: usize = 4;

/// How long a reader waits for a writer that holds the file (only while the write-ahead log is being recovered).
const BUSY: Duration = Duration::from_secs(5);

impl FileReader {
    /// Readers of this file; it is opened when the first question comes.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let places = Arc::new(Semaphore::new(READERS_MAX));
        Self { path: path.into(), places, idle: Arc::default() }
    }

    fn connection(idle: &Mutex<Vec<Connection>>, path: &PathBuf) -> Result<Connection, Error> {
        if let Some(conn) = idle.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            return Ok(conn);
        }
        let conn =
            Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        conn.busy_timeout(BUSY)?;
        Ok(conn)
    }
}

#[async_trait]
impl Reader for FileReader {
    async fn read(&self, job: Job) -> Result<(), Error> {
        let stopped = |e: &dyn fmt::Display| Error::Store(format!("reading stopped: {e}"));
        let place = self.places.clone().acquire_owned().await.map_err(|e| stopped(&e))?;
        let (idle, path) = (self.idle.clone(), self.path.clone());
        let work = move || {
            let _place = place;
            let conn = Self::connection(&idle, &path)?;
            let tx = conn.unchecked_transaction()?;
            job(&tx);
            tx.finish()?;
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(conn);
            Ok(())
        };
        tokio::task::spawn_blocking(work).await.map_err(|e| stopped(&e))?
    }
}

impl fmt::Debug for FileReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileReader").field("path", &self.path).finish_non_exhaustive()
    }
}
