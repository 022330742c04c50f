//! A signal that is given once and stays given.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Down until it is raised. Waiters wake in the order in which they began to wait, which a `watch` channel does not promise:
/// the simulation has to see the same history for the same seed.
#[derive(Debug, Default)]
pub(crate) struct Flag {
    raised: AtomicBool,
    waiters: Notify,
}

impl Flag {
    pub(crate) fn raise(&self) {
        self.raised.store(true, Ordering::SeqCst);
        self.waiters.notify_waiters();
    }

    pub(crate) fn is_raised(&self) -> bool {
        self.raised.load(Ordering::SeqCst)
    }

    /// Completes when the flag is raised; at once if it is already. May be dropped.
    pub(crate) async fn raised(&self) {
        // Made before the look: a flag that is raised in between wakes it all the same.
        let raised = self.waiters.notified();
        if !self.is_raised() {
            raised.await;
        }
    }
}
