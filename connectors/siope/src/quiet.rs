//! The pause that SIOPE+ asked for, kept for every call under the same identity.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use connector_http::client::Reply;
use hub_core::{Clock, Span};
use jiff::Timestamp;
use reqwest::StatusCode;

/// Pause after a 429 that does not say how long.
const PAUSE: Duration = Duration::from_secs(5);
/// The longest pause that a rate-limit header alone may cause; a 429 tells if it has to be longer.
const RESET_MAX: Duration = Duration::from_secs(300);

/// Who has to be quiet until when, by `idA2A`: SIOPE+ counts calls by caller.
#[derive(Debug)]
pub(crate) struct Quiet {
    clock: Arc<dyn Clock>,
    until: Mutex<HashMap<String, Timestamp>>,
}

impl Quiet {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, until: Mutex::default() }
    }

    /// How long a caller has to wait yet.
    pub(crate) fn wait(&self, id_a2a: &str) -> Option<Span> {
        let until = *self.until.lock().unwrap_or_else(PoisonError::into_inner).get(id_a2a)?;
        let left = Duration::try_from(until.duration_since(self.clock.now())).ok()?;
        (!left.is_zero()).then_some(Span(left))
    }

    /// Takes in what a reply says: 429 with `Retry-After`, or that its limit is used up (`X-RateLimit-Remaining: 0`).
    /// Gives the time to wait after a 429 or 503.
    pub(crate) fn hear(&self, id_a2a: &str, reply: &Reply) -> Option<Span> {
        let now = self.clock.now();
        let wish = reply.retry_after(now);
        let reset = number(reply, "x-ratelimit-reset").map(|seconds| Duration::from_secs(seconds).min(RESET_MAX));
        match reply.status {
            StatusCode::TOO_MANY_REQUESTS => {
                let pause = wish.map(|span| span.0).or(reset).unwrap_or(PAUSE);
                self.pause(id_a2a, now, pause);
                Some(Span(pause))
            }
            StatusCode::SERVICE_UNAVAILABLE => wish,
            _ => {
                if let (Some(0), Some(reset)) = (number(reply, "x-ratelimit-remaining"), reset) {
                    self.pause(id_a2a, now, reset);
                }
                None
            }
        }
    }

    fn pause(&self, id_a2a: &str, now: Timestamp, pause: Duration) {
        let end = now.checked_add(pause).unwrap_or(Timestamp::MAX);
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = until.insert(id_a2a.to_string(), end);
    }
}

fn number(reply: &Reply, name: &str) -> Option<u64> {
    reply.headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use hub_testkit::ManualClock;
    use reqwest::header::{HeaderMap, HeaderName};

    use super::*;

    fn reply(status: u16, headers: &[(&'static str, &str)]) -> Reply {
        let pairs = headers.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        let headers: HeaderMap = pairs.collect();
        Reply { status: StatusCode::from_u16(status).unwrap(), headers, body: Ok(bytes::Bytes::new()) }
    }

    #[test]
    fn a_wish_holds_for_its_caller_until_its_time_is_over() {
        let clock = Arc::new(ManualClock::working_day());
        let quiet = Quiet::new(clock.clone());
        assert_eq!(quiet.hear("A", &reply(429, &[("retry-after", "7")])).unwrap().to_string(), "7s");
        assert_eq!(quiet.wait("A").unwrap().to_string(), "7s");
        assert_eq!(quiet.wait("B"), None);
        clock.advance(Duration::from_secs(7));
        assert_eq!(quiet.wait("A"), None);
    }

    #[test]
    fn a_limit_used_up_is_not_tried_again() {
        let clock = Arc::new(ManualClock::working_day());
        let quiet = Quiet::new(clock);
        assert_eq!(quiet.hear("A", &reply(200, &[("x-ratelimit-remaining", "1"), ("x-ratelimit-reset", "9")])), None);
        assert_eq!(quiet.wait("A"), None);
        assert_eq!(quiet.hear("A", &reply(201, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "9")])), None);
        assert_eq!(quiet.wait("A").unwrap().to_string(), "9s");
        let _ = quiet.hear("B", &reply(200, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1790000000")]));
        assert_eq!(quiet.wait("B").unwrap().0, RESET_MAX);
        let _ = quiet.hear("C", &reply(429, &[]));
        assert_eq!(quiet.wait("C").unwrap().0, PAUSE);
    }
}
