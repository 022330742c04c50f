//! SQLite files: one that somebody else writes, and one of the ledger's own.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use tokio::sync::Semaphore;

use super::{Lite, STATEMENTS_MAX};
use crate::store::{Change, Job, Reader, Store};
use crate::{Error, marks};

/// Reading connections to a SQLite file, at most four at a time, on blocking threads.
pub struct FileReader {
    path: PathBuf,
    places: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

/// How many questions are answered at a time; more wait.
const READERS_MAX: usize = 4;

/// How long one waits for whoever holds the file.
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
        let place = self.places.clone().acquire_owned().await.map_err(|e| stopped(&e))?;
        let (idle, path) = (self.idle.clone(), self.path.clone());
        let work = move || {
            let _place = place;
            let conn = Self::connection(&idle, &path)?;
            let tx = conn.unchecked_transaction()?;
            job(&mut Lite(&tx));
            tx.finish()?;
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(conn);
            Ok(())
        };
        tokio::task::spawn_blocking(work).await.map_err(|e| stopped(&e))?
    }
}

fn stopped(cause: &dyn fmt::Display) -> Error {
    Error::Store(format!("reading or writing stopped: {cause}"))
}

impl fmt::Debug for FileReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileReader").field("path", &self.path).finish_non_exhaustive()
    }
}

/// A SQLite file of the ledger's own, for one hub.
pub struct FileStore {
    at: String,
    reader: FileReader,
    writer: Arc<tokio::sync::Mutex<Connection>>,
}

impl FileStore {
    /// Opens the file, makes it and its tables if they are missing, and makes them anew if an older version made them.
    ///
    /// What a power cut takes from the file's end is read from the journal again; so it is not forced to the disk with each
    /// transaction.
    ///
    /// # Errors
    /// If the file cannot be used, or if a newer version of the hub made it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let (path, at) = (path.as_ref(), path.as_ref().display().to_string());
        let mut conn = Connection::open(path)?;
        conn.busy_timeout(BUSY)?;
        conn.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        conn.pragma_update(None, "journal_mode", "wal")?;
        conn.pragma_update(None, "synchronous", "normal")?;
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        marks::prepare(&mut Lite(&tx), &at)?;
        tx.commit()?;
        Ok(Self { at, reader: FileReader::new(path), writer: Arc::new(tokio::sync::Mutex::new(conn)) })
    }
}

#[async_trait]
impl Reader for FileStore {
    async fn read(&self, job: Job) -> Result<(), Error> {
        self.reader.read(job).await
    }
}

#[async_trait]
impl Store for FileStore {
    fn at(&self) -> &str {
        &self.at
    }

    async fn write(&self, change: Change) -> Result<(), Error> {
        let mut conn = self.writer.clone().lock_owned().await;
        let work = move || {
            let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
            change(&mut Lite(&tx))?;
            Ok(tx.commit()?)
        };
        tokio::task::spawn_blocking(work).await.map_err(|e| stopped(&e))?
    }
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStore").field("at", &self.at).finish_non_exhaustive()
    }
}
