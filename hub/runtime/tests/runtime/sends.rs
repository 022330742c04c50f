//! Sends: the four ways they end, questions, proofs through other doors, and what people may say.

use std::time::Duration;

use hub_backbone::Topic;
use hub_core::journal::{Event, ParkedKind, SendOutcome, What};
use hub_life::outbound::Action;
use serde_json::json;

use super::flow::ANSWERS;
use super::outside::{Act, Says};
use super::world::World;

fn route(repeat: &str, more: &str) -> String {
    format!(
        r#"
route: ordini
from: {{ test: {{ name: ordini }} }}
case: {{ kind: pratica, id: "'c' + string(body.n)" }}
lane: body.corsia
steps:
  - to: {{ test.sink: {{ name: banca, repeat: {repeat}, patience: 10m {more} }}, as: invio }}
  - await: {{ name: esito, keys: ["'e' + string(body.n)"], within: 5d, as: esito }}
on_failure: {{ retry: {{ times: 3, min: 1s, max: 5s }}, then: park }}
"#
    )
}

async fn started(repeat: &str) -> World {
    World::started(&[&route(repeat, ""), ANSWERS]).await
}

fn settled(outcome: SendOutcome) -> impl Fn(&Event) -> bool {
    move |e| matches!(&e.what, What::SendSettled { outcome: o, .. } if *o == outcome)
}

fn waits(e: &Event) -> bool {
    matches!(e.what, What::WaitOpened { .. })
}

fn numbers(world: &World) -> Vec<u32> {
    world.outside.calls().iter().map(|call| call.number).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_surely_not_sent_is_sent_again_under_the_same_key() {
    let world = started("forbidden").await;
    world.outside.script(&[Act::NotSent, Act::NotSent]);
    world.order(1, json!({})).await;
    world.see_later("the wait", waits).await;
    assert_eq!(numbers(&world), [1, 2, 3]);
    let calls = world.outside.calls();
    assert!(calls.iter().all(|call| call.key == calls[0].key && call.body == calls[0].body));
    assert_eq!(world.count(settled(SendOutcome::NotSent)).await, 2);
    assert_eq!(world.count(|e| matches!(e.what, What::SendIntended { .. })).await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retries_end_and_a_person_goes_on() {
    let world = started("forbidden").await;
    world.outside.script(&vec![Act::NotSent; 4]);
    world.order(1, json!({})).await;
    world.see_later("the end of retries", |e| matches!(e.what, What::Parked(_))).await;
    let parked = world.parked(ParkedKind::NotSent).await;
    assert!(!world.release(&parked.id, Action::Delivered).await.done);
    assert!(!world.release(&parked.id, Action::NotDelivered).await.done);
    assert!(world.release(&parked.id, Action::Retry).await.done);
    world.see_later("the wait", waits).await;
    assert_eq!(numbers(&world), [1, 2, 3, 4, 5]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_rejected_is_parked_and_can_be_sent_again_or_given_up() {
    let mut world = started("askable").await;
    world.outside.script(&[Act::Rejected, Act::Rejected, Act::Receipt]);
    world.order(1, json!({})).await;
    world.order(2, json!({})).await;
    let (first, second) = (world.parked_order(1).await, world.parked_order(2).await);
    assert_eq!((first.kind, second.kind), (ParkedKind::Rejected, ParkedKind::Rejected));
    assert!(first.reason.contains("E7"), "{}", first.reason);
    world.restart().await;
    assert!(world.release(&first.id, Action::Retry).await.done);
    world.see("the wait", waits).await;
    assert!(!world.release(&first.id, Action::Retry).await.done, "it is not parked any more");
    assert!(world.release(&second.id, Action::GiveUp).await.done);
    world.restart().await;
    assert!(!world.release(&second.id, Action::Retry).await.done, "given up is given up");
    assert_eq!(numbers(&world), [1, 1, 2]);
    assert_eq!(world.outside.arrived(), ["1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_doubt_is_resolved_as_delivered_and_not_repeated() {
    let world = started("askable").await;
    world.outside.script(&[Act::Doubt { arrived: true }]);
    world.order(1, json!({})).await;
    world.see("the doubt", settled(SendOutcome::InDoubt)).await;
    world.see_later("the wait", waits).await;
    assert_eq!(world.outside.calls().len(), 1);
    world.see("the proof", settled(SendOutcome::Delivered)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_doubt_that_did_not_arrive_is_sent_again_when_the_receivers_view_is_final() {
    let world = started("askable").await;
    world.outside.script(&[Act::Doubt { arrived: false }]);
    let began = super::world::now(&world);
    world.order(1, json!({})).await;
    world.see_later("the wait", waits).await;
    assert_eq!(numbers(&world), [1, 2]);
    let again = world.nth("the second intent", 2, |e| matches!(e.what, What::SendIntended { .. })).await;
    assert!(again.at.duration_since(began).as_secs() >= 60, "not before `settles_after`");
    world.see("what was found out", settled(SendOutcome::NotSent)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_harmless_repetition_does_not_ask() {
    let world = started("harmless").await;
    world.outside.script(&[Act::Doubt { arrived: true }]);
    world.order(1, json!({})).await;
    world.see_later("the wait", waits).await;
    assert_eq!((numbers(&world), world.outside.asked()), (vec![1, 2], 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_decides_about_a_doubt_that_nobody_can_resolve() {
    for (action, sends) in [(Action::Delivered, 1), (Action::NotDelivered, 2), (Action::GiveUp, 1)] {
        let mut world = started("askable").await;
        world.outside.usually_says(Says::Unknown);
        world.outside.script(&[Act::Doubt { arrived: false }]);
        world.order(1, json!({})).await;
        world.see_later("the doubt to be parked", |e| matches!(e.what, What::Parked(_))).await;
        let parked = world.parked(ParkedKind::InDoubt).await;
        assert!(parked.reason.contains("connection reset"), "{}", parked.reason);
        assert!(world.outside.asked() > 100, "it was asked for ten minutes");
        world.restart().await;
        assert!(!world.release(&parked.id, Action::Retry).await.done, "nobody may guess");
        assert!(world.release(&parked.id, action).await.done);
        match action {
            Action::GiveUp => world.quiet().await,
            _ => drop(world.see("the wait", waits).await),
        }
        assert_eq!(world.outside.calls().len(), sends, "{action:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forbidden_doubt_is_parked_at_once() {
    let world = started("forbidden").await;
    world.outside.script(&[Act::Doubt { arrived: true }]);
    world.order(1, json!({})).await;
    let parked = world.parked(ParkedKind::InDoubt).await;
    assert_eq!(world.outside.asked(), 0);
    assert!(world.release(&parked.id, Action::Delivered).await.done);
    world.see("the wait", waits).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_through_another_door_settles_a_doubt() {
    let world = started("askable").await;
    world.outside.usually_says(Says::Unknown);
    world.outside.script(&[Act::Doubt { arrived: true }]);
    world.order(1, json!({})).await;
    world.see("the doubt", settled(SendOutcome::InDoubt)).await;
    world.answer("e1", "ok").await;
    world.finished(1).await;
    assert_eq!(world.outside.calls().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_settles_a_doubt_that_a_person_was_asked_about_or_says_that_it_is_too_late() {
    for given_up in [false, true] {
        let mut world = started("forbidden").await;
        world.outside.script(&[Act::Doubt { arrived: true }]);
        world.order(1, json!({})).await;
        let parked = world.parked(ParkedKind::InDoubt).await;
        if given_up {
            assert!(world.release(&parked.id, Action::GiveUp).await.done);
        }
        world.restart().await;
        world.answer("e1", "ok").await;
        if given_up {
            world
                .see("the late proof", |e| matches!(&e.what, What::Logged { text } if text.contains("given up")))
                .await;
            world.quiet().await;
            assert_eq!(world.count(|e| e.route == "ordini" && e.what == What::Finished).await, 0);
        } else {
            world.finished(1).await;
            world.see("the release", |e| matches!(&e.what, What::Released { action, .. } if action == "settled")).await;
            assert!(!world.release(&parked.id, Action::NotDelivered).await.done, "it is settled");
        }
        assert_eq!(world.outside.calls().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_comes_during_the_send_outweighs_a_doubt() {
    let world = started("forbidden").await;
    world.outside.script(&[Act::SlowAnswer]);
    world.order(1, json!({})).await;
    world.until("the send", || world.outside.calls().len() == 1).await;
    world.answer("e1", "ok").await;
    world.see("the answer", |e| e.route == "esiti" && e.what == What::Finished).await;
    world.quiet().await;
    world.outside.release();
    world.finished(1).await;
    assert_eq!(world.keys(Topic::WAITS, "answer").await, [""; 0]);
    assert_eq!(world.keys(Topic::OUTBOX, "outbound").await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_comes_before_the_intent_still_counts() {
    let world = World::started(&[&route("forbidden", ", lane: una, in_flight: 1"), ANSWERS]).await;
    world.outside.script(&[Act::Gate, Act::Doubt { arrived: true }]);
    world.order(1, json!({})).await;
    world.see("the first intent", |e| matches!(e.what, What::SendIntended { .. })).await;
    world.order(2, json!({})).await;
    world.answer("e2", "ok").await;
    world.see("the answer", |e| e.route == "esiti" && e.what == What::Finished).await;
    world.quiet().await;
    world.outside.release();
    world.finished(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sink_that_panics_has_ended_its_attempt() {
    let world = started("askable").await;
    world.outside.script(&[Act::Panic { arrived: true }]);
    world.order(1, json!({})).await;
    world.see("the doubt", settled(SendOutcome::InDoubt)).await;
    world.see_later("the wait", waits).await;
    assert_eq!(world.outside.calls().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_send_that_never_ends_is_cut_off_and_judged_by_its_crossing() {
    let world = World::started(&[&route("askable", ", attempt: 200ms"), ANSWERS]).await;
    world.outside.script(&[Act::Hang { arrived: true }, Act::Hang { arrived: false }]);
    world.order(1, json!({})).await;
    world.see("the doubt", settled(SendOutcome::InDoubt)).await;
    world.order(2, json!({})).await;
    world.see("the other one", settled(SendOutcome::NotSent)).await;
    world.clock.advance(Duration::from_secs(10));
    world.nth("the waits", 2, waits).await;
    assert_eq!(world.outside.arrived(), ["1", "2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_whose_time_is_over_does_not_cross() {
    let world = started("forbidden").await;
    world.outside.script(&[Act::Gate]);
    world.order(1, json!({})).await;
    world.see("the intent", |e| matches!(e.what, What::SendIntended { .. })).await;
    world.clock.advance(Duration::from_secs(31));
    world.outside.release();
    world.see_later("the wait", waits).await;
    let arrived: Vec<bool> = world.outside.calls().iter().map(|call| call.arrived).collect();
    assert_eq!(arrived, [false, true]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_is_busy_is_asked_again() {
    let world = started("askable").await;
    world.outside.says(&[Says::Busy, Says::Busy]);
    world.outside.script(&[Act::Doubt { arrived: true }]);
    world.order(1, json!({})).await;
    world.see_later("the wait", waits).await;
    assert_eq!((world.outside.calls().len(), world.outside.asked()), (1, 3));
}
