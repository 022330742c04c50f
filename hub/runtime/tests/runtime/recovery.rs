//! A store that was put back: nothing is sent until a person releases it, and what its lost future has sent is not sent again.

use std::time::Duration;

use hub_core::Verdict;
use hub_core::journal::{Decision, Event, ParkedKind, What};
use hub_life::outbound::Action;
use hub_runtime::{LaneReport, RecoveryReport};
use serde_json::{Value, json};

use super::flow::ANSWERS;
use super::outside::{Act, Feed, Says};
use super::world::World;

fn route(repeat: &str, before: &str) -> String {
    format!(
        r#"
route: ordini
from: {{ test: {{ name: ordini }} }}
case: {{ kind: pratica, id: "'c' + string(body.n)" }}
lane: body.corsia
idempotent: {{ key: string(body.n), remember: 30d }}
steps:{before}
  - to: {{ test.sink: {{ name: banca, repeat: {repeat}, holds: true, patience: 2m }}, as: invio }}
on_failure: {{ retry: {{ times: 3, min: 1s, max: 5s }}, then: park }}
"#
    )
}

const APPROVE: &str = "
  - approve: { role: approvatore, people: 1, within: 5d }";

async fn started(repeat: &str, before: &str) -> World {
    World::started(&[&route(repeat, before)]).await
}

fn una() -> Value {
    json!({ "corsia": "una" })
}

async fn report(world: &World) -> RecoveryReport {
    world.operate().recovery().await.expect("a report").expect("the hub is in recovery")
}

async fn lane(world: &World) -> LaneReport {
    report(world).await.lanes.into_iter().find(|lane| lane.lane == "una").expect("the lane is listed")
}

async fn release_lane(world: &World) -> bool {
    world.operate().release_lane("una", "anna", "the old machine is switched off").await.expect("a verdict").done
}

async fn end(world: &World) -> hub_runtime::Released {
    world.operate().end_recovery("anna", "all is well").await.expect("a verdict")
}

fn in_recovery(world: &World) -> bool {
    world.operate().alarms().iter().any(|alarm| alarm.name == "recovery")
}

/// Lets time go on until all these orders have finished.
async fn all_finish(world: &World, orders: &[u32]) {
    for n in orders {
        let case = format!("c{n}");
        world.see_later(&format!("order {n} to finish"), |e| e.case.id == case && e.what == What::Finished).await;
    }
}

/// Lets so many seconds go by, and the hub do what it does in them.
async fn pass(world: &World, seconds: u64) {
    for _ in 0..seconds {
        world.clock.advance(Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    world.quiet().await;
}

fn sends_of(world: &World, n: u32) -> usize {
    world.outside.calls().iter().filter(|call| call.arrived && call.body["n"] == n).count()
}

/// Three orders of one lane: the first is being sent, the others wait for it.
async fn mid_traffic(repeat: &str) -> World {
    let world = started(repeat, "").await;
    world.outside.script(&[Act::Gate]);
    for n in 1..=3 {
        world.order(n, una()).await;
    }
    world.see("the first intent", |e| matches!(e.what, What::SendIntended { .. })).await;
    world.quiet().await;
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_lost_future_sent_is_found_and_not_sent_again() {
    let mut world = mid_traffic("askable").await;
    let copy = world.copy();
    world.outside.release();
    all_finish(&world, &[1, 2, 3]).await;
    world.put_back(copy, "r1").await;
    assert!(in_recovery(&world));
    all_finish(&world, &[1, 2, 3]).await;
    assert_eq!(world.outside.calls().len(), 3, "each was sent once, in the lost future");
    let report = report(&world).await;
    assert_eq!((report.id.as_str(), report.settled_count), ("r1", 3));
    assert!(end(&world).await.done && !in_recovery(&world));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_goes_out_before_a_person_releases_the_lane_and_all_goes_out_once_after_it() {
    let mut world = mid_traffic("askable").await;
    let copy = world.copy();
    world.put_back(copy, "r1").await;
    world.outside.release();
    pass(&world, 30).await;
    assert_eq!(world.outside.arrived().len(), 0, "{:?}", world.outside.calls());
    assert!(world.outside.asked() >= 3, "the receiver was asked about each");
    let held = lane(&world).await;
    assert_eq!((held.waiting, held.proposed, held.released), (3, 2, None));
    let refused = end(&world).await;
    assert!(!refused.done && refused.reason.contains("una"), "{refused:?}");

    assert!(release_lane(&world).await);
    assert!(!release_lane(&world).await, "once is enough");
    all_finish(&world, &[1, 2, 3]).await;
    assert_eq!(world.outside.arrived(), ["1", "2", "3"], "in order, each once");
    assert!(end(&world).await.done);
    assert!(!end(&world).await.done, "it is over");
    let told = |action: &str| {
        let action = action.to_owned();
        move |e: &Event| matches!(&e.what, What::Released { action: a, by, .. } if *a == action && by == "anna")
    };
    world.see("the release in the journal", told("release_lane")).await;
    world.see("the end in the journal", told("end_recovery")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_that_the_copy_left_open_waits_for_a_person_when_nobody_can_say() {
    let mut world = mid_traffic("askable").await;
    world.outside.usually_says(Says::Unknown);
    let copy = world.copy();
    world.put_back(copy, "r1").await;
    pass(&world, 130).await;
    let first = world.parked_order(1).await;
    assert!(release_lane(&world).await);
    pass(&world, 200).await;
    assert_eq!(world.outside.arrived().len(), 0, "the first holds the lane: {:?}", world.outside.calls());
    let to_decide = lane(&world).await;
    assert_eq!((to_decide.waiting, to_decide.to_decide), (3, 1), "{to_decide:?}");
    assert!(world.release(&first.id, Action::NotDelivered).await.done);
    all_finish(&world, &[1, 2, 3]).await;
    assert_eq!(world.outside.arrived().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn senders_that_offer_again_what_was_sent_in_the_lost_future_send_nothing_twice() {
    let mut world = started("askable", "").await;
    let copy = world.copy();
    for n in [5, 6] {
        world.order(n, una()).await;
    }
    all_finish(&world, &[5, 6]).await;
    world.put_back(copy, "r1").await;
    // the store has never heard of it, and takes it
    world.order(5, una()).await;
    all_finish(&world, &[5]).await;
    assert!(release_lane(&world).await);
    world.order(6, una()).await;
    world.order(7, una()).await;
    all_finish(&world, &[6, 7]).await;
    assert_eq!([5, 6, 7].map(|n| sends_of(&world, n)), [1, 1, 1], "{:?}", world.outside.calls());
    assert!(end(&world).await.done);
    world.order(8, una()).await;
    let asked = world.outside.asked();
    all_finish(&world, &[8]).await;
    assert_eq!(world.outside.asked(), asked, "after the end nothing is asked first");
    let known = world.feed("ordini", vec![Feed::new("o8", json!({ "n": 8, "corsia": "una" }))]).await;
    assert!(matches!(known[..], [Verdict::Stored { again: true, .. }]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waited_for_people_in_the_copy_is_asked_about_even_when_the_recovery_is_over() {
    let mut world = started("askable", APPROVE).await;
    for n in [1, 2] {
        world.order(n, una()).await;
    }
    let tasks = [world.task(1).await, world.task(2).await];
    world.quiet().await;
    let copy = world.copy();
    for task in &tasks {
        assert!(world.say(task, "bruno", Decision::Approve).await.refused.is_none());
    }
    all_finish(&world, &[1, 2]).await;
    world.put_back(copy, "r1").await;
    assert!(world.say(&tasks[0], "bruno", Decision::Approve).await.refused.is_none());
    all_finish_one_of(&world, &[1, 2]).await;
    assert!(end(&world).await.done);
    world.finds(None);
    world.restart().await;
    assert!(world.say(&tasks[1], "bruno", Decision::Approve).await.refused.is_none());
    all_finish(&world, &[1, 2]).await;
    assert_eq!(world.outside.calls().len(), 2, "{:?}", world.outside.calls());
}

async fn all_finish_one_of(world: &World, orders: &[u32]) {
    let cases: Vec<_> = orders.iter().map(|n| format!("c{n}")).collect();
    world.see_later("one of them to finish", |e| cases.contains(&e.case.id) && e.what == What::Finished).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_cannot_be_asked_leaves_it_to_people_one_by_one() {
    let mut world = mid_traffic("forbidden").await;
    let copy = world.copy();
    world.put_back(copy, "r1").await;
    world.order(4, una()).await;
    for n in 1..=4 {
        assert_eq!(world.parked_order(n).await.kind, ParkedKind::InDoubt);
    }
    assert!(release_lane(&world).await);
    pass(&world, 30).await;
    assert_eq!(world.outside.arrived().len(), 0);
    for n in 1..=4 {
        let action = if n == 2 { Action::Delivered } else { Action::NotDelivered };
        assert!(world.release(&world.parked_order(n).await.id, action).await.done);
    }
    world.outside.release();
    all_finish(&world, &[1, 2, 3, 4]).await;
    world.order(5, una()).await;
    all_finish(&world, &[5]).await;
    assert_eq!([1, 2, 3, 4, 5].map(|n| sends_of(&world, n)), [1, 0, 1, 1, 1], "{:?}", world.outside.calls());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_be_repeated_is_sent_after_the_release() {
    let mut world = mid_traffic("harmless").await;
    let copy = world.copy();
    world.put_back(copy, "r1").await;
    world.outside.release();
    pass(&world, 30).await;
    assert_eq!(world.outside.arrived().len(), 0);
    assert!(release_lane(&world).await);
    all_finish(&world, &[1, 2, 3]).await;
    assert_eq!(world.outside.asked(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_changes_nothing_and_another_old_copy_begins_anew() {
    let mut world = mid_traffic("askable").await;
    let copy = world.copy();
    world.put_back(copy, "r1").await;
    world.outside.release();
    pass(&world, 5).await;
    world.crash().await;
    pass(&world, 5).await;
    assert!(in_recovery(&world) && world.outside.arrived().is_empty());
    let before_release = world.copy();
    assert!(release_lane(&world).await);
    let after_release = world.copy();
    world.crash().await;
    all_finish(&world, &[1, 2, 3]).await;
    assert_eq!(world.outside.arrived(), ["1", "2", "3"], "the release survives a crash");

    world.put_back(after_release, "r2").await;
    assert_eq!(lane_word(&world).await, None, "a release counts for its own recovery only");
    all_finish(&world, &[1, 2, 3]).await;
    world.put_back(before_release, "r3").await;
    all_finish(&world, &[1, 2, 3]).await;
    assert_eq!(world.outside.arrived(), ["1", "2", "3"]);
    assert!(end(&world).await.done);
}

async fn lane_word(world: &World) -> Option<hub_runtime::LaneWord> {
    report(world).await.lanes.into_iter().find(|lane| lane.lane == "una").and_then(|lane| lane.released)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_of_the_copy_may_have_been_sent_again_since() {
    let mut world = started("askable", "").await;
    world.outside.script(&[Act::Rejected]);
    world.order(1, una()).await;
    let refused = world.parked(ParkedKind::Rejected).await;
    world.quiet().await;
    let copy = world.copy();
    assert!(world.release(&refused.id, Action::Retry).await.done);
    all_finish(&world, &[1]).await;
    world.put_back(copy, "r1").await;
    let doubt = world.nth_parked(ParkedKind::InDoubt, 1).await;
    assert_eq!(doubt.id, refused.id);
    assert!(!world.release(&doubt.id, Action::Retry).await.done, "a refusal can be tried again, a doubt cannot");
    assert!(release_lane(&world).await);
    pass(&world, 100).await;
    assert_eq!(sends_of(&world, 1), 1);
    assert!(world.release(&doubt.id, Action::Delivered).await.done);
    all_finish(&world, &[1]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_nobody_awaits_tell_of_what_was_lost() {
    let mut world = World::started(&[&route("askable", ""), ANSWERS]).await;
    let copy = world.copy();
    world.put_back(copy, "r1").await;
    world.answer("e9", "ok").await;
    world.quiet().await;
    let report = report(&world).await;
    assert_eq!(report.unclaimed_count, 1);
    assert_eq!((report.unclaimed[0].name.as_str(), report.unclaimed[0].key.as_str()), ("esito", "e9"));
}
