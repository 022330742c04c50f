//! The fence of a doubt, by the boot clock. [`hub_life`] reckons with durable instants of the wall clock; somebody may have
//! set that clock between two of them, before a restart even, and then a minute that never passed would seem to be over.

use std::time::Duration;

use hub_life::outbound::{Answer, State};
use tokio::time::Instant;

/// Since when, in this life of the hub, an attempt is known to be over, and when the question under way was put.
#[derive(Clone, Copy)]
pub(super) struct Fence {
    since: Instant,
    asked: Option<Instant>,
}

impl Fence {
    /// Nothing is known about the time before this moment.
    pub(super) fn now() -> Self {
        Self { since: Instant::now(), asked: None }
    }

    /// A question is put.
    pub(super) fn ask(&mut self) {
        self.asked = Some(Instant::now());
    }

    /// Begins anew when a doubt begins, or when the life that tried is found to be over.
    pub(super) fn follow(&mut self, before: &State, after: &State) {
        if doubt(after).is_some() && doubt(before) != doubt(after) {
            *self = Self::now();
        }
    }

    /// Whether "not there" may count: it answers a question that was put when the receiver's view was final.
    pub(super) fn lets(&self, answer: &Answer, settles_after: Duration) -> bool {
        let settled = self.asked.is_some_and(|asked| asked.duration_since(self.since) >= settles_after);
        settled || !matches!(answer, Answer::NotDelivered(_))
    }
}

/// What tells one doubt from another.
fn doubt(state: &State) -> Option<(&str, jiff::Timestamp, jiff::Timestamp)> {
    match state {
        State::InDoubt { epoch, since, not_after, .. } => Some((epoch, *since, *not_after)),
        _ => None,
    }
}
