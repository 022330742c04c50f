//! A store that was put back does not know what its lost future has sent.
//!
//! `Recovered` turns whatever it knows as undelivered into a doubt: some life of the hub that the store has never heard of
//! may have sent it, and may still run somewhere. No epoch of the store is that life, so that none can prove it over. A person
//! who releases the lane says two things (`Vouched`): those lives are over now, and what the receiver does not show once its
//! view has settled was not sent by them. The second counts only where the lost life is the *only* doubt: an attempt that the
//! store itself left open is decided by itself.

use hub_core::Repeat;
use hub_core::journal::ParkedKind;
use jiff::Timestamp;

use super::advance::{Cx, Next};
use super::doubt::{self, Doubt};
use super::{Command, Lost, Outbound, State};

/// The life that a doubt names when it is one that the store has lost. No epoch is called like this.
pub const LOST: &str = "lost";

/// The store was found old. `over_at`: when a person released the lane, if that was before.
pub(super) fn recovered(cx: &Cx<'_>, since: Timestamp, over_at: Option<Timestamp>) -> Next {
    let only = matches!(cx.from.state, State::Ready { .. }) && !cx.from.doubted;
    let from = Outbound { lost: Some(Lost { since, only }), ..cx.from.clone() };
    let lost = Cx { from: &from, ..*cx };
    match (&cx.from.state, &cx.from.witness) {
        (State::Sending { .. }, Some(witness)) => cx.delivered(witness.clone()),
        (State::Ready { .. } | State::Sending { .. } | State::InDoubt { .. }, _) => doubtful(&lost, since, over_at),
        (State::Parked { kind: ParkedKind::NotSent | ParkedKind::Rejected, reason }, _) => {
            let reason = format!("{reason}; since then a lost life of the hub may have tried again");
            lost.park(ParkedKind::InDoubt, reason)
        }
        (State::Parked { .. } | State::Delivered | State::GivenUp, _) => cx.stay(Vec::new()),
    }
}

fn doubtful(cx: &Cx<'_>, since: Timestamp, over_at: Option<Timestamp>) -> Next {
    let cause = format!("the store was put back, and a lost life of the hub may have sent it after {since}");
    let doubt = Doubt::lost(cx, cause, over_at);
    match cx.policy.repeat {
        Repeat::Harmless | Repeat::Keyed => {
            let not_before = match cx.from.state {
                State::Ready { not_before } => not_before,
                _ => cx.now.at,
            };
            let next = Outbound { state: State::Ready { not_before }, doubted: true, ..cx.from.clone() };
            (next, vec![Command::WakeAt(not_before)])
        }
        Repeat::Askable => doubt::wait(cx, doubt),
        Repeat::Forbidden => cx.park(ParkedKind::InDoubt, doubt.account(cx.from.attempts)),
    }
}

/// A person released the lane.
pub(super) fn vouched(cx: &Cx<'_>) -> Next {
    let only = cx.from.lost.is_some_and(|lost| lost.only);
    match &cx.from.state {
        State::InDoubt { epoch, not_after, .. } if epoch == LOST && *not_after == Timestamp::MAX => {
            doubt::with(cx, |doubt| doubt::wait(cx, doubt.vouched(cx)))
        }
        State::Parked { kind: ParkedKind::InDoubt, reason } if only && cx.policy.repeat == Repeat::Askable => {
            let doubt = Doubt::lost(cx, reason.clone(), None).vouched(cx);
            let commands = vec![Command::Released { action: "ask_again" }, Command::WakeAt(doubt.ask_at)];
            cx.to(doubt.into_state(), commands)
        }
        _ => cx.stay(Vec::new()),
    }
}

/// The receiver does not show it, and a person vouches that then no lost life has sent it: it is sent for the first time.
pub(super) fn never_sent(cx: &Cx<'_>) -> Next {
    let not_before = cx.now.at;
    let next = Outbound { state: State::Ready { not_before }, lost: asked(cx.from.lost), ..cx.from.clone() };
    (next, vec![Command::WakeAt(not_before)])
}

/// From now on the lost life is not the only doubt that there may be.
pub(super) fn asked(lost: Option<Lost>) -> Option<Lost> {
    lost.map(|lost| Lost { only: false, ..lost })
}
