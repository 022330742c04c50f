//! One body, and how the polling of its list goes.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;

use crate::connection::AskError;
use crate::cursor::{Position, Progress};
use crate::entities::Entity;

/// How often a list is looked at deeply: the longest that an entry stays unseen that was published with a date before
/// others that were taken.
const DEEP_EVERY: Duration = Duration::from_secs(300);
/// The longest pause after failures, unless SIOPE+ asks for more.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// See the module.
pub(super) struct Polled {
    pub(super) entity: Entity,
    pub(super) position: Position,
    pub(super) next_at: Timestamp,
    deep_at: Timestamp,
    pub(super) failures: u32,
    pub(super) failure: Option<AskError>,
}

impl Polled {
    pub(super) fn new(entity: Entity, position: Position, now: Timestamp) -> Self {
        Self { entity, position, next_at: now, deep_at: now, failures: 0, failure: None }
    }

    /// Whether the next look is a deep one.
    pub(super) fn is_deep(&self, now: Timestamp) -> bool {
        is_due(self.deep_at, DEEP_EVERY, now)
    }

    /// Its list was read.
    pub(super) fn answered(&mut self, next_at: Timestamp) {
        (self.failures, self.failure, self.next_at) = (0, None, next_at);
    }

    /// What was taken is durable. A deep look is over when nothing of it waits. Says whether anything has changed.
    pub(super) fn advance(&mut self, progress: Progress, now: Timestamp, today: DateTime, overlap: Duration) -> bool {
        if progress.deep && progress.waiting.is_none() {
            self.deep_at = after(now, DEEP_EVERY);
        }
        self.position.advance(progress, today, overlap)
    }

    /// Puts it off: longer after each failure, or as long as SIOPE+ asked for. Gives the pause.
    pub(super) fn failed(&mut self, error: AskError, every: Duration, now: Timestamp) -> Duration {
        let longer = every.saturating_mul(1 << self.failures.min(10)).min(PAUSE_MAX).max(every);
        let pause = error.retry_after.map_or(longer, |wish| wish.0);
        self.failures = self.failures.saturating_add(1);
        self.next_at = after(now, pause);
        self.failure = Some(error);
        pause
    }
}

/// Whether an instant has come that was set at most `within` ahead; also after the clock was set back.
pub(super) fn is_due(at: Timestamp, within: Duration, now: Timestamp) -> bool {
    at <= now || at > after(now, within)
}

/// The instant so much later.
pub(super) fn after(now: Timestamp, by: Duration) -> Timestamp {
    now.checked_add(by).unwrap_or(Timestamp::MAX)
}
