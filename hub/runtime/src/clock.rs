//! The wall clock, watched by the boot clock.

use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use hub_core::Clock;
use jiff::Timestamp;
use tokio::time::Instant;

/// A wall clock that is off the boot clock by more than this is not believed.
pub(crate) const OFF_MAX: Duration = Duration::from_secs(60);
/// Longest single sleep: a wall clock that was set back or forth is noticed soon.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// Time of the operating system.
#[derive(Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods)] // the one place that reads the wall clock
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn sleep_until(&self, until: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            while let Ok(left) = Duration::try_from(until.duration_since(self.now())) {
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left.min(SLEEP_MAX)).await;
            }
        })
    }
}

/// Compares the wall clock with the boot clock: nothing expires while they disagree.
#[derive(Debug)]
pub(crate) struct ClockGuard {
    anchor: Mutex<(Timestamp, Instant)>,
    off_max: Duration,
    /// The last time in the journal: a wall clock before it was set back while the hub was down.
    written: Mutex<Timestamp>,
}

impl ClockGuard {
    /// `off_max`: how far the clocks may be apart; `written`: the last time that an earlier life wrote down.
    pub(crate) fn new(now: Timestamp, off_max: Duration, written: Timestamp) -> Self {
        Self { anchor: Mutex::new((now, Instant::now())), off_max, written: Mutex::new(written) }
    }

    /// Another journal is this hub's now: its last time counts, too.
    pub(crate) fn written(&self, at: Timestamp) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        *written = at.max(*written);
    }

    /// How far the wall clock is off, if that is too far. Slow drift is followed.
    pub(crate) fn off(&self, now: Timestamp) -> Option<Duration> {
        let written = *self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(behind) = Duration::try_from(written.duration_since(now))
            && behind > self.off_max
        {
            return Some(behind);
        }
        let mut anchor = self.anchor.lock().unwrap_or_else(PoisonError::into_inner);
        let (wall, boot) = *anchor;
        let expected = i128::try_from(boot.elapsed().as_millis()).unwrap_or(i128::MAX);
        let off = (now.duration_since(wall).as_millis() - expected).unsigned_abs();
        let off = Duration::from_millis(u64::try_from(off).unwrap_or(u64::MAX));
        if off <= self.off_max / 10 {
            *anchor = (now, Instant::now());
        }
        (off > self.off_max).then_some(off)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_jump_of_the_wall_clock_is_noticed_and_drift_is_not() {
        let start = Timestamp::from_second(1_000_000).unwrap();
        let guard = ClockGuard::new(start, OFF_MAX, start);
        tokio::time::advance(Duration::from_secs(100)).await;
        assert_eq!(guard.off(start + Duration::from_secs(101)), None);
        tokio::time::advance(Duration::from_secs(10)).await;
        let off = guard.off(start + Duration::from_secs(1_000)).unwrap();
        assert!(off > Duration::from_secs(800), "{off:?}");
        assert_eq!(guard.off(start + Duration::from_secs(112)), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_was_set_back_while_the_hub_was_down_is_not_believed_until_it_has_caught_up() {
        let start = Timestamp::from_second(1_000_000).unwrap();
        let guard = ClockGuard::new(start, OFF_MAX, start + Duration::from_secs(3600));
        assert_eq!(guard.off(start), Some(Duration::from_secs(3600)));
        tokio::time::advance(Duration::from_secs(3550)).await;
        assert_eq!(guard.off(start + Duration::from_secs(3550)), None);
    }
}
