//! What people see.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::fixture::{Api, problem};

fn ids(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn cases_are_listed_filtered_and_paged() {
    let api = Api::start().await;
    let all = ["UFBBBB/2026/1", "UFAAAA/2026/1"];
    assert_eq!(ids(&api.json("/api/v1/cases", "revisore").await), all);
    assert_eq!(ids(&api.json("/api/v1/cases", "aaa").await), ["UFAAAA/2026/1"]);
    for (query, expected) in [
        ("state=inviato&kind=mandato", &all[..]),
        ("state=pagato", &[]),
        ("entity=UFBBBB", &all[..1]),
        ("text=aaaa", &all[1..]),
        ("amount_min=1234.50&amount_max=1234.50", &all[..]),
        ("amount_min=1234.51", &[]),
        ("from=2026-03-20&to=2026-03-21", &all[..]),
        ("to=2026-03-20", &[]),
    ] {
        assert_eq!(ids(&api.json(&format!("/api/v1/cases?{query}"), "revisore").await), expected, "{query}");
    }
    let first = api.json("/api/v1/cases?limit=1", "revisore").await;
    let next = first["next"].as_str().unwrap();
    let second = api.json(&format!("/api/v1/cases?limit=1&cursor={next}"), "revisore").await;
    assert_eq!((ids(&first), ids(&second), &second["next"]), (vec![all[0]], vec![all[1]], &Value::Null));
    assert_eq!(first["items"][0]["amount"], "1234.50");
    api.stop().await;
}

#[tokio::test]
async fn a_case_is_found_by_its_id_however_it_is_written() {
    let api = Api::start().await;
    for id in ["UFAAAA/2026/1", "UFAAAA%2F2026%2F1"] {
        let detail = api.json(&format!("/api/v1/cases/{id}"), "aaa").await;
        assert_eq!(detail["case"]["id"], "UFAAAA/2026/1");
        assert_eq!(detail["sends"][0]["state"], "in_doubt");
        let timeline = api.json(&format!("/api/v1/cases/{id}/timeline?limit=3"), "aaa").await;
        assert_eq!(timeline["items"][0]["summary"], "received from sap by http, 812 bytes");
        let next = timeline["next"].as_str().unwrap();
        let rest = api.json(&format!("/api/v1/cases/{id}/timeline?cursor={next}"), "aaa").await;
        assert_eq!(rest["items"].as_array().unwrap().len(), 4);
        let documents = api.json(&format!("/api/v1/cases/{id}/documents"), "aaa").await;
        assert_eq!(documents[0]["sha256"], json!(api.flusso));
    }
    for foreign in ["UFBBBB/2026/1", "UFBBBB/2026/1/timeline", "UFBBBB/2026/1/documents", "nothing", "A%2Ftimeline"] {
        let detail = problem(api.get(&format!("/api/v1/cases/{foreign}"), "aaa").await, 404).await;
        assert!(detail.contains("that you may see"), "{detail}");
    }
    api.stop().await;
}

#[tokio::test]
async fn tasks_parked_messages_and_statistics_are_listed() {
    let api = Api::start().await;
    assert_eq!(ids(&api.json("/api/v1/tasks?open=true", "revisore").await), ["w0-UFBBBB", "w0-UFAAAA"]);
    assert_eq!(ids(&api.json("/api/v1/tasks?mine=true", "revisore").await), [""; 0]);
    assert_eq!(ids(&api.json("/api/v1/tasks?mine=true", "aaa").await), ["w0-UFAAAA"]);
    assert_eq!(ids(&api.json("/api/v1/tasks?mine=true&role=controllore", "aaa").await), [""; 0]);
    let task = api.json("/api/v1/tasks/w0-UFAAAA", "aaa").await;
    assert_eq!((&task["task"]["people"], &task["decisions"]), (&json!(2), &json!([])));
    assert_eq!(api.get("/api/v1/tasks/w0-UFBBBB", "aaa").await.status(), 404);

    assert_eq!(ids(&api.json("/api/v1/parked?open=true&kind=in_doubt", "aaa").await), ["o0-UFAAAA"]);
    let parked = api.json("/api/v1/parked/o0-UFAAAA", "aaa").await;
    assert_eq!(parked["actions"], json!(["delivered", "not_delivered", "give_up"]));
    assert_eq!(parked["evidence"], json!({ "attempts": 3 }));
    assert_eq!(api.get("/api/v1/parked/o0-UFBBBB", "aaa").await.status(), 404);

    assert_eq!(ids(&api.json("/api/v1/messages?state=parked", "aaa").await), ["m-UFAAAA"]);
    assert_eq!(api.json("/api/v1/messages/m-UFAAAA", "aaa").await["sender"], "sap");
    assert_eq!(api.get("/api/v1/messages/m-UFBBBB", "aaa").await.status(), 404);

    let rows = api.json("/api/v1/statistics?from=2026-03&to=2026-03&kind=mandato", "aaa").await;
    let sums: Vec<_> = rows.as_array().unwrap().iter().map(|row| (&row["state"], &row["amount"])).collect();
    assert_eq!(sums, [(&json!(""), &json!("1234.50")), (&json!("inviato"), &json!("1234.50"))]);
    api.stop().await;
}

#[tokio::test]
async fn the_hub_shows_how_it_is() {
    let api = Api::start().await;
    assert_eq!(api.json("/api/v1/routes", "revisore").await[1]["error"], "connection refused");
    assert_eq!(api.json("/api/v1/alarms", "revisore").await[0]["name"], "disk-full");
    let status = api.json("/api/v1/status", "aaa").await;
    assert_eq!((&status["version"], &status["routes_running"]), (&json!("1.2.3"), &json!(1)));
    assert_eq!(status["waiting"], json!({ "parked": 1, "in_doubt": 1, "open_tasks": 1 }));
    assert_eq!(status["person"], "aaa");

    assert_eq!(api.get("/health/live", "").await.status(), 200);
    assert_eq!(api.json("/health/ready", "").await, json!({ "ready": true, "reasons": [] }));
    api.hub.not_ready.store(true, Ordering::SeqCst);
    let ready = api.get("/health/ready", "").await;
    assert_eq!(ready.status(), 503);
    let reasons = ready.json::<Value>().await.unwrap()["reasons"].clone();
    assert_eq!(reasons, json!(["alarm disk-full", "route siope-esiti is waiting"]));
    api.stop().await;
}

#[tokio::test]
async fn metrics_count_what_waits_for_people() {
    let api = Api::start().await;
    let answer = api.get("/metrics", "operatore").await;
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/plain; version=0.0.4"));
    let text = answer.text().await.unwrap();
    for line in ["raccordo_parked_messages 2", "raccordo_sends_in_doubt 2", "raccordo_open_tasks 2", "raccordo_ready 1"]
    {
        assert!(text.lines().any(|found| found == line), "{line} is missing in {text}");
    }
    api.stop().await;
}

#[tokio::test]
async fn reads_wait_for_the_position_of_a_write() {
    let api = Api::start().await;
    let paths =
        ["cases", "tasks", "parked", "messages", "statistics", "cases/UFAAAA/2026/1/timeline", "tasks/w0-UFAAAA"];
    for path in paths {
        let _ = api.json(&format!("/api/v1/{path}?after=cases%2F1:7"), "aaa").await;
        assert_eq!(api.hub.waited_for.lock().unwrap().pop().as_deref(), Some("cases/1:7"), "{path}");
    }
    api.hub.late.store(true, Ordering::SeqCst);
    let late = api.get("/api/v1/cases?after=cases%2F1:9", "aaa").await;
    assert_eq!(late.headers()["retry-after"], "1");
    assert!(problem(late, 503).await.contains("has not seen position cases/1:9"));
    api.stop().await;
}
