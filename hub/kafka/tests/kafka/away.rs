//! A broker that dies in the middle of commits and comes back: a broker of this test's own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hub_backbone::{Backbone, Commit, Error, Place, Topic};
use hub_core::Span;
use hub_kafka::{Kafka, KafkaSettings};
use tokio::task::JoinHandle;

use crate::broker::{folder, run, settings};
use crate::open;

const LOG: Place = Place::new(Topic::OUTBOX, 0);
const OTHER: Place = Place::new(Topic::CASES, 1);

/// A broker in a folder of its own, with the jars of the shared one. Stopped and removed when dropped.
struct Own(PathBuf);

impl Own {
    fn start() -> Option<(Self, String)> {
        let shared = crate::broker::broker().map(|_| folder())?;
        let own = Self(shared.with_file_name(format!("kafka-{}", uuid::Uuid::now_v7().simple())));
        std::fs::create_dir_all(&own.0).expect("a folder");
        std::os::unix::fs::symlink(shared.join("jars"), own.0.join("jars")).expect("a link");
        let address = own.begin();
        Some((own, address))
    }
    fn begin(&self) -> String {
        run("start", &self.0, &["--for", "600"]).expect("the broker starts")
    }
    /// `kill`, `pause` or `resume`, as the script means them.
    fn tell(&self, command: &str) {
        let _nothing = run(command, &self.0, &["1"]).expect("the script does it");
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        drop(run("stop", &self.0, &[] as &[&str]));
        drop(std::fs::remove_dir_all(Path::new(&self.0)));
    }
}

fn step(number: u64) -> Commit {
    let mut step = Commit::new();
    step.append(LOG, number.to_string(), "here");
    step.append(OTHER, number.to_string(), "there");
    step.put(LOG, "steps", "last", number.to_string());
    step
}

/// Commits numbered steps until one fails or `until` are there. Gives how many were acknowledged, and the error. A broker that
/// is away for longer than the session costs the hub its slots: what it had begun is lost, and it does it again when it has
/// them back.
async fn commit_until(store: Arc<Kafka>, mut from: u64, until: u64) -> (u64, Option<Error>) {
    while from < until {
        match store.commit(step(from)).await {
            Ok(offsets) => assert_eq!(offsets, [from, from], "no step is there twice"),
            Err(Error::Lost { .. }) => {
                all_slots(&store).await;
                assert_eq!(store.end(LOG).await.expect("end"), from, "what is lost was not written");
                continue;
            }
            Err(error) => return (from, Some(error)),
        }
        from += 1;
    }
    (until, None)
}

/// Waits until every slot is this hub's.
async fn all_slots(store: &Kafka) {
    let mut terms = vec![None; 2];
    while terms.contains(&None) {
        terms = store.terms_beyond(&terms).await.expect("terms");
    }
}

/// Both logs hold each step once, in order.
async fn check(store: &Kafka, steps: u64) {
    assert_eq!(store.end(LOG).await.expect("end"), steps);
    for place in [LOG, OTHER] {
        let all = store.read(place, 0, usize::MAX, usize::MAX).await.expect("read");
        let numbers: Vec<u64> = all.iter().filter_map(|record| record.key.parse().ok()).collect();
        assert_eq!(numbers, (0..steps).collect::<Vec<_>>(), "{place}: each once, in order");
    }
}

/// The broker is back: all steps end well, and are there, also after a restart of the store.
async fn all_there(store: Arc<Kafka>, steps: JoinHandle<(u64, Option<Error>)>, settings: &KafkaSettings) {
    let (done, error) = steps.await.expect("no panic");
    assert!(error.is_none(), "who waits is not told of it: {error:?}");
    all_slots(&store).await;
    check(&store, done).await;
    store.close().await;
    drop(store);
    let store = open(settings).await;
    check(&store, done).await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_dies_and_comes_back() {
    let Some((broker, address)) = Own::start() else { return };
    let settings = settings(&address, 2);
    let store = Arc::new(open(&settings).await);
    let steps = tokio::spawn(commit_until(Arc::clone(&store), 0, 200));
    store.changed(LOG, 20).await.expect("some steps");
    broker.tell("kill");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(broker.begin(), address, "at the same address");
    all_there(store, steps, &settings).await;
}

/// Away for longer than a transaction may be open: the cluster takes us to be dead, and we come back. Frozen, not killed: a
/// single broker that is killed may forget to mark the end of the last transaction (docs/kafka.md, "Found").
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_freezes_for_longer_than_a_transaction() {
    let Some((broker, address)) = Own::start() else { return };
    let mut settings = settings(&address, 2);
    settings.timeouts.transaction = Span(Duration::from_secs(2));
    let store = Arc::new(open(&settings).await);
    let steps = tokio::spawn(commit_until(Arc::clone(&store), 0, 200));
    store.changed(LOG, 20).await.expect("some steps");
    broker.tell("pause");
    tokio::time::sleep(Duration::from_secs(6)).await;
    broker.tell("resume");
    all_there(store, steps, &settings).await;
}
