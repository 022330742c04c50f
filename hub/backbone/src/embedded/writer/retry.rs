//! Waiting for room on a full disk.

use std::time::{Duration, Instant};

/// When to try again after the disk was full.
pub(super) struct Retry {
    first: Duration,
    max: Duration,
    next: Duration,
    pub(super) at: Option<Instant>,
}

impl Retry {
    /// Pauses from `first` on, each twice as long as the one before, up to `max`.
    pub(super) fn new(first: Duration, max: Duration) -> Self {
        Self { first, max: max.max(first), next: first, at: None }
    }

    pub(super) fn later(&mut self) {
        self.at = Some(Instant::now() + self.next);
        self.next = (self.next * 2).min(self.max);
    }

    pub(super) fn over(&mut self) {
        (self.at, self.next) = (None, self.first);
    }
}
