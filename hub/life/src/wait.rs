//! The life of a wait: an answer against a deadline, whichever its owner sees first.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What is durable about one wait.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WaitState {
    /// Until when.
    pub deadline: Timestamp,
    /// Where it stands.
    pub state: State,
}

/// Where a wait stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nobody has answered.
    Open,
    /// The deadline has passed, and a task or a parked message says so; a late answer still counts.
    Overdue,
    /// Answered by this message. Final.
    Answered(String),
    /// The deadline has passed and the route went on another way. Final.
    Expired,
    /// A person gave it up. Final.
    GivenUp,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An answer came, brought by this message.
    Answer(String),
    /// The deadline has come. `goes_on`: the route has another way (`on_timeout: steps`).
    DeadlineDue {
        /// Whether the route goes on another way.
        goes_on: bool,
    },
    /// A person wants to wait again, until then.
    Again(Timestamp),
    /// A person gave it up.
    GiveUp,
}

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// The message goes on with the answer.
    WakeWithAnswer,
    /// The message goes on the other way.
    WakeWithTimeout,
    /// Tell people (park, or open a task).
    TellPeople,
    /// Come back at this instant.
    WakeAt(Timestamp),
}

/// What becomes of a wait when `event` happens. Whatever its owner sees first wins: an answer counts until the wait is
/// final, even after its deadline.
///
/// | state | event | becomes | commands |
/// |---|---|---|---|
/// | `Open`, `Overdue` | `Answer` | `Answered` | `WakeWithAnswer` |
/// | `Open` | `DeadlineDue`, early | same | `WakeAt` |
/// | `Open` | `DeadlineDue`, the route goes on | `Expired` | `WakeWithTimeout` |
/// | `Open` | `DeadlineDue`, it does not | `Overdue` | `TellPeople` |
/// | `Overdue` | `Again`, in the future | `Open` | `WakeAt` |
/// | `Open`, `Overdue` | `GiveUp` | `GivenUp` | |
///
/// Anything else changes nothing and gives no command. After a restart the owner hands in `DeadlineDue` for each open wait.
#[must_use]
pub fn advance(wait: &WaitState, event: Event, now: Timestamp) -> (WaitState, Vec<Command>) {
    let deadline = wait.deadline;
    let to = |state, command: Option<Command>| (WaitState { deadline, state }, command.into_iter().collect());
    match (&wait.state, event) {
        (State::Open | State::Overdue, Event::Answer(by)) => to(State::Answered(by), Some(Command::WakeWithAnswer)),
        (State::Open, Event::DeadlineDue { .. }) if now < deadline => to(State::Open, Some(Command::WakeAt(deadline))),
        (State::Open, Event::DeadlineDue { goes_on: true }) => to(State::Expired, Some(Command::WakeWithTimeout)),
        (State::Open, Event::DeadlineDue { goes_on: false }) => to(State::Overdue, Some(Command::TellPeople)),
        (State::Overdue, Event::Again(until)) if now < until => {
            (WaitState { deadline: until, state: State::Open }, vec![Command::WakeAt(until)])
        }
        (State::Open | State::Overdue, Event::GiveUp) => to(State::GivenUp, None),
        _ => (wait.clone(), Vec::new()),
    }
}

impl WaitState {
    /// A wait for an answer until `deadline`.
    #[must_use]
    pub fn new(deadline: Timestamp) -> Self {
        Self { deadline, state: State::Open }
    }

    /// Whether nothing will happen to it any more.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self.state, State::Answered(_) | State::Expired | State::GivenUp)
    }
}
