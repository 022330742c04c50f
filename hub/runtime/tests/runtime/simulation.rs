//! Random histories: messages, outcomes, answers, people, crashes and failing commits. Whatever happens, each order arrives
//! exactly once and is through at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hub_backbone::{Error, Fault};
use hub_core::journal::{Decision, Event, Parked, ParkedKind, Task, What};
use hub_life::outbound::Action;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

use super::flow::ANSWERS;
use super::outside::{Act, Does, Feed, Says};
use super::world::{World, order_id, told, word};

/// Histories of one run, and what one of them may hold.
const SEEDS: u64 = 200;
const ORDERS_MAX: u32 = 8;
const STEPS: u32 = 60;

const ROUTE: &str = r#"
route: ordini
from: { test: { name: ordini } }
case: { kind: pratica, id: "'c' + string(body.n)" }
lane: body.corsia
idempotent: { key: "'op' + string(body.n)", remember: 400d }
steps:
  - test.step: { name: passo }
  - choice:
      - when: body.approva
        steps:
          - approve: { role: approvatore, people: 2, within: 1h }
  - state: approvata
  - choice:
      - when: body.vietato
        steps:
          - to: { test.sink: { name: banca, repeat: forbidden, lane: vietati, patience: 2m } }
          - await: { name: esito, keys: ["'e' + string(body.n)"], within: 2h }
      - otherwise:
          - to: { test.sink: { name: ente, repeat: askable, holds: true, patience: 2m }, as: invio }
          - await: { name: esito, keys: ["'x' + string(body.n)", "'e' + string(body.n)"], within: 2h, on_timeout: { task: controllore } }
  - state: chiusa
on_failure: { retry: { times: 2, min: 1s, max: 5s }, then: park }
"#;

struct Run {
    world: World,
    rng: StdRng,
    /// Orders that were offered.
    orders: u32,
    history: String,
}

impl Run {
    async fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut world = World::new(&[ROUTE, ANSWERS]);
        let mut acts = StdRng::seed_from_u64(rng.random());
        world.outside.chance(Some(Box::new(move |_, _| match acts.random_range(0..100) {
            0..50 => Act::Receipt,
            50..65 => Act::NotSent,
            65..72 => Act::Rejected,
            72..82 => Act::Doubt { arrived: true },
            82..92 => Act::Doubt { arrived: false },
            92..96 => Act::SlowAnswer,
            _ => Act::Panic { arrived: acts.random() },
        })));
        world.set_fault(faults(rng.random()));
        world.start().await;
        Self { world, rng, orders: 0, history: String::new() }
    }

    async fn step(&mut self) {
        let action = self.rng.random_range(0..100);
        self.history.push_str(&format!("{action} "));
        match action {
            0..20 if self.orders < ORDERS_MAX => self.order(),
            20..30 if self.orders > 0 => {
                let again = self.rng.random_range(1..=self.orders);
                self.offer(again);
            }
            30..45 => self.answer(),
            45..65 => self.people(true).await,
            65..85 => {
                let seconds = self.rng.random_range(1..300);
                self.world.clock.advance(Duration::from_secs(seconds));
            }
            85..90 => self.world.outside.says(&[Says::Unknown, Says::Busy]),
            90..93 => self.world.outside.does("passo", &[Does::Unavailable, Does::Invalid]),
            93..95 => self.world.clock.advance(Duration::from_secs(5000)),
            _ => self.world.crash().await,
        }
        self.settle().await;
    }

    /// Lets the hub work for a while; a hub that has failed is started again.
    async fn settle(&mut self) {
        for _ in 0..self.rng.random_range(1..20) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        if !self.world.is_ready() {
            self.history.push_str("failed ");
            self.world.crash().await;
        }
    }

    fn order(&mut self) {
        self.orders += 1;
        self.offer(self.orders);
    }

    fn offer(&self, n: u32) {
        let body = json!({ "n": n, "corsia": format!("l{}", n % 3), "approva": n.is_multiple_of(2), "vietato": n.is_multiple_of(3) });
        self.world.outside.feed("ordini", vec![Feed::new(&format!("o{n}"), body)]);
    }

    /// Answers an order that has arrived; by a key of its own.
    fn answer(&mut self) {
        let arrived = self.world.outside.arrived();
        if !arrived.is_empty() {
            let n = &arrived[self.rng.random_range(0..arrived.len())];
            let id: u64 = self.rng.random();
            let feed = Feed::new(&format!("a{id}"), json!({ "chiave": format!("e{n}"), "testo": "ok" }));
            self.world.outside.feed("esiti", vec![feed]);
        }
    }

    /// People do what there is to do, or (`some`) part of it. They look before they say whether something arrived.
    async fn people(&mut self, some: bool) {
        let events = self.world.events().await;
        for task in open_tasks(&events) {
            if !some || self.rng.random_bool(0.7) {
                let decision = if task.people == 2 { Decision::Approve } else { Decision::Done };
                let person = ["anna", "bruno", "carla"][self.rng.random_range(0..3)];
                drop(self.world.operate().decide(&task.id, word(&task, person, decision)).await);
            }
        }
        for parked in open_parked(&events) {
            if some && self.rng.random_bool(0.5) {
                continue;
            }
            let arrived = self.world.outside.calls().iter().any(|call| call.key == parked.id && call.arrived);
            let action = match (parked.kind, arrived) {
                (ParkedKind::InDoubt, true) => Action::Delivered,
                (ParkedKind::InDoubt, false) => Action::NotDelivered,
                _ => Action::Retry,
            };
            let (by, note) = ("dora".to_string(), String::new());
            let release = hub_runtime::Release { parked: parked.id, action, by, entities: Vec::new(), note };
            drop(self.world.operate().release(release).await);
        }
    }

    /// The outside and the people behave from now on: everything has to get through.
    async fn end(&mut self) -> Result<(), String> {
        self.world.set_fault(None);
        self.world.outside.chance(None);
        self.world.outside.release();
        self.world.crash().await;
        for _ in 0..400 {
            let events = self.world.events().await;
            let finished = |n: &u32| events.iter().any(|e| e.message == order_id(*n) && e.what == What::Finished);
            if (1..=self.orders).all(|n| finished(&n)) && self.world.outside.unsettled() == 0 {
                return Ok(());
            }
            self.people(false).await;
            for n in self.world.outside.arrived() {
                let id: u64 = self.rng.random();
                let feed = Feed::new(&format!("a{id}"), json!({ "chiave": format!("e{n}"), "testo": "ok" }));
                self.world.outside.feed("esiti", vec![feed]);
            }
            self.world.clock.advance(Duration::from_secs(20));
            self.settle().await;
        }
        Err("an order does not get through".into())
    }

    async fn judge(&self) -> Result<(), String> {
        let mut effects: BTreeMap<String, u32> = BTreeMap::new();
        for n in self.world.outside.arrived() {
            *effects.entry(n).or_default() += 1;
        }
        for n in 1..=self.orders {
            let count = effects.get(&n.to_string()).copied().unwrap_or_default();
            if count != 1 {
                return Err(format!("order {n} arrived {count} times"));
            }
        }
        if self.world.outside.most_under_way() > 1 {
            return Err("two sends of one lane were under way at once".into());
        }
        let events = self.world.events().await;
        (1..=self.orders).try_for_each(|n| in_order(n, &events))
    }
}

/// The story of one order, as its journal tells it.
fn in_order(n: u32, events: &[Event]) -> Result<(), String> {
    let id = order_id(n);
    let story: Vec<&Event> = events.iter().filter(|e| e.message == id).collect();
    let places = |fits: &dyn Fn(&What) -> bool| -> Vec<usize> {
        story.iter().enumerate().filter(|(_, e)| fits(&e.what)).map(|(index, _)| index).collect()
    };
    let received = places(&|w| matches!(w, What::Received { .. }));
    let intents = places(&|w| matches!(w, What::SendIntended { .. }));
    let waits = places(&|w| matches!(w, What::WaitOpened { .. }));
    let answered = places(&|w| matches!(w, What::WaitAnswered { .. }));
    let finished = places(&|w| *w == What::Finished);
    let ok = received.len() == 1
        && waits.len() == 1
        && answered.len() == 1
        && finished.len() == 1
        && !intents.is_empty()
        && received[0] < intents[0]
        && intents.iter().all(|intent| *intent < waits[0])
        && waits[0] < answered[0]
        && answered[0] < finished[0];
    match ok {
        true => Ok(()),
        false => Err(format!("the story of order {n} is out of order")),
    }
}

fn open_tasks(events: &[Event]) -> Vec<Task> {
    let closed = |event: &Event| match &event.what {
        What::TaskClosed { task, .. } => Some(task.clone()),
        _ => None,
    };
    let closed: BTreeSet<String> = events.iter().filter_map(closed).collect();
    let open = |event: &Event| match &event.what {
        What::TaskOpened(task) if !closed.contains(&task.id) => Some(task.clone()),
        _ => None,
    };
    events.iter().filter_map(open).collect()
}

fn open_parked(events: &[Event]) -> Vec<Parked> {
    let mut open: BTreeMap<String, Parked> = BTreeMap::new();
    for event in events {
        match &event.what {
            What::Parked(parked) => drop(open.insert(parked.id.clone(), parked.clone())),
            What::Released { parked, .. } => drop(open.remove(parked)),
            _ => {}
        }
    }
    open.into_values().collect()
}

/// One commit of a hundred fails, or is done without its caller knowing.
fn faults(seed: u64) -> Option<super::world::FaultHook> {
    let rng = Mutex::new(StdRng::seed_from_u64(seed));
    Some(Arc::new(move |_: &hub_backbone::Commit| {
        let mut rng = rng.lock().unwrap_or_else(PoisonError::into_inner);
        let error = Error::Io("the disk is gone".into());
        match rng.random_range(0..300) {
            0 => Fault::Refuse(error),
            1 => Fault::Lose(error),
            2..10 => Fault::Delay(Duration::from_millis(rng.random_range(1..20))),
            _ => Fault::None,
        }
    }))
}

async fn history(seed: u64) -> Result<u32, String> {
    let mut run = Run::new(seed).await;
    for _ in 0..STEPS {
        run.step().await;
    }
    let judged = match run.end().await {
        Ok(()) => run.judge().await,
        wrong => wrong,
    };
    match judged {
        Ok(()) => Ok(run.orders),
        Err(error) => Err(format!("{error}\nsteps: {}\n{}", run.history, told(&run.world.events().await))),
    }
}

fn run(seed: u64) -> Result<u32, String> {
    // Paused time jumps to the next timer when nothing else is to do: a history of hours takes milliseconds.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.map_err(|e| e.to_string())?.block_on(history(seed))
}

#[test]
fn every_order_arrives_exactly_once_in_every_history() {
    let one = std::env::var("RACCORDO_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = one.map_or(0..SEEDS, |seed| seed..seed + 1);
    let mut orders = 0;
    for seed in seeds {
        match run(seed) {
            Ok(count) => orders += count,
            Err(error) => panic!("RACCORDO_SEED={seed}: {error}"),
        }
    }
    assert!(orders > 0, "no order was ever offered");
}
