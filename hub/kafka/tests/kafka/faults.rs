//! Hubs that are processes of their own: killed, frozen, started again, while all of them write.
//!
//! What was acknowledged is what the processes have said, not what the store says.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hub_backbone::{Backbone, Commit, Error, Place, Stored, Topic};
use hub_core::Span;
use hub_kafka::{Kafka, KafkaSettings};

use crate::broker::{broker, settings};
use crate::open;

const CHILD: &str = "RACCORDO_TEST_KAFKA_HUB";
const SLOTS: u16 = 6;
/// A busy machine gets this long for what should take 10 s.
const PATIENCE: Duration = Duration::from_secs(60);

fn inbox(slot: u16) -> Place {
    Place::new(Topic::INBOX, slot)
}

fn hub(broker: &str, prefix: &str, id: &str) -> KafkaSettings {
    let mut settings = settings(broker, SLOTS);
    settings.prefix = prefix.to_owned();
    settings.transactional_id = format!("{prefix}-{id}");
    settings.timeouts.transaction = Span(Duration::from_secs(5));
    settings
}

/// The process that is killed: writes to all slots in turn, and says what became of each step and what it owns. Does nothing
/// in a normal run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Ok(hub_of) = std::env::var(CHILD) else { return };
    let words: Vec<&str> = hub_of.split(' ').collect();
    let [broker, prefix, id] = words[..] else { panic!("broker, prefix, id") };
    let store = Arc::new(open(&hub(broker, prefix, id)).await);
    let owner = Arc::clone(&store);
    let owns = tokio::spawn(async move { say_terms(&owner).await });
    write(&store).await;
    owns.abort();
}

async fn say_terms(store: &Kafka) {
    let mut known = vec![None; usize::from(SLOTS)];
    println!("owns 0");
    while let Ok(terms) = store.terms_beyond(&known).await {
        println!("owns {}", terms.iter().flatten().count());
        known = terms;
    }
}

async fn write(store: &Kafka) {
    for n in 0u64.. {
        let slot = u16::try_from(n % u64::from(SLOTS)).expect("small");
        let (key, mut step) = (format!("{}/{slot}/{n:06}", store.epoch()), Commit::new());
        step.append(inbox(slot), &*key, "");
        if let Some(term) = store.term(slot) {
            step.based_on(slot, term);
            step.append(Place::new(Topic::JOURNAL, slot), &*key, "");
            step.put(inbox(slot), "steps", &*key, "");
        }
        match store.commit(step).await {
            Ok(_) => println!("done {key}"),
            Err(Error::Lost { .. }) => println!("lost {key}"),
            Err(error) => return println!("ended {error}"),
        }
    }
}

/// A hub in a process of its own.
struct Hub {
    process: Child,
    said: Arc<Mutex<Vec<String>>>,
}

impl Hub {
    fn start(broker: &str, prefix: &str, id: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().expect("this binary"))
            .args(["--exact", "faults::child", "--nocapture"])
            .env(CHILD, format!("{broker} {prefix} {id}"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child");
        let lines = BufReader::new(process.stdout.take().expect("its output")).lines();
        let said = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&said);
        let keep = move |line: String| kept.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        drop(std::thread::spawn(move || lines.map_while(Result::ok).for_each(keep)));
        Self { process, said }
    }

    fn said(&self, word: &str) -> Vec<String> {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.iter().filter_map(|line| Some(line.strip_prefix(word)?.trim().to_owned())).collect()
    }

    fn owned(&self) -> usize {
        self.said("owns ").last().and_then(|count| count.parse().ok()).unwrap_or(0)
    }

    fn signal(&self, signal: &str) {
        let done = Command::new("kill").args([signal, &self.process.id().to_string()]).status();
        assert!(done.is_ok_and(|status| status.success()), "kill {signal}");
    }

    fn kill(&mut self) {
        self.process.kill().expect("kill -9");
        let _status = self.process.wait().expect("its end");
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Waits until something is true; gives how long it took.
async fn until(what: &str, mut done: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    begun.elapsed()
}

fn owned(store: &Kafka) -> usize {
    (0..SLOTS).filter(|slot| store.term(*slot).is_some()).count()
}

/// Each step that a hub has seen done is there once, in the order of its hub; what it has seen lost is not there.
async fn check(store: &Kafka, hubs: &[&Hub]) {
    assert_eq!(owned(store), usize::from(SLOTS));
    let mut done: BTreeSet<String> = hubs.iter().flat_map(|hub| hub.said("done ")).collect();
    let lost: BTreeSet<String> = hubs.iter().flat_map(|hub| hub.said("lost ")).collect();
    let (steps, mut begun) = (done.len(), Instant::now());
    for slot in 0..SLOTS {
        loop {
            let all = store.read(inbox(slot), 0, usize::MAX, usize::MAX).await.expect("read");
            check_log(&all, &lost);
            done.retain(|key| !all.iter().any(|record| record.key == *key));
            if !done.iter().any(|key| key.contains(&format!("/{slot}/"))) {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "acknowledged, and not there: {done:?}");
            drop(tokio::time::timeout(Duration::from_secs(1), store.changed(inbox(slot), all.len() as u64)).await);
        }
        begun = Instant::now();
        check_together(store, slot).await;
    }
    println!("{steps} steps acknowledged, {} lost, each where it must be", lost.len());
}

fn check_log(all: &[Stored], lost: &BTreeSet<String>) {
    let mut newest: BTreeMap<&str, &str> = BTreeMap::new();
    for record in all {
        let (hub, number) = record.key.split_once('/').expect("hub and number");
        let before = newest.insert(hub, number);
        assert!(before.is_none_or(|before| before < number), "{} comes after {before:?}", record.key);
        assert!(!lost.contains(&record.key), "{} was said to be lost", record.key);
    }
}

/// What was committed together is there together: state and journal of a slot have the same keys.
async fn check_together(store: &Kafka, slot: u16) {
    let journal = store.read(Place::new(Topic::JOURNAL, slot), 0, usize::MAX, usize::MAX).await.expect("read");
    let journal: BTreeSet<String> = journal.into_iter().map(|record| record.key).collect();
    let state = store.scan(inbox(slot), "steps", None, usize::MAX).await.expect("scan");
    assert_eq!(state.into_iter().map(|(key, _)| key).collect::<BTreeSet<_>>(), journal, "slot {slot}");
}

/// kill -9 of a hub that holds slots and is in the middle of commits: the other one takes over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_hub_is_taken_over() {
    let Some(broker) = broker() else { return };
    let prefix = settings(broker, SLOTS).prefix;
    let store = open(&hub(broker, &prefix, "stays")).await;
    let mut dead = Vec::new();
    for round in 0..2 {
        let mut hub = Hub::start(broker, &prefix, &format!("dies-{round}"));
        let _took = until("the hub gets its slots", || hub.owned() == usize::from(SLOTS) / 2).await;
        let before = hub.said("done ").len();
        let _took = until("it writes", || hub.said("done ").len() > before + 30).await;
        hub.kill();
        let took = until("its slots are taken over", || owned(&store) == usize::from(SLOTS)).await;
        println!("taken over {:.1} s after kill -9", took.as_secs_f64());
        dead.push(hub);
    }
    check(&store, &dead.iter().collect::<Vec<_>>()).await;
    store.close().await;
}

/// A hub that is frozen until its slots are another's, and goes on then: what it had begun is lost, and it works on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_hub_comes_back() {
    let Some(broker) = broker() else { return };
    let prefix = settings(broker, SLOTS).prefix;
    let store = open(&hub(broker, &prefix, "stays")).await;
    let mut frozen = Hub::start(broker, &prefix, "freezes");
    for round in 0..2 {
        let _took = until("the hub gets its slots", || frozen.owned() == usize::from(SLOTS) / 2).await;
        let before = frozen.said("done ").len();
        let _took = until("it writes", || frozen.said("done ").len() > before + 30).await;
        frozen.signal("-STOP");
        let took = until("its slots are taken over", || owned(&store) == usize::from(SLOTS)).await;
        println!("round {round}: taken over {:.1} s after SIGSTOP", took.as_secs_f64());
        let mut own = Commit::new();
        (0..SLOTS).for_each(|slot| own.append(inbox(slot), format!("stays/{round}"), ""));
        store.commit(own).await.expect("the new owner writes");
        let before = frozen.said("done ").len();
        frozen.signal("-CONT");
        let took = until("it works on", || {
            assert!(frozen.said("ended ").is_empty(), "it must not end: {:?}", frozen.said("ended "));
            frozen.said("done ").len() > before + 30 && frozen.owned() == usize::from(SLOTS) / 2
        });
        println!("round {round}: it works again after {:.1} s", took.await.as_secs_f64());
    }
    frozen.kill();
    let _took = until("its slots are taken over", || owned(&store) == usize::from(SLOTS)).await;
    check(&store, &[&frozen]).await;
    store.close().await;
}

/// Three hubs that write all the time, killed and started again in turn. `RACCORDO_TEST_KILLS` says how often.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_lose_nothing_and_double_nothing() {
    let Some(broker) = broker() else { return };
    let kills = std::env::var("RACCORDO_TEST_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(4);
    let prefix = settings(broker, SLOTS).prefix;
    let store = open(&hub(broker, &prefix, "stays")).await;
    let mut alive: Vec<Hub> = (0..3).map(|n| Hub::start(broker, &prefix, &format!("h{n}"))).collect();
    let mut dead = Vec::new();
    for n in 0..kills {
        let victim = n % alive.len();
        let _took = until("the hub gets a slot", || alive[victim].owned() > 0).await;
        let before = alive[victim].said("done ").len();
        let _took = until("it writes", || alive[victim].said("done ").len() > before + 10).await;
        alive[victim].kill();
        let begun = Instant::now();
        let next = Hub::start(broker, &prefix, &format!("h{victim}"));
        let _took = until("all slots have owners", || {
            next.owned() > 0 && owned(&store) + next.owned() + others(&alive, victim) == usize::from(SLOTS)
        })
        .await;
        println!("kill {n}: all slots have owners again after {:.1} s", begun.elapsed().as_secs_f64());
        dead.push(std::mem::replace(&mut alive[victim], next));
    }
    alive.iter_mut().for_each(Hub::kill);
    let _took = until("its slots are taken over", || owned(&store) == usize::from(SLOTS)).await;
    check(&store, &alive.iter().chain(&dead).collect::<Vec<_>>()).await;
    store.close().await;
}

fn others(alive: &[Hub], victim: usize) -> usize {
    alive.iter().enumerate().filter(|(n, _)| *n != victim).map(|(_, hub)| hub.owned()).sum()
}
