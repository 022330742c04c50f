//! How messages go out, and what is known afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Body, Case, Cause, Headers, MessageId, Span, Value};

/// Sends. The only thing in Raccordo that changes the outside world.
///
/// # Contract
/// - Before `send` the runtime has made its intent durable (attempt number, epoch, `not_after`). A send without a recorded
///   intent does not exist.
/// - **The crossing point** is the last moment at which it is certain that the receiver cannot act yet; for HTTP, handing
///   over the last chunk of the body. The sink must call [`Attempt::cross`] right before it and stop if that refuses.
///   Errors before it are [`SendError::NotSent`], errors after it [`SendError::InDoubt`], unless the receiver's own answer
///   says otherwise ([`Attempt::failed`] chooses by that rule).
/// - `send` may be dropped (overall time limit, stop). The runtime then judges by the same rule: not crossed means not
///   sent, crossed means in doubt.
/// - Each attempt sends the same bytes under the same [`Attempt::key`].
/// - `resolve` asks the other side what became of an attempt. It must not change anything. `NotDelivered` means "not there,
///   and can no longer arrive"; a connector that cannot promise that answers `Unknown`.
/// - The defaults are the safe ones: a sink that says nothing is never repeated after a doubt.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Sends one message once.
    async fn send(&self, out: &Outgoing, attempt: &Attempt) -> Result<Receipt, SendError>;

    /// Finds out what became of an attempt that is in doubt. An error means "could not ask", and is asked again.
    async fn resolve(&self, _out: &Outgoing, _attempt: &Attempt) -> Result<Resolution, SendError> {
        Ok(Resolution::Unknown { evidence: Value::Null })
    }

    /// What sending the same again means to the receiver.
    fn repeat(&self) -> Repeat {
        Repeat::Forbidden
    }

    /// How long after the end of an attempt the receiver's view of it is final: before that, "not there" says nothing.
    fn settles_after(&self) -> Duration {
        Duration::from_secs(60)
    }

    /// How much at once, and how long.
    fn limits(&self) -> Limits {
        Limits::default()
    }

    /// The sink's own lane for this message, where the receiver asks for an order of its own (SIOPE+: one body, one
    /// flow at a time). `None`: the message's lane.
    fn lane(&self, _out: &Outgoing) -> Option<String> {
        None
    }
}

/// A message on its way out.
#[derive(Clone, Debug, PartialEq)]
pub struct Outgoing {
    /// Identity of this send: message and place in the route; the same in each attempt.
    pub id: MessageId,
    /// The message that caused it.
    pub message: MessageId,
    /// The case.
    pub case: Case,
    /// Headers.
    pub headers: Headers,
    /// The bytes to send.
    pub body: Body,
    /// Values of the sink configuration's expression fields, by field name.
    pub params: Value,
    /// What earlier steps bound by `as` and `set`, by name.
    pub bound: Value,
}

/// One try to send.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The idempotency key: the same in each attempt of one outgoing message.
    pub key: String,
    /// 1 for the first.
    pub number: u32,
    /// When the first attempt began; `resolve` looks from here (minus slack).
    pub first_at: Timestamp,
    /// When this attempt began.
    pub at: Timestamp,
    /// The point of no return of this attempt.
    pub crossing: Arc<Crossing>,
}

impl Attempt {
    /// Asks whether the attempt may cross, and records that it does. Call right before the crossing point.
    ///
    /// # Errors
    /// `NotSent` when the attempt is no longer allowed (its time is over, the hub is no longer the owner).
    pub fn cross(&self) -> Result<(), SendError> {
        self.crossing.cross()
    }

    /// Classifies a failure by whether the attempt has crossed.
    pub fn failed(&self, cause: impl Into<Cause>) -> SendError {
        if self.crossing.crossed() {
            SendError::InDoubt { cause: cause.into() }
        } else {
            SendError::NotSent { retry_after: None, cause: cause.into() }
        }
    }
}

/// The point of no return of one attempt, and the fence in front of it.
pub struct Crossing {
    crossed: AtomicBool,
    open: Box<dyn Fn() -> Result<(), String> + Send + Sync>,
}

impl Crossing {
    /// A crossing behind a fence: `open` says whether the attempt may still cross, or why not.
    pub fn new(open: impl Fn() -> Result<(), String> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { crossed: AtomicBool::new(false), open: Box::new(open) })
    }

    /// A crossing without a fence, for tests of sinks.
    #[must_use]
    pub fn unfenced() -> Arc<Self> {
        Self::new(|| Ok(()))
    }

    /// Whether the attempt has crossed: from here on nobody may say "not sent".
    #[must_use]
    pub fn crossed(&self) -> bool {
        self.crossed.load(Ordering::SeqCst)
    }

    fn cross(&self) -> Result<(), SendError> {
        if let Err(reason) = (self.open)() {
            return Err(SendError::NotSent { retry_after: None, cause: reason.into() });
        }
        self.crossed.store(true, Ordering::SeqCst);
        Ok(())
    }
}

impl std::fmt::Debug for Crossing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Crossing").field("crossed", &self.crossed()).finish_non_exhaustive()
    }
}

/// Proof that a send happened.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Receipt {
    /// The receiver's name for it, for example SIOPE+'s `progFlusso`.
    pub remote_id: Option<String>,
    /// What `to: ..., as: name` binds: the receiver's answer as a value.
    pub reply: Value,
    /// The receiver's answer byte for byte, where it is worth keeping (at most a few kB).
    #[serde(skip)]
    pub raw: Option<Bytes>,
}

/// The ways a send ends badly.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Surely no effect: it is tried again with backoff.
    #[error("not sent: {cause}")]
    NotSent {
        /// How long the receiver asked us to wait.
        retry_after: Option<Span>,
        /// What happened.
        cause: Cause,
    },
    /// Surely refused: dead letter, with code and reason.
    #[error("rejected with {code}: {cause}")]
    Rejected {
        /// The receiver's code.
        code: String,
        /// The receiver's reason.
        cause: Cause,
    },
    /// Nobody knows: resolve first.
    #[error("in doubt: {cause}")]
    InDoubt {
        /// What happened.
        cause: Cause,
    },
}

/// What a resolver found out.
#[derive(Clone, Debug, PartialEq)]
pub enum Resolution {
    /// It arrived, and here is the proof.
    Delivered(Receipt),
    /// It is not there **and can no longer arrive**.
    NotDelivered {
        /// What was looked at.
        evidence: Value,
    },
    /// The other side cannot say (yet).
    Unknown {
        /// What was looked at.
        evidence: Value,
    },
}

/// What sending the same again means to the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Repeat {
    /// Repeating changes nothing: an HTTP PUT, a file with a temporary name and a rename.
    Harmless,
    /// The receiver drops a known key.
    Keyed,
    /// [`Sink::resolve`] finds out.
    Askable,
    /// Neither: a person decides.
    Forbidden,
}

/// How much a sink takes at once, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sends under way at once over all lanes; within a lane it is always one.
    pub in_flight: usize,
    /// After this an attempt may no longer cross.
    pub attempt: Duration,
    /// Whether a message in doubt (parked ones included) holds up its lane.
    pub doubt_holds_lane: bool,
    /// Pause between two `resolve` calls.
    pub resolve_every: Duration,
    /// How long `resolve` is asked before the message is parked.
    pub patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            in_flight: 16,
            attempt: Duration::from_secs(30),
            doubt_holds_lane: false,
            resolve_every: Duration::from_secs(5),
            patience: Duration::from_secs(300),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(crossing: Arc<Crossing>) -> Attempt {
        let at = Timestamp::UNIX_EPOCH;
        Attempt { key: "k".into(), number: 1, first_at: at, at, crossing }
    }

    #[test]
    fn failures_are_not_sent_before_the_crossing_and_in_doubt_after_it() {
        let attempt = attempt(Crossing::unfenced());
        assert!(matches!(attempt.failed("reset"), SendError::NotSent { .. }));
        attempt.cross().unwrap();
        assert!(matches!(attempt.failed("reset"), SendError::InDoubt { .. }));
    }

    #[test]
    fn a_closed_fence_stops_the_crossing() {
        let attempt = attempt(Crossing::new(|| Err("not_after has passed".into())));
        assert!(matches!(attempt.cross(), Err(SendError::NotSent { .. })));
        assert!(!attempt.crossing.crossed());
    }
}
