//! Waits, answers, deadlines: whichever comes first, wherever it lives.

use std::time::Duration;

use hub_backbone::{Place, Topic};
use hub_core::journal::{Decision, Event, ParkedKind, What};
use hub_life::outbound::Action;
use serde_json::json;

use super::flow::{ANSWERS, ORDERS};
use super::world::World;

fn waits(e: &Event) -> bool {
    matches!(e.what, What::WaitOpened { .. })
}

/// A route that waits at once, for two keys of the order.
fn route(on_timeout: &str) -> String {
    format!(
        r#"
route: ordini
from: {{ test: {{ name: ordini }} }}
case: {{ kind: pratica, id: "'c' + string(body.n)" }}
lane: body.corsia
steps:
  - await: {{ name: esito, keys: [body.k1, body.k2], within: 2h, as: esito, on_timeout: {on_timeout} }}
  - log: "'risposta ' + esito.testo"
"#
    )
}

async fn started(on_timeout: &str) -> World {
    World::started(&[&route(on_timeout), ANSWERS]).await
}

/// Two keys of one wait whose partitions are the same, or not.
fn keys(n: u32, same: bool) -> (String, String) {
    let place = |key: &str| Place::of_key(Topic::WAITS, &format!("esito\u{1f}{key}"), 4);
    let first = format!("{n}-a");
    let second = (0..100).map(|i| format!("{n}-b{i}")).find(|key| (place(key) == place(&first)) == same);
    (first, second.expect("a hundred keys are on all four partitions"))
}

async fn log(world: &World, n: u32, text: &str) {
    let (case, text) = (format!("c{n}"), format!("risposta {text}"));
    world.see(&text.clone(), |e| e.case.id == case && e.what == What::Logged { text: text.clone() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_counts_before_and_after_the_wait_by_each_key_on_each_partition() {
    let world = started("park").await;
    let mut n = 0;
    for same in [true, false] {
        for by_first in [true, false] {
            for before in [true, false] {
                n += 1;
                let (first, second) = keys(n, same);
                let key = if by_first { &first } else { &second };
                if before {
                    world.answer(key, "presto").await;
                    world
                        .nth("the answer's route", n as usize, |e| e.route == "esiti" && e.what == What::Finished)
                        .await;
                    world.quiet().await;
                }
                world.order(n, json!({ "k1": first, "k2": second })).await;
                if !before {
                    world.nth("the wait", n as usize, waits).await;
                    world.quiet().await;
                    world.answer(key, "presto").await;
                }
                log(&world, n, "presto").await;
                world.finished(n).await;
            }
        }
    }
    world.quiet().await;
    for space in ["wait", "key", "answer"] {
        assert_eq!(world.keys(Topic::WAITS, space).await, [""; 0], "nothing is left of answered waits: {space}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_races_with_its_wait_counts() {
    let world = started("park").await;
    for n in 1..=40 {
        let (first, second) = keys(n, n % 2 == 0);
        let body = json!({ "n": n, "corsia": format!("l{n}"), "k1": first, "k2": second });
        world.outside.feed("ordini", vec![super::outside::Feed::new(&format!("o{n}"), body)]);
        let answer = json!({ "chiave": if n % 3 == 0 { &first } else { &second }, "testo": "ora" });
        world.outside.feed("esiti", vec![super::outside::Feed::new(&format!("a{n}"), answer)]);
    }
    for n in 1..=40 {
        world.finished(n).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_answer_is_kept_and_not_lost_in_the_first_ones_wait() {
    let world = started("park").await;
    let (first, second) = keys(1, false);
    world.order(1, json!({ "k1": first, "k2": second })).await;
    world.see("the wait", waits).await;
    world.answer(&first, "uno").await;
    world.answer(&second, "due").await;
    log(&world, 1, "uno").await;
    // Another message that waits for the other key gets the other answer.
    world.order(2, json!({ "k1": second, "k2": "2-x" })).await;
    log(&world, 2, "due").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kept_answers_go_to_waits_one_by_one() {
    let world = started("park").await;
    world.answer("k", "uno").await;
    world.answer("k", "due").await;
    world.nth("both answers", 2, |e| e.route == "esiti" && e.what == What::Finished).await;
    world.quiet().await;
    world.order(1, json!({ "k1": "k", "k2": "y1" })).await;
    world.finished(1).await;
    world.order(2, json!({ "k1": "k", "k2": "y2" })).await;
    world.finished(2).await;
    let answers = |e: &Event| matches!(&e.what, What::Logged { text } if text.starts_with("risposta"));
    assert_eq!(world.count(answers).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kept_answers_expire_after_thirty_days_also_over_a_restart() {
    let mut world = started("park").await;
    world.answer("vecchia", "uno").await;
    world.see("the answer", |e| e.route == "esiti" && e.what == What::Finished).await;
    world.quiet().await;
    world.clock.advance(Duration::from_secs(86_400));
    world.answer("vecchia", "due").await;
    world.nth("the second answer", 2, |e| e.route == "esiti" && e.what == What::Finished).await;
    world.quiet().await;
    world.restart().await;
    assert_eq!(world.keys(Topic::WAITS, "answer").await.len(), 1);
    world.clock.advance(Duration::from_secs(30 * 86_400 - 3600));
    world.order(1, json!({ "k1": "vecchia", "k2": "z" })).await;
    log(&world, 1, "due").await;
    assert_eq!(world.keys(Topic::WAITS, "answer").await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_that_is_overdue_is_parked_waits_again_and_takes_a_late_answer() {
    let mut world = started("park").await;
    world.order(1, json!({ "k1": "a1", "k2": "a2" })).await;
    world.see("the wait", waits).await;
    world.quiet().await;
    world.clock.advance(Duration::from_secs(2 * 3600));
    let parked = world.parked(ParkedKind::Wait).await;
    assert!(parked.reason.contains("a1, a2"), "{}", parked.reason);
    assert!(!world.release(&parked.id, Action::Delivered).await.done);
    assert!(world.release(&parked.id, Action::Retry).await.done);
    assert!(!world.release(&parked.id, Action::GiveUp).await.done, "it waits, it is not parked");
    world.restart().await;
    world.clock.advance(Duration::from_secs(2 * 3600));
    let _ = world.nth_parked(ParkedKind::Wait, 2).await;
    world.answer("a2", "tardi").await;
    log(&world, 1, "tardi").await;
    world.see("the release", |e| matches!(&e.what, What::Released { action, .. } if action == "settled")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_that_is_given_up_is_over_and_its_late_answer_is_kept() {
    let world = started("park").await;
    world.order(1, json!({ "k1": "g1", "k2": "g2" })).await;
    world.see("the wait", waits).await;
    world.quiet().await;
    world.clock.advance(Duration::from_secs(2 * 3600));
    let parked = world.parked(ParkedKind::Wait).await;
    let released = world.release(&parked.id, Action::GiveUp).await;
    assert!(released.done);
    world.operate().wait_until_seen(&released.position).await.expect("the view sees it");
    world.answer("g2", "tardi").await;
    world.see("the answer", |e| e.route == "esiti" && e.what == What::Finished).await;
    world.quiet().await;
    assert_eq!(world.count(|e| e.what == What::Finished && e.route == "ordini").await, 0);
    assert_eq!(world.keys(Topic::WAITS, "answer").await.len(), 1);
    assert!(!world.release(&parked.id, Action::Retry).await.done, "it is over");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_overdue_wait_goes_on_another_way_and_keeps_a_late_answer() {
    let world = started("{ steps: [ { log: \"'scaduta'\" } ] }").await;
    world.order(1, json!({ "k1": "s1", "k2": "s2" })).await;
    world.see("the wait", waits).await;
    world.quiet().await;
    world.clock.advance(Duration::from_secs(2 * 3600));
    world.see("the other way", |e| e.what == What::Logged { text: "scaduta".into() }).await;
    world.finished(1).await;
    world.answer("s1", "tardi").await;
    world.see("the answer", |e| e.route == "esiti" && e.what == What::Finished).await;
    world.quiet().await;
    assert_eq!(world.count(|e| e.what == What::Finished && e.route == "ordini").await, 1);
    assert_eq!(world.keys(Topic::WAITS, "answer").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_answer_withdraws_the_task_of_an_overdue_wait() {
    let mut world = started("{ task: controllore }").await;
    world.order(1, json!({ "k1": "t1", "k2": "t2" })).await;
    world.see("the wait", waits).await;
    world.quiet().await;
    world.clock.advance(Duration::from_secs(2 * 3600));
    let task = world.task(1).await;
    world.restart().await;
    world.answer("t1", "tardi").await;
    log(&world, 1, "tardi").await;
    world
        .see("the withdrawal", |e| matches!(&e.what, What::TaskClosed { outcome, .. } if outcome == "withdrawn"))
        .await;
    let decided = world.say(&task, "anna", Decision::Done).await;
    assert_eq!(decided.refused, Some(hub_life::task::Refusal::Unknown));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_overdue_wait_goes_on_waiting_after_its_task_is_done() {
    let world = started("{ task: controllore }").await;
    world.order(1, json!({ "k1": "d1", "k2": "d2" })).await;
    world.see("the wait", waits).await;
    world.quiet().await;
    world.clock.advance(Duration::from_secs(2 * 3600));
    let task = world.task(1).await;
    let decided = world.say(&task, "anna", Decision::Done).await;
    assert_eq!((decided.refused, decided.outcome.as_deref()), (None, Some("done")));
    world.answer("d2", "tardi").await;
    log(&world, 1, "tardi").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_overdue_wait_whose_task_nobody_does_is_parked() {
    let world = started("{ task: controllore }").await;
    world.order(1, json!({ "k1": "n1", "k2": "n2" })).await;
    world.see("the wait", waits).await;
    world.quiet().await;
    world.clock.advance(Duration::from_secs(2 * 3600));
    let _ = world.task(1).await;
    world.quiet().await;
    world.clock.advance(Duration::from_secs(31 * 86_400));
    let parked = world.parked(ParkedKind::Wait).await;
    assert!(world.release(&parked.id, Action::Retry).await.done);
    world.answer("n2", "infine").await;
    log(&world, 1, "infine").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_who_gives_up_a_wait_withdraws_its_task() {
    let world = started("{ task: controllore }").await;
    world.order(1, json!({ "k1": "p1", "k2": "p2" })).await;
    let opened = world.see("the wait", waits).await;
    let What::WaitOpened { wait, .. } = opened.what else { unreachable!("it fits") };
    assert!(!world.release(&wait, Action::GiveUp).await.done, "it is not overdue");
    world.clock.advance(Duration::from_secs(2 * 3600));
    let _ = world.task(1).await;
    assert!(world.release(&wait, Action::GiveUp).await.done);
    world
        .see("the withdrawal", |e| matches!(&e.what, What::TaskClosed { outcome, .. } if outcome == "withdrawn"))
        .await;
    world.quiet().await;
    assert_eq!(world.keys(Topic::WAITS, "wait").await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waits_and_their_deadlines_survive_crashes() {
    let mut world = World::started(&[ORDERS, ANSWERS]).await;
    for n in 1..=6 {
        world.order(n, json!({})).await;
    }
    world.nth("the waits", 6, waits).await;
    world.crash().await;
    for n in 1..=3 {
        world.answer(&format!("e{n}"), "ok").await;
    }
    world.crash().await;
    world.clock.advance(Duration::from_secs(2 * 3600));
    for n in 1..=3 {
        world.finished(n).await;
    }
    world.nth("the overdue ones", 3, |e| matches!(e.what, What::Parked(_))).await;
    world.crash().await;
    for n in 4..=6 {
        world.answer(&format!("e{n}"), "ok").await;
        world.finished(n).await;
    }
    assert_eq!(world.outside.calls().len(), 6);
}

const WHOLE: &str = r#"
route: esiti
from: { test: { name: esiti } }
steps:
  - resume: { name: esito, key: body.chiave }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_the_body_if_the_route_names_nothing_else_and_may_be_large() {
    let world = World::started(&[&route("park"), WHOLE]).await;
    world.order(1, json!({ "k1": "w1", "k2": "w2" })).await;
    world.see("the wait", waits).await;
    let text = "z".repeat(1_300_000);
    world.answer("w2", &text).await;
    world.finished(1).await;
    let logged = world.see("the cut line", |e| matches!(e.what, What::Logged { .. })).await;
    assert!(matches!(logged.what, What::Logged { text } if text.starts_with("risposta zzz") && text.len() < 40_000));
}
