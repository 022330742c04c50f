//! How fast it is here, for people: `cargo nextest run ... --run-ignored only -E 'test(speed)' --no-capture`.

use std::sync::Arc;
use std::time::Instant;

use hub_backbone::{Backbone, Commit, Place, Topic};
use hub_kafka::Kafka;

use crate::broker::{broker, settings};
use crate::{open, reopen};

fn step(n: u64, bytes: usize) -> Commit {
    let place = Place::new(Topic::INBOX, u16::try_from(n % 4).unwrap_or(0));
    let mut step = Commit::new();
    step.append(place, n.to_string(), vec![7; bytes]);
    step.put(place, "speed", (n % 1_000).to_string(), "value");
    step.done(place, n);
    step
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures, judges nothing"]
async fn commits_and_reads() {
    let Some(broker) = broker() else { return };
    let settings = settings(broker, 4);
    let store = Arc::new(open(&settings).await);
    let begun = Instant::now();
    for n in 0..200 {
        store.commit(step(n, 500)).await.expect("a commit");
    }
    println!("one after the other: {:.1} ms for a commit", begun.elapsed().as_secs_f64() * 5.0);
    for (callers, rounds) in [(16u64, 100), (256, 80), (2_048, 20)] {
        let begun = Instant::now();
        let all = (0..callers).map(|caller| tokio::spawn(many(Arc::clone(&store), caller, rounds)));
        for one in all.collect::<Vec<_>>() {
            one.await.expect("no panic");
        }
        let commits = callers * rounds;
        println!("{callers} callers: {:.0} commits a second", commits as f64 / begun.elapsed().as_secs_f64());
    }
    let store = Arc::into_inner(store).expect("nobody else has it");
    let begun = Instant::now();
    let store = reopen(store, &settings).await;
    println!("closed and opened again in {:.1} s", begun.elapsed().as_secs_f64());
    let (begun, mut count) = (Instant::now(), 0);
    for partition in 0..4 {
        let place = Place::new(Topic::INBOX, partition);
        while let Some(last) = store.read(place, count, 500, 1 << 20).await.expect("read").last() {
            count = last.offset + 1;
        }
        println!("partition {partition}: {count} records read back, {:.1} s so far", begun.elapsed().as_secs_f64());
        count = 0;
    }
    store.close().await;
}

async fn many(store: Arc<Kafka>, caller: u64, rounds: u64) {
    for round in 0..rounds {
        let _offsets = store.commit(step(caller + round * 7, 500)).await.expect("a commit");
    }
}
