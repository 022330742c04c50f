//! What has to be kept, for how long, by what the journal says: the rule behind collection and audit.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hub_backbone::{Archive, Collect, Embedded};
use hub_core::journal::{Event, What};
use hub_ledger::sqlite;
use hub_runtime::{History, RetentionSettings};
use jiff::Timestamp;

use crate::settings::Config;

/// The document that an event names, and until when it must be there: an archived one as long as its route said, what
/// people were shown and what was parked as long as `evidence` after the event.
pub(crate) fn document_of(event: &Event, evidence: Duration) -> Option<(String, Timestamp)> {
    let until = || event.at.checked_add(evidence).unwrap_or(Timestamp::MAX);
    match &event.what {
        What::Archived(document) => Some((document.sha256.clone(), document.retain_until)),
        What::TaskOpened(task) => Some((task.sha256.clone(), until())),
        What::Parked(parked) => Some((parked.sha256.clone(), until())),
        _ => None,
    }
}

/// The ledger's word on what may be taken away. The ledger changes in the journal's own transactions, so it is never behind.
#[derive(Debug)]
pub struct Kept {
    store: Arc<Embedded>,
    evidence: Duration,
}

impl Kept {
    /// The ledger in a store; `evidence`: how long what people were shown and what was parked is kept.
    #[must_use]
    pub fn new(store: Arc<Embedded>, evidence: Duration) -> Self {
        Self { store, evidence }
    }
}

#[async_trait]
impl History for Kept {
    async fn are_over(&self, messages: Vec<(String, String)>) -> Result<Vec<bool>, String> {
        let ask = move |conn: &_| messages.iter().map(|(id, case)| sqlite::is_over(conn, id, case)).collect();
        self.store.query(ask).await.map_err(|e| e.to_string())
    }

    async fn are_needed(&self, blobs: Vec<String>, now: Timestamp) -> Result<Vec<bool>, String> {
        let shown_since = now.checked_sub(self.evidence).unwrap_or(Timestamp::MIN);
        let ask = move |conn: &_| blobs.iter().map(|name| sqlite::is_needed(conn, name, now, shown_since)).collect();
        self.store.query(ask).await.map_err(|e| e.to_string())
    }
}

/// The settings of `retention:`, ready for the runtime.
pub(crate) fn retention(
    config: &Config,
    store: &Arc<Embedded>,
    archive: Arc<Archive>,
    blobs: Arc<dyn Collect>,
) -> RetentionSettings {
    let settings = &config.settings.retention;
    RetentionSettings {
        every: settings.every.0,
        finished: settings.finished.0,
        alone: true,
        seal_after: settings.journal.seal_after.0,
        journal_records: settings.journal.records,
        grace: settings.blobs.grace.0,
        trash: settings.blobs.trash.0,
        sweep_every: settings.blobs.every.0,
        archive,
        blobs,
        history: Arc::new(Kept::new(store.clone(), settings.evidence.0)),
    }
}
