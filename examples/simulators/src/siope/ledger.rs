//! The state behind its lock: events become durable here before anybody sees their effect.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::Notify;

use super::clock::RomeClock;
use super::faults::Faults;
use super::journal::Journal;
use super::schema::Schema;
use super::settings::{RateLimit, Settings};
use super::world::{Event, World};

/// The nominal rate that the headers show when no limit is set.
const NOMINAL: RateLimit = RateLimit { calls: 100_000, per: Duration::from_secs(60) };
/// Callers whose windows are remembered; beyond, all windows start anew.
const CALLERS_MAX: usize = 1000;

/// Everything that one running simulator shares between its tasks.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) clock: RomeClock,
    pub(crate) schema: Option<Schema>,
    /// Told when something may be due earlier than before.
    pub(crate) wake: Notify,
    ledger: Mutex<Ledger>,
}

impl Shared {
    pub(crate) fn new(settings: Settings, clock: RomeClock, schema: Option<Schema>, ledger: Ledger) -> Self {
        Self { settings, clock, schema, wake: Notify::new(), ledger: Mutex::new(ledger) }
    }

    /// Runs `work` alone on the ledger. Work once begun is done to its end even when the caller is dropped. `None` means
    /// that it did not end; the ledger then serves no more.
    pub(crate) async fn with<T, F>(self: &Arc<Self>, work: F) -> Option<T>
    where
        T: Send + 'static,
        F: FnOnce(&Self, &mut Ledger) -> T + Send + 'static,
    {
        if self.settings.state_dir.is_none() {
            // Nothing waits for a disk: handing it to another thread would cost more than the work itself.
            return catch_unwind(AssertUnwindSafe(|| self.with_now(work))).ok();
        }
        let shared = Arc::clone(self);
        tokio::task::spawn_blocking(move || shared.with_now(work)).await.ok()
    }

    fn with_now<T>(&self, work: impl FnOnce(&Self, &mut Ledger) -> T) -> T {
        let mut ledger = self.ledger.lock().unwrap_or_else(|poisoned| {
            let mut ledger = poisoned.into_inner();
            ledger.broken = Some("a thread panicked while it held the ledger".to_owned());
            ledger
        });
        work(self, &mut ledger)
    }
}

/// Settable delays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Delays {
    pub(crate) ack_after: Duration,
    pub(crate) esito_flusso_after: Duration,
    pub(crate) esiti_after: Duration,
    pub(crate) late_by: Duration,
}

/// The state, its journal and what belongs to this run alone.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) world: World,
    pub(crate) faults: Faults,
    pub(crate) delays: Delays,
    /// How often the bank publishes outcomes.
    pub(crate) esiti_every: Duration,
    pub(crate) codes: Option<BTreeSet<String>>,
    /// Why nothing can be kept any more; every call then answers 503.
    pub(crate) broken: Option<String>,
    journal: Option<Journal>,
    windows: BTreeMap<String, (Instant, u32)>,
}

/// Where a caller stands in its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) limit: u32,
    pub(crate) remaining: u32,
    pub(crate) reset_s: u64,
    pub(crate) exceeded: bool,
}

impl Ledger {
    /// Opens the state that the settings name, or an empty one in memory.
    pub(crate) fn open(settings: &Settings) -> Result<Self, String> {
        let mut world = World::default();
        for ente in settings.enti.iter().flatten() {
            if let Some(istat) = &ente.istat {
                world.register_istat(&ente.codice, istat);
            }
        }
        let journal = match &settings.state_dir {
            Some(folder) => Some(Journal::open(folder, |event| world.apply(event))?),
            None => None,
        };
        let delays = Delays {
            ack_after: settings.ack_after,
            esito_flusso_after: settings.esito_flusso_after,
            esiti_after: settings.esiti_after,
            late_by: settings.late_by,
        };
        let codes = settings.codici_siope.clone();
        let (faults, esiti_every) = (Faults::new(settings.seed), settings.esiti_every);
        Ok(Self { world, faults, delays, esiti_every, codes, broken: None, journal, windows: BTreeMap::new() })
    }

    /// Makes events durable, then applies them. After a failure the ledger is broken for good: whether the events are
    /// on disk is unknown until the next start reads them.
    pub(crate) fn commit(&mut self, events: Vec<Event>) -> Result<(), String> {
        if let Some(why) = &self.broken {
            return Err(why.clone());
        }
        if let Some(journal) = &mut self.journal
            && let Err(why) = journal.append(&events)
        {
            tracing::error!(why, "the simulator cannot keep its state");
            self.broken = Some(why.clone());
            return Err(why);
        }
        events.into_iter().for_each(|event| self.world.apply(event));
        Ok(())
    }

    /// Gives the state folder free; nothing can be kept afterwards.
    pub(crate) fn close(&mut self) {
        self.journal = None;
        self.broken = Some("the simulator has stopped".to_owned());
    }

    /// When the next flow is due.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.world.agenda.first().map(|(due, _)| *due)
    }

    /// Counts one call of a caller in its window.
    pub(crate) fn count_call(&mut self, caller: &str, limit: Option<RateLimit>) -> Rate {
        let RateLimit { calls, per } = limit.unwrap_or(NOMINAL);
        if self.windows.len() >= CALLERS_MAX && !self.windows.contains_key(caller) {
            self.windows.clear();
        }
        let now = Instant::now();
        let (began, used) = self.windows.entry(caller.to_owned()).or_insert((now, 0));
        if now.duration_since(*began) >= per {
            (*began, *used) = (now, 0);
        }
        *used = used.saturating_add(1);
        let left = per.saturating_sub(now.duration_since(*began));
        Rate {
            limit: calls,
            remaining: calls.saturating_sub(*used),
            reset_s: left.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX),
            exceeded: limit.is_some() && *used > calls,
        }
    }
}
