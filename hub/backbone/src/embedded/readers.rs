use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::schema::{io, open_reader};
use super::shared::Shared;
use crate::Error;

/// Connections that read, at most: more only wait for the same disk.
const READERS_MAX: usize = 4;

/// Read-only connections, used one at a time on tokio's threads for blocking work.
#[derive(Debug)]
pub(super) struct Readers {
    shared: Arc<Shared>,
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let path = shared.path.clone();
        Self { shared, path, idle: Mutex::default(), permits: Arc::new(Semaphore::new(READERS_MAX)) }
    }

    /// Runs `f` on a connection, within one read transaction. It runs to its end even if the caller gives up.
    pub(super) async fn run<T, F>(self: &Arc<Self>, f: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    {
        self.shared.check()?;
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| self.shared.failure())?;
        let readers = Arc::clone(self);
        let work = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            readers.run_here(f)
        });
        work.await.map_err(|e| Error::Io(format!("a reader of the store stopped: {e}")))?
    }

    fn run_here<T>(&self, f: impl FnOnce(&Connection) -> Result<T, Error>) -> Result<T, Error> {
        let conn = self.take()?;
        let result = snapshot(&conn, f).map_err(|error| error.in_file(&self.path));
        // a connection that is in an unknown state is not used again
        if conn.is_autocommit() && self.shared.check().is_ok() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(conn);
        }
        result
    }

    fn take(&self) -> Result<Connection, Error> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(|| open_reader(&self.path).map_err(|e| io("the store cannot be opened for reading", &e)), Ok)
    }

    /// Ends waiting callers, and closes the connections that nobody uses.
    pub(super) fn close(&self) {
        self.permits.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

fn snapshot<T>(conn: &Connection, f: impl FnOnce(&Connection) -> Result<T, Error>) -> Result<T, Error> {
    let at = |e: rusqlite::Error| io("the store cannot be read", &e);
    conn.prepare_cached("BEGIN").and_then(|mut begin| begin.execute([])).map_err(at)?;
    let result = f(conn);
    // A damaged page has ended the transaction already; what `f` says about it counts.
    if !conn.is_autocommit() {
        conn.prepare_cached("ROLLBACK").and_then(|mut end| end.execute([])).map_err(at)?;
    }
    result
}
