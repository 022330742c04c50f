//! The fence of a doubt, by the boot clock. [`hub_life`] reckons with durable instants of the wall clock; somebody may have
//! set that clock between two of them, before a restart even, and then a minute that never passed would seem to be over.

use std::time::Duration;

use hub_life::outbound::{Answer, LOST, State};
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

    /// The lives that may have tried are over since a moment that this life of the hub has seen.
    pub(super) fn over_since(&mut self, since: Instant) {
        self.since = since;
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

    /// Whether "not there" may count: it answers a question that was put when the receiver's view was final. Of what a lost
    /// life may have sent, "cannot say" counts like it once a person has released the lane.
    pub(super) fn lets(&self, state: &State, answer: &Answer, settles_after: Duration) -> bool {
        let settled = self.asked.is_some_and(|asked| asked.duration_since(self.since) >= settles_after);
        let counts = match answer {
            Answer::NotDelivered(_) => true,
            Answer::Unknown(_) => matches!(state, State::InDoubt { epoch, not_after, .. }
                if epoch == LOST && *not_after < jiff::Timestamp::MAX),
            Answer::Delivered(_) | Answer::CouldNotAsk(_) => false,
        };
        settled || !counts
    }
}

/// What tells one doubt from another.
fn doubt(state: &State) -> Option<(&str, jiff::Timestamp, jiff::Timestamp)> {
    match state {
        State::InDoubt { epoch, since, not_after, .. } => Some((epoch, *since, *not_after)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use hub_core::Value;
    use jiff::Timestamp;

    use super::*;

    const SETTLES: Duration = Duration::from_secs(60);

    fn lost(not_after: Timestamp) -> State {
        let (since, cause) = (Timestamp::UNIX_EPOCH, String::new());
        let (asking, evidence) = (None, Value::Null);
        State::InDoubt { epoch: LOST.into(), since, not_after, cause, ask_at: since, asked: 1, asking, evidence }
    }

    #[tokio::test(start_paused = true)]
    async fn silence_about_a_lost_life_counts_when_it_has_settled_since_the_release() {
        let (released, silence) = (lost(Timestamp::UNIX_EPOCH), Answer::Unknown(Value::Null));
        let mut fence = Fence::now();
        fence.ask();
        assert!(!fence.lets(&released, &silence, SETTLES));
        assert!(fence.lets(&lost(Timestamp::MAX), &silence, SETTLES), "before the release it decides nothing");
        tokio::time::advance(SETTLES).await;
        assert!(!fence.lets(&released, &silence, SETTLES), "the question counts, not the answer");
        fence.ask();
        assert!(fence.lets(&released, &silence, SETTLES));

        let seen = Instant::now();
        tokio::time::advance(SETTLES).await;
        let mut later = Fence::now();
        later.ask();
        assert!(!later.lets(&released, &silence, SETTLES));
        later.over_since(seen);
        assert!(later.lets(&released, &silence, SETTLES), "the lane was released long ago");
    }
}
