//! The ledger in PostgreSQL: for many hubs, and for whoever wants to look with tools of their own.
//!
//! Questions and changes are written for a connection that blocks; they run on blocking threads, each with a connection of a
//! bounded pool. What a change writes is sent without waiting for each answer (`connection`).

mod connection;
mod settings;
mod tls;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};

use crate::sql::Sql;
use crate::store::{Change, Job, Reader, Store};
use crate::{Error, marks};
use connection::{Link, Pg};
use settings::Target;

pub use settings::{PostgresSettings, PostgresTls};

const READS: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
const WRITES: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// A ledger in PostgreSQL. Cheap to clone.
#[derive(Clone)]
pub struct PostgresStore(Arc<Pool>);

struct Pool {
    target: Target,
    /// One place for each connection.
    places: Arc<Semaphore>,
    idle: Mutex<Vec<Link>>,
    /// Whether the tables were looked at.
    prepared: OnceCell<()>,
}

impl PostgresStore {
    /// A ledger in this database; it is connected to when something is asked. `root`: where relative paths begin.
    ///
    /// # Errors
    /// If the settings cannot be right; the field is named.
    pub fn new(settings: &PostgresSettings, root: &Path) -> Result<Self, Error> {
        let target = Target::new(settings, root)?;
        let places = Arc::new(Semaphore::new(settings.connections));
        Ok(Self(Arc::new(Pool { target, places, idle: Mutex::default(), prepared: OnceCell::new() })))
    }

    /// Makes the tables if they are missing, and anew if an older version made them. Done before the first question anyhow.
    ///
    /// # Errors
    /// [`Error::Away`] if the database does not answer; [`Error::Newer`] if a newer version made the tables;
    /// [`Error::Refused`] if the database cannot be used as it is.
    pub async fn prepare(&self) -> Result<(), Error> {
        drop(self.place().await?);
        Ok(())
    }

    /// Waits until nothing is asked or written any more, and closes all connections. Every later call is [`Error::Away`].
    pub async fn close(&self) {
        let (pool, all) = (&self.0, self.0.target.connections);
        let idle = pool.places.acquire_many(u32::try_from(all).unwrap_or(u32::MAX));
        if tokio::time::timeout(pool.target.within, idle).await.is_err() {
            tracing::warn!(target: "ledger", at = self.at(), "closed while the database still had to answer");
        }
        pool.places.close();
        pool.idle().clear();
    }

    /// A place for one connection, in a database whose tables are there.
    async fn place(&self) -> Result<OwnedSemaphorePermit, Error> {
        let pool = &self.0;
        let wait = tokio::time::timeout(pool.target.within, pool.places.clone().acquire_owned());
        let place = wait.await.map_err(|_| pool.target.away(&"all connections are in use"))?;
        let place = place.map_err(|_| pool.target.away(&"it is closed"))?;
        let _ = pool.prepared.get_or_try_init(|| self.clone().make_tables()).await?;
        Ok(place)
    }

    async fn make_tables(self) -> Result<(), Error> {
        let at = self.at().to_owned();
        let make = move |sql: &mut dyn Sql| {
            connection::is_usable(sql)?;
            marks::prepare(sql, &at)
        };
        self.run(None, WRITES, Box::new(make)).await
    }

    /// Runs the change in a transaction on a thread that may block. The place is taken until the connection is back.
    async fn run(&self, place: Option<OwnedSemaphorePermit>, begin: &'static str, change: Change) -> Result<(), Error> {
        let mut link = match self.0.kept() {
            Some(link) => link,
            None => self.0.target.connect().await?,
        };
        let (store, handle) = (self.clone(), tokio::runtime::Handle::current());
        let work = move || {
            let done = Pg::new(&mut link, &store.0.target, handle).transact(begin, change);
            store.0.keep(link);
            drop(place);
            done
        };
        let worked = tokio::task::spawn_blocking(work).await;
        worked.map_err(|e| Error::Store(format!("work on the database stopped: {e}")))?
    }
}

impl Pool {
    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Link>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that was used before and still stands.
    fn kept(&self) -> Option<Link> {
        let mut idle = self.idle();
        idle.retain(Link::stands);
        idle.pop()
    }

    fn keep(&self, link: Link) {
        if link.stands() && !self.places.is_closed() {
            self.idle().push(link);
        }
    }
}

#[async_trait]
impl Reader for PostgresStore {
    async fn read(&self, job: Job) -> Result<(), Error> {
        let place = self.place().await?;
        let question = move |sql: &mut dyn Sql| {
            job(sql);
            Ok(())
        };
        self.run(Some(place), READS, Box::new(question)).await
    }
}

#[async_trait]
impl Store for PostgresStore {
    fn at(&self) -> &str {
        &self.0.target.at
    }

    async fn write(&self, change: Change) -> Result<(), Error> {
        let place = self.place().await?;
        self.run(Some(place), WRITES, change).await
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("at", &self.0.target.at).finish_non_exhaustive()
    }
}
