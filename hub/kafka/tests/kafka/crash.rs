//! kill -9 in the middle of commits, again and again, with a real process.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use hub_backbone::{Backbone, Commit, Place, Topic};
use hub_kafka::KafkaSettings;

use crate::broker::{broker, settings};
use crate::open;

const LIVES: u64 = 4;
const CHILD: &str = "RACCORDO_TEST_KAFKA_STORE";
const LOG: Place = Place::new(Topic::OUTBOX, 0);
const OTHER: Place = Place::new(Topic::JOURNAL, 1);

/// One numbered step: a record here, one there, a value and a position.
fn step(number: u64) -> Commit {
    let mut step = Commit::new();
    step.append(LOG, number.to_string(), "here");
    step.append(OTHER, number.to_string(), "there");
    step.put(LOG, "steps", "last", number.to_string());
    step.done(LOG, number);
    step
}

/// The process that is killed: commits numbered steps and says so after each. Does nothing in a normal run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Ok(store) = std::env::var(CHILD) else { return };
    let (broker, name) = store.split_once(' ').expect("broker and name");
    let store = open(&named(broker, name)).await;
    let mut next = store.end(LOG).await.expect("end");
    loop {
        store.commit(step(next)).await.expect("a commit");
        next += 1;
        println!("done {next}");
    }
}

fn named(broker: &str, name: &str) -> KafkaSettings {
    let mut settings = settings(broker, 2);
    (settings.prefix, settings.transactional_id) = (name.to_owned(), format!("{name}-hub"));
    settings
}

/// Lets a child commit some steps and kills it. Gives the number of steps that it has seen done.
fn live_and_die(broker: &str, name: &str, steps: usize) -> u64 {
    let mut child = Command::new(std::env::current_exe().expect("this binary"))
        .args(["--exact", "crash::child", "--nocapture"])
        .env(CHILD, format!("{broker} {name}"))
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child");
    let said = BufReader::new(child.stdout.take().expect("its output")).lines().map_while(Result::ok);
    let mut done = said.filter_map(|line| line.strip_prefix("done ")?.parse().ok());
    let enough = done.nth(steps).expect("it does some steps");
    child.kill().expect("kill -9");
    let _status = child.wait().expect("its end");
    // what it has said between our look and its death counts, too
    done.last().unwrap_or(enough)
}

/// What was acknowledged is there; what was not is there whole or not at all; nothing is there twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_loses_nothing_and_tears_nothing() {
    let Some(broker) = broker() else { return };
    let settings = settings(broker, 2);
    let mut lives = Vec::new();
    for life in 1..=LIVES {
        let (broker, name) = (broker, settings.prefix.clone());
        let acknowledged = tokio::task::spawn_blocking(move || {
            live_and_die(broker, &name, 5 + 3 * usize::try_from(life).unwrap_or(0))
        });
        let acknowledged = acknowledged.await.expect("a life");
        let store = open(&named(broker, &settings.prefix)).await;
        check(&store, acknowledged).await;
        lives.push(store.epoch().to_owned());
        assert!(lives.iter().rev().skip(1).all(|epoch| store.is_over(epoch)), "those that were closed are over");
        store.close().await;
    }
}

async fn check(store: &dyn Backbone, acknowledged: u64) {
    let end = store.end(LOG).await.expect("end");
    assert!(end == acknowledged || end == acknowledged + 1, "{acknowledged} were acknowledged, {end} are there");
    assert_eq!(store.end(OTHER).await.expect("end"), end, "both or none");
    let last = store.get(LOG, "steps", "last").await.expect("get").expect("a value");
    assert_eq!(&last[..], (end - 1).to_string().as_bytes());
    assert_eq!(store.position(LOG).await.expect("position"), end - 1);
    for place in [LOG, OTHER] {
        let all = store.read(place, 0, usize::MAX, usize::MAX).await.expect("read");
        let numbers: Vec<u64> = all.iter().filter_map(|record| record.key.parse().ok()).collect();
        assert_eq!(numbers, (0..end).collect::<Vec<_>>(), "{place}: each once, in order");
    }
}
