//! The life of one outbound message: pure, total, checked over every short history (`tests/life/`).
//!
//! [`advance`] takes what is durable, one event and the moment, and gives what has to be durable next, and what the world
//! has to do then. An event that is not in this table changes nothing and gives no command.
//!
//! | state | event | becomes | commands |
//! |---|---|---|---|
//! | `Ready` | `Due`, early | same | `WakeAt` |
//! | `Ready` | `Due` | `Sending` of this life | `Send` |
//! | `Ready`, an earlier attempt in doubt | `Due`, the sink may no longer be repeated | `Parked(InDoubt)` | `Park` |
//! | `Ready` | `Restarted` | same | `WakeAt` |
//! | `Sending` of this life | `Ended(Receipt)` | `Delivered` | `GoOn` |
//! | `Sending` of this life | `Ended(NotSent)` | *try again* | |
//! | `Sending` of this life | `Ended(Rejected)` | `Parked(Rejected)`¹ | `Park` |
//! | `Sending` of this life | `Ended(InDoubt)` | *doubt* | |
//! | `Sending` of another life | `Restarted` | *doubt* | |
//! | `Sending` | `Witnessed` | same, proof kept | |
//! | `Sending`, proof kept | any `Ended`; `Restarted` of another life | `Delivered` | `GoOn` |
//! | `InDoubt` | `AskDue`, early | same | `WakeAt` |
//! | `InDoubt` | `AskDue`, a question is under way | same | |
//! | `InDoubt` | `AskDue` | same, one more question | `Ask` |
//! | `InDoubt` | `Restarted` | same, no question under way | `WakeAt` |
//! | `InDoubt` | `Asked(Delivered)` | `Delivered` | `GoOn` |
//! | `InDoubt` | `Asked(NotDelivered)` inside the fence | *try again* | |
//! | `InDoubt` | any other `Asked` | same, or `Parked(InDoubt)` when patience is over | `WakeAt` or `Park` |
//! | `Ready`, `InDoubt` | `Witnessed` | `Delivered` | `GoOn` |
//! | `Parked(NotSent, Rejected, InDoubt)` | `Witnessed` | `Delivered` | `Released`, `GoOn` |
//! | `Parked(NotSent, Rejected, Step)` | `Person(Retry)` | `Ready` | `Released`, `WakeAt` |
//! | `Parked(InDoubt)` | `Person(NotDelivered)` | `Ready` | `Released`, `WakeAt` |
//! | `Parked(InDoubt)` | `Person(Delivered)` | `Delivered` | `Released`, `GoOn` |
//! | `Parked` | `Person(GiveUp)` | `GivenUp` | `Released` |
//! | `GivenUp` | `Witnessed` | same | `LateProof` |
//! | `Ready`, `Sending`, `InDoubt` | `Recovered` | *lost doubt* | |
//! | `Parked(NotSent, Rejected)` | `Recovered` | `Parked(InDoubt)` | `Park` |
//! | `InDoubt` by a lost life | `Vouched` | same, that life is over | `WakeAt` |
//! | `Parked(InDoubt)` only by a lost life, askable | `Vouched` | `InDoubt`, that life is over | `Released`, `WakeAt` |
//! | `InDoubt` only by a lost life that is over | `Asked(NotDelivered, Unknown)` inside the fence | `Ready` | `WakeAt` |
//!
//! *Try again*: `Ready` after a pause, and `WakeAt`; when the tries are over `Parked(NotSent)`¹ and `Park`.
//!
//! *Doubt* depends on what repeating means to the receiver. Harmless or keyed: try again, and remember that an attempt is in
//! doubt. Askable: `InDoubt` and `WakeAt`. Forbidden: `Parked(InDoubt)` and `Park`.
//!
//! *Lost doubt*: the store was put back, and a life that it has lost may have sent the message. Harmless or keyed: `Ready`, and
//! remember the doubt. Askable: `InDoubt` with the fence open until a person releases the lane (`Vouched`). Forbidden:
//! `Parked(InDoubt)` and `Park`. With a proof kept: `Delivered`.
//!
//! ¹ `Parked(InDoubt)` where an earlier attempt is in doubt: nobody may tell a person "surely not sent" then.
//!
//! **The fence.** `NotDelivered` leads to another attempt only if the life that tried is provably over (or the attempt is
//! known to have ended), `settles_after` has passed since *that was established*, and the question was put after it. An
//! answer that was formed earlier may have missed bytes that were still on their way; a life that is found to be over late
//! may have sent until that moment.
//!
//! **What the caller owes.** The new state is durable before any command is carried out, and the commands that are records
//! ([`Command::is_record`]) are committed together with it. A life carries out each `Send` once and hands in one `Ended` for
//! it, each `Ask` once and one `Asked` for it (time limits and panics included). After opening the store each message that
//! is not final gets one `Restarted`.

use std::time::Duration;

use hub_core::journal::ParkedKind;
use hub_core::{Receipt, Repeat, Value};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

mod advance;
mod doubt;
mod lost;

pub use advance::{RETRY_AFTER_MAX, advance};
pub use lost::LOST;

/// What is durable about one outbound message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outbound {
    /// Where it stands.
    pub state: State,
    /// Attempts that were intended so far.
    pub attempts: u32,
    /// Attempts without a receipt since the last decision of a person: surely without effect, or allowed to be repeated.
    pub failures: u32,
    /// When the first attempt was intended.
    pub first_at: Option<Timestamp>,
    /// Proof that arrived while an attempt was under way.
    pub witness: Option<Receipt>,
    /// Whether an attempt in doubt was, or will be, repeated because repeating is harmless: from then on nobody can say
    /// "surely not sent" until a person does.
    #[serde(default)]
    pub doubted: bool,
    /// What a life of the hub that the store has lost may have done with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<Lost>,
}

/// What a life of the hub that the store has lost may have done with a message: the store was put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// It may have sent it from then on.
    pub since: Timestamp,
    /// Whether that is the only doubt: the store itself knows of no attempt without an outcome.
    pub only: bool,
}

impl Outbound {
    /// A message that may be sent at once.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        let state = State::Ready { not_before: now };
        Self { state, attempts: 0, failures: 0, first_at: None, witness: None, doubted: false, lost: None }
    }

    /// From when on the receiver may know it: the first attempt, or the beginning of what the store has lost.
    #[must_use]
    pub fn known_from(&self) -> Option<Timestamp> {
        let lost = self.lost.map(|lost| lost.since);
        self.first_at.map_or(lost, |first| Some(lost.map_or(first, |lost| lost.min(first))))
    }

    /// Whether the messages behind it in its lane have to wait for it.
    #[must_use]
    pub fn holds_lane(&self, policy: &Policy) -> bool {
        match &self.state {
            State::Ready { .. } | State::Sending { .. } | State::InDoubt { .. } => true,
            State::Parked { kind, .. } => *kind == ParkedKind::InDoubt && policy.doubt_holds_lane,
            State::Delivered | State::GivenUp => false,
        }
    }

    /// Whether nothing will happen to it any more.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self.state, State::Delivered | State::GivenUp)
    }
}

/// Where an outbound message stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// May be sent, not before this instant.
    Ready {
        /// Earliest begin.
        not_before: Timestamp,
    },
    /// An attempt is under way: the intent is durable.
    Sending {
        /// The hub's life that tries.
        epoch: String,
        /// When it began.
        at: Timestamp,
        /// After this it may not cross.
        not_after: Timestamp,
    },
    /// An attempt ended and nobody knows how.
    InDoubt {
        /// The life that tried; [`LOST`] when it is one that the store has lost.
        epoch: String,
        /// Since when the attempt is known to have ended (own attempt), or was found (another life's).
        since: Timestamp,
        /// After this the attempt could not cross: its end, or the moment at which its life was found to be over.
        /// [`Timestamp::MAX`] while that life may still run: a frozen process can cross at any time.
        not_after: Timestamp,
        /// What happened.
        cause: String,
        /// When to ask the receiver next.
        ask_at: Timestamp,
        /// How often it was asked.
        asked: u32,
        /// When the question that is under way was put; `None` between two questions.
        #[serde(default)]
        asking: Option<Timestamp>,
        /// What the last answer looked at.
        evidence: Value,
    },
    /// A person has to decide.
    Parked {
        /// What they may do.
        kind: ParkedKind,
        /// In words.
        reason: String,
    },
    /// The receiver has it. Final.
    Delivered,
    /// A person decided that it is not to be sent. Final.
    GivenUp,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// `not_before` has come, the lane is free, and the sender has a place.
    Due,
    /// The attempt of this life ended.
    Ended(Ended),
    /// This hub opened the store and found the message like this. `over`: the life that tried (if any) is provably over.
    Restarted {
        /// Whether the epoch of the open attempt is provably over.
        over: bool,
    },
    /// `ask_at` has come.
    AskDue,
    /// The receiver was asked.
    Asked {
        /// Its answer.
        answer: Answer,
        /// Whether the life that tried is provably over, or is ours (its attempt has ended).
        over: bool,
    },
    /// An answer came through another door that proves the delivery.
    Witnessed(Receipt),
    /// A person decided.
    Person(Action),
    /// The store was found to be an old one that was put back.
    Recovered {
        /// From when on a lost life may have sent the message.
        since: Timestamp,
        /// When a person released the lane, if that was before the message came to the outbox.
        over_at: Option<Timestamp>,
    },
    /// A person released the lane: no lost life runs any more, and what the receiver does not show was not sent by one.
    Vouched,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ended {
    /// With a receipt.
    Receipt(Receipt),
    /// Surely without effect.
    NotSent {
        /// How long the receiver asked us to wait.
        retry_after: Option<Duration>,
        /// What happened.
        cause: String,
    },
    /// Surely refused.
    Rejected {
        /// The receiver's code.
        code: String,
        /// The receiver's reason.
        cause: String,
    },
    /// Nobody knows.
    InDoubt {
        /// What happened.
        cause: String,
    },
}

/// What the receiver said when it was asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// It has it.
    Delivered(Receipt),
    /// It does not, and can no longer get it.
    NotDelivered(Value),
    /// It cannot say.
    Unknown(Value),
    /// It could not be asked ("busy" is not an answer).
    CouldNotAsk(String),
}

/// What a person decided about a parked message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Try again (kinds that surely had no effect).
    Retry,
    /// It did arrive: go on as if the receipt had come.
    Delivered,
    /// It did not arrive: send the same bytes again.
    NotDelivered,
    /// It shall not be sent.
    GiveUp,
}

/// What the world has to do now. State first: the new state is durable before any command is carried out.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Call the sink (attempt number = `attempts` of the new state).
    Send,
    /// Call the sink's `resolve`.
    Ask,
    /// Come back with `Due` or `AskDue` at this instant.
    WakeAt(Timestamp),
    /// Go on with the route.
    GoOn(Receipt),
    /// Tell people.
    Park {
        /// What they may do.
        kind: ParkedKind,
        /// In words.
        reason: String,
    },
    /// Write down that a parked message is no longer parked.
    Released {
        /// `retry`, `delivered`, `not_delivered`, `give_up`, `settled` (by a witness), `ask_again` (by the lane's release).
        action: &'static str,
    },
    /// Proof of a delivery came for a message that a person had given up: tell people.
    LateProof,
}

impl Command {
    /// Whether the command is a record that has to become durable in one write with the new state: nothing would give it
    /// again after a crash. The others (`Send`, `Ask`, `WakeAt`) come after that write; if a crash swallows them,
    /// [`Event::Restarted`] leads on.
    #[must_use]
    pub fn is_record(&self) -> bool {
        !matches!(self, Self::Send | Self::Ask | Self::WakeAt(_))
    }
}

/// How this sink and this route behave.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// What repeating means to the receiver.
    pub repeat: Repeat,
    /// How long after the end of an attempt the receiver's view is final.
    pub settles_after: Duration,
    /// How long to ask before parking.
    pub patience: Duration,
    /// Pause between two questions.
    pub resolve_every: Duration,
    /// How long an attempt may take before it must have crossed.
    pub attempt: Duration,
    /// Tries after the first one.
    pub times: u32,
    /// First pause.
    pub min: Duration,
    /// Longest pause.
    pub max: Duration,
    /// Whether a doubt holds up the lane, even when parked.
    pub doubt_holds_lane: bool,
}

/// The moment at which an event is judged.
#[derive(Clone, Copy, Debug)]
pub struct Now<'a> {
    /// The present instant.
    pub at: Timestamp,
    /// This hub's life.
    pub epoch: &'a str,
}
