//! What has to be kept, for how long, by what the journal says: the rule behind collection and audit.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hub_backbone::{Archive, Collect};
use hub_core::journal::{Event, What};
use hub_ledger::Ledger;
use hub_runtime::{History, RetentionSettings};
use jiff::Timestamp;

use crate::settings::Config;
use crate::store::Store;

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

/// The ledger's word on what may be taken away. One in the embedded store changes in the journal's own transactions and is never
/// behind; one in a store of its own may be, and what it does not know yet is not over.
#[derive(Debug)]
pub struct Kept {
    ledger: Ledger,
    evidence: Duration,
}

impl Kept {
    /// `evidence`: how long what people were shown and what was parked is kept.
    #[must_use]
    pub fn new(ledger: Ledger, evidence: Duration) -> Self {
        Self { ledger, evidence }
    }
}

#[async_trait]
impl History for Kept {
    async fn are_over(&self, messages: Vec<(String, String)>) -> Result<Vec<bool>, String> {
        self.ledger.are_over(messages).await.map_err(|e| e.to_string())
    }

    async fn are_needed(&self, blobs: Vec<String>, now: Timestamp) -> Result<Vec<bool>, String> {
        let shown_since = now.checked_sub(self.evidence).unwrap_or(Timestamp::MIN);
        self.ledger.are_needed(blobs, now, shown_since).await.map_err(|e| e.to_string())
    }
}

/// The settings of `retention:`, ready for the runtime.
pub(crate) fn retention(
    config: &Config,
    store: &Store,
    ledger: &Ledger,
    archive: Arc<Archive>,
    blobs: Arc<dyn Collect>,
) -> RetentionSettings {
    let settings = &config.settings.retention;
    RetentionSettings {
        every: settings.every.0,
        finished: settings.finished.0,
        alone: store.is_alone(),
        seal_after: settings.journal.seal_after.0,
        journal_records: settings.journal.records,
        grace: settings.blobs.grace.0,
        trash: settings.blobs.trash.0,
        sweep_every: settings.blobs.every.0,
        archive,
        blobs,
        history: Arc::new(Kept::new(ledger.clone(), settings.evidence.0)),
    }
}
