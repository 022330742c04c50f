//! How messages come in.

use async_trait::async_trait;

use crate::{Body, Cause, Headers, MessageId, Problem, Span, Value};

/// Brings messages from outside. A source carries bytes and does not parse them.
///
/// # Contract
/// - The runtime strictly alternates `next`, `settle`, `next`, `settle`: one batch is in flight, and back-pressure is
///   simply that nobody calls `next`. Work that arrives meanwhile is the next batch, so group commit comes free.
/// - `next` waits until there is something; `Ok(None)` means that the source has ended and is closed. It changes
///   nothing outside: no file is moved, no mail is marked. It may be dropped at any await point (graceful stop); what it
///   had seen is seen again at the next start.
/// - `settle` is called with exactly one verdict for each message of the batch, in the same order, and only after
///   everything that was `Stored` or `Parked` is durable. Only now may the source delete, move, mark or answer. It is
///   never dropped half-way except by a crash: it must be repeatable, because after a crash the same messages come again
///   from `next` and are answered `Stored { again: true }`.
/// - The same message must get the same [`MessageId`] each time it is read.
/// - An error of `next` or `settle` makes the runtime close the source, wait (backoff) and open it anew.
#[async_trait]
pub trait Source: Send {
    /// Waits for the next batch, at most a few hundred messages.
    async fn next(&mut self) -> Result<Option<Intake>, SourceError>;

    /// Hears what became of each message of the last batch.
    async fn settle(&mut self, verdicts: Vec<Verdict>) -> Result<(), SourceError>;
}

/// One batch of a source.
#[derive(Debug, Default)]
pub struct Intake {
    /// The messages, in order.
    pub messages: Vec<Incoming>,
    /// Where a polling source stands after this batch; becomes durable together with the messages and is handed to the
    /// source when it is opened again ([`crate::plugin::OpenCx::cursor`]). `None` leaves it as it was.
    pub cursor: Option<Value>,
}

/// A message as a source hands it over: nothing has been judged yet.
#[derive(Debug)]
pub struct Incoming {
    /// Stable identity, derived from the origin.
    pub id: MessageId,
    /// The sender's key, for sources whose senders retry. The same key with the same content is answered with the first
    /// answer; the same key with other content is a [`Verdict::Conflict`].
    pub key: Option<TransportKey>,
    /// Facts about the message.
    pub headers: Headers,
    /// The bytes.
    pub body: Body,
    /// Whether the source can tell its sender that a message is refused (HTTP, SOAP). Where it cannot (files, mail), a
    /// message that is not admitted is kept with its raw bytes and parked with the reason.
    pub answerable: bool,
}

/// An idempotency key, scoped by the authenticated sender (and, by the runtime, by the route).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportKey {
    /// Who sent it, as authenticated; empty where there is no authentication (a folder).
    pub sender: String,
    /// The key as the sender wrote it.
    pub key: String,
}

/// What became of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Taken and durable, under this id. `again`: an earlier delivery of the same message had been taken already.
    Stored {
        /// The id under which it is known (the first one, if `again`).
        id: MessageId,
        /// The case it belongs to.
        case: String,
        /// Whether this is the answer to a repetition.
        again: bool,
    },
    /// Not admitted, but kept byte for byte and parked with the reason (sources that cannot answer).
    Parked {
        /// The id under which it is parked.
        id: MessageId,
    },
    /// Not taken: these are all the reasons.
    Refused {
        /// Everything that is wrong with it.
        problems: Vec<Problem>,
    },
    /// Not taken: the key was used before with other content, or the same business operation was taken under another key.
    Conflict {
        /// What it collides with.
        detail: String,
    },
    /// Not taken: the hub is full; try again later.
    Busy {
        /// How long to wait.
        retry_after: Span,
    },
}

/// Why a source stopped working.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The other side cannot be reached or answers with an error for now: the source is opened again after a pause.
    #[error("source unavailable: {cause}")]
    Unavailable {
        /// What happened.
        cause: Cause,
        /// How long the other side asked us to wait.
        retry_after: Option<Span>,
    },
    /// The configuration or the other side's answers make no sense: an operator has to look, retries go on slowly.
    #[error("source broken: {cause}")]
    Broken {
        /// What happened.
        cause: Cause,
    },
}

impl SourceError {
    /// Shorthand for [`SourceError::Unavailable`] without a wish of the other side.
    pub fn unavailable(cause: impl Into<Cause>) -> Self {
        Self::Unavailable { cause: cause.into(), retry_after: None }
    }
}
