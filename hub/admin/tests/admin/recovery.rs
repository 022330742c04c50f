//! After an old store was put back.

use hub_core::Value;
use hub_runtime::{LaneReport, MessageReport, RecoveryReport, Released, Settled, Unclaimed};
use jiff::Timestamp;
use serde_json::json;

use crate::world::{POSITION, World, problem};

const RELEASE: &str = "/api/v1/recovery/lanes/siope%2FUFAAAA/release";
const END: &str = "/api/v1/recovery/end";

fn report() -> RecoveryReport {
    let at = Timestamp::UNIX_EPOCH;
    let message = |entity: &str, proposal| MessageReport {
        id: format!("o1-{entity}"),
        case: format!("{entity}/2026/1"),
        entity: Some(entity.into()),
        route: "mandati-siope".into(),
        sink: "siope.flusso".into(),
        state: "in_doubt".into(),
        asked: 2,
        evidence: json!({ "looked_at": { "ack": { "listed": 3 } } }),
        proposal,
    };
    let lane = LaneReport {
        lane: "siope/UFAAAA".into(),
        released: None,
        waiting: 2,
        proposed: 1,
        to_decide: 1,
        messages: vec![message("UFAAAA", "release"), message("UFBBBB", "decide")],
    };
    let settled = Settled { id: "o1-s".into(), lane: "l".into(), case: "c".into(), entity: Some("UFBBBB".into()), at };
    let unclaimed = Unclaimed { name: "siope-ack".into(), key: "2026-UFAAAA-M1-I0".into(), by: "m".into(), at };
    RecoveryReport {
        id: "e000004-abc".into(),
        reason: "the store is older than its anchor".into(),
        gaps: vec!["outbox/1: 3 records are missing".into()],
        since: at,
        began: at,
        lanes: vec![lane],
        settled_count: 1,
        settled: vec![settled],
        unclaimed_count: 1,
        unclaimed: vec![unclaimed],
    }
}

fn count(list: &Value) -> usize {
    list.as_array().unwrap().len()
}

#[tokio::test]
async fn a_hub_that_is_in_none_says_so() {
    let world = World::new().await;
    assert_eq!(world.read("revisore", "/api/v1/recovery").await["active"], false);
}

#[tokio::test]
async fn everybody_sees_what_is_held_of_their_entities() {
    let world = World::new().await;
    *world.hub.recovery.lock().unwrap() = Some(report());
    let all = world.read("revisore", "/api/v1/recovery").await;
    let lane = &all["lanes"][0];
    assert_eq!((&all["active"], &all["settled"], &lane["waiting"]), (&json!(true), &json!(1), &json!(2)));
    let seen = (count(&lane["messages"]), count(&all["settled_messages"]), count(&all["unclaimed_answers"]));
    assert_eq!(seen, (2, 1, 1));
    assert_eq!(lane["messages"][0]["proposal"], "release");
    let some = world.read("limited", "/api/v1/recovery").await;
    let lane = &some["lanes"][0];
    let seen = (count(&lane["messages"]), count(&some["settled_messages"]), count(&some["unclaimed_answers"]));
    assert_eq!((seen, &lane["waiting"]), ((1, 0, 0), &json!(2)), "the others are only counted");
}

#[tokio::test]
async fn a_release_carries_name_and_reason_and_is_for_few() {
    let world = World::new().await;
    let note = json!({ "note": "the old machine is off" });
    for (path, lane) in [(RELEASE, "siope/UFAAAA"), (END, "(end)")] {
        let response = world.post("controllore", path, note.clone()).await;
        let done: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        assert_eq!(done, json!({ "done": true, "position": POSITION }));
        let said = world.hub.lanes.lock().unwrap().pop().unwrap();
        assert_eq!(said, [lane, "controllore.persona", "the old machine is off"].map(str::to_owned));
        for who in ["operatore", "approvatore", "integratore", "revisore"] {
            let _ = problem(world.post(who, path, note.clone()).await, 403).await;
        }
        let bound = problem(world.post("limited", path, note.clone()).await, 403).await;
        assert!(bound["detail"].as_str().unwrap().contains("every entity"), "{bound}");
        let empty = problem(world.post("amministratore", path, json!({ "note": " " })).await, 422).await;
        assert!(empty["detail"].as_str().unwrap().contains("note"), "{empty}");
        assert!(world.hub.lanes.lock().unwrap().is_empty());
    }
    let refusal =
        Released { done: false, reason: "lanes with messages are not released: x".into(), position: String::new() };
    *world.hub.released.lock().unwrap() = refusal;
    let refused = problem(world.post("amministratore", END, note).await, 409).await;
    assert_eq!(refused["detail"], "lanes with messages are not released: x");
}
