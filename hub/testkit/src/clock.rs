//! A clock that is turned by hand.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hub_core::Clock;
use jiff::Timestamp;
use tokio::sync::watch;

/// Time that stands still until somebody turns it. Sleepers wake when it has passed their instant.
#[derive(Debug)]
pub struct ManualClock {
    now: watch::Sender<Timestamp>,
    alarms: Mutex<BTreeMap<u64, Timestamp>>,
    alarms_changed: watch::Sender<usize>,
    next_alarm: AtomicU64,
}

impl ManualClock {
    /// A clock that shows `now`.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        let (alarms, next_alarm) = (Mutex::default(), AtomicU64::new(0));
        Self { now: watch::channel(now).0, alarms, alarms_changed: watch::channel(0).0, next_alarm }
    }

    /// A clock that shows a working day: 2026-03-02T09:00:00Z, a Monday, 10 o'clock in Rome.
    #[must_use]
    pub fn working_day() -> Self {
        Self::at(Timestamp::UNIX_EPOCH + Duration::from_secs(1_772_442_000))
    }

    /// Turns the clock forward and wakes everybody whose time has come.
    pub fn advance(&self, by: Duration) {
        let now = self.now();
        self.set(now + by);
    }

    /// Sets the clock, backwards too: wall clocks do that.
    pub fn set(&self, now: Timestamp) {
        let _ = self.now.send_replace(now);
    }

    /// Completes when at least `count` sleepers wait for this clock.
    pub async fn sleeping(&self, count: usize) {
        let mut changed = self.alarms_changed.subscribe();
        drop(changed.wait_for(|sleeping| *sleeping >= count).await);
    }

    /// Runs `work` and turns the clock to the next alarm whenever somebody sleeps: a test of hours ends in
    /// milliseconds. Not for work that sets a time limit around real input or output: the limit would strike at once.
    pub async fn run<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                // The yield lets those who were just woken run before the clock turns on.
                () = self.sleeping(1) => { self.to_next_alarm(); tokio::task::yield_now().await }
            }
        }
    }

    fn to_next_alarm(&self) {
        let now = self.now();
        let next = self.alarms().values().filter(|alarm| **alarm > now).min().copied();
        if let Some(next) = next {
            self.set(next);
        }
    }

    fn alarms(&self) -> MutexGuard<'_, BTreeMap<u64, Timestamp>> {
        self.alarms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn alarm(&self, until: Timestamp) -> Alarm<'_> {
        let id = self.next_alarm.fetch_add(1, Ordering::SeqCst);
        let _ = self.alarms().insert(id, until);
        self.count_alarms();
        Alarm { clock: self, id }
    }

    fn count_alarms(&self) {
        let _ = self.alarms_changed.send_replace(self.alarms().len());
    }
}

/// One sleeper; gone when its future is dropped.
struct Alarm<'a> {
    clock: &'a ManualClock,
    id: u64,
}

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        let _ = self.clock.alarms().remove(&self.id);
        self.clock.count_alarms();
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.now.borrow()
    }

    fn sleep_until(&self, until: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            let mut now = self.now.subscribe();
            if *now.borrow() >= until {
                return;
            }
            let _alarm = self.alarm(until);
            drop(now.wait_for(|now| *now >= until).await);
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn sleepers_wake_when_their_time_has_come_and_not_before() {
        let clock = Arc::new(ManualClock::working_day());
        let until = clock.now() + Duration::from_secs(60);
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep_until(until).await }
        });
        clock.sleeping(1).await;
        clock.advance(Duration::from_secs(59));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.advance(Duration::from_secs(1));
        sleeper.await.unwrap();
        assert!(clock.alarms().is_empty());
    }

    #[tokio::test]
    async fn run_turns_the_clock_to_each_alarm() {
        let clock = ManualClock::working_day();
        let began = clock.now();
        let work = async {
            for _ in 0..3 {
                clock.sleep_until(clock.now() + Duration::from_secs(3600)).await;
            }
        };
        clock.run(work).await;
        assert_eq!(clock.now().duration_since(began).as_hours(), 3);
    }
}
