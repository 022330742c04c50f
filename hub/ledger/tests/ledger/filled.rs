//! A ledger in a store of its own, beside a log in memory from which it is filled.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hub_backbone::{Backbone, Commit, Memory, Place, Topic};
use hub_core::journal::Event;
use hub_ledger::{Applier, FileStore, JournalRecord, Ledger, PostgresSettings, PostgresStore, Store, sqlite};
use tempfile::TempDir;

/// Which database.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Sqlite,
    /// The connection string of a database.
    Postgres(String),
}

impl Kind {
    /// How many cases are many, in the time that a test has.
    pub(crate) fn many(&self) -> i64 {
        match self {
            Self::Sqlite => 100_000,
            Self::Postgres(_) => 5_000,
        }
    }

    /// Opens the store, and a reader of it.
    pub(crate) async fn open(&self, folder: &Path) -> (Arc<dyn Store>, Ledger) {
        match self {
            Self::Sqlite => {
                let store = Arc::new(FileStore::open(folder.join("ledger.db")).unwrap());
                (store.clone(), Ledger::new(store))
            }
            Self::Postgres(url) => {
                let store = Arc::new(postgres(url));
                store.prepare().await.unwrap();
                (store.clone(), Ledger::new(store))
            }
        }
    }
}

/// A store in a database that may be away.
pub(crate) fn postgres(url: &str) -> PostgresStore {
    let settings = serde_json::json!({ "url": url, "connections": 4, "timeout": "5s" });
    let settings: PostgresSettings = serde_json::from_value(settings).unwrap();
    PostgresStore::new(&settings, Path::new("/")).unwrap()
}

pub(crate) struct Filled {
    pub(crate) ledger: Ledger,
    /// How many events it has.
    pub(crate) next: u64,
    log: Arc<Memory>,
    applier: Applier,
    _folder: TempDir,
}

impl Filled {
    pub(crate) async fn new(kind: Kind) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (store, ledger) = kind.open(folder.path()).await;
        // Of another log of the same test: an applier would refuse it.
        hub_ledger::empty(&*store).await.unwrap();
        let log = Arc::new(Memory::new(1));
        let applier = Applier::start(log.clone(), store, None);
        Self { ledger, next: 0, log, applier, _folder: folder }
    }

    pub(crate) async fn with(kind: Kind, events: &[Event]) -> Self {
        let mut filled = Self::new(kind).await;
        filled.add(events).await;
        filled
    }

    /// On return the ledger shows them.
    pub(crate) async fn add(&mut self, events: &[Event]) {
        let at = judge(&*self.log, 0, events).await;
        self.next += events.len() as u64;
        let watermark = self.applier.watermark();
        let shown = tokio::time::timeout(Duration::from_secs(60), watermark.reaches(0, at)).await;
        shown.unwrap_or_else(|_| panic!("it is not shown: {:?}", self.applier.troubles())).unwrap();
    }
}

/// Does what the owner of cases does: a record of `cases` is judged, and its events are written, in one commit. Gives the
/// record's offset.
pub(crate) async fn judge(log: &dyn Backbone, slot: u16, events: &[Event]) -> u64 {
    let cases = Place::new(Topic::CASES, slot);
    let mut asked = Commit::new();
    asked.append(cases, "asked", "asked");
    let at = log.commit(asked).await.unwrap()[0];
    let mut judged = Commit::new();
    for event in events {
        judged.append(Place::new(Topic::JOURNAL, slot), event.case.id.clone(), serde_json::to_vec(event).unwrap());
    }
    judged.done(cases, at + 1);
    let _ = log.commit(judged).await.unwrap();
    at
}

/// The digest of what the journal of a log says, computed at once.
pub(crate) async fn expected(log: &dyn Backbone) -> String {
    let conn = crate::events::empty();
    for partition in 0..log.partitions() {
        let records = log.read(Place::new(Topic::JOURNAL, partition), 0, usize::MAX, usize::MAX).await.unwrap();
        let records = records.iter().map(|r| JournalRecord { partition, offset: r.offset, bytes: &r.bytes });
        sqlite::apply(&conn, records).unwrap();
    }
    sqlite::digest(&conn).unwrap()
}
