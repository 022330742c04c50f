//! Broken lives. The search that finds nothing in the real one must find something in each of these: otherwise it proves
//! nothing.

use std::time::Duration;

use hub_core::Repeat;
use hub_core::journal::ParkedKind;
use hub_life::outbound::{Action, Answer, Command, Ended, Event, LOST, Now, Outbound, Policy, State, advance};
use jiff::Timestamp;

use crate::exhaustive::{BOUNDS, OLD_STORE, askable, forbidden, keyed};
use crate::explore::explore;
use crate::world::{Bounds, Life, policy, receipt};

type Next = (Outbound, Vec<Command>);

fn send_again(outbound: &Outbound, now: &Now<'_>) -> Next {
    let state = State::Ready { not_before: now.at };
    (Outbound { state, ..outbound.clone() }, vec![Command::WakeAt(now.at)])
}

fn restart_resends(outbound: &Outbound, event: Event, now: &Now<'_>, policy: &Policy) -> Next {
    match (&outbound.state, &event) {
        (State::Sending { .. }, Event::Restarted { .. }) => send_again(outbound, now),
        _ => advance(outbound, event, now, policy),
    }
}

fn restart_of_a_life_that_is_over_resends(outbound: &Outbound, event: Event, now: &Now<'_>, policy: &Policy) -> Next {
    match (&outbound.state, &event) {
        (State::Sending { .. }, Event::Restarted { over: true }) => send_again(outbound, now),
        _ => advance(outbound, event, now, policy),
    }
}

fn not_there_without_a_fence(outbound: &Outbound, event: Event, now: &Now<'_>, policy: &Policy) -> Next {
    match (&outbound.state, &event) {
        (State::InDoubt { .. }, Event::Asked { answer: Answer::NotDelivered(_), .. }) => send_again(outbound, now),
        _ => advance(outbound, event, now, policy),
    }
}

fn not_there_of_a_life_that_may_run(outbound: &Outbound, event: Event, now: &Now<'_>, policy: &Policy) -> Next {
    match (&outbound.state, &event) {
        (State::InDoubt { since, .. }, Event::Asked { answer: Answer::NotDelivered(_), .. })
            if now.at >= *since + policy.settles_after + policy.resolve_every =>
        {
            send_again(outbound, now)
        }
        _ => advance(outbound, event, now, policy),
    }
}

fn not_there_before_it_settles(outbound: &Outbound, event: Event, now: &Now<'_>, policy: &Policy) -> Next {
    let hasty = Policy { settles_after: Duration::ZERO, ..policy.clone() };
    match event {
        Event::Asked { answer: Answer::NotDelivered(_), over: true } => advance(outbound, event, now, &hasty),
        _ => advance(outbound, event, now, policy),
    }
}

/// Counts from when the attempt was found, although its life was found to be over only later.
fn late_end_of_a_life_counts_from_the_finding(out: &Outbound, event: Event, now: &Now<'_>, policy: &Policy) -> Next {
    let (mut next, commands) = advance(out, event, now, policy);
    if let State::InDoubt { since, not_after, .. } = &mut next.state {
        *not_after = (*since).min(*not_after);
    }
    (next, commands)
}

/// Looks at when the answer comes, not at when the question was put.
fn an_old_view_is_judged_by_its_arrival(outbound: &Outbound, event: Event, now: &Now<'_>, policy: &Policy) -> Next {
    match (&outbound.state, &event) {
        (State::InDoubt { since, not_after, .. }, Event::Asked { answer: Answer::NotDelivered(_), over: true })
            if now.at >= *since.max(not_after).min(&now.at) + policy.settles_after =>
        {
            send_again(outbound, now)
        }
        _ => advance(outbound, event, now, policy),
    }
}

fn patience_ends_in_a_resend(outbound: &Outbound, event: Event, now: &Now<'_>, policy: &Policy) -> Next {
    let (next, commands) = advance(outbound, event, now, policy);
    match (&outbound.state, &next.state) {
        (State::InDoubt { .. }, State::Parked { .. }) => send_again(outbound, now),
        _ => (next, commands),
    }
}

fn unknown_is_not_there(outbound: &Outbound, event: Event, now: &Now<'_>, policy: &Policy) -> Next {
    match event {
        Event::Asked { answer: Answer::Unknown(evidence), over } => {
            advance(outbound, Event::Asked { answer: Answer::NotDelivered(evidence), over }, now, policy)
        }
        _ => advance(outbound, event, now, policy),
    }
}

fn busy_is_not_there(outbound: &Outbound, event: Event, now: &Now<'_>, policy: &Policy) -> Next {
    match event {
        Event::Asked { answer: Answer::CouldNotAsk(cause), over } => {
            advance(outbound, Event::Asked { answer: Answer::NotDelivered(cause.into()), over }, now, policy)
        }
        _ => advance(outbound, event, now, policy),
    }
}

fn unknown_is_delivered(outbound: &Outbound, event: Event, now: &Now<'_>, policy: &Policy) -> Next {
    match event {
        Event::Asked { answer: Answer::Unknown(_), over } => {
            advance(outbound, Event::Asked { answer: Answer::Delivered(receipt()), over }, now, policy)
        }
        _ => advance(outbound, event, now, policy),
    }
}

fn doubt_is_not_sent(outbound: &Outbound, event: Event, now: &Now<'_>, policy: &Policy) -> Next {
    match event {
        Event::Ended(Ended::InDoubt { cause }) => {
            advance(outbound, Event::Ended(Ended::NotSent { retry_after: None, cause }), now, policy)
        }
        _ => advance(outbound, event, now, policy),
    }
}

fn proof_is_forgotten(outbound: &Outbound, event: Event, now: &Now<'_>, policy: &Policy) -> Next {
    let (mut next, commands) = advance(outbound, event, now, policy);
    next.witness = None;
    (next, commands)
}

fn proof_does_not_reach_what_is_ready(outbound: &Outbound, event: Event, now: &Now<'_>, policy: &Policy) -> Next {
    match (&outbound.state, &event) {
        (State::Ready { .. }, Event::Witnessed(_)) => (outbound.clone(), Vec::new()),
        _ => advance(outbound, event, now, policy),
    }
}

fn late_proof_is_not_told(outbound: &Outbound, event: Event, now: &Now<'_>, policy: &Policy) -> Next {
    match (&outbound.state, &event) {
        (State::GivenUp, Event::Witnessed(_)) => (outbound.clone(), Vec::new()),
        _ => advance(outbound, event, now, policy),
    }
}

fn doubt_can_be_retried(outbound: &Outbound, event: Event, now: &Now<'_>, policy: &Policy) -> Next {
    match (&outbound.state, &event) {
        (State::Parked { kind: ParkedKind::InDoubt, .. }, Event::Person(Action::Retry)) => {
            let (next, mut commands) = send_again(outbound, now);
            commands.insert(0, Command::Released { action: "retry" });
            (next, commands)
        }
        _ => advance(outbound, event, now, policy),
    }
}

/// After a doubt that was repeated, a later failure is told as "surely not sent".
fn doubt_of_an_earlier_attempt_is_forgotten(out: &Outbound, event: Event, now: &Now<'_>, policy: &Policy) -> Next {
    let (next, commands) = advance(out, event, now, policy);
    (Outbound { doubted: false, ..next }, commands)
}

fn parks_in_silence(outbound: &Outbound, event: Event, now: &Now<'_>, policy: &Policy) -> Next {
    let (next, mut commands) = advance(outbound, event, now, policy);
    commands.retain(|command| !matches!(command, Command::Park { .. }));
    (next, commands)
}

fn restart_sets_no_alarm(outbound: &Outbound, event: Event, now: &Now<'_>, policy: &Policy) -> Next {
    let is_restart = matches!(event, Event::Restarted { .. });
    let (next, commands) = advance(outbound, event, now, policy);
    (next, if is_restart { Vec::new() } else { commands })
}

fn restart_leaves_the_attempt(outbound: &Outbound, event: Event, now: &Now<'_>, policy: &Policy) -> Next {
    match (&outbound.state, &event) {
        (State::Sending { .. }, Event::Restarted { .. }) => (outbound.clone(), Vec::new()),
        _ => advance(outbound, event, now, policy),
    }
}

fn sends_without_an_intent(outbound: &Outbound, event: Event, now: &Now<'_>, policy: &Policy) -> Next {
    let (next, commands) = advance(outbound, event, now, policy);
    let state = if commands == [Command::Send] { outbound.state.clone() } else { next.state.clone() };
    (Outbound { state, ..next }, commands)
}

fn goes_on_twice(outbound: &Outbound, event: Event, now: &Now<'_>, policy: &Policy) -> Next {
    match (&outbound.state, &event) {
        (State::Delivered, Event::Witnessed(_)) => (outbound.clone(), vec![Command::GoOn(receipt())]),
        _ => advance(outbound, event, now, policy),
    }
}

fn given_up_is_delivered_after_all(outbound: &Outbound, event: Event, now: &Now<'_>, policy: &Policy) -> Next {
    match (&outbound.state, &event) {
        (State::GivenUp, Event::Witnessed(receipt)) => {
            (Outbound { state: State::Delivered, ..outbound.clone() }, vec![Command::GoOn(receipt.clone())])
        }
        _ => advance(outbound, event, now, policy),
    }
}

fn tries_have_no_end(outbound: &Outbound, event: Event, now: &Now<'_>, policy: &Policy) -> Next {
    advance(outbound, event, now, &Policy { times: u32::MAX, ..policy.clone() })
}

fn a_person_touches_what_is_not_parked(outbound: &Outbound, event: Event, now: &Now<'_>, policy: &Policy) -> Next {
    match (&outbound.state, &event) {
        (State::Ready { .. } | State::InDoubt { .. }, Event::Person(Action::GiveUp)) => {
            (Outbound { state: State::GivenUp, ..outbound.clone() }, Vec::new())
        }
        _ => advance(outbound, event, now, policy),
    }
}

fn another_lifes_end_counts(outbound: &Outbound, event: Event, now: &Now<'_>, policy: &Policy) -> Next {
    match (&outbound.state, &event) {
        (State::Sending { epoch, .. }, Event::Ended(_)) => {
            advance(outbound, event, &Now { epoch: &epoch.clone(), ..*now }, policy)
        }
        _ => advance(outbound, event, now, policy),
    }
}

fn asks_twice_at_once(outbound: &Outbound, event: Event, now: &Now<'_>, policy: &Policy) -> Next {
    let mut idle = outbound.clone();
    if let (State::InDoubt { asking, .. }, Event::AskDue) = (&mut idle.state, &event) {
        *asking = None;
    }
    advance(&idle, event, now, policy)
}

// -- stores that are put back ---------------------------------------------------------------------------------------------

fn a_restored_message_is_sent_without_asking(out: &Outbound, event: Event, now: &Now<'_>, policy: &Policy) -> Next {
    match (&out.state, &event) {
        (State::Ready { not_before }, Event::Recovered { .. }) => (out.clone(), vec![Command::WakeAt(*not_before)]),
        _ => advance(out, event, now, policy),
    }
}

fn unknown_counts_before_the_lane_is_released(out: &Outbound, event: Event, now: &Now<'_>, policy: &Policy) -> Next {
    match (&out.state, &event) {
        (State::InDoubt { epoch, .. }, Event::Asked { answer: Answer::Unknown(_), .. }) if epoch == LOST => {
            send_again(out, now)
        }
        _ => advance(out, event, now, policy),
    }
}

fn a_released_lane_does_not_wait_until_it_settles(
    out: &Outbound,
    event: Event,
    now: &Now<'_>,
    policy: &Policy,
) -> Next {
    let hasty = Policy { settles_after: Duration::ZERO, ..policy.clone() };
    match (&out.state, &event) {
        (State::InDoubt { epoch, .. }, Event::Asked { .. } | Event::Vouched) if epoch == LOST => {
            advance(out, event, now, &hasty)
        }
        _ => advance(out, event, now, policy),
    }
}

/// The end of the lives that the store knows says nothing about those that it has lost.
fn a_known_end_proves_a_lost_life_over(out: &Outbound, event: Event, now: &Now<'_>, policy: &Policy) -> Next {
    let (mut next, commands) = advance(out, event.clone(), now, policy);
    if let (State::InDoubt { epoch, not_after, .. }, Event::Asked { .. }) = (&mut next.state, event)
        && epoch == LOST
        && *not_after == Timestamp::MAX
    {
        *not_after = now.at;
    }
    (next, commands)
}

fn a_restored_refusal_is_still_a_refusal(out: &Outbound, event: Event, now: &Now<'_>, policy: &Policy) -> Next {
    match (&out.state, &event) {
        (State::Parked { .. }, Event::Recovered { .. }) => (out.clone(), Vec::new()),
        _ => advance(out, event, now, policy),
    }
}

/// The mutant must be caught, for the expected reason, within the bounds that find nothing in the real life
/// ([`crate::exhaustive`]).
fn caught(name: &str, mutant: Life, policy: &Policy, bounds: &Bounds, expected: &str) {
    match explore(mutant, policy, bounds) {
        Ok(seen) => panic!("mutant `{name}` was not caught: {seen:?}"),
        Err(broken) => {
            println!("{name}: {} after {:?}", broken.what, broken.history);
            assert!(broken.what.contains(expected), "mutant `{name}` was caught for another reason: {broken:?}");
        }
    }
}

#[test]
fn mutants_of_the_fence_are_caught() {
    let mutants: [(&str, Life); 11] = [
        ("restart resends", restart_resends),
        ("restart of a life that is over resends", restart_of_a_life_that_is_over_resends),
        ("not there without a fence", not_there_without_a_fence),
        ("not there of a life that may run", not_there_of_a_life_that_may_run),
        ("not there before it settles", not_there_before_it_settles),
        ("late end of a life counts from the finding", late_end_of_a_life_counts_from_the_finding),
        ("an old view is judged by its arrival", an_old_view_is_judged_by_its_arrival),
        ("patience ends in a resend", patience_ends_in_a_resend),
        ("unknown is not there", unknown_is_not_there),
        ("busy is not there", busy_is_not_there),
        ("doubt is not sent", doubt_is_not_sent),
    ];
    for (name, mutant) in mutants {
        caught(name, mutant, &askable(), &BOUNDS, "sends again although an attempt");
    }
}

#[test]
fn mutants_of_old_stores_are_caught() {
    let mutants: [(&str, Life); 4] = [
        ("a restored message is sent without asking", a_restored_message_is_sent_without_asking),
        ("unknown counts before the lane is released", unknown_counts_before_the_lane_is_released),
        ("a released lane does not wait until it settles", a_released_lane_does_not_wait_until_it_settles),
        ("a known end proves a lost life over", a_known_end_proves_a_lost_life_over),
    ];
    for (name, mutant) in mutants {
        caught(name, mutant, &policy(Repeat::Askable, 1, 2, 1), &OLD_STORE, "sends again although an attempt");
    }
    let refused: Life = a_restored_refusal_is_still_a_refusal;
    caught("a restored refusal is still a refusal", refused, &forbidden(), &OLD_STORE, "says `surely no effect`");
}

#[test]
fn mutants_of_forbidden_sinks_are_caught() {
    let mutants: [(&str, Life); 4] = [
        ("restart resends", restart_resends),
        ("restart of a life that is over resends", restart_of_a_life_that_is_over_resends),
        ("doubt is not sent", doubt_is_not_sent),
        ("doubt can be retried", doubt_can_be_retried),
    ];
    for (name, mutant) in mutants {
        caught(name, mutant, &forbidden(), &BOUNDS, "sends again although an attempt");
    }
}

#[test]
fn mutants_that_say_what_is_not_true_are_caught() {
    caught("unknown is delivered", unknown_is_delivered, &askable(), &BOUNDS, "the receiver has nothing");
    let forgotten: Life = doubt_of_an_earlier_attempt_is_forgotten;
    caught("earlier doubt is forgotten", forgotten, &keyed(), &BOUNDS, "says `surely no effect`");
    caught("asks twice at once", asks_twice_at_once, &askable(), &BOUNDS, "asks while a question is under way");
    caught("proof is forgotten", proof_is_forgotten, &askable(), &BOUNDS, "forgets the proof");
    let unheard: Life = proof_does_not_reach_what_is_ready;
    caught("proof does not reach what is ready", unheard, &keyed(), &BOUNDS, "forgets the proof");
    caught("late proof is not told", late_proof_is_not_told, &forbidden(), &BOUNDS, "late proof is not told");
}

#[test]
fn mutants_of_the_bookkeeping_are_caught() {
    let mutants: [(&str, Life, &str); 9] = [
        ("parks in silence", parks_in_silence, "parks without telling people"),
        ("restart sets no alarm", restart_sets_no_alarm, "nothing leads on"),
        ("restart leaves the attempt", restart_leaves_the_attempt, "nothing leads on"),
        ("sends without an intent", sends_without_an_intent, "an attempt without a proper intent"),
        ("goes on twice", goes_on_twice, "a final state changes"),
        ("given up is delivered after all", given_up_is_delivered_after_all, "a final state changes"),
        ("tries have no end", tries_have_no_end, "tries are not bounded"),
        ("a person touches what is not parked", a_person_touches_what_is_not_parked, "a person touches"),
        ("another life's end counts", another_lifes_end_counts, "the end of another life's attempt counts"),
    ];
    for (name, mutant, expected) in mutants {
        caught(name, mutant, &policy(Repeat::Forbidden, 2, 3, 0), &BOUNDS, expected);
    }
}
