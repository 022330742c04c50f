//! Waits: every history of seven events, in every order, with time passing in between.

use hub_life::wait::{Command, Event, State, WaitState, advance};

use crate::world::ts;

const DEADLINE: u32 = 2;

fn events(now: u32) -> Vec<Event> {
    vec![
        Event::Answer("one".into()),
        Event::Answer("two".into()),
        Event::DeadlineDue { goes_on: true },
        Event::DeadlineDue { goes_on: false },
        Event::Again(ts(now + 1)),
        Event::Again(ts(now)),
        Event::GiveUp,
    ]
}

/// What the table says, written another way: which state an event leads to, if it means anything.
fn expected(wait: &WaitState, event: &Event, now: u32) -> Option<(State, Vec<Command>)> {
    let (open, overdue, late) = (wait.state == State::Open, wait.state == State::Overdue, ts(now) >= wait.deadline);
    if !open && !overdue {
        return None;
    }
    match event {
        Event::Answer(by) => Some((State::Answered(by.clone()), vec![Command::WakeWithAnswer])),
        Event::GiveUp => Some((State::GivenUp, vec![])),
        Event::DeadlineDue { .. } if overdue => None,
        Event::DeadlineDue { .. } if !late => Some((State::Open, vec![Command::WakeAt(wait.deadline)])),
        Event::DeadlineDue { goes_on: true } => Some((State::Expired, vec![Command::WakeWithTimeout])),
        Event::DeadlineDue { goes_on: false } => Some((State::Overdue, vec![Command::TellPeople])),
        Event::Again(until) => (overdue && *until > ts(now)).then(|| (State::Open, vec![Command::WakeAt(*until)])),
    }
}

/// How often the message was woken so far must be at most once, and exactly once when the wait is over and not given up.
fn search(wait: &WaitState, now: u32, left: u32, woken: u32, histories: &mut u64) {
    assert_eq!(woken, u32::from(matches!(wait.state, State::Answered(_) | State::Expired)), "{wait:?}");
    if left == 0 {
        *histories += 1;
        return;
    }
    for (event, passes) in events(now).into_iter().flat_map(|event| [(event.clone(), 0), (event, 1)]) {
        let now = now + passes;
        let (next, commands) = advance(wait, event.clone(), ts(now));
        match expected(wait, &event, now) {
            Some((state, expected)) => assert_eq!((&next.state, &commands), (&state, &expected), "{wait:?} {event:?}"),
            None => assert_eq!((&next, &commands), (wait, &Vec::new()), "{wait:?} {event:?}"),
        }
        let wakes = commands.iter().filter(|c| matches!(c, Command::WakeWithAnswer | Command::WakeWithTimeout)).count();
        let woken = woken + u32::try_from(wakes).unwrap_or(u32::MAX);
        if next.is_final() {
            assert!(events(now).into_iter().all(|event| advance(&next, event, ts(now + 9)) == (next.clone(), vec![])));
            *histories += 1;
            assert_eq!(woken, u32::from(next.state != State::GivenUp));
        } else {
            search(&next, now, left - 1, woken, histories);
        }
    }
}

#[test]
fn every_short_history_wakes_the_message_exactly_once_or_is_given_up() {
    let mut histories = 0;
    search(&WaitState::new(ts(DEADLINE)), 0, 5, 0, &mut histories);
    println!("waits: {histories} histories");
    assert!(histories > 10_000);
}

#[test]
fn an_answer_counts_after_the_deadline_as_long_as_nobody_has_gone_on() {
    let open = WaitState::new(ts(DEADLINE));
    let late = advance(&open, Event::Answer("m".into()), ts(50)).0;
    assert_eq!(late.state, State::Answered("m".into()));
    let overdue = advance(&open, Event::DeadlineDue { goes_on: false }, ts(2)).0;
    let (answered, commands) = advance(&overdue, Event::Answer("m".into()), ts(3));
    assert_eq!((answered.state, commands), (State::Answered("m".into()), vec![Command::WakeWithAnswer]));
    let expired = advance(&open, Event::DeadlineDue { goes_on: true }, ts(2)).0;
    assert_eq!(advance(&expired, Event::Answer("m".into()), ts(3)), (expired.clone(), vec![]));
}
