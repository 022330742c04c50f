//! The vocabulary of Raccordo: what a message is, who brings it, who changes it, who sends it, and what is written down.
//!
//! Nothing here performs I/O, knows YAML or depends on an async runtime. Read in this order:
//!
//! 1. [`Message`], [`Body`], [`Case`], [`Lane`]: what travels.
//! 2. [`Source`], [`Step`], [`Sink`]: the three contracts a plug-in may fulfil; their comments are the specification.
//! 3. [`plugin`]: how a plug-in declares its configuration, once, as one struct.
//! 4. [`journal`]: the events from which cases, history and statistics are computed.
//!
//! Words, used the same way everywhere: a *source* brings *messages*; a *route* is a chain of *segments* of *steps*;
//! a *sink* is the only thing that changes the outside world; a *receipt* proves a send; a message that nobody may
//! decide about automatically is *parked* for a person; a *lane* is the unit of order; a *case* is the business story.

pub mod clock;
pub mod journal;
pub mod plugin;

mod case;
mod entities;
mod expression;
mod message;
mod problem;
mod secret;
mod sink;
mod source;
mod step;
mod units;
mod value;

pub use case::{Case, CaseId};
pub use clock::Clock;
pub use entities::Entities;
pub use expression::Expr;
pub use message::{Body, Headers, Lane, Media, Message, MessageId, header};
pub use problem::{Cause, Problem};
pub use secret::Secret;
pub use sink::{Attempt, Crossing, Limits, Outgoing, Receipt, Repeat, Resolution, SendError, Sink};
pub use source::{Incoming, Intake, Source, SourceError, TransportKey, Verdict};
pub use step::{Applied, Scope, Step, StepError};
pub use units::{Bytesize, Span};
pub use value::{Value, decimal_of, read_json, sha256_hex};
