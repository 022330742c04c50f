//! More than the outside takes: a receiver that is down for a day, inboxes that are full, thousands that wait.

use std::collections::BTreeMap;
use std::time::Duration;

use hub_backbone::Topic;
use hub_core::journal::{Decision, Event, Task, What};
use hub_core::{Clock, MessageId, Value, Verdict};
use jiff::Timestamp;
use serde_json::json;

use super::outside::{Act, Does, Feed};
use super::world::{PATIENCE, World, word};

const ORDERS: &str = r#"
route: ordini
from: { test: { name: ordini } }
case: { kind: pratica, id: "'c' + string(body.n)" }
lane: body.corsia
steps:
  - test.step: { name: passo }
  - to: { test.sink: { name: banca, repeat: forbidden } }
on_failure: { retry: { times: 100, min: 1s, max: 20m }, then: park }
"#;

const LANES: u32 = 6;

fn order(n: u32) -> Feed {
    Feed::new(&format!("o{n}"), json!({ "n": n, "corsia": format!("l{}", n % LANES) }))
}

/// Feeds orders in batches of 100; gives the first that was not taken.
async fn feed(world: &World, from: u32, to: u32) -> u32 {
    for first in (from..to).step_by(100) {
        let verdicts = world.feed("ordini", (first..(first + 100).min(to)).map(order).collect()).await;
        if verdicts.iter().any(|verdict| matches!(verdict, Verdict::Busy { .. })) {
            return first;
        }
        assert!(verdicts.iter().all(|verdict| matches!(verdict, Verdict::Stored { again: false, .. })));
    }
    to
}

/// Time goes on in steps until a condition holds.
async fn pass(world: &World, step: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(120), "waited in vain for {what}");
        world.clock.advance(step);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Waits until no lane has an attempt under way or due. The clock stands still: a crash then leaves nothing in doubt.
async fn between_attempts(world: &World) {
    let began = std::time::Instant::now();
    while !heads_rest(world).await {
        assert!(began.elapsed() < PATIENCE, "attempts do not come to an end");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Whether each lane's first message has been tried, and is to be tried again later.
async fn heads_rest(world: &World) -> bool {
    let (now, mut rest) = (world.clock.now(), 0);
    for (_, record) in world.rows(Topic::OUTBOX, "life").await {
        let record: Value = serde_json::from_slice(&record).expect("a record");
        let life = &record["r"]["life"];
        let again = life["state"]["ready"]["not_before"].as_str().map(|at| at.parse().expect("an instant"));
        match life["attempts"].as_u64().expect("a count") {
            0 => {}
            _ if again.is_some_and(|at: Timestamp| at > now) => rest += 1,
            _ => return false,
        }
    }
    rest == LANES
}

/// Everything arrived once, and each lane in its order.
fn in_order_and_once(world: &World, orders: u32) {
    let mut lanes: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for n in world.outside.arrived() {
        let n: u32 = n.parse().expect("a number");
        lanes.entry(n % LANES).or_default().push(n);
    }
    for (lane, arrived) in lanes {
        let wanted: Vec<u32> = (0..orders).filter(|n| n % LANES == lane).collect();
        assert_eq!(arrived, wanted, "lane {lane}");
    }
    assert_eq!(world.outside.most_under_way(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_is_down_for_a_day_costs_room_in_the_store_and_nothing_else() {
    let mut world = World::new(&[ORDERS]);
    // So little memory that lanes have messages behind them, and some come when all of it is taken.
    (world.limits.pending_max, world.limits.unsent_max) = (300, 900);
    world.start().await;
    world.outside.usually(Some(Act::NotSent));
    let taken = feed(&world, 0, 4_000).await;
    assert!((900..4_000).contains(&taken), "admission answers busy at the limit, after {taken}");
    let behind = world.keys(Topic::OUTBOX, "behind").await.len();
    let spilled = world.keys(Topic::OUTBOX, "spill").await.len();
    assert!(behind > 0 && spilled > 0, "{behind} behind their lanes, {spilled} spilled");

    for hour in 0..24 {
        for _ in 0..12 {
            world.clock.advance(Duration::from_secs(300));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        if hour == 12 {
            between_attempts(&world).await;
            world.crash().await;
        }
    }
    world.quiet().await;
    let figures = world.operate().figures().await.expect("figures");
    let unsent = figures.total(|p| p.unsent);
    // The batch that was answered busy may slip in while a new life still counts what it has.
    let all = [u64::from(taken), u64::from(taken) + 100];
    assert!(all.contains(&unsent), "all of them wait, also after a crash: {unsent} of {all:?}");
    let age = figures.now.duration_since(figures.oldest_unsent.expect("the oldest"));
    assert!(age.as_hours() >= 24, "{age:?}");
    assert!(world.outside.arrived().is_empty());
    let tried = world.outside.calls().len();
    assert!(tried < 24 * 60 * LANES as usize, "each lane tries now and then, the messages behind it do not: {tried}");

    world.outside.usually(None);
    // What admission had answered busy comes again by itself, and is taken when there is room.
    let rest = taken + 100;
    pass(&world, Duration::from_secs(60), "the end", || world.outside.arrived().len() >= rest as usize).await;
    in_order_and_once(&world, rest);
    assert_eq!(feed(&world, rest, rest + 300).await, rest + 300, "admission goes on");
    pass(&world, Duration::from_secs(1), "the later ones", || world.outside.arrived().len() >= rest as usize + 300)
        .await;
    in_order_and_once(&world, rest + 300);
    world.quiet().await;
    for space in ["behind", "spill", "life", "outbound"] {
        assert_eq!(world.keys(Topic::OUTBOX, space).await, [""; 0], "{space}");
    }
    assert_eq!(world.operate().figures().await.expect("figures").total(|p| p.unsent), 0);
}

const ANSWERED: &str = r#"
route: esiti
from: { test: { name: esiti } }
steps:
  - to: { test.sink: { name: copia, repeat: forbidden } }
  - resume: { name: esito, key: body.chiave, answer: body }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_taken_however_much_waits_to_be_sent() {
    let mut world = World::new(&[ORDERS, ANSWERED]);
    world.limits.unsent_max = 50;
    world.start().await;
    world.outside.usually(Some(Act::NotSent));
    assert!(feed(&world, 0, 1_000).await < 1_000);
    let answer = Feed::new("e1", json!({ "n": 1, "chiave": "k", "corsia": "x" }));
    world.outside.feed("esiti", vec![answer]);
    let answer_id = MessageId::derive(&["test", "e1"]);
    let stored = |v: &Verdict| matches!(v, Verdict::Stored { id, .. } if *id == answer_id);
    // Busy verdicts of the orders come in between, as their sender tries again.
    world.until("the answer to be taken", || world.outside.verdicts().iter().flatten().any(stored)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_inbox_answers_busy_and_takes_again_when_it_has_drained() {
    let mut world = World::new(&[ORDERS]);
    (world.limits.backlog_max, world.limits.step) = (40, Duration::from_secs(2));
    world.start().await;
    // A step that does not end holds its partition up until its time is over.
    world.outside.does("passo", &[Does::Hang]);
    let mut refused = None;
    for n in 0..600 {
        let verdicts = world.feed("ordini", vec![order(n * LANES)]).await;
        if matches!(verdicts[..], [Verdict::Busy { retry_after }] if retry_after.0 >= Duration::from_secs(1)) {
            refused = Some(n);
            break;
        }
    }
    let refused = refused.expect("busy, with a time to come again");
    let figures = world.operate().figures().await.expect("figures");
    assert!(figures.largest(|p| p.inbox) > 40, "{figures:?}");
    pass(&world, Duration::from_secs(1), "all of them", || world.outside.arrived().len() > refused as usize).await;
    let wanted: Vec<String> = (0..=refused).map(|n| (n * LANES).to_string()).collect();
    assert_eq!(world.outside.arrived(), wanted, "in order, none lost, none twice");
}

const WAITING: &str = r#"
route: ordini
from: { test: { name: ordini } }
case: { kind: pratica, id: "'c' + string(body.n)" }
lane: body.corsia
steps:
  - approve: { role: approvatore, people: 1, within: 4h, title: "'ordine'" }
  - await: { name: esito, keys: ["'k' + string(body.n)"], within: 5d, as: esito }
"#;

const ANSWERS: &str = r#"
route: esiti
from: { test: { name: esiti } }
steps:
  - resume: { name: esito, key: body.chiave, answer: body }
"#;

/// How many cases wait at once. The binary's own test measures the memory of ten thousand.
const CASES: u32 = 1_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_cases_wait_for_people_and_answers_and_all_wake() {
    let mut world = World::started(&[WAITING, ANSWERS]).await;
    assert_eq!(feed(&world, 0, CASES).await, CASES);
    world.quiet().await;
    let opened = |e: &Event| match &e.what {
        What::TaskOpened(task) => Some(task.clone()),
        _ => None,
    };
    let tasks: Vec<Task> = world.events().await.iter().filter_map(opened).collect();
    assert_eq!(tasks.len(), CASES as usize);
    for task in &tasks {
        assert_eq!(world.word(task, word(task, "anna", Decision::Approve)).await.refused, None);
    }
    world.quiet().await;
    world.crash().await;
    let answer = |n: u32| Feed::new(&format!("a{n}"), json!({ "chiave": format!("k{n}"), "n": n }));
    for first in (0..CASES).step_by(100) {
        let verdicts = world.feed("esiti", (first..first + 100).map(answer).collect()).await;
        assert!(verdicts.iter().all(|verdict| matches!(verdict, Verdict::Stored { .. })));
    }
    world.quiet().await;
    let ended = |e: &Event| e.what == What::Finished && e.case.kind == "pratica";
    assert_eq!(world.count(ended).await, CASES as usize, "each wakes once");
    for space in ["wait", "task", "key", "answer"] {
        assert_eq!(world.keys(Topic::WAITS, space).await, [""; 0], "{space}");
    }
}
