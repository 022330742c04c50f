//! The sources against the simulator.

use std::time::Duration;

use hub_core::plugin::OpenCx;
use hub_core::{Headers, Media, Verdict};
use hub_testkit::{source_contract, stored};
use serde_json::json;
use simulators::siope::{Ente, RateLimit, Settings};

use crate::support::{A2A, Bench, OTHER, attempt, entities, flow, next, outgoing, patient, source};

/// Sends flows of both bodies and lets everything be answered.
async fn send(bench: &Bench, numbers: std::ops::Range<u32>) {
    let sink = bench.sink(json!({})).await;
    for n in numbers {
        let ente = if n % 2 == 0 { "UFAAAA" } else { "UFBBBB" };
        let _ = sink.send(&outgoing(ente, &flow(&format!("F-{n}"), ente, n + 1)), &attempt()).await.unwrap();
    }
    bench.tick().await;
}

fn progs(messages: &[hub_core::Incoming]) -> Vec<String> {
    let mut progs: Vec<_> = messages.iter().map(|m| m.headers["prog"].clone()).collect();
    progs.sort();
    progs
}

#[tokio::test]
async fn every_answer_of_every_body_comes_over_all_pages() {
    let bench = Bench::with(Settings { page_size: 2, ..patient() }).await;
    send(&bench, 0..10).await;
    let mut sent: Vec<_> = bench.flows().await.iter().map(|f| f["progFlusso"].as_str().unwrap().to_string()).collect();
    sent.sort();
    for (kind, root) in [("siope.ack", "messaggio_ack_siope"), ("siope.esito_flusso", "messaggio_ricezione_flusso")] {
        let mut source = source(&bench.cx(json!({})), kind, json!({})).await;
        let batch = next(&mut source).await;
        assert_eq!(progs(&batch.messages), sent, "{kind}");
        for message in &batch.messages {
            assert!(String::from_utf8_lossy(&message.body.bytes).contains(root), "{kind}");
            assert!(!message.answerable && message.body.media == Media::Xml);
            check(&message.headers, kind.strip_prefix("siope.").unwrap());
        }
    }
    let mut source = source(&bench.cx(json!({})), "siope.esito_applicativo", json!({})).await;
    let batch = next(&mut source).await;
    assert!(batch.messages.len() >= 4, "acquired and paid, of two bodies");
    check(&batch.messages[0].headers, "esito_applicativo");
}

fn check(headers: &Headers, kind: &str) {
    assert!(["UFAAAA", "UFBBBB"].contains(&headers["ente"].as_str()));
    assert_eq!((headers["kind"].as_str(), headers["data"].len()), (kind, 23));
    assert!(headers["location"].starts_with("https://127.0.0.1:") && headers["origin"] == headers["location"]);
    assert!(!headers.contains_key("siope-problem"));
}

#[tokio::test]
async fn what_was_settled_does_not_come_again_and_a_restart_changes_nothing() {
    let bench = Bench::new().await;
    send(&bench, 0..4).await;
    let cx = bench.cx(json!({}));
    let mut first = source(&cx, "siope.ack", json!({})).await;
    let batch = next(&mut first).await;
    assert_eq!(batch.messages.len(), 4);
    first.settle(stored(&batch.messages)).await.unwrap();
    send(&bench, 10..12).await;
    let more = next(&mut first).await;
    assert_eq!(more.messages.len(), 2);
    // Not settled before the crash: it comes again, with the same ids, and nothing else does.
    let restarted = OpenCx { cursor: batch.cursor.unwrap(), ..cx.clone() };
    let mut second = source(&restarted, "siope.ack", json!({})).await;
    let again = next(&mut second).await;
    let ids = |messages: &[hub_core::Incoming]| messages.iter().map(|m| m.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&again.messages), ids(&more.messages));
    // No room: read again after a pause.
    let busy = vec![Verdict::Busy { retry_after: "100ms".parse().unwrap() }; 2];
    second.settle(busy).await.unwrap();
    assert_eq!(ids(&next(&mut second).await.messages), ids(&more.messages));
}

#[tokio::test]
async fn it_keeps_the_contract_of_sources() {
    let bench = Bench::new().await;
    send(&bench, 0..3).await;
    let cx = bench.cx(json!({}));
    source_contract(async || source(&cx, "siope.ack", json!({})).await, async |source| next(source).await, || ()).await;
}

#[tokio::test]
async fn one_body_that_fails_holds_up_no_other() {
    let known = |codice: &str| Ente { codice: codice.into(), id_a2a: A2A.into(), istat: None };
    let bench = Bench::with(Settings { enti: Some(vec![known("UFAAAA")]), ..patient() }).await;
    let sink = bench.sink(json!({})).await;
    let _ = sink.send(&outgoing("UFAAAA", &flow("F-1", "UFAAAA", 1)), &attempt()).await.unwrap();
    bench.tick().await;
    let mut good = source(&bench.cx(json!({})), "siope.ack", json!({})).await;
    assert_eq!(next(&mut good).await.messages.len(), 1);
    // When all fail the source says so, and does not call it "nothing new".
    let cx = OpenCx { entities: entities(&[("UFBBBB", A2A)]), ..bench.cx(json!({})) };
    let error = source(&cx, "siope.ack", json!({})).await.next().await.unwrap_err().to_string();
    assert!(error.contains("source broken") && error.contains("UFBBBB") && error.contains("401"), "{error}");
}

#[tokio::test]
async fn a_connection_polls_for_its_own_identity_only() {
    let bench = Bench::new().await;
    send(&bench, 0..1).await;
    let rows = entities(&[("UFAAAA", A2A), ("UFBBBB", OTHER)]);
    let cx = OpenCx { entities: rows, ..bench.cx(json!({ "id_a2a": A2A })) };
    let mut source = source(&cx, "siope.ack", json!({})).await;
    let intake = source.next().await.unwrap().unwrap();
    assert_eq!(intake.cursor.unwrap().as_object().unwrap().keys().collect::<Vec<_>>(), ["UFAAAA"]);
}

#[tokio::test]
async fn throttling_is_honoured_and_loses_nothing() {
    let limit = RateLimit { calls: 4, per: Duration::from_secs(1) };
    let bench =
        Bench::with(Settings { rate_limit: Some(limit), retry_after: Duration::from_secs(1), ..patient() }).await;
    let sink = bench.sink(json!({})).await;
    for n in 0..3 {
        let _ = sink.send(&outgoing("UFAAAA", &flow(&format!("F-{n}"), "UFAAAA", n + 1)), &attempt()).await.unwrap();
    }
    bench.tick().await;
    let cx = OpenCx { entities: entities(&[("UFAAAA", A2A)]), ..bench.cx(json!({})) };
    let (mut seen, mut cursor) = (std::collections::BTreeSet::new(), hub_core::Value::Null);
    let mut source_now = source(&cx, "siope.ack", json!({})).await;
    for _ in 0..50 {
        match source_now.next().await {
            Ok(Some(intake)) => {
                seen.extend(progs(&intake.messages));
                cursor = intake.cursor.clone().unwrap_or(cursor);
                source_now.settle(stored(&intake.messages)).await.unwrap();
            }
            Ok(None) => panic!("a polled source does not end"),
            Err(hub_core::SourceError::Unavailable { retry_after: Some(wish), .. }) => {
                assert!(wish.0 <= Duration::from_secs(1), "{wish}");
                tokio::time::sleep(wish.0).await;
                source_now = source(&OpenCx { cursor: cursor.clone(), ..cx.clone() }, "siope.ack", json!({})).await;
            }
            Err(other) => panic!("{other}"),
        }
        if seen.len() == 3 {
            return;
        }
    }
    panic!("only {seen:?} came");
}
