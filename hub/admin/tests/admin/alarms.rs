//! Alarms: what stands, as a list, as metrics, as events.

use std::sync::atomic::Ordering;
use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::world::{World, problem, source_alarm};

fn names(alarms: &Value) -> Vec<&str> {
    alarms.as_array().unwrap().iter().map(|alarm| alarm["name"].as_str().unwrap()).collect()
}

/// One event of a stream.
#[derive(Debug, PartialEq)]
struct Told {
    event: String,
    id: String,
    data: Value,
}

/// Reads server-sent events as their specification says: lines, fields, a blank line ends one.
struct Stream {
    response: Response,
    rest: String,
}

impl Stream {
    async fn open(world: &World, last: Option<&str>) -> Self {
        let request = world.request(Method::GET, "operatore", "/api/v1/alarms/events");
        let request = last.iter().fold(request, |request, last| request.header("last-event-id", *last));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, rest: String::new() }
    }

    /// The next event; `None`: the stream has ended.
    async fn next(&mut self) -> Option<Told> {
        loop {
            if let Some((block, rest)) = self.rest.split_once("\n\n").map(|(b, r)| (b.to_string(), r.to_string())) {
                self.rest = rest;
                let field = |name: &str| {
                    let line = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                    line.unwrap_or_default().to_string()
                };
                if !field("event").is_empty() {
                    let data = serde_json::from_str(&field("data")).unwrap();
                    return Some(Told { event: field("event"), id: field("id"), data });
                }
                continue;
            }
            let chunk = tokio::time::timeout(Duration::from_secs(30), self.response.chunk()).await.expect("an event");
            self.rest.push_str(std::str::from_utf8(&chunk.ok()??).unwrap());
        }
    }
}

#[tokio::test]
async fn all_witnesses_are_joined_and_each_alarm_says_what_to_do() {
    let world = World::new().await;
    world.hub.disk_free.store(1 << 20, Ordering::SeqCst);
    let alarms = world.read("revisore", "/api/v1/alarms").await;
    assert_eq!(names(&alarms["items"]), ["parked", "disk-low", "source"]);
    let parked = &alarms["items"][0];
    assert_eq!(parked["detail"], "3 messages wait for a person, the oldest since 2026-03-20T09:46:40Z");
    assert_eq!(parked["runbook"], "docs/runbook.md#parked");
    assert!(parked["first"].as_str().unwrap().contains("raccordo dead list"), "{parked}");
    assert!(alarms["history"].as_array().unwrap().iter().all(|change| change["change"] == "raised"), "{alarms}");
    assert_eq!(alarms["history"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn an_alarm_that_flaps_is_told_once_and_cleared_when_it_stays_away() {
    let world = World::new().await;
    let clock = world.hub.clock.clone();
    for _ in 0..50 {
        world.watch.look().await;
        clock.advance(Duration::from_secs(5));
        world.hub.alarms.lock().unwrap().clear();
        world.watch.look().await;
        clock.advance(Duration::from_secs(5));
        *world.hub.alarms.lock().unwrap() = vec![source_alarm()];
    }
    let told = |history: &Value| {
        let of_source = |change: &&Value| change["name"] == "source";
        let all = history.as_array().unwrap().iter().filter(of_source);
        all.map(|change| change["change"].as_str().unwrap().to_string()).collect::<Vec<_>>()
    };
    let alarms = world.read("revisore", "/api/v1/alarms").await;
    assert_eq!(told(&alarms["history"]), ["raised"]);
    world.hub.alarms.lock().unwrap().clear();
    world.watch.look().await;
    clock.advance(Duration::from_secs(15));
    world.watch.look().await;
    let alarms = world.read("revisore", "/api/v1/alarms").await;
    assert_eq!(told(&alarms["history"]), ["cleared", "raised"]);
    assert_eq!(names(&alarms["items"]), ["parked"]);
}

#[tokio::test]
async fn events_begin_with_what_stands_and_go_on_where_a_reader_was() {
    let world = World::new().await;
    let mut stream = Stream::open(&world, None).await;
    let first = stream.next().await.unwrap();
    assert_eq!((first.event.as_str(), names(&first.data)), ("standing", vec!["parked", "source"]));

    world.hub.disk_free.store(1, Ordering::SeqCst);
    world.watch.look().await;
    let raised = stream.next().await.unwrap();
    assert_eq!((raised.event.as_str(), &raised.data["name"]), ("raised", &json!("disk-low")));
    assert_eq!(raised.data["runbook"], "docs/runbook.md#disk-low");
    drop(stream);

    world.hub.disk_free.store(1 << 40, Ordering::SeqCst);
    world.hub.clock.advance(Duration::from_secs(60));
    world.watch.look().await;
    let mut again = Stream::open(&world, Some(&raised.id)).await;
    let cleared = again.next().await.unwrap();
    assert_eq!((cleared.event.as_str(), &cleared.data["name"]), ("cleared", &json!("disk-low")));

    for unknown in ["dead-beef-7", "", "0-1"] {
        let mut anew = Stream::open(&world, Some(unknown)).await;
        assert_eq!(anew.next().await.unwrap().event, "standing", "{unknown}");
    }
}

#[tokio::test]
async fn a_reader_that_does_not_read_harms_nobody_and_begins_anew() {
    let world = World::new().await;
    let mut slow = Stream::open(&world, None).await;
    let first = slow.next().await.unwrap();
    // More changes than are kept, while the reader is away.
    for round in 0..1_100 {
        *world.hub.alarms.lock().unwrap() = vec![source_alarm()];
        world.hub.alarms.lock().unwrap()[0].subject = format!("route-{round}");
        world.watch.look().await;
        world.hub.clock.advance(Duration::from_secs(20));
    }
    drop(slow);
    let mut back = Stream::open(&world, Some(&first.id)).await;
    let told = back.next().await.unwrap();
    assert_eq!(told.event, "standing", "its place is gone");
    let kept = world.read("revisore", "/api/v1/alarms").await;
    assert_eq!(kept["history"].as_array().unwrap().len(), 200);
}

#[tokio::test]
async fn those_who_watch_leave_room_for_those_who_ask() {
    let world = World::new().await;
    let mut streams = Vec::new();
    for _ in 0..64 {
        streams.push(Stream::open(&world, None).await);
    }
    let refused = problem(world.get("operatore", "/api/v1/alarms/events").await, 429).await;
    assert!(refused["detail"].as_str().unwrap().contains("/api/v1/alarms"), "{refused}");
    assert_eq!(world.get("operatore", "/api/v1/status").await.status(), 200);
    let _ = problem(world.get("", "/api/v1/alarms/events").await, 401).await;
}

#[tokio::test]
async fn a_stop_ends_the_streams_at_once() {
    let world = World::new().await;
    let mut stream = Stream::open(&world, None).await;
    let _ = stream.next().await.unwrap();
    let World { running, .. } = world;
    let stopped = tokio::time::timeout(Duration::from_secs(8), running.shutdown()).await;
    assert!(stopped.is_ok(), "nobody waits for a stream");
    assert_eq!(stream.next().await, None);
}

#[tokio::test]
async fn the_status_says_how_work_flows() {
    let world = World::new().await;
    let status = world.read("operatore", "/api/v1/status").await;
    assert_eq!((&status["recovery"], &status["alarms"]), (&json!(false), &json!(2)));
    let flow = &status["flow"];
    for (field, value) in [
        ("backlog", json!(6)),
        ("backlog_largest", json!(3)),
        ("backlog_limit", json!(50_000)),
        ("unsent", json!(4)),
        ("epoch", json!("life-1")),
        ("oldest_unsent", json!("2026-03-20T09:47:10Z")),
        ("last_sent", json!(null)),
    ] {
        assert_eq!(flow[field], value, "{field}: {flow}");
    }
    assert_eq!(status["store"], json!({ "bytes": 4_096, "disk_free": 1_u64 << 40, "commits": 7 }));
    assert_eq!(status["attention"]["open_tasks"], 3);
    assert_eq!(world.read("operatore", "/api/v1/routes").await["items"][0]["last_taken"], "2026-03-20T09:47:40Z");
}
