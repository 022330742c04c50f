//! One attempt behind a fence of our own.
//!
//! A server may answer before it has read the whole request, and the HTTP client may still hand over the last chunk after
//! that answer was judged "not sent". So the crossing that the client sees can be shut: afterwards it is certain, once and
//! for all, whether the attempt has crossed.

use std::sync::{Arc, Mutex, PoisonError};

use hub_core::{Attempt, Crossing};
use hub_failpoint::{Point, at as failpoint};

/// Shuts its crossing at the latest when it is dropped (the send was given up).
#[derive(Debug)]
pub(crate) struct Fence {
    shut: Arc<Mutex<bool>>,
    /// The attempt to hand to the client.
    pub(crate) inner: Attempt,
}

impl Fence {
    pub(crate) fn around(attempt: &Attempt) -> Self {
        let shut = Arc::new(Mutex::new(false));
        let (gate, outer) = (Arc::clone(&shut), attempt.clone());
        let crossing = Crossing::new(move || {
            // Held while crossing: who shuts it waits, and then knows.
            let shut = gate.lock().unwrap_or_else(PoisonError::into_inner);
            if *shut {
                return Err("the exchange is over".into());
            }
            failpoint(Point::SiopeCrossing);
            outer.cross().map_err(|error| error.to_string())?;
            failpoint(Point::SiopeCrossed);
            Ok(())
        });
        Self { shut, inner: Attempt { crossing, ..attempt.clone() } }
    }

    /// From here on the attempt does not cross any more.
    pub(crate) fn shut(&self) {
        *self.shut.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }
}

impl Drop for Fence {
    fn drop(&mut self) {
        self.shut();
    }
}

#[cfg(test)]
mod tests {
    use hub_testkit::{ManualClock, bench};

    use super::*;

    #[test]
    fn what_was_shut_does_not_cross_any_more() {
        let attempt = bench::attempt(&ManualClock::working_day(), Crossing::unfenced());
        let late = Fence::around(&attempt).inner.clone();
        assert!(late.cross().unwrap_err().to_string().contains("over"));
        assert!(!attempt.crossing.crossed());
        let fence = Fence::around(&attempt);
        fence.inner.cross().unwrap();
        assert!(attempt.crossing.crossed());
        let closed = bench::attempt(&ManualClock::working_day(), Crossing::new(|| Err("time is over".into())));
        assert!(Fence::around(&closed).inner.cross().unwrap_err().to_string().contains("time is over"));
    }
}
