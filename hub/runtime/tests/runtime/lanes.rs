//! Order: within a lane one after another, and never two at once; between lanes nothing waits for anything.

use std::time::Duration;

use hub_backbone::Topic;
use hub_core::journal::{Event, ParkedKind, SendOutcome, What};
use hub_life::outbound::Action;
use serde_json::json;

use super::flow::ANSWERS;
use super::outside::{Act, Does, Says};
use super::world::World;

fn route(holds: bool) -> String {
    format!(
        r#"
route: ordini
from: {{ test: {{ name: ordini }} }}
case: {{ kind: pratica, id: "'c' + string(body.n)" }}
lane: body.corsia
steps:
  - test.step: {{ name: passo }}
  - to: {{ test.sink: {{ name: banca, repeat: askable, holds: {holds}, patience: 2m }}, as: invio }}
on_failure: {{ retry: {{ times: 3, min: 1s, max: 5s }}, then: park }}
"#
    )
}

async fn started(holds: bool) -> World {
    World::started(&[&route(holds)]).await
}

fn all_finished(e: &Event) -> bool {
    e.what == What::Finished
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_keeps_its_order_over_retries_doubts_and_a_crash() {
    let mut world = started(true).await;
    let arrived = Act::Doubt { arrived: true };
    let lost = Act::Doubt { arrived: false };
    world.outside.script(&[Act::NotSent, Act::Receipt, arrived, Act::NotSent, Act::NotSent, lost]);
    for n in 1..=30 {
        world.order(n, json!({ "corsia": "una" })).await;
    }
    world
        .until("some sends", || {
            world.outside.calls().len() > 1 || {
                world.clock.advance(Duration::from_millis(100));
                false
            }
        })
        .await;
    world.crash().await;
    let began = std::time::Instant::now();
    while world.count(all_finished).await < 30 {
        world.clock.advance(Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(2)).await;
        assert!(began.elapsed() < Duration::from_secs(60), "{:?}", world.outside.calls());
    }
    let wanted: Vec<String> = (1..=30).map(|n| n.to_string()).collect();
    assert_eq!(world.outside.arrived(), wanted);
    assert_eq!(world.outside.most_under_way(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_lane_holds_up_no_other() {
    let world = started(false).await;
    world.outside.script(&[Act::Gate]);
    world.order(1, json!({ "corsia": "lenta" })).await;
    world.see("the intent", |e| matches!(e.what, What::SendIntended { .. })).await;
    for n in 2..=5 {
        world.order(n, json!({ "corsia": "lenta" })).await;
    }
    for n in 6..=25 {
        world.order(n, json!({})).await;
    }
    for n in 6..=25 {
        world.finished(n).await;
    }
    assert_eq!(world.count(all_finished).await, 20);
    world.outside.release();
    for n in 1..=5 {
        world.finished(n).await;
    }
    assert_eq!(world.outside.arrived()[20..], ["1", "2", "3", "4", "5"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parked_doubt_holds_its_lane_until_a_person_frees_it() {
    let mut world = started(true).await;
    world.outside.usually_says(Says::Unknown);
    world.outside.script(&[Act::Doubt { arrived: true }]);
    for n in 1..=3 {
        world.order(n, json!({ "corsia": "ente" })).await;
    }
    world.order(4, json!({})).await;
    world.finished(4).await;
    world.see_later("the parked doubt", |e| matches!(e.what, What::Parked(_))).await;
    let parked = world.parked(ParkedKind::InDoubt).await;
    world.crash().await;
    world.order(5, json!({ "corsia": "ente" })).await;
    world.quiet().await;
    assert_eq!(world.outside.calls().len(), 2, "nothing overtakes a doubt");
    assert!(world.release(&parked.id, Action::Delivered).await.done);
    for n in [1, 2, 3, 5] {
        world.finished(n).await;
    }
    assert_eq!(world.outside.arrived(), ["1", "4", "2", "3", "5"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_witness_frees_the_lane_of_a_parked_doubt() {
    let route = route(true)
        .replace("on_failure", "  - await: { name: esito, keys: [\"'e' + string(body.n)\"], within: 5d }\non_failure");
    let world = World::started(&[&route, ANSWERS]).await;
    world.outside.usually_says(Says::Unknown);
    world.outside.script(&[Act::Doubt { arrived: true }]);
    world.order(1, json!({ "corsia": "ente" })).await;
    world.order(2, json!({ "corsia": "ente" })).await;
    world.see_later("the parked doubt", |e| matches!(e.what, What::Parked(_))).await;
    world.answer("e1", "ok").await;
    world.finished(1).await;
    world.until("the next one", || world.outside.arrived() == ["1", "2"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parked_doubt_that_does_not_hold_its_lane_lets_others_pass() {
    let world = started(false).await;
    world.outside.usually_says(Says::Unknown);
    world.outside.script(&[Act::Doubt { arrived: true }]);
    world.order(1, json!({ "corsia": "ente" })).await;
    world.order(2, json!({ "corsia": "ente" })).await;
    world.see("the doubt", |e| matches!(&e.what, What::SendSettled { outcome: SendOutcome::InDoubt, .. })).await;
    world.quiet().await;
    assert_eq!(world.outside.calls().len(), 1, "a doubt that is still asked about holds the lane");
    world.see_later("the parked doubt", |e| matches!(e.what, What::Parked(_))).await;
    world.finished(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retried_message_does_not_join_a_send_that_is_under_way_in_its_lane() {
    let world = started(true).await;
    world.outside.script(&[Act::Rejected, Act::Gate]);
    world.order(1, json!({ "corsia": "una" })).await;
    let parked = world.parked(ParkedKind::Rejected).await;
    world.order(2, json!({ "corsia": "una" })).await;
    world.nth("the second intent", 2, |e| matches!(e.what, What::SendIntended { .. })).await;
    assert!(world.release(&parked.id, Action::Retry).await.done);
    world.quiet().await;
    world.outside.release();
    world.finished(1).await;
    world.finished(2).await;
    assert_eq!(world.outside.arrived(), ["2", "1"]);
    assert_eq!(world.outside.most_under_way(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retried_message_waits_for_a_doubt_that_holds_its_lane() {
    let world = started(true).await;
    world.outside.usually_says(Says::Unknown);
    world.outside.script(&[Act::Rejected, Act::Doubt { arrived: true }]);
    world.order(1, json!({ "corsia": "una" })).await;
    let rejected = world.parked(ParkedKind::Rejected).await;
    world.order(2, json!({ "corsia": "una" })).await;
    world.see_later("the parked doubt", |e| matches!(&e.what, What::Parked(p) if p.kind == ParkedKind::InDoubt)).await;
    let doubt = world.parked(ParkedKind::InDoubt).await;
    assert!(world.release(&rejected.id, Action::Retry).await.done);
    world.quiet().await;
    assert_eq!(world.outside.calls().len(), 2, "one in doubt per lane, and nothing beside it");
    assert!(world.release(&doubt.id, Action::Delivered).await.done);
    world.finished(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_is_away_keeps_the_order_of_its_lane_and_its_place_over_a_crash() {
    let mut world = started(false).await;
    world.outside.does("passo", &[Does::Unavailable, Does::Unavailable]);
    for n in 1..=5 {
        world.order(n, json!({ "corsia": "una" })).await;
    }
    world.quiet().await;
    assert_eq!(world.outside.worked("passo"), [""; 0]);
    world.crash().await;
    let began = std::time::Instant::now();
    while world.count(all_finished).await < 5 {
        world.clock.advance(Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(2)).await;
        assert!(began.elapsed() < Duration::from_secs(60));
    }
    assert_eq!(world.outside.arrived(), ["1", "2", "3", "4", "5"]);
    assert_eq!(world.keys(Topic::INBOX, "held").await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restored_lanes_are_tried_once_each_and_not_once_for_each_message() {
    let mut world = started(false).await;
    world.outside.does("passo", &[Does::Unavailable, Does::Unavailable, Does::Unavailable]);
    for n in 1..=20 {
        world.order(n, json!({ "corsia": "una" })).await;
    }
    world.quiet().await;
    world.crash().await;
    world.quiet().await;
    assert_eq!(world.count(|e| matches!(e.what, What::Parked(_))).await, 0, "two of three retries are left");
    world.clock.advance(Duration::from_secs(10));
    world.clock.advance(Duration::from_secs(10));
    world.see_later("the last", |e| e.case.id == "c20" && e.what == What::Finished).await;
    assert_eq!(world.outside.arrived().len(), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outbound_messages_beyond_memory_wait_in_the_store() {
    let mut world = World::new(&[&route(true)]);
    world.limits.pending_max = 4;
    world.start().await;
    world.outside.usually_says(Says::Unknown);
    world.outside.script(&[Act::Doubt { arrived: true }]);
    for n in 1..=40 {
        world.order(n, json!({ "corsia": "una" })).await;
    }
    world.see_later("the parked doubt", |e| matches!(e.what, What::Parked(_))).await;
    let parked = world.parked(ParkedKind::InDoubt).await;
    world.quiet().await;
    assert!(world.keys(Topic::OUTBOX, "spill").await.len() > 30);
    world.crash().await;
    world.quiet().await;
    assert!(world.release(&parked.id, Action::Delivered).await.done, "commands are read although memory is full");
    for n in 1..=40 {
        world.finished(n).await;
    }
    let wanted: Vec<String> = (1..=40).map(|n| n.to_string()).collect();
    assert_eq!(world.outside.arrived(), wanted);
    assert_eq!(world.keys(Topic::OUTBOX, "spill").await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sink_takes_no_more_at_once_than_it_says() {
    let route = route(false).replace("patience: 2m", "in_flight: 3");
    let world = World::started(&[&route]).await;
    world.outside.script(&vec![Act::SlowAnswer; 20]);
    for n in 1..=20 {
        world.order(n, json!({})).await;
    }
    world.until("three sends", || world.outside.calls().len() == 3).await;
    world.quiet().await;
    assert_eq!(world.outside.calls().len(), 3);
    world.outside.release();
    for n in 1..=20 {
        world.finished(n).await;
    }
}
