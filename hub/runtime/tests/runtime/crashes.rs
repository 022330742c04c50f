//! Crashes and failing stores: nothing is lost, nothing is done twice, whenever it happens.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hub_backbone::{Error, Fault};
use hub_core::journal::{Decision, Event, SendOutcome, What};
use serde_json::json;

use super::flow::{ANSWERS, ORDERS};
use super::outside::{Act, Feed, Says};
use super::world::World;

const APPROVED: &str = r#"
route: ordini
from: { test: { name: ordini } }
case: { kind: pratica, id: "'c' + string(body.n)" }
lane: body.corsia
steps:
  - approve: { role: approvatore, within: 30d }
  - state: approvata
  - to: { test.sink: { name: banca, repeat: askable }, as: invio }
  - await: { name: esito, keys: ["'e' + string(body.n)"], within: 30d, as: esito }
  - state: chiusa
"#;

/// Does everything that people and the outside have to do until the order is through; starts the hub again if it fails.
async fn see_through(world: &mut World) -> usize {
    let (mut failures, mut rounds) = (0, 0);
    loop {
        if !world.is_ready() {
            failures += 1;
            world.crash().await;
        }
        let events = world.events().await;
        if events.iter().any(|e| e.route == "ordini" && e.what == What::Finished) {
            return failures;
        }
        let open = |id: &String| !events.iter().any(|e| matches!(&e.what, What::TaskClosed { task, .. } if task == id));
        for event in &events {
            if let What::TaskOpened(task) = &event.what
                && open(&task.id)
            {
                let word = super::world::word(task, "anna", Decision::Approve);
                drop(world.operate().decide(&task.id, word).await);
            }
        }
        if world.outside.arrived() == ["1"] && world.outside.unsettled() == 0 && rounds % 5 == 0 {
            let answer = Feed::new(&format!("a{rounds}"), json!({ "chiave": "e1", "testo": "ok" }));
            world.outside.feed("esiti", vec![answer]);
        }
        rounds += 1;
        assert!(rounds < 2000, "the order does not get through:\n{}", super::world::told(&events));
        world.clock.advance(Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Breaks the `nth` commit of a history, in a way.
async fn broken_at(nth: usize, fault: Fault, act: Act) -> bool {
    let mut world = World::new(&[APPROVED, ANSWERS]);
    let count = Arc::new(AtomicUsize::new(0));
    let counts = count.clone();
    world.set_fault(Some(Arc::new(move |commit| match commit.is_empty() {
        false if counts.fetch_add(1, Ordering::SeqCst) == nth => fault.clone(),
        _ => Fault::None,
    })));
    world.start().await;
    world.outside.script(&[act]);
    let order = Feed::new("o1", json!({ "n": 1, "corsia": "una" }));
    world.outside.feed("ordini", vec![order.clone()]);
    let mut failures = see_through(&mut world).await;
    let reached = count.load(Ordering::SeqCst) > nth;
    if reached && failures == 0 {
        // It was one of the last commits, which the order did not need.
        let _ = world.failed().await;
        failures = 1;
        world.crash().await;
        world.quiet().await;
    }
    let events = world.events().await;
    let finished = |e: &&Event| e.route == "ordini" && e.what == What::Finished;
    assert_eq!(events.iter().filter(finished).count(), 1, "commit {nth}");
    let received = |e: &&Event| e.route == "ordini" && matches!(e.what, What::Received { .. });
    assert_eq!(events.iter().filter(received).count(), 1, "commit {nth}");
    assert_eq!(world.outside.arrived(), ["1"], "commit {nth}");
    let intents = events.iter().filter(|e| matches!(e.what, What::SendIntended { .. })).count();
    assert!(intents >= world.outside.calls().len(), "commit {nth}: no send without an intent");
    assert!(failures <= 1 && (failures == 1) == reached, "commit {nth}: a failed commit stops the hub, once");
    reached
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_fails_or_whose_end_is_unknown_stops_the_hub_and_the_next_start_goes_on() {
    let error = || Error::Io("the disk is gone".into());
    for act in [Act::Receipt, Act::Doubt { arrived: true }, Act::Doubt { arrived: false }] {
        for fault in [Fault::Refuse(error()), Fault::Lose(error())] {
            let mut nth = 0;
            while broken_at(nth, fault.clone(), act.clone()).await {
                nth += 1;
            }
            assert!(nth > 12, "a history has more commits than {nth}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_of_an_earlier_life_is_resolved_and_not_repeated() {
    for embedded in [false, true] {
        let mut world = if embedded { World::embedded(&[ORDERS, ANSWERS]) } else { World::new(&[ORDERS, ANSWERS]) };
        world.start().await;
        world.outside.script(&[Act::SlowAnswer, Act::Vanish]);
        world.order(1, json!({})).await;
        world.until("the first send", || world.outside.calls().len() == 1).await;
        world.order(2, json!({})).await;
        // An intent alone would not do: whoever stops before the first byte knows that nothing was sent.
        world.until("the second send", || world.outside.calls().len() == 2).await;
        world.crash().await;
        let doubt = |e: &Event| matches!(e.what, What::SendSettled { outcome: SendOutcome::InDoubt, .. });
        world.nth("both doubts", 2, doubt).await;
        let opened =
            |case: &'static str| move |e: &Event| e.case.id == case && matches!(e.what, What::WaitOpened { .. });
        world.see_later("the first wait", opened("c1")).await;
        world.see_later("the second wait", opened("c2")).await;
        assert_eq!(world.outside.arrived(), ["1", "2"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_hub_does_not_cross_after_another_has_opened_its_store() {
    let mut world = World::started(&[ORDERS, ANSWERS]).await;
    world.outside.script(&[Act::Gate]);
    world.order(1, json!({})).await;
    world.see("the intent", |e| matches!(e.what, What::SendIntended { .. })).await;
    world.quiet().await;
    let old = world.usurp().await;
    let failed = tokio::time::timeout(Duration::from_secs(60), old.failed()).await.expect("it notices");
    assert!(failed.to_string().contains("fenced"), "{failed}");
    world.outside.release();
    world.see_later("the wait", |e| matches!(e.what, What::WaitOpened { .. })).await;
    assert_eq!(world.outside.arrived(), ["1"]);
    assert!(old.stop().await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_that_a_crash_swallowed_is_put_again() {
    let mut world = World::started(&[ORDERS, ANSWERS]).await;
    world.outside.says(&[Says::Gate]);
    world.outside.script(&[Act::Doubt { arrived: true }]);
    world.order(1, json!({})).await;
    world.see("the doubt", |e| matches!(e.what, What::SendSettled { outcome: SendOutcome::InDoubt, .. })).await;
    world
        .until("the question", || {
            world.clock.advance(Duration::from_millis(500));
            world.outside.asked() == 1
        })
        .await;
    world.crash().await;
    world.see_later("the wait", |e| matches!(e.what, What::WaitOpened { .. })).await;
    assert_eq!((world.outside.calls().len(), world.outside.asked()), (1, 2));
    world.outside.close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_hears_that_the_hub_stops_and_their_word_counts_after_the_start() {
    let mut world = World::started(&[APPROVED, ANSWERS]).await;
    world.order(1, json!({})).await;
    let task = world.task(1).await;
    world.quiet().await;
    let operate = world.operate();
    world.set_fault(Some(Arc::new(|commit: &hub_backbone::Commit| match commit.positions.is_empty() {
        true => Fault::None,
        false => Fault::Refuse(Error::Io("the disk is gone".into())),
    })));
    let said = operate.decide(&task.id, super::world::word(&task, "anna", Decision::Approve)).await;
    assert!(matches!(said, Err(hub_runtime::OperateError::Stopped(_))), "{said:?}");
    let failed = world.failed().await;
    assert!(failed.to_string().contains("the disk is gone"), "{failed}");
    let said = operate.decide(&task.id, super::world::word(&task, "anna", Decision::Approve)).await;
    assert!(matches!(said, Err(hub_runtime::OperateError::Stopped(_))), "{said:?}");
    assert!(!operate.is_ready() && operate.alarms().iter().any(|alarm| alarm.name == "store"));
    world.set_fault(None);
    world.crash().await;
    world.see("the send", |e| matches!(e.what, What::SendIntended { .. })).await;
}
