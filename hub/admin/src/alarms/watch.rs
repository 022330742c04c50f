//! Looks, notices what is new and what is over, and tells.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hub_core::Clock;
use hub_ledger::{Attention, Ledger};
use hub_runtime::{Alarm, Figures, Operate};
use jiff::Timestamp;
use tokio::time::Instant;

use super::feed::Feed;
use super::judge::{Seen, judge};
use super::{AlarmSettings, known};

/// How long a witness may take: an alarm about a store that hangs must not hang with it.
const WITNESS_WITHIN: Duration = Duration::from_secs(5);
/// Whoever asks gets what was seen so long ago.
const FRESH: Duration = Duration::from_secs(1);

/// Watches a hub. Cheap to clone; all clones are one watch.
#[derive(Clone)]
pub struct AlarmWatch(Arc<Inner>);

struct Inner {
    operate: Arc<dyn Operate>,
    ledger: Ledger,
    clock: Arc<dyn Clock>,
    settings: AlarmSettings,
    feed: Feed,
    /// Held while looking: those who come meanwhile share what is seen.
    state: tokio::sync::Mutex<State>,
    last: Mutex<Option<Arc<Look>>>,
}

#[derive(Default)]
struct State {
    looked: Option<Instant>,
    held: BTreeMap<(String, String), Held>,
    commits: Option<(Instant, u64)>,
    commits_per_s: Option<f64>,
}

/// An alarm that was raised and is not over.
struct Held {
    since: Timestamp,
    /// When it was seen last.
    seen: Timestamp,
    alarm: Alarm,
}

/// What was seen in one look.
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) alarms: Vec<Standing>,
    pub(crate) figures: Option<Figures>,
    pub(crate) attention: Option<Attention>,
    pub(crate) commits_per_s: Option<f64>,
}

/// An alarm that stands now.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub(crate) alarm: Alarm,
    pub(crate) since: Timestamp,
}

impl AlarmWatch {
    /// A watch over a hub; it looks when it is asked to, or all the time once [`Self::run`] is spawned.
    #[must_use]
    pub fn new(operate: Arc<dyn Operate>, ledger: Ledger, clock: Arc<dyn Clock>, settings: AlarmSettings) -> Self {
        let feed = Feed::new(clock.now());
        let (state, last) = (tokio::sync::Mutex::default(), Mutex::default());
        Self(Arc::new(Inner { operate, ledger, clock, settings, feed, state, last }))
    }

    /// Looks every few seconds, by the clock. Never ends: abort its task.
    pub async fn run(self) {
        loop {
            self.look().await;
            self.0.clock.sleep_until(self.0.clock.now() + self.0.settings.pause()).await;
        }
    }

    /// Looks now.
    pub async fn look(&self) {
        let mut state = self.0.state.lock().await;
        let _ = self.see(&mut state).await;
    }

    /// What was seen a moment ago.
    pub(crate) async fn fresh(&self) -> Arc<Look> {
        let mut state = self.0.state.lock().await;
        let last = self.0.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match last.filter(|_| state.looked.is_some_and(|looked| looked.elapsed() < FRESH)) {
            Some(look) => look,
            None => self.see(&mut state).await,
        }
    }

    pub(crate) fn feed(&self) -> &Feed {
        &self.0.feed
    }

    async fn see(&self, state: &mut State) -> Arc<Look> {
        let seen = self.ask().await;
        let alarms = judge(&self.0.settings, &seen);
        self.notice(state, &alarms, seen.now);
        measure(state, seen.figures.as_ref().ok());
        let standing = |alarm: Alarm| {
            let held = state.held.get(&(alarm.name.clone(), alarm.subject.clone()));
            Standing { since: held.map_or(seen.now, |held| held.since), alarm }
        };
        let look = Arc::new(Look {
            alarms: alarms.into_iter().map(standing).collect(),
            figures: seen.figures.ok(),
            attention: seen.attention.ok(),
            commits_per_s: state.commits_per_s,
        });
        state.looked = Some(Instant::now());
        *self.0.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(look.clone());
        look
    }

    async fn ask(&self) -> Seen {
        let inner = &*self.0;
        let now = inner.clock.now();
        let near = now.checked_add(inner.settings.deadline_near.0).unwrap_or(Timestamp::MAX);
        let figures = tokio::time::timeout(WITNESS_WITHIN, inner.operate.figures());
        let attention = tokio::time::timeout(WITNESS_WITHIN, inner.ledger.attention(near));
        let (figures, attention) = tokio::join!(figures, attention);
        let late = |_| format!("no answer within {WITNESS_WITHIN:?}");
        Seen {
            now,
            hub: inner.operate.alarms(),
            figures: figures.map_err(late).and_then(|asked| asked.map_err(|e| e.to_string())),
            attention: attention.map_err(late).and_then(|asked| asked.map_err(|e| e.to_string())),
        }
    }

    /// Tells what is new, and what has been gone for long enough.
    fn notice(&self, state: &mut State, alarms: &[Alarm], now: Timestamp) {
        for alarm in alarms {
            let key = (alarm.name.clone(), alarm.subject.clone());
            match state.held.get_mut(&key) {
                Some(held) => (held.seen, held.alarm) = (now, alarm.clone()),
                None => {
                    let _ = state.held.insert(key, Held { since: now, seen: now, alarm: alarm.clone() });
                    self.tell(now, true, alarm.clone());
                }
            }
        }
        let clear_after = self.0.settings.clear_after.0;
        let is_over =
            |held: &Held| Duration::try_from(now.duration_since(held.seen)).is_ok_and(|gone| gone >= clear_after);
        let over: Vec<_> =
            state.held.iter().filter(|(_, h)| h.seen != now && is_over(h)).map(|(k, _)| k.clone()).collect();
        for key in over {
            if let Some(held) = state.held.remove(&key) {
                self.tell(now, false, held.alarm);
            }
        }
    }

    fn tell(&self, at: Timestamp, raised: bool, alarm: Alarm) {
        debug_assert!(known(&alarm.name).is_some(), "alarm `{}` has no entry in alarms/known.rs", alarm.name);
        let (name, subject, detail) = (&alarm.name, &alarm.subject, &alarm.detail);
        if raised {
            tracing::warn!(target: "alarm", alarm = name, subject, detail, change = "raised", "alarm raised");
        } else {
            tracing::warn!(target: "alarm", alarm = name, subject, detail, change = "cleared", "alarm cleared");
        }
        self.0.feed.push(at, raised, alarm);
    }
}

impl std::fmt::Debug for AlarmWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AlarmWatch").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}

/// Commits a second since the look before; looks that follow at once are too short to tell.
fn measure(state: &mut State, figures: Option<&Figures>) {
    let Some(commits) = figures.and_then(|figures| figures.store.as_ref()).map(|store| store.commits) else { return };
    let now = Instant::now();
    let Some((then, before)) = state.commits else {
        state.commits = Some((now, commits));
        return;
    };
    let elapsed = now.duration_since(then);
    if elapsed >= FRESH {
        #[expect(clippy::cast_precision_loss, reason = "a rate for people, not money")]
        let more = commits.saturating_sub(before) as f64;
        state.commits_per_s = Some(more / elapsed.as_secs_f64());
        state.commits = Some((now, commits));
    }
}
