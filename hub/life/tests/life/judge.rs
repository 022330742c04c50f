//! The invariants.

use hub_core::Repeat;
use hub_core::journal::ParkedKind;
use hub_life::outbound::{Command, Event, Now, Outbound, Policy, State};

use crate::world::{Bounds, Node, World};

fn holds(condition: bool, what: &str) -> Result<(), String> {
    if condition { Ok(()) } else { Err(what.to_owned()) }
}

/// An effect that may have happened is never repeated, unless repeating does not hurt; nothing is sent after its proof.
pub(crate) fn send(world: &World, policy: &Policy) -> Result<(), String> {
    let harmless = matches!(policy.repeat, Repeat::Harmless | Repeat::Keyed);
    holds(harmless || !world.may_be_there(), "sends again although an attempt has, or may still have, its effect")?;
    holds(!world.proven, "sends again although the delivery was proved")
}

/// What must hold at each point of each history.
pub(crate) fn world(node: &Node, policy: &Policy, bounds: &Bounds) -> Result<(), String> {
    progress(node)?;
    if node.world.proven {
        let honoured = match &node.out.state {
            State::Sending { .. } => node.out.witness.is_some(),
            State::Delivered | State::GivenUp => true,
            _ => false,
        };
        holds(honoured, "forgets the proof of a delivery")?;
    }
    if bounds.truthful { truth(node, policy) } else { Ok(()) }
}

/// Nothing is lost: whatever is not over and not with a person has something that leads on.
fn progress(node: &Node) -> Result<(), String> {
    let world = &node.world;
    let leads_on = match &node.out.state {
        State::Ready { .. } => world.wake.is_some(),
        State::Sending { epoch, .. } => {
            *epoch == crate::world::life_name(world.old.len()) && (world.send || world.attempt.is_some())
        }
        State::InDoubt { .. } => world.wake.is_some() || world.ask || world.answer.is_some(),
        State::Parked { .. } | State::Delivered | State::GivenUp => true,
    };
    holds(leads_on, "nothing leads on: the message is lost")
}

/// What the state says is true, as long as everybody tells the truth.
fn truth(node: &Node, policy: &Policy) -> Result<(), String> {
    let (world, harmless) = (&node.world, matches!(policy.repeat, Repeat::Harmless | Repeat::Keyed));
    holds(harmless || world.effects <= 1, "the receiver acted twice")?;
    match &node.out.state {
        State::Delivered => holds(world.effects > 0, "says `delivered`, but the receiver has nothing"),
        State::Parked { kind: ParkedKind::NotSent | ParkedKind::Rejected, .. } => {
            holds(!world.may_be_there(), "says `surely no effect`, but there is one or may be one")
        }
        _ => Ok(()),
    }
}

/// What must hold for one transition, whatever the world is like.
pub(crate) fn transition(
    before: &Outbound,
    event: &Event,
    after: &Outbound,
    commands: &[Command],
    now: &Now<'_>,
    policy: &Policy,
) -> Result<(), String> {
    if before.is_final() {
        let proof_for_nothing = before.state == State::GivenUp && matches!(event, Event::Witnessed(_));
        let expected: &[Command] = if proof_for_nothing { &[Command::LateProof] } else { &[] };
        return holds(after == before && commands == expected, "a final state changes, or late proof is not told");
    }
    let foreign = matches!(&before.state, State::Sending { epoch, .. } if epoch != now.epoch);
    if foreign && matches!(event, Event::Ended(_)) {
        return holds(after == before && commands.is_empty(), "the end of another life's attempt counts");
    }
    sends(before, after, commands, now, policy)?;
    questions(before, after, commands, now)?;
    ends(before, after, commands)?;
    parks(before, event, after, commands)?;
    wakes(before, after, commands)?;
    counts(before, after, policy)
}

fn count(commands: &[Command], like: impl Fn(&Command) -> bool) -> usize {
    commands.iter().filter(|command| like(command)).count()
}

/// A send has a durable intent of this life, and a new intent is sent once.
fn sends(
    before: &Outbound,
    after: &Outbound,
    commands: &[Command],
    now: &Now<'_>,
    policy: &Policy,
) -> Result<(), String> {
    let sends = count(commands, |command| *command == Command::Send);
    if after.attempts == before.attempts {
        let same = matches!((&before.state, &after.state), (State::Sending { .. }, State::Sending { .. }));
        let moved = matches!(after.state, State::Sending { .. }) && !(same && after.state == before.state);
        return holds(sends == 0 && !moved, "sends, or changes an intent, without a new intent");
    }
    let intended = match &after.state {
        State::Sending { epoch, at, not_after } => {
            epoch == now.epoch && *at == now.at && Ok(*not_after) == now.at.checked_add(policy.attempt).map_err(|_| ())
        }
        _ => false,
    };
    let ready = matches!(before.state, State::Ready { not_before } if not_before <= now.at);
    holds(
        sends == 1 && intended && ready && after.attempts == before.attempts + 1,
        "an attempt without a proper intent",
    )
}

fn questions(before: &Outbound, after: &Outbound, commands: &[Command], now: &Now<'_>) -> Result<(), String> {
    if count(commands, |command| *command == Command::Ask) == 0 {
        return Ok(());
    }
    let busy = matches!(before.state, State::InDoubt { asking: Some(_), .. });
    holds(!busy, "asks while a question is under way")?;
    let later =
        matches!(after.state, State::InDoubt { ask_at, asking, .. } if ask_at > now.at && asking == Some(now.at));
    holds(later, "asks without a doubt, or would not ask again after a crash")
}

/// The route goes on exactly once, when the message is delivered.
fn ends(before: &Outbound, after: &Outbound, commands: &[Command]) -> Result<(), String> {
    let goes_on = count(commands, |command| matches!(command, Command::GoOn(_)));
    let delivered = before.state != State::Delivered && after.state == State::Delivered;
    holds(goes_on == usize::from(delivered), "goes on other than once on delivery")
}

fn parks(before: &Outbound, event: &Event, after: &Outbound, commands: &[Command]) -> Result<(), String> {
    let was = matches!(before.state, State::Parked { .. });
    let told = commands.iter().find_map(|command| match command {
        Command::Park { kind, reason } => Some((*kind, reason.clone())),
        _ => None,
    });
    let parked = match &after.state {
        State::Parked { kind, reason } => Some((*kind, reason.clone())),
        _ => None,
    };
    let found_old = matches!(event, Event::Recovered { .. });
    if was && parked.is_some() && !(found_old && told.is_some()) {
        return holds(after == before && commands.is_empty(), "a parked message changes without leaving");
    }
    holds(told == parked, "parks without telling people, or tells them something else")?;
    holds(parked.is_none_or(|(_, reason)| !reason.is_empty()), "parks without a reason")?;
    let released = count(commands, |command| matches!(command, Command::Released { .. }));
    let left = was && !matches!(after.state, State::Parked { .. });
    holds(released == usize::from(left), "leaves the parking without a record, or writes one without leaving")?;
    let by_right = matches!(event, Event::Person(_) | Event::Witnessed(_) | Event::Vouched);
    holds(!left || by_right, "somebody else than a person or a proof releases a parked message")?;
    holds(was || !matches!(event, Event::Person(_)) || after == before, "a person touches what is not parked")
}

/// A message that becomes ready or doubtful has its alarm set for exactly then.
fn wakes(before: &Outbound, after: &Outbound, commands: &[Command]) -> Result<(), String> {
    let expected = match after.state {
        State::Ready { not_before } => Some(not_before),
        State::InDoubt { ask_at, .. } => Some(ask_at),
        _ => None,
    };
    let set = commands.iter().find_map(|command| match command {
        Command::WakeAt(at) => Some(*at),
        _ => None,
    });
    holds(set.is_none() || set == expected, "wakes at another time than the state says")?;
    let entered = std::mem::discriminant(&before.state) != std::mem::discriminant(&after.state);
    holds(!entered || set == expected, "becomes ready or doubtful without an alarm")
}

fn counts(before: &Outbound, after: &Outbound, policy: &Policy) -> Result<(), String> {
    let first_once = before.first_at.is_none() || after.first_at == before.first_at;
    holds(first_once && after.first_at.is_some() == (after.attempts > 0), "`first_at` is not the first intent")?;
    let proven = before.witness.is_none() || after.witness.is_some() || after.is_final();
    holds(after.failures <= policy.times.saturating_add(1) && proven, "tries are not bounded, or a proof is dropped")
}
