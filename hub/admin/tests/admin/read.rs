//! What one reads.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use serde_json::json;

use crate::world::{FLOW, World, ids, problem, settings};

#[tokio::test]
async fn cases_are_listed_filtered_and_shown() {
    let world = World::new().await;
    let all = world.read("revisore", "/api/v1/cases").await;
    assert_eq!(ids(&all), ["loose", "UFBBBB/2026/1", "UFAAAA/2026/1"]);
    assert_eq!(all["next"], json!(null));
    assert_eq!(all["items"][2]["amount"], "1234567890.10");
    for (query, found) in [
        ("entity=UFAAAA", vec!["UFAAAA/2026/1"]),
        ("state=approvato&text=ufbbbb", vec!["UFBBBB/2026/1"]),
        ("kind=fattura", vec![]),
        ("amount_min=1234567890.11", vec![]),
        ("amount_max=1234567890.10&entity=UFAAAA", vec!["UFAAAA/2026/1"]),
        ("from=2030-01-01T00:00:00Z", vec![]),
    ] {
        assert_eq!(ids(&world.read("revisore", &format!("/api/v1/cases?{query}")).await), found, "{query}");
    }
    for id in ["UFAAAA%2F2026%2F1", "UFAAAA/2026/1"] {
        let detail = world.read("revisore", &format!("/api/v1/cases/{id}")).await;
        assert_eq!(detail["case"]["id"], "UFAAAA/2026/1");
        assert_eq!(detail["case"]["state"], "approvato");
        let timeline = world.read("revisore", &format!("/api/v1/cases/{id}/timeline?limit=200")).await;
        assert_eq!(timeline["items"].as_array().unwrap().len(), 10);
        assert_eq!(timeline["items"][0]["kind"], "received");
        let documents = world.read("revisore", &format!("/api/v1/cases/{id}/documents")).await;
        assert_eq!(documents["items"][0]["sha256"], world.flow.as_str());
    }
    let missing = problem(world.get("revisore", "/api/v1/cases/UFAAAA%2F2026%2F9/timeline").await, 404).await;
    assert!(missing["detail"].as_str().unwrap().contains("UFAAAA/2026/9"));
}

#[tokio::test]
async fn pages_give_everything_once() {
    let world = World::new().await;
    for list in ["cases", "messages", "tasks?state=all", "parked?state=all", "cases/UFAAAA%2F2026%2F1/timeline"] {
        let glue = if list.contains('?') { '&' } else { '?' };
        let whole = world.read("revisore", &format!("/api/v1/{list}{glue}limit=200")).await;
        let (mut seen, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let page = world.read("revisore", &format!("/api/v1/{list}{glue}limit=2{cursor}")).await;
            seen.extend(page["items"].as_array().unwrap().clone());
            pages += 1;
            let Some(next) = page["next"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(&seen, whole["items"].as_array().unwrap(), "{list}");
        assert!(seen.len() > 2 && pages == seen.len().div_ceil(2), "{list}: {pages} pages");
    }
}

#[tokio::test]
async fn questions_that_make_no_sense_are_refused_with_a_reason() {
    let world = World::new().await;
    for (query, word) in [
        ("cases?limit=0", "limit"),
        ("cases?limit=201", "200"),
        ("cases?limit=many", "invalid digit"),
        ("cases?cursor=!!", "cursor"),
        ("cases?stato=pagato", "unknown field `stato`"),
        ("cases?from=yesterday", "from: failed to parse"),
        ("cases?amount_min=1.001", "two decimals"),
        ("tasks?state=half", "half"),
        ("statistics?from=2026-13", "2026-13"),
        ("cases?after=nonsense", "nonsense"),
        ("cases/%zz", "hexadecimal"),
        ("messages/%FF", "UTF-8"),
    ] {
        let refused = problem(world.get("revisore", &format!("/api/v1/{query}")).await, 400).await;
        assert!(refused["detail"].as_str().unwrap().contains(word), "{query}: {refused}");
    }
    let _ = problem(world.get("revisore", "/api/v1/cases?after=late").await, 504).await;
    let _ = problem(world.get("revisore", "/api/v1/nothing").await, 404).await;
    let refused = world.get("revisore", "/api/v1/tasks/w0-a/decision").await;
    assert_eq!(refused.headers()["allow"], "POST");
    let refused = problem(refused, 405).await;
    assert!(refused["detail"].as_str().unwrap().contains("/api/v1/tasks/w0-a/decision does not take GET"), "{refused}");
}

#[tokio::test]
async fn tasks_show_who_has_approved() {
    let world = World::new().await;
    let open = world.read("approvatore", "/api/v1/tasks?limit=200").await;
    assert_eq!(ids(&open), ["w0-c", "w0-b", "w0-a"]);
    let task = &open["items"][2];
    assert_eq!(task["approved_by"], json!(["anna"]));
    assert_eq!((&task["approvals"], &task["people"]), (&json!(1), &json!(2)));
    assert_eq!(
        (&task["kind"], &task["case"], &task["entity"]),
        (&json!("approve"), &json!("UFAAAA/2026/1"), &json!("UFAAAA"))
    );
    assert_eq!((&task["escalated_to"], &task["outcome"]), (&json!(null), &json!(null)));
    assert_eq!(task["decisions"][0]["comment"], "visto");
    assert_eq!(&world.read("approvatore", "/api/v1/tasks/w0-a").await, task);
    let closed = world.read("approvatore", "/api/v1/tasks?state=closed&case=UFAAAA%2F2026%2F1").await;
    assert_eq!(ids(&closed), ["w0-a-closed"]);
    assert_eq!(closed["items"][0]["outcome"], "done");
    assert!(ids(&world.read("approvatore", "/api/v1/tasks?role=controllore").await).is_empty());
    assert_eq!(ids(&world.read("approvatore", "/api/v1/tasks?role=controllore,approvatore").await).len(), 3);
}

#[tokio::test]
async fn parked_messages_messages_statistics_and_the_hub_itself() {
    let world = World::new().await;
    let parked = world.read("operatore", "/api/v1/parked?limit=200").await;
    assert_eq!(ids(&parked), ["o0-c", "o0-b", "o0-a"]);
    assert_eq!(parked["items"][0]["actions"], json!(["delivered", "not_delivered", "give_up"]));
    assert_eq!(parked["items"][0]["evidence"], json!({ "attempts": 3 }));
    assert_eq!(ids(&world.read("operatore", "/api/v1/parked?state=closed&entity=UFAAAA").await), ["i0-a"]);
    assert!(ids(&world.read("operatore", "/api/v1/parked?kind=wait").await).is_empty());
    assert_eq!(world.read("operatore", "/api/v1/parked/o0-a").await["case"], "UFAAAA/2026/1");

    let messages = world.read("operatore", "/api/v1/messages?entity=UFAAAA").await;
    assert_eq!(messages["items"][0]["case"], "UFAAAA/2026/1");
    let id = messages["items"][0]["id"].as_str().unwrap();
    assert_eq!(world.read("operatore", &format!("/api/v1/messages/{id}")).await["sender"], "sap");
    let _ = problem(world.get("operatore", "/api/v1/messages/none").await, 404).await;

    let rows = world.read("operatore", "/api/v1/statistics?entity=UFAAAA&from=2026-01&to=2026-12").await;
    let row = rows["items"].as_array().unwrap().iter().find(|row| row["state"] == "approvato").unwrap();
    assert_eq!((&row["count"], &row["amount"]), (&json!(1), &json!("1234567890.10")));

    assert_eq!(world.read("operatore", "/api/v1/routes").await["items"][0]["name"], "mandati-siope");
    assert_eq!(world.read("operatore", "/api/v1/alarms").await["items"][1]["name"], "source");
    let status = world.read("limited", "/api/v1/status").await;
    assert_eq!(
        status["you"],
        json!({
            "person": "limited.persona", "roles": ["approvatore", "controllore"], "entities": ["UFAAAA"]
        })
    );
    assert_eq!(status["counts"], json!({ "parked": 1, "in_doubt": status["counts"]["in_doubt"], "open_tasks": 1 }));
}

#[tokio::test]
async fn documents_come_byte_for_byte_as_files() {
    let world = World::new().await;
    for path in [format!("documents/{}", world.flow), "tasks/w0-a/document".into(), "parked/o0-a/body".into()] {
        let response = world.get("limited", &format!("/api/v1/{path}")).await;
        assert_eq!(response.status(), 200, "{path}");
        let headers = response.headers().clone();
        assert_eq!(headers["content-type"], "application/xml");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["etag"], format!("\"{}\"", world.flow).as_str());
        assert!(headers["content-disposition"].to_str().unwrap().starts_with("attachment; filename="));
        assert_eq!(response.bytes().await.unwrap(), FLOW, "{path}");
    }
    let named = world.get("limited", &format!("/api/v1/documents/{}", world.flow)).await;
    let disposition = named.headers()["content-disposition"].to_str().unwrap().to_string();
    assert!(disposition.ends_with("filename*=UTF-8''flusso%20%C3%A8.xml"), "{disposition}");
    // a hash that no case names, a body that the ledger names but the store has lost
    let _ = problem(world.get("revisore", &format!("/api/v1/documents/{}", "f".repeat(64))).await, 404).await;
    let lost = problem(world.get("revisore", &format!("/api/v1/documents/{}", "0".repeat(64))).await, 500).await;
    assert!(lost["detail"].as_str().unwrap().contains("backup"), "{lost}");
}

#[tokio::test]
async fn people_see_their_entities_only() {
    let world = World::new().await;
    for list in ["cases", "messages", "tasks?state=all", "parked?state=all", "statistics"] {
        let page = world.read("limited", &format!("/api/v1/{list}")).await;
        let entities: BTreeSet<_> =
            page["items"].as_array().unwrap().iter().map(|row| row["entity"].as_str().unwrap()).collect();
        assert_eq!(entities, BTreeSet::from(["UFAAAA"]), "{list}");
    }
    let hidden = "0".repeat(64);
    for path in [
        "cases/UFBBBB%2F2026%2F1",
        "cases/UFBBBB%2F2026%2F1/timeline",
        "cases/UFBBBB%2F2026%2F1/documents",
        "cases/loose",
        "tasks/w0-b",
        "tasks/w0-b/document",
        "tasks/w0-c",
        "parked/o0-b",
        "parked/o0-b/body",
        "parked/o0-c",
        "messages/m-UFBBBB_2026_1",
        &format!("documents/{hidden}"),
    ] {
        let _ = problem(world.get("limited", &format!("/api/v1/{path}")).await, 404).await;
    }
    assert!(ids(&world.read("limited", "/api/v1/cases?entity=UFBBBB").await).is_empty());
}

#[tokio::test]
async fn a_read_waits_for_the_position_it_is_given() {
    let world = World::new().await;
    let _ = world.read("revisore", "/api/v1/cases?after=cases/1@3").await;
    let _ = world.read("revisore", "/api/v1/tasks/w0-a?after=waits%2F1%407").await;
    assert_eq!(*world.hub.waited.lock().unwrap(), ["cases/1@3", "waits/1@7"]);
}

#[tokio::test]
async fn health_says_what_is_wrong_but_no_details() {
    let world = World::new().await;
    assert_eq!(world.read("", "/health/live").await, json!({ "status": "live" }));
    assert_eq!(world.read("", "/health/ready").await, json!({ "status": "ready" }));
    world.hub.ready.store(false, Ordering::SeqCst);
    assert_eq!(world.read("", "/health/live").await, json!({ "status": "live" }));
    let not = problem(world.get("", "/health/ready").await, 503).await;
    assert_eq!(not["reasons"], json!(["alarm source: mandati-siope", "route mandati-siope: waiting"]));
    assert!(!not.to_string().contains("10.0.0.1"));
}

#[tokio::test]
async fn metrics_show_what_the_process_has_counted() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, || metrics::counter!("raccordo_test_total").increment(3));
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let state = world.state().with_metrics(recorder.handle());
    let open = settings(json!({ "bind": "127.0.0.1:0", "metrics_open": true }));
    let running = hub_admin::serve(open, state, folder.path()).await.unwrap();
    let text = reqwest::get(format!("{}/metrics", running.url())).await.unwrap().text().await.unwrap();
    for line in ["raccordo_test_total 3", "raccordo_parked 3"] {
        assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
    }
    running.shutdown().await;
}

#[tokio::test]
async fn metrics_show_what_waits_for_people() {
    let world = World::new().await;
    let response = world.get("operatore", "/metrics").await;
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/plain; version=0.0.4"));
    let text = response.text().await.unwrap();
    for line in ["raccordo_parked 3", "raccordo_open_tasks 3", "raccordo_ready 1", "raccordo_routes_running 1"] {
        assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
    }
}
