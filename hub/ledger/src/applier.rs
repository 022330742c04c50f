//! Fills a ledger in a store of its own from the journal, and knows how far it has come.
//!
//! One loop for each slot that this hub owns (`follow`). The store's mark moves with the rows, so that it does not matter how
//! often a record is given or by whom: after a crash, during a handover, while a second hub believes that it owns the slot.
//! A store that is away makes the loop wait, and people are told after a while; the hub goes on.

mod follow;
pub(crate) mod journal;
mod seen;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hub_backbone::{Archive, Backbone, Offset, Term, Terms};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};

use crate::marks::Seen;
use crate::{Error, Store};

/// How long a loop may fail before people are told.
const PATIENCE: Duration = Duration::from_secs(30);
/// The pause after a failure, and how far it grows.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Follows the journal. Dropping it stops it; nothing is lost by that.
pub struct Applier {
    state: Arc<State>,
    running: JoinHandle<()>,
}

/// What all loops share.
struct State {
    backbone: Arc<dyn Backbone>,
    store: Arc<dyn Store>,
    /// Where records are that have left the log.
    archive: Option<Arc<Archive>>,
    /// What is durable in the store, by slot, as far as this hub's own loops know.
    seen: Vec<watch::Sender<Seen>>,
    troubles: Mutex<BTreeMap<u16, Trouble>>,
}

/// A loop that does not get on.
#[derive(Clone, Debug)]
struct Trouble {
    since: Instant,
    /// It will not end by itself.
    grave: bool,
    detail: String,
}

impl Applier {
    /// Begins to follow the journal of every slot that this hub owns or will own. `archive`: where the records are that have
    /// left the log.
    #[must_use]
    pub fn start(backbone: Arc<dyn Backbone>, store: Arc<dyn Store>, archive: Option<Arc<Archive>>) -> Self {
        let seen = (0..backbone.partitions()).map(|_| watch::Sender::new(Seen::default())).collect();
        let state = Arc::new(State { backbone, store, archive, seen, troubles: Mutex::default() });
        Self { running: tokio::spawn(state.clone().run()), state }
    }

    /// Who can say how far the ledger has come.
    #[must_use]
    pub fn watermark(&self) -> Watermark {
        Watermark(self.state.clone())
    }

    /// Why the ledger does not follow, for people; empty: it does, or has stopped only a moment ago.
    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        self.state.told()
    }
}

impl Drop for Applier {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl fmt::Debug for Applier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Applier").field("store", &self.state.store).finish_non_exhaustive()
    }
}

/// Says how far the ledger has come, on whichever hub. Cheap to clone.
#[derive(Clone)]
pub struct Watermark(Arc<State>);

impl Watermark {
    /// Completes when the ledger shows what a record of `cases` in this slot has caused. For an offset with
    /// [`hub_backbone::MAILED`], what that record of the slot's mail has caused. It may be dropped.
    ///
    /// # Errors
    /// If the store cannot be asked.
    pub async fn reaches(&self, slot: u16, offset: Offset) -> Result<(), Error> {
        seen::reaches(&self.0, slot, offset).await
    }

    /// As [`Applier::troubles`].
    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        self.0.told()
    }
}

impl fmt::Debug for Watermark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watermark")
    }
}

/// A loop that ends with its handle.
struct Loop(AbortHandle);

impl Drop for Loop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl State {
    /// Starts and stops loops as slots come and go.
    async fn run(self: Arc<Self>) {
        let mut known: Terms = vec![None; usize::from(self.backbone.partitions())];
        let mut loops: BTreeMap<u16, Loop> = BTreeMap::new();
        loop {
            match self.backbone.terms_beyond(&known).await {
                Ok(terms) => {
                    for (slot, term) in (0..).zip(&terms).filter(|(slot, term)| known[usize::from(*slot)] != **term) {
                        self.turn(&mut loops, slot, *term);
                    }
                    known = terms;
                }
                // The hub hears the same and stops.
                Err(error) => {
                    tracing::warn!(target: "ledger", %error, "the log cannot be followed");
                    tokio::time::sleep(PAUSES.1).await;
                }
            }
        }
    }

    fn turn(self: &Arc<Self>, loops: &mut BTreeMap<u16, Loop>, slot: u16, term: Option<Term>) {
        drop(loops.remove(&slot));
        self.well(slot);
        if term.is_some() {
            let _ = loops.insert(slot, Loop(tokio::spawn(self.clone().persist(slot)).abort_handle()));
        }
    }

    /// Follows one slot until it is not this hub's any more, whatever fails meanwhile.
    async fn persist(self: Arc<Self>, slot: u16) {
        let mut pause = PAUSES.0;
        loop {
            let begun = Instant::now();
            let Err(error) = follow::follow(&self, slot).await;
            if self.backbone.term(slot).is_none() {
                return;
            }
            pause = if begun.elapsed() > PATIENCE { PAUSES.0 } else { (pause * 2).min(PAUSES.1) };
            self.ill(slot, &error);
            tokio::time::sleep(pause).await;
        }
    }

    fn troubles(&self) -> std::sync::MutexGuard<'_, BTreeMap<u16, Trouble>> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn well(&self, slot: u16) {
        if self.troubles().remove(&slot).is_some() {
            tracing::info!(target: "ledger", slot, "the ledger follows again");
        }
    }

    fn ill(&self, slot: u16, error: &Error) {
        let grave =
            matches!(error, Error::OtherLog { .. } | Error::Newer { .. } | Error::Record { .. } | Error::Gap { .. });
        let mut troubles = self.troubles();
        let since = troubles.get(&slot).map_or_else(Instant::now, |trouble| trouble.since);
        let known = troubles.insert(slot, Trouble { since, grave, detail: error.to_string() });
        if known.is_none_or(|known| known.detail != error.to_string()) {
            tracing::warn!(target: "ledger", slot, %error, "the ledger does not follow the journal; it is tried again");
        }
    }

    /// One line for each reason.
    fn told(&self) -> Vec<String> {
        let mut reasons: BTreeMap<String, Vec<u16>> = BTreeMap::new();
        for (slot, trouble) in &*self.troubles() {
            if trouble.grave || trouble.since.elapsed() >= PATIENCE {
                reasons.entry(trouble.detail.clone()).or_default().push(*slot);
            }
        }
        let line =
            |(detail, slots): (String, Vec<u16>)| format!("{} of the journal wait: {detail}", partitions(&slots));
        reasons.into_iter().map(line).collect()
    }
}

/// `partition 3`, `4 partitions`
fn partitions(slots: &[u16]) -> String {
    match slots {
        [one] => format!("partition {one}"),
        more => format!("{} partitions", more.len()),
    }
}
