//! What is taken away again, and when: a loop of low priority, by the clock, in small steps.
//!
//! - `trim`: records of inbox, outbox, waits and cases that were worked on long ago;
//! - `seal`: old journal records go to the archive, are read back from there, and only then leave the log;
//! - `keys`: idempotent keys that nobody has to remember any more;
//! - `collect`: blobs and old route versions that nothing names (`names`, `survey`).
//!
//! Nothing that was not worked on is taken away, and what cannot be decided stays. A step that fails is tried again at the
//! next round; one that keeps failing raises the alarm `retention`. It never stops the hub.

mod collect;
mod keys;
mod names;
mod seal;
mod survey;
mod trim;

pub use names::blobs_of;

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use hub_backbone::{Archive, Collect, Place, Topic};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::batch::Batch;
use crate::hub::Shared;

/// Where the loop keeps its own notes: keyed state of this space.
const SPACE: &str = "retain";
/// Failures in a row after which people are told.
const FAILURES_TOLD: u32 = 3;
/// Pause before the next round when this one has left something to do.
const SOON: Duration = Duration::from_secs(1);

/// What the history of cases says about things that may be taken away. The runtime does not know the ledger: whoever starts
/// the hub hands this in.
#[async_trait]
pub trait History: Send + Sync {
    /// For each message (its id, its case): whether it has come to its end, and nothing of its case is open. A message that
    /// is not known is not over.
    async fn are_over(&self, messages: Vec<(String, String)>) -> Result<Vec<bool>, String>;

    /// For each blob: whether it is a document that must be kept at `now`.
    async fn are_needed(&self, blobs: Vec<String>, now: Timestamp) -> Result<Vec<bool>, String>;
}

/// How long what is kept, and where it goes.
#[derive(Clone)]
pub struct RetentionSettings {
    /// How often there is a round.
    pub every: Duration,
    /// How long records stay in inbox, outbox, waits and cases after they were worked on.
    pub finished: Duration,
    /// Age at which journal records are sealed.
    pub seal_after: Duration,
    /// So many journal records of one partition stay in the log, at most; older ones are sealed earlier.
    pub journal_records: u64,
    /// Age of the youngest blob that may be collected.
    pub grace: Duration,
    /// How long the trash keeps a blob.
    pub trash: Duration,
    /// How often blobs, versions and keys are gone through.
    pub sweep_every: Duration,
    /// Whether this hub is the only one on its log. If not, journals are not sealed and blobs not collected, since no hub sees
    /// everything that can name them.
    pub alone: bool,
    /// Where sealed segments go.
    pub archive: Arc<Archive>,
    /// The blob store.
    pub blobs: Arc<dyn Collect>,
    /// What is known about cases.
    pub history: Arc<dyn History>,
}

impl std::fmt::Debug for RetentionSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RetentionSettings").field("archive", &self.archive.folder()).finish_non_exhaustive()
    }
}

/// What a round has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retained {
    /// Segments sealed.
    pub segments: u64,
    /// Journal records that left the log.
    pub unlogged: u64,
    /// Idempotent keys forgotten.
    pub keys: u64,
    /// Blobs moved to the trash.
    pub discarded: u64,
    /// Blobs deleted from the trash.
    pub deleted: u64,
    /// Route versions dropped.
    pub versions: u64,
    /// Whether there is more to do.
    pub more: bool,
}

/// Takes away what is no longer needed.
pub(crate) struct Keeper {
    shared: Arc<Shared>,
    settings: RetentionSettings,
}

/// When a sweep was done last.
#[derive(Serialize, Deserialize)]
struct Swept {
    at: Timestamp,
}

impl Keeper {
    pub(crate) fn new(shared: Arc<Shared>, settings: RetentionSettings) -> Self {
        Self { shared, settings }
    }

    /// Rounds until the hub stops.
    pub(crate) async fn run(self) {
        let mut failures = 0;
        while !self.shared.stopping() {
            let pause = match self.round().await {
                Ok(Retained { more: true, .. }) => {
                    failures = 0;
                    SOON
                }
                Ok(_) => {
                    failures = 0;
                    self.settings.every
                }
                Err(error) => {
                    failures += 1;
                    tracing::warn!(%error, failures, "a round of retention failed");
                    self.tell((failures >= FAILURES_TOLD).then_some(&error));
                    self.settings.every
                }
            };
            if failures == 0 {
                self.tell(None);
            }
            let until = self.shared.clock.now().checked_add(pause).unwrap_or(Timestamp::MAX);
            tokio::select! {
                () = self.shared.stopped() => {}
                () = self.shared.clock.sleep_until(until) => {}
            }
        }
    }

    fn tell(&self, error: Option<&Error>) {
        let advice = "nothing is lost, but the store grows; see docs/retention.md";
        let detail = error.map(|error| format!("{error}; {advice}"));
        *self.shared.retention.lock().unwrap_or_else(PoisonError::into_inner) = detail;
    }

    /// Everything once. A step that fails does not keep the others from their work; its error is given at the end.
    pub(crate) async fn round(&self) -> Result<Retained, Error> {
        let mut done = Retained::default();
        // A clock that is not believed takes nothing away.
        if !self.shared.clock_agrees() {
            return Ok(done);
        }
        let trimmed = self.trim().await;
        let sealed = if self.settings.alone { self.seal(&mut done).await } else { Ok(()) };
        let swept = match self.sweep_is_due().await {
            Ok(true) => self.sweep(&mut done).await,
            Ok(false) => Ok(()),
            Err(error) => Err(error),
        };
        trimmed.and(sealed).and(swept).map(|()| done)
    }

    async fn sweep(&self, done: &mut Retained) -> Result<(), Error> {
        done.keys = self.forget_keys().await?;
        if self.settings.alone {
            self.collect(done).await?;
        }
        let mut batch = Batch::new(self.shared.claims());
        batch.put(self.notes(), SPACE, "swept", &Swept { at: self.shared.clock.now() });
        batch.commit().await.map(drop)
    }

    async fn sweep_is_due(&self) -> Result<bool, Error> {
        let batch = Batch::new(self.shared.claims());
        let last = batch.get::<Swept>(self.notes(), SPACE, "swept").await?;
        Ok(last.is_none_or(|last| last.at <= self.ago(self.settings.sweep_every)))
    }

    fn notes(&self) -> Place {
        Place::new(Topic::INBOX, 0)
    }

    /// The instant so long ago.
    fn ago(&self, span: Duration) -> Timestamp {
        self.shared.clock.now().checked_sub(span).unwrap_or(Timestamp::MIN)
    }

    /// All partitions of some topics.
    fn places<'t>(&self, topics: &'t [Topic]) -> impl Iterator<Item = Place> + use<'t> {
        let partitions = self.shared.backbone.partitions();
        topics.iter().flat_map(move |topic| (0..partitions).map(move |partition| Place::new(*topic, partition)))
    }
}

/// Work that blocks on the disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, hub_backbone::Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(|e| Error::Format(format!("work on the archive stopped: {e}")))??)
}
