//! One step of an outbound message's life.

use std::time::Duration;

use hub_core::journal::ParkedKind;
use hub_core::{Receipt, Repeat};
use jiff::Timestamp;

use super::doubt::{self, Doubt};
use super::lost;
use super::{Action, Command, Ended, Event, Now, Outbound, Policy, State};

/// The longest pause that a receiver's `Retry-After` can impose: a mistaken one must not bury a payment.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What becomes of an outbound message when `event` happens, and what the world has to do then. See the module's table;
/// total: what is not in it changes nothing.
#[must_use]
pub fn advance(outbound: &Outbound, event: Event, now: &Now<'_>, policy: &Policy) -> (Outbound, Vec<Command>) {
    let cx = Cx { from: outbound, now, policy };
    match (&outbound.state, event) {
        (State::Ready { not_before }, Event::Due) => due(&cx, *not_before),
        (State::Sending { epoch, not_after, .. }, Event::Ended(ended)) if epoch == now.epoch => {
            end(&cx, ended, *not_after)
        }
        (State::Sending { epoch, .. }, Event::Restarted { over }) if epoch != now.epoch => orphaned(&cx, epoch, over),
        (State::Ready { not_before }, Event::Restarted { .. }) => cx.stay(vec![Command::WakeAt(*not_before)]),
        (State::InDoubt { .. }, Event::Restarted { over }) => doubt::reopened(&cx, over),
        (State::InDoubt { .. }, Event::AskDue) => doubt::ask_due(&cx),
        (State::InDoubt { .. }, Event::Asked { answer, over }) => doubt::asked(&cx, answer, over),
        (_, Event::Witnessed(receipt)) => witnessed(&cx, receipt),
        (State::Parked { kind, .. }, Event::Person(action)) => decided(&cx, *kind, action),
        (_, Event::Recovered { since, over_at }) => lost::recovered(&cx, since, over_at),
        (_, Event::Vouched) => lost::vouched(&cx),
        _ => cx.stay(Vec::new()),
    }
}

/// The next state and its commands.
pub(super) type Next = (Outbound, Vec<Command>);

/// What a transition sees.
pub(super) struct Cx<'a> {
    pub(super) from: &'a Outbound,
    pub(super) now: &'a Now<'a>,
    pub(super) policy: &'a Policy,
}

impl Cx<'_> {
    /// Nothing changes.
    pub(super) fn stay(&self, commands: Vec<Command>) -> Next {
        (self.from.clone(), commands)
    }

    /// Another state, everything else as it was.
    pub(super) fn to(&self, state: State, commands: Vec<Command>) -> Next {
        (Outbound { state, ..self.from.clone() }, commands)
    }

    pub(super) fn delivered(&self, receipt: Receipt) -> Next {
        self.to(State::Delivered, vec![Command::GoOn(receipt)])
    }

    pub(super) fn park(&self, kind: ParkedKind, reason: String) -> Next {
        self.to(State::Parked { kind, reason: reason.clone() }, vec![Command::Park { kind, reason }])
    }

    /// Parks what surely had no effect; if an earlier attempt is in doubt, that is what a person has to know.
    fn park_without_effect(&self, kind: ParkedKind, reason: String) -> Next {
        match self.from.doubted {
            false => self.park(kind, reason),
            true => self.park(ParkedKind::InDoubt, format!("{reason}; an earlier attempt is in doubt")),
        }
    }

    /// Another try after a pause, while there are tries left.
    pub(super) fn try_again(&self, retry_after: Option<Duration>, reason: String) -> Next {
        let failures = self.from.failures.saturating_add(1);
        if failures > self.policy.times {
            let (mut next, commands) =
                self.park_without_effect(ParkedKind::NotSent, format!("{reason}; tries are over after {failures}"));
            next.failures = failures;
            return (next, commands);
        }
        let not_before = later(self.now.at, pause(self.policy, failures, retry_after));
        let state = State::Ready { not_before };
        (Outbound { state, failures, ..self.from.clone() }, vec![Command::WakeAt(not_before)])
    }

    /// Another try of an attempt that may have had an effect, because repeating does not hurt.
    fn repeat(&self, reason: String) -> Next {
        let from = Outbound { doubted: true, ..self.from.clone() };
        Cx { from: &from, ..*self }.try_again(None, reason)
    }

    /// An attempt may have had an effect: what now depends on what repeating means.
    fn doubt(&self, doubt: Doubt) -> Next {
        match self.policy.repeat {
            Repeat::Harmless | Repeat::Keyed => self.repeat(doubt.account(self.from.attempts)),
            Repeat::Askable => {
                let commands = vec![Command::WakeAt(doubt.ask_at)];
                self.to(doubt.into_state(), commands)
            }
            Repeat::Forbidden => self.park(ParkedKind::InDoubt, doubt.account(self.from.attempts)),
        }
    }

    /// Ready at once, by a person's word. `doubted`: whether that leaves an earlier attempt in doubt.
    fn released(&self, action: &'static str, doubted: bool) -> Next {
        let at = self.now.at;
        let state = State::Ready { not_before: at };
        let next = Outbound { state, failures: 0, doubted, ..self.from.clone() };
        (next, vec![Command::Released { action }, Command::WakeAt(at)])
    }
}

fn due(cx: &Cx<'_>, not_before: Timestamp) -> Next {
    let at = cx.now.at;
    if at < not_before {
        return cx.stay(vec![Command::WakeAt(not_before)]);
    }
    if cx.from.doubted && !may_repeat(cx.policy) {
        let reason = format!(
            "one of {} attempts is in doubt, and the sink no longer says that repeating is harmless",
            cx.from.attempts
        );
        return cx.park(ParkedKind::InDoubt, reason);
    }
    let next = Outbound {
        state: State::Sending { epoch: cx.now.epoch.to_owned(), at, not_after: later(at, cx.policy.attempt) },
        attempts: cx.from.attempts.saturating_add(1),
        first_at: cx.from.first_at.or(Some(at)),
        lost: lost::asked(cx.from.lost),
        ..cx.from.clone()
    };
    (next, vec![Command::Send])
}

fn end(cx: &Cx<'_>, ended: Ended, not_after: Timestamp) -> Next {
    let attempt = cx.from.attempts;
    match (ended, &cx.from.witness) {
        (Ended::Receipt(receipt), witness) => cx.delivered(completed(receipt, witness.as_ref())),
        (_, Some(witness)) => cx.delivered(witness.clone()),
        (Ended::NotSent { retry_after, cause }, None) => {
            cx.try_again(retry_after, format!("attempt {attempt} was not sent: {cause}"))
        }
        (Ended::Rejected { code, cause }, None) => {
            cx.park_without_effect(ParkedKind::Rejected, format!("attempt {attempt} was rejected with {code}: {cause}"))
        }
        (Ended::InDoubt { cause }, None) => cx.doubt(Doubt::ended(cx.now, not_after, cause, cx.policy)),
    }
}

/// The attempt of another life has nobody who could tell its end.
fn orphaned(cx: &Cx<'_>, epoch: &str, over: bool) -> Next {
    match &cx.from.witness {
        Some(witness) => cx.delivered(witness.clone()),
        None => cx.doubt(Doubt::orphaned(cx.now.at, epoch, cx.from.attempts, over)),
    }
}

fn witnessed(cx: &Cx<'_>, receipt: Receipt) -> Next {
    match &cx.from.state {
        State::Sending { .. } => (Outbound { witness: Some(receipt), ..cx.from.clone() }, Vec::new()),
        State::Ready { .. } | State::InDoubt { .. } => cx.delivered(receipt),
        State::Parked { kind: ParkedKind::NotSent | ParkedKind::Rejected | ParkedKind::InDoubt, .. } => {
            cx.to(State::Delivered, vec![Command::Released { action: "settled" }, Command::GoOn(receipt)])
        }
        State::GivenUp => cx.stay(vec![Command::LateProof]),
        State::Parked { .. } | State::Delivered => cx.stay(Vec::new()),
    }
}

fn decided(cx: &Cx<'_>, kind: ParkedKind, action: Action) -> Next {
    match (action, kind) {
        (Action::Retry, ParkedKind::NotSent | ParkedKind::Rejected | ParkedKind::Step) => {
            cx.released("retry", cx.from.doubted)
        }
        (Action::NotDelivered, ParkedKind::InDoubt) => cx.released("not_delivered", false),
        (Action::Delivered, ParkedKind::InDoubt) => {
            let commands = vec![Command::Released { action: "delivered" }, Command::GoOn(Receipt::default())];
            cx.to(State::Delivered, commands)
        }
        (Action::GiveUp, _) => cx.to(State::GivenUp, vec![Command::Released { action: "give_up" }]),
        _ => cx.stay(Vec::new()),
    }
}

/// The receipt of the end, with what only the witness knew.
fn completed(mut receipt: Receipt, witness: Option<&Receipt>) -> Receipt {
    if let Some(witness) = witness {
        receipt.remote_id = receipt.remote_id.or_else(|| witness.remote_id.clone());
        if receipt.reply.is_null() {
            receipt.reply = witness.reply.clone();
        }
    }
    receipt
}

fn may_repeat(policy: &Policy) -> bool {
    matches!(policy.repeat, Repeat::Harmless | Repeat::Keyed)
}

/// Doubles with each failure from `min` to at most `max`, but at least what the receiver asked for.
fn pause(policy: &Policy, failures: u32, retry_after: Option<Duration>) -> Duration {
    let factor = 2_u32.saturating_pow(failures.saturating_sub(1));
    let backoff = policy.min.saturating_mul(factor).min(policy.max);
    backoff.max(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX))
}

/// An instant later; the end of time if there is no such instant.
pub(super) fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}
