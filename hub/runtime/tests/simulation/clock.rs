//! The wall clock: it runs with the (paused) clock of tokio, which plays the boot clock, unless somebody sets it.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use hub_core::Clock;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;
use tokio::time::Instant;

#[derive(Debug)]
pub(crate) struct WallClock {
    began: (Timestamp, Instant),
    off_ms: AtomicI64,
    set: Notify,
}

impl WallClock {
    /// A working day: 2026-03-02T09:00:00Z.
    pub(crate) fn new() -> Self {
        let began = Timestamp::UNIX_EPOCH + Duration::from_secs(1_772_442_000);
        Self { began: (began, Instant::now()), off_ms: AtomicI64::new(0), set: Notify::new() }
    }

    pub(crate) fn jump(&self, ms: i64) {
        let _ = self.off_ms.fetch_add(ms, Ordering::SeqCst);
        self.set.notify_waiters();
    }

    pub(crate) fn right(&self) {
        self.off_ms.store(0, Ordering::SeqCst);
        self.set.notify_waiters();
    }
}

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        let off = SignedDuration::from_millis(self.off_ms.load(Ordering::SeqCst));
        self.began.0 + self.began.1.elapsed() + off
    }

    fn sleep_until(&self, until: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            loop {
                let set = self.set.notified();
                let left = Duration::try_from(until.duration_since(self.now())).unwrap_or_default();
                if left.is_zero() {
                    return;
                }
                tokio::select! {
                    biased;
                    () = set => {}
                    () = tokio::time::sleep(left) => {}
                }
            }
        })
    }
}
