//! Quick and deep looks, by a clock that the test turns: nothing that is published late is missed.

use std::sync::Arc;
use std::time::Duration;

use hub_core::plugin::OpenCx;
use hub_core::{Clock, Intake, Source};
use hub_testkit::{ManualClock, stored};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::fake::{Fake, ack, from, rome_at};
use crate::support::{source, zip};

const LIST: &str = "flusso/ack";

struct Bench {
    fake: Fake,
    clock: Arc<ManualClock>,
    every: &'static str,
}

impl Bench {
    async fn polling(every: &'static str) -> Self {
        Self { fake: Fake::start().await, clock: Arc::new(ManualClock::working_day()), every }
    }

    fn cx(&self) -> OpenCx {
        self.fake.cx_at(self.clock.clone(), self.every)
    }

    async fn open(&self) -> Box<dyn Source> {
        source(&self.cx(), "siope.ack", json!({})).await
    }

    /// Publishes an ACK with the date so many minutes ago.
    fn publish(&self, prog: u32, minutes_ago: i64) {
        let (path, date) = (format!("flusso/{prog}/ack"), self.clock.now() - SignedDuration::from_mins(minutes_ago));
        let url = self.fake.url(&path);
        self.fake.list(LIST, json!({ "progFlusso": prog, "dataProduzione": rome_at(date), "location": url }));
        self.fake.document(&path, zip(ack(&format!("F-{prog}"), "UFAAAA", "OK", None).as_bytes()));
    }

    /// The next intake, with or without messages; time passes while the source sleeps. Errors are borne.
    async fn intake(&self, source: &mut Box<dyn Source>) -> Intake {
        loop {
            let next = tokio::time::timeout(Duration::from_secs(20), self.clock.run(source.next()));
            if let Ok(intake) = next.await.expect("an intake in time") {
                return intake.unwrap();
            }
        }
    }

    /// The numbers of the next messages; everything is settled.
    async fn taken(&self, source: &mut Box<dyn Source>) -> Vec<String> {
        loop {
            let Intake { messages, .. } = self.intake(source).await;
            source.settle(stored(&messages)).await.unwrap();
            if !messages.is_empty() {
                return messages.iter().map(|message| message.headers["prog"].clone()).collect();
            }
        }
    }

    fn since(&self, start: Timestamp) -> Duration {
        self.clock.now().duration_since(start).try_into().unwrap()
    }
}

#[tokio::test]
async fn what_is_published_late_is_found_by_the_next_deep_look() {
    let bench = Bench::polling("20s").await;
    let mut source = bench.open().await;
    bench.publish(1, 0);
    assert_eq!(bench.taken(&mut source).await, ["1"]);
    let (start, newest) = (bench.clock.now(), rome_at(bench.clock.now() - SignedDuration::from_mins(1)));
    bench.publish(2, 59);
    assert_eq!(bench.taken(&mut source).await, ["2"]);
    assert!(bench.since(start) <= Duration::from_secs(320), "{:?}", bench.since(start));
    let queries = bench.fake.queries(LIST);
    let quick = queries.iter().filter(|query| from(query) > newest).count();
    assert!(quick > 10 && queries.len() - quick <= 3, "{queries:?}");
    // And what comes in time is found at once, between deep looks.
    bench.publish(3, 0);
    let start = bench.clock.now();
    assert_eq!(bench.taken(&mut source).await, ["3"]);
    assert!(bench.since(start) <= Duration::from_secs(20));
}

#[tokio::test]
async fn a_late_one_that_cannot_be_had_is_not_left_behind_by_quick_looks() {
    let bench = Bench::polling("60s").await;
    let mut source = bench.open().await;
    bench.publish(1, 0);
    assert_eq!(bench.taken(&mut source).await, ["1"]);
    bench.publish(2, 50);
    // Its download fails for hours, while newer ones come and go.
    for _ in 0..60 {
        bench.fake.script("flusso/2/ack", 404, &[], "");
    }
    let mut seen = Vec::new();
    for prog in 10..30 {
        bench.clock.advance(Duration::from_secs(600));
        bench.publish(prog, 0);
        seen.extend(bench.taken(&mut source).await);
    }
    bench.clock.advance(Duration::from_secs(600));
    while !seen.contains(&"2".to_string()) {
        seen.extend(bench.taken(&mut source).await);
    }
    assert_eq!(seen.len(), 21, "{seen:?}");
}

#[tokio::test]
async fn the_cursor_is_written_rarely_and_never_left_behind() {
    let bench = Bench::polling("1s").await;
    let mut source = bench.open().await;
    bench.publish(1, 0);
    let first = bench.intake(&mut source).await;
    assert!(first.cursor.is_some(), "where the reading begins is fixed at once");
    source.settle(stored(&first.messages)).await.unwrap();
    let start = bench.clock.now();
    bench.publish(2, 0);
    let second = bench.intake(&mut source).await;
    assert!(second.messages.len() == 1 && second.cursor.is_none());
    source.settle(stored(&second.messages)).await.unwrap();
    let third = bench.intake(&mut source).await;
    assert!(third.messages.is_empty() && third.cursor.is_some());
    assert!((9..=11).contains(&bench.since(start).as_secs()), "{:?}", bench.since(start));
    source.settle(Vec::new()).await.unwrap();
    // A restart reads deeply, and finds nothing that is not known.
    let restarted = OpenCx { cursor: third.cursor.unwrap(), ..bench.cx() };
    let mut again = crate::support::source(&restarted, "siope.ack", json!({})).await;
    bench.publish(3, 30);
    assert_eq!(bench.taken(&mut again).await, ["3"]);
}
