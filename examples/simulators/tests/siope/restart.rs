//! What a simulator with a state folder still knows after a restart.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use simulators::siope::{Error, Settings, start};

use crate::support::{Bench, Flow, settings};

#[tokio::test]
async fn a_restarted_simulator_remembers_everything() {
    let folder = tempfile::tempdir().unwrap();
    let kept = || Settings { state_dir: Some(folder.path().to_owned()), ..settings() };
    let before = Bench::with(kept()).await;
    let prog = before.send(&Flow::of(1)).await;
    before.faults(json!({ "status_429": { "count": 1 } })).await;
    let refused = before.post(vec![1]).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    before.settled().await;
    let ack = before.download(&json!(before.url(&format!("flusso/{prog}/ack")))).await;
    let _ = before.control(Method::POST, "settings", json!({ "ack_after_ms": 3_600_000 })).await;
    let pending = before.send(&Flow::of(2)).await;
    let (flows, orders) = (before.flows().await, before.orders().await);
    assert!(matches!(start(kept()).await, Err(Error::State { .. })));
    before.sim.shutdown().await;

    let after = Bench::with(kept()).await;
    assert_eq!((after.flows().await, after.orders().await), (flows, orders));
    assert_eq!(after.download(&json!(after.url(&format!("flusso/{prog}/ack")))).await, ack);
    assert_eq!(after.list("flusso/ack?download=true").await["numRisultati"], 1);
    assert_eq!(after.list("esitoapplicativo?download=false").await["numRisultati"], 2);
    let again = after.send(&Flow::of(1)).await;
    assert!(again > pending && pending > prog);
    let _ = after.control(Method::POST, "tick", Value::Null).await;
    after.settled().await;
    let flows = after.flows().await;
    assert_eq!((&flows[2]["ack_state"], &flows[2]["orders"][0]["paid"]), (&json!("OK"), &json!(true)));
    assert_eq!(flows[3]["ack_codes"], json!([101, 120]));
    after.sim.shutdown().await;
}

#[tokio::test]
async fn what_is_pending_goes_on_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let kept = |after| Settings { state_dir: Some(folder.path().to_owned()), ack_after: after, ..settings() };
    let before = Bench::with(kept(Duration::from_millis(1500))).await;
    let _ = before.send(&Flow::of(1)).await;
    assert_eq!(before.flows().await[0]["ack_state"], "pending");
    before.sim.shutdown().await;
    let after = Bench::with(kept(Duration::from_secs(3600))).await;
    after.settled().await;
    assert_eq!(after.flows().await[0]["orders"][0]["paid"], true);
}

#[tokio::test]
async fn a_damaged_state_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("siope.jsonl");
    std::fs::write(&path, "{\"boh\":1}\n").unwrap();
    let kept = Settings { state_dir: Some(folder.path().to_owned()), ..settings() };
    let error = start(kept).await.unwrap_err();
    assert!(error.to_string().contains("line 1"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), b"{\"boh\":1}\n");
}
