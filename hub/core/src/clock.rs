//! Time, as a value that is handed in.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;

use jiff::Timestamp;

/// Where time comes from. Production reads the wall clock, tests turn a hand.
pub trait Clock: Debug + Send + Sync {
    /// The present instant, UTC.
    fn now(&self) -> Timestamp;

    /// Completes when `now()` has reached `until`. Dropping the future is always safe.
    fn sleep_until(&self, until: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}
