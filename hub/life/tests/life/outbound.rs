//! One outbound message: exact values, and the table of the module as a list.

use std::time::Duration;

use hub_core::journal::ParkedKind;
use hub_core::{Receipt, Repeat, Value};
use hub_life::outbound::{
    Action, Answer, Command, Ended, Event, Now, Outbound, Policy, RETRY_AFTER_MAX, State, advance,
};
use jiff::Timestamp;

use crate::world::{every_event, policy, receipt, ts};

fn at(second: u32) -> Now<'static> {
    Now { at: ts(second), epoch: "e0" }
}

fn sending(policy: &Policy) -> Outbound {
    advance(&Outbound::new(ts(0)), Event::Due, &at(0), policy).0
}

fn not_sent(retry_after: Option<Duration>) -> Event {
    Event::Ended(Ended::NotSent { retry_after, cause: "connection refused".into() })
}

fn doubtful() -> Event {
    Event::Ended(Ended::InDoubt { cause: "reset after the last byte".into() })
}

fn state(name: &str) -> State {
    let parked = |kind| State::Parked { kind, reason: "why".into() };
    match name {
        "ready" => State::Ready { not_before: ts(5) },
        "sending" => State::Sending { epoch: "e0".into(), at: ts(5), not_after: ts(6) },
        "in doubt" => State::InDoubt {
            epoch: "e0".into(),
            since: ts(5),
            not_after: ts(5),
            cause: "reset".into(),
            ask_at: ts(6),
            asked: 1,
            asking: None,
            evidence: Value::Null,
        },
        "not sent" => parked(ParkedKind::NotSent),
        "rejected" => parked(ParkedKind::Rejected),
        "doubt parked" => parked(ParkedKind::InDoubt),
        "step" => parked(ParkedKind::Step),
        "refused" => parked(ParkedKind::Refused),
        "delivered" => State::Delivered,
        _ => State::GivenUp,
    }
}

/// The module's table: which events mean something in which state. Everything else must change nothing.
fn means_something(name: &str, event: &Event, own: bool) -> bool {
    let foreign_attempt = name == "sending" && !own;
    match event {
        Event::Due => name == "ready",
        Event::Ended(_) => name == "sending" && own,
        Event::Restarted { .. } => foreign_attempt || name == "ready" || name == "in doubt",
        Event::AskDue | Event::Asked { .. } => name == "in doubt",
        Event::Witnessed(_) => !["step", "refused", "delivered"].contains(&name),
        Event::Person(Action::Retry) => ["not sent", "rejected", "step"].contains(&name),
        Event::Person(Action::Delivered | Action::NotDelivered) => name == "doubt parked",
        Event::Recovered { .. } => ["ready", "sending", "in doubt", "not sent", "rejected"].contains(&name),
        // nothing here is in doubt because of a lost life
        Event::Vouched => false,
        Event::Person(Action::GiveUp) => ["not sent", "rejected", "doubt parked", "step", "refused"].contains(&name),
    }
}

#[test]
fn exactly_the_pairs_of_the_table_mean_something() {
    let names = [
        "ready",
        "sending",
        "in doubt",
        "not sent",
        "rejected",
        "doubt parked",
        "step",
        "refused",
        "delivered",
        "given up",
    ];
    let own_and_other = ["e0", "e1"];
    let mut pairs = 0;
    for (name, epoch) in names.iter().flat_map(|name| own_and_other.map(|epoch| (*name, epoch))) {
        for event in every_event() {
            let out = Outbound { state: state(name), attempts: 1, first_at: Some(ts(5)), ..Outbound::new(ts(0)) };
            let now = Now { at: ts(20), epoch };
            let next = advance(&out, event.clone(), &now, &policy(Repeat::Askable, 2, 3, 1));
            let nothing = next == (out.clone(), Vec::new());
            assert_eq!(
                nothing,
                !means_something(name, &event, epoch == "e0"),
                "{name} in {epoch}, {event:?}: {next:?}"
            );
            pairs += 1;
        }
    }
    assert_eq!(pairs, 10 * 2 * 24);
}

#[test]
fn an_attempt_has_its_intent_before_it_is_sent() {
    let policy = policy(Repeat::Askable, 2, 3, 1);
    let (out, commands) = advance(&Outbound::new(ts(3)), Event::Due, &at(4), &policy);
    assert_eq!(commands, [Command::Send]);
    assert_eq!(out.state, State::Sending { epoch: "e0".into(), at: ts(4), not_after: ts(5) });
    assert_eq!((out.attempts, out.failures, out.first_at), (1, 0, Some(ts(4))));
    let early = advance(&Outbound::new(ts(3)), Event::Due, &at(2), &policy);
    assert_eq!(early, (Outbound::new(ts(3)), vec![Command::WakeAt(ts(3))]));
}

#[test]
fn pauses_double_up_to_the_longest_and_honour_retry_after() {
    let policy = Policy { max: Duration::from_secs(5), ..policy(Repeat::Forbidden, 2, 3, 9) };
    let pause = |failures, retry_after| {
        let out = Outbound { failures, ..sending(&policy) };
        match advance(&out, not_sent(retry_after), &at(10), &policy) {
            (Outbound { state: State::Ready { not_before }, .. }, commands) => {
                assert_eq!(commands, [Command::WakeAt(not_before)]);
                not_before.duration_since(ts(10)).as_secs()
            }
            other => panic!("not ready: {other:?}"),
        }
    };
    assert_eq!([0, 1, 2, 3, 8].map(|failures| pause(failures, None)), [1, 2, 4, 5, 5]);
    assert_eq!(pause(0, Some(Duration::from_secs(60))), 60);
    assert_eq!(pause(3, Some(Duration::from_secs(2))), 5);
    assert_eq!(pause(0, Some(Duration::MAX)), i64::try_from(RETRY_AFTER_MAX.as_secs()).unwrap());
}

#[test]
fn absurd_durations_end_at_the_end_of_time_without_a_panic() {
    let (max, times) = (Duration::MAX, u32::MAX);
    let policy = Policy { min: max, max, attempt: max, settles_after: max, ..policy(Repeat::Askable, 2, 3, times) };
    let (out, _) = advance(&Outbound { failures: u32::MAX - 1, ..sending(&policy) }, not_sent(None), &at(1), &policy);
    assert_eq!(out.state, State::Ready { not_before: Timestamp::MAX });
    let (doubt, _) = advance(&sending(&policy), doubtful(), &at(1), &policy);
    let answer = Event::Asked { answer: Answer::NotDelivered(Value::Null), over: true };
    assert!(matches!(advance(&doubt, answer, &at(9), &policy).0.state, State::InDoubt { .. }));
}

#[test]
fn tries_end_with_a_person() {
    let policy = policy(Repeat::Forbidden, 2, 3, 1);
    let (out, commands) = advance(&Outbound { failures: 1, ..sending(&policy) }, not_sent(None), &at(1), &policy);
    let reason = String::from("attempt 1 was not sent: connection refused; tries are over after 2");
    assert_eq!(out.state, State::Parked { kind: ParkedKind::NotSent, reason: reason.clone() });
    assert_eq!(commands, [Command::Park { kind: ParkedKind::NotSent, reason }]);
    let (ready, commands) = advance(&out, Event::Person(Action::Retry), &at(7), &policy);
    assert_eq!((&ready.state, ready.failures, ready.attempts), (&State::Ready { not_before: ts(7) }, 0, 1));
    assert_eq!(commands, [Command::Released { action: "retry" }, Command::WakeAt(ts(7))]);
}

#[test]
fn the_account_of_a_doubt_survives_its_parking() {
    let policy = policy(Repeat::Askable, 2, 3, 1);
    let mut out = advance(&sending(&policy), doubtful(), &at(1), &policy).0;
    for second in [2, 3, 4] {
        let (asking, commands) = advance(&out, Event::AskDue, &at(second), &policy);
        assert_eq!(commands, [Command::Ask]);
        let answer = Answer::Unknown(serde_json::json!({"pages": 3}));
        out = advance(&asking, Event::Asked { answer, over: true }, &at(second), &policy).0;
    }
    let State::Parked { kind: ParkedKind::InDoubt, reason } = out.state else { panic!("not parked: {:?}", out.state) };
    let expected = "attempt 1 of life e0 is in doubt since 2027-01-15T08:00:01Z: reset after the last byte; that attempt is \
                    over; the receiver was asked 3 times, last evidence: {\"pages\":3}";
    assert_eq!(reason, expected);
}

#[test]
fn a_long_answer_is_cut_and_text_of_any_language_survives_it() {
    let policy = policy(Repeat::Askable, 0, 0, 1);
    let out = advance(&sending(&policy), doubtful(), &at(1), &policy).0;
    let answer = Event::Asked { answer: Answer::Unknown(Value::from("è".repeat(5_000))), over: true };
    let (out, _) = advance(&out, answer, &at(2), &policy);
    let State::Parked { reason, .. } = out.state else { panic!("not parked: {:?}", out.state) };
    assert!(reason.chars().count() < 1_000 && reason.ends_with("è ..."), "{reason}");
}

#[test]
fn busy_keeps_the_evidence_and_patience_still_ends_it() {
    let policy = policy(Repeat::Askable, 2, 3, 1);
    let busy = || Event::Asked { answer: Answer::CouldNotAsk("503".into()), over: true };
    let (out, _) = advance(&sending(&policy), doubtful(), &at(1), &policy);
    let seen = Event::Asked { answer: Answer::Unknown(Value::from("page 1")), over: true };
    let (out, _) = advance(&out, seen, &at(2), &policy);
    let (out, commands) = advance(&out, busy(), &at(3), &policy);
    assert_eq!(commands, [Command::WakeAt(ts(4))]);
    let (out, _) = advance(&out, busy(), &at(4), &policy);
    let State::Parked { kind: ParkedKind::InDoubt, reason } = out.state else { panic!("not parked: {:?}", out.state) };
    assert!(reason.contains("page 1") && reason.ends_with("could not ask: 503"), "{reason}");
}

#[test]
fn a_restart_names_the_life_that_ended() {
    let next = Now { at: ts(9), epoch: "e1" };
    let forbidden = policy(Repeat::Forbidden, 2, 3, 1);
    let (out, _) = advance(&sending(&forbidden), Event::Restarted { over: true }, &next, &forbidden);
    let State::Parked { kind: ParkedKind::InDoubt, reason } = out.state else { panic!("not parked: {:?}", out.state) };
    assert!(reason.contains("the hub's life e0 ended while attempt 1 was under way"), "{reason}");
    let (out, _) = advance(&sending(&forbidden), Event::Restarted { over: false }, &next, &forbidden);
    let State::Parked { reason, .. } = out.state else { panic!("not parked: {:?}", out.state) };
    assert!(reason.contains("not known to be over and may still send"), "{reason}");
}

#[test]
fn a_life_that_is_over_is_asked_about_at_once_and_repeated_only_when_it_has_settled() {
    let policy = policy(Repeat::Askable, 5, 60, 1);
    let not_there = || Event::Asked { answer: Answer::NotDelivered(Value::from("no ack")), over: true };
    let next = |second| Now { at: ts(second), epoch: "e1" };
    let (out, commands) = advance(&sending(&policy), Event::Restarted { over: true }, &next(10), &policy);
    assert_eq!(commands, [Command::WakeAt(ts(10))]);
    let (out, _) = advance(&out, Event::AskDue, &next(10), &policy);
    let (out, commands) = advance(&out, not_there(), &next(11), &policy);
    assert_eq!(commands, [Command::WakeAt(ts(15))], "asks when the answer can count");
    let (out, commands) = advance(&out, Event::AskDue, &next(15), &policy);
    assert_eq!(commands, [Command::Ask]);
    assert_eq!(advance(&out, Event::AskDue, &next(16), &policy), (out.clone(), vec![]), "one question at a time");
    let (out, commands) = advance(&out, not_there(), &next(16), &policy);
    assert_eq!(commands, [Command::WakeAt(ts(17))]);
    assert_eq!((out.state, out.failures), (State::Ready { not_before: ts(17) }, 1));
}

#[test]
fn a_proof_that_comes_while_sending_wins_over_every_end() {
    let policy = policy(Repeat::Forbidden, 2, 3, 1);
    let (out, commands) = advance(&sending(&policy), Event::Witnessed(receipt()), &at(1), &policy);
    assert!(commands.is_empty() && matches!(out.state, State::Sending { .. }));
    let rejected = Event::Ended(Ended::Rejected { code: "409".into(), cause: "known".into() });
    for event in [not_sent(None), doubtful(), rejected] {
        let (out, commands) = advance(&out, event, &at(2), &policy);
        assert_eq!((out.state, commands), (State::Delivered, vec![Command::GoOn(receipt())]));
    }
    let own = Receipt { remote_id: None, reply: serde_json::json!({"ok": true}), raw: None };
    let (_, commands) = advance(&out, Event::Ended(Ended::Receipt(own.clone())), &at(2), &policy);
    assert_eq!(commands, [Command::GoOn(Receipt { remote_id: receipt().remote_id, ..own })]);
    let (dead, commands) = advance(&out, Event::Restarted { over: false }, &Now { at: ts(3), epoch: "e1" }, &policy);
    assert_eq!((dead.state, commands), (State::Delivered, vec![Command::GoOn(receipt())]));
}

#[test]
fn a_proof_settles_what_is_parked() {
    let policy = policy(Repeat::Forbidden, 2, 3, 1);
    let (parked, _) = advance(&sending(&policy), doubtful(), &at(1), &policy);
    let (out, commands) = advance(&parked, Event::Witnessed(receipt()), &at(2), &policy);
    assert_eq!(out.state, State::Delivered);
    assert_eq!(commands, [Command::Released { action: "settled" }, Command::GoOn(receipt())]);
}

/// A sink that was harmless when a doubt was repeated may no longer be so after an upgrade.
#[test]
fn a_doubt_that_was_repeated_is_not_repeated_by_a_sink_that_is_no_longer_harmless() {
    let (keyed, askable) = (policy(Repeat::Keyed, 2, 3, 4), policy(Repeat::Askable, 2, 3, 4));
    let (out, _) = advance(&sending(&keyed), doubtful(), &at(1), &keyed);
    assert!(out.doubted && matches!(out.state, State::Ready { .. }));
    assert_eq!(advance(&out, Event::Due, &at(5), &keyed).1, [Command::Send]);
    let (parked, commands) = advance(&out, Event::Due, &at(5), &askable);
    assert!(matches!(parked.state, State::Parked { kind: ParkedKind::InDoubt, .. }), "{:?}", parked.state);
    assert!(matches!(commands[..], [Command::Park { .. }]));
    let (ready, _) = advance(&parked, Event::Person(Action::NotDelivered), &at(6), &askable);
    assert_eq!(advance(&ready, Event::Due, &at(6), &askable).1, [Command::Send]);
}

#[test]
fn the_head_of_a_lane_keeps_its_order_and_a_parked_doubt_holds_it_where_the_sink_says_so() {
    let holds = policy(Repeat::Askable, 2, 3, 1);
    let free = Policy { doubt_holds_lane: false, ..holds.clone() };
    let held = |name, policy: &Policy| Outbound { state: state(name), ..Outbound::new(ts(0)) }.holds_lane(policy);
    for name in ["ready", "sending", "in doubt"] {
        assert!(held(name, &holds) && held(name, &free), "{name}");
    }
    assert!(held("doubt parked", &holds) && !held("doubt parked", &free));
    for name in ["not sent", "rejected", "delivered", "given up"] {
        assert!(!held(name, &holds) && !held(name, &free), "{name}");
    }
}

#[test]
fn records_are_told_from_deeds() {
    let record = |command: Command| command.is_record();
    assert!(
        record(Command::GoOn(receipt())) && record(Command::LateProof) && record(Command::Released { action: "retry" })
    );
    assert!(record(Command::Park { kind: ParkedKind::NotSent, reason: "why".into() }));
    assert!(!record(Command::Send) && !record(Command::Ask) && !record(Command::WakeAt(ts(0))));
}

/// Records written before `doubted` existed can be read.
#[test]
fn an_older_record_can_be_read() {
    let text = r#"{"state":{"ready":{"not_before":"2027-01-15T08:00:00Z"}},"attempts":0,"failures":0,"first_at":null,
        "witness":null}"#;
    let read: Outbound = serde_json::from_str(text).unwrap();
    assert_eq!(read, Outbound::new(ts(0)));
}

fn recovered(over_at: Option<u32>) -> Event {
    Event::Recovered { since: ts(0), over_at: over_at.map(ts) }
}

fn unknown() -> Event {
    Event::Asked { answer: Answer::Unknown(Value::from("no ack")), over: false }
}

/// Asks at a moment, and hears "cannot say".
fn hears_nothing(out: &Outbound, second: u32, policy: &Policy) -> (Outbound, Vec<Command>) {
    let (asking, commands) = advance(out, Event::AskDue, &at(second), policy);
    assert_eq!(commands, [Command::Ask]);
    advance(&asking, unknown(), &at(second), policy)
}

#[test]
fn what_a_lost_life_may_have_sent_goes_out_only_after_a_person_and_a_settled_question() {
    let policy = policy(Repeat::Askable, 2, 3, 1);
    let (out, commands) = advance(&Outbound::new(ts(9)), recovered(None), &at(10), &policy);
    assert_eq!(commands, [Command::WakeAt(ts(10))], "asked at once");
    assert_eq!((out.known_from(), out.first_at), (Some(ts(0)), None));
    let (out, _) = hears_nothing(&out, 10, &policy);
    assert!(matches!(out.state, State::InDoubt { .. }));
    let (out, commands) = hears_nothing(&out, 13, &policy);
    assert!(
        matches!(commands[..], [Command::Park { kind: ParkedKind::InDoubt, .. }]),
        "patience is over: {commands:?}"
    );
    let State::Parked { reason, .. } = &out.state else { panic!("{:?}", out.state) };
    assert!(reason.contains("after 0 known attempts") && reason.contains("nobody has released the lane"), "{reason}");

    let (out, commands) = advance(&out, Event::Vouched, &at(20), &policy);
    assert_eq!(commands, [Command::Released { action: "ask_again" }, Command::WakeAt(ts(22))]);
    assert_eq!(
        advance(&out, Event::AskDue, &at(21), &policy).1,
        [Command::WakeAt(ts(22))],
        "not before it has settled"
    );
    let (out, commands) = hears_nothing(&out, 22, &policy);
    assert_eq!((&out.state, commands), (&State::Ready { not_before: ts(22) }, vec![Command::WakeAt(ts(22))]));
    assert_eq!((out.failures, out.lost.map(|lost| lost.only)), (0, Some(false)));
    let (out, _) = advance(&out, Event::Due, &at(22), &policy);
    let (out, _) = advance(&out, doubtful(), &at(23), &policy);
    assert_eq!(advance(&out, Event::Vouched, &at(24), &policy).0, out, "its own doubt is nobody's lane");
    assert_eq!(out.known_from(), Some(ts(0)), "the lost life's is looked for, too");
}

#[test]
fn a_message_that_comes_after_the_release_is_asked_about_once() {
    let policy = policy(Repeat::Askable, 2, 3, 1);
    let (out, commands) = advance(&Outbound::new(ts(30)), recovered(Some(20)), &at(30), &policy);
    assert_eq!(commands, [Command::WakeAt(ts(30))]);
    let (out, _) = hears_nothing(&out, 30, &policy);
    assert_eq!(out.state, State::Ready { not_before: ts(30) });
    let (out, _) = advance(&Outbound::new(ts(21)), recovered(Some(20)), &at(21), &policy);
    let (out, commands) = hears_nothing(&out, 21, &policy);
    assert_eq!(commands, [Command::WakeAt(ts(22))], "asks again when it has settled");
    assert!(matches!(out.state, State::InDoubt { .. }));
}

#[test]
fn an_attempt_that_the_copy_left_open_is_not_sent_by_a_lanes_release() {
    let policy = policy(Repeat::Askable, 2, 3, 1);
    let next = |second| Now { at: ts(second), epoch: "e1" };
    let (out, _) = advance(&sending(&policy), recovered(None), &next(10), &policy);
    let (mut out, _) = advance(&out, Event::Vouched, &next(10), &policy);
    for second in [12, 13] {
        out = hears_nothing(&out, second, &policy).0;
    }
    assert!(matches!(out.state, State::Parked { kind: ParkedKind::InDoubt, .. }), "{:?}", out.state);
    assert_eq!(advance(&out, Event::Vouched, &next(14), &policy), (out.clone(), vec![]), "a person decides about it");
    let (ready, _) = advance(&out, Event::Person(Action::NotDelivered), &next(14), &policy);
    assert_eq!(advance(&ready, Event::Due, &next(14), &policy).1, [Command::Send]);
}

#[test]
fn what_a_store_that_was_put_back_says_about_each_kind_of_sink() {
    let (forbidden, keyed) = (policy(Repeat::Forbidden, 2, 3, 1), policy(Repeat::Keyed, 2, 3, 1));
    let (out, commands) = advance(&Outbound::new(ts(0)), recovered(None), &at(1), &forbidden);
    assert!(matches!(commands[..], [Command::Park { kind: ParkedKind::InDoubt, .. }]));
    assert_eq!(advance(&out, Event::Vouched, &at(2), &forbidden), (out.clone(), vec![]), "nothing can be asked there");
    let (out, _) = advance(&Outbound::new(ts(7)), recovered(None), &at(1), &keyed);
    assert_eq!((out.doubted, out.state), (true, State::Ready { not_before: ts(7) }));
    let (out, _) = advance(&sending(&keyed), recovered(None), &at(1), &keyed);
    assert_eq!((out.doubted, out.state), (true, State::Ready { not_before: ts(1) }));
    let refused = Outbound { state: state("rejected"), ..Outbound::new(ts(0)) };
    let (out, _) = advance(&refused, recovered(None), &at(1), &keyed);
    assert!(matches!(out.state, State::Parked { kind: ParkedKind::InDoubt, .. }), "it may have been tried again");
    let witnessed = advance(&sending(&forbidden), Event::Witnessed(receipt()), &at(1), &forbidden).0;
    assert_eq!(advance(&witnessed, recovered(None), &at(2), &forbidden).1, [Command::GoOn(receipt())]);
}
