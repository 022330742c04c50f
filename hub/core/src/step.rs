//! How messages change.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{Cause, Message, Problem, Value};

/// Computes: takes a message and gives it back changed, or says what is wrong with it.
///
/// # Contract
/// - A step changes nothing outside. It may read (a signing device, a look-up); it may run again after a crash and then
///   must come to the same result, so `now`, ids and numbers come from [`Scope`] and the message, never from the wall
///   clock or a random generator.
/// - `apply` may be dropped at any await point.
/// - `Invalid` parks the message (or refuses it, during admission) with all problems; `Unavailable` is retried with
///   backoff and keeps the message's place in its lane.
#[async_trait]
pub trait Step: Send + Sync {
    /// Works on one message.
    async fn apply(&self, message: Message, scope: &Scope<'_>) -> Result<Applied, StepError>;
}

/// What a step sees beside the message.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The message's own time: when it was admitted (or when its segment was woken). The same in every repetition.
    pub now: Timestamp,
    /// The row of `case.entity` in `config/entities.yaml`, or `null`.
    pub entity: &'a Value,
    /// Values of the configuration's expression fields, by field name.
    pub params: &'a Value,
    /// What earlier steps bound by `as` and `set`, by name.
    pub bound: &'a Value,
}

/// A step's result.
#[derive(Debug)]
pub struct Applied {
    /// The message, changed or not.
    pub message: Message,
    /// What the route may bind by `as:`; `null` if the step has nothing to say.
    pub result: Value,
}

impl Applied {
    /// The message, with nothing to bind.
    #[must_use]
    pub fn unchanged(message: Message) -> Self {
        Self { message, result: Value::Null }
    }
}

/// Why a step could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The message is wrong; doing it again changes nothing.
    #[error("invalid message: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<Problem>),
    /// Something that the step needs is not there for now (an HSM, a look-up).
    #[error("step unavailable: {0}")]
    Unavailable(Cause),
}

impl StepError {
    /// One problem.
    pub fn invalid(code: impl Into<String>, field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Invalid(vec![Problem::at(code, field, detail)])
    }
}
