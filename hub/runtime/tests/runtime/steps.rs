//! Steps that fail: their message waits or is parked, their neighbours go on.

use std::time::Duration;

use hub_backbone::Topic;
use hub_core::journal::{Decision, ParkedKind, What};
use hub_life::outbound::Action;
use serde_json::json;

use super::outside::Does;
use super::world::World;

const STEPS: &str = r#"
route: ordini
from: { test: { name: ordini } }
case: { kind: pratica, id: "'c' + string(body.n)" }
lane: body.corsia
steps:
  - log: "'visto'"
  - test.step: { name: passo, as: fatto }
  - log: "'fatto da ' + fatto.by"
  - to: { test.sink: { name: banca, repeat: forbidden } }
on_failure: { retry: { times: 3, min: 1s, max: 5s }, then: { task: controllore } }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalid_message_is_parked_alone_leaves_nothing_behind_and_can_be_retried() {
    for does in [Does::Invalid, Does::Panic] {
        let mut world = World::started(&[STEPS]).await;
        world.outside.does("passo", &[does, Does::Work, Does::Work]);
        let order = |n: u32| super::outside::Feed::new(&format!("o{n}"), json!({ "n": n, "corsia": "una" }));
        // One batch: they share a commit.
        let _ = world.feed("ordini", vec![order(1), order(2), order(3)]).await;
        world.finished(2).await;
        world.finished(3).await;
        let parked = world.parked_order(1).await;
        assert_eq!(parked.kind, ParkedKind::Step);
        let task = world.task(1).await;
        assert!(task.title.contains("c1"), "{}", task.title);
        world.quiet().await;
        let of_first = |e: &hub_core::journal::Event| e.case.id == "c1" && matches!(e.what, What::Logged { .. });
        assert_eq!(world.count(of_first).await, 0, "what it said before it failed was taken back");
        world.restart().await;
        assert!(!world.release(&parked.id, Action::NotDelivered).await.done);
        assert!(world.release(&parked.id, Action::Retry).await.done);
        world.finished(1).await;
        assert_eq!(world.outside.arrived(), ["2", "3", "1"]);
        assert_eq!(world.keys(Topic::INBOX, "parked").await, [""; 0]);
        assert_eq!(world.say(&task, "anna", Decision::Done).await.refused, None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_parked_twice_opens_two_tasks_and_can_be_given_up() {
    let world = World::started(&[STEPS]).await;
    world.outside.does("passo", &[Does::Invalid, Does::Invalid]);
    world.order(1, json!({})).await;
    let parked = world.parked_order(1).await;
    let first = world.task(1).await;
    world.clock.advance(Duration::from_secs(1));
    assert!(world.release(&parked.id, Action::Retry).await.done);
    let second = world.task(2).await;
    assert_ne!(first.id, second.id);
    assert!(world.release(&parked.id, Action::GiveUp).await.done);
    assert!(!world.release(&parked.id, Action::GiveUp).await.done);
    assert_eq!(world.outside.calls().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_stays_away_parks_its_message_after_its_retries() {
    let world = World::started(&[STEPS]).await;
    world.outside.does("passo", &[Does::Unavailable, Does::Unavailable, Does::Unavailable, Does::Unavailable]);
    world.order(1, json!({ "corsia": "una" })).await;
    world.order(2, json!({ "corsia": "una" })).await;
    world.see_later("the end of retries", |e| matches!(e.what, What::Parked(_))).await;
    let parked = world.parked_order(1).await;
    assert!(parked.reason.contains("the device is off"), "{}", parked.reason);
    world.finished(2).await;
    assert!(world.release(&parked.id, Action::Retry).await.done);
    world.finished(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_hangs_counts_as_unavailable() {
    let mut world = World::new(&[STEPS]);
    world.limits.step = Duration::from_millis(50);
    world.start().await;
    world.outside.does("passo", &[Does::Hang]);
    world.order(1, json!({})).await;
    world.see_later("the retry", |e| e.what == What::Finished).await;
    assert_eq!(world.outside.worked("passo"), ["1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_cuts_a_step_that_hangs() {
    let mut world = World::new(&[STEPS]);
    world.limits.grace = Duration::from_millis(50);
    world.limits.step = Duration::from_secs(3600);
    world.start().await;
    world.outside.does("passo", &[Does::Hang]);
    world.order(1, json!({})).await;
    world.stop().await.expect("the hub stops well");
    world.reopen().await;
    world.start().await;
    world.finished(1).await;
}

const WRONG: &str = r#"
route: ordini
from: { test: { name: ordini } }
case: { kind: pratica, id: "'c' + string(body.n)" }
lane: body.corsia
steps:
  - set: { x: body.manca }
  - split: { each: vars.x, as: r, steps: [ { log: "'r'" } ] }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expressions_that_find_nothing_park_their_message_with_their_text() {
    let world = World::started(&[WRONG]).await;
    world.order(1, json!({})).await;
    world.order(2, json!({ "manca": 7 })).await;
    world.order(3, json!({ "manca": [1, 2] })).await;
    assert!(world.parked_order(1).await.reason.contains("body.manca"));
    assert!(world.parked_order(2).await.reason.contains("not a list"));
    world.finished(3).await;
}
