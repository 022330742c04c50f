//! A message finishes on the version of the route that it began on, across a restart with another one.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::life::{Life, appears};

const TOKEN: &str = "a-token-for-this-test-only";

fn route(text: &str) -> String {
    format!(
        r#"route: parole
from:
  http: {{ path: /parole, auth: none }}
idempotent: {{ key: body.id, remember: 30d }}
steps:
  - set: {{ file: body.id + ".json" }}
  - approve: {{ role: approvatore, within: 4h }}
  - map: {{ versione: "'{text}'" }}
  - to: {{ file: {{ folder: out, name: vars.file }} }}
"#
    )
}

fn configure(dir: &Path, text: &str) {
    std::fs::create_dir_all(dir.join("routes")).expect("folder");
    std::fs::write(dir.join("routes/parole.yaml"), route(text)).expect("writable");
    let hub = json!({
        "data": "data", "routes": "routes",
        "listeners": { "default": { "bind": "127.0.0.1:0", "address_file": "http.address", "clients": [] } },
        "admin": { "bind": "127.0.0.1:0", "tokens": [{ "token": TOKEN, "person": "anna", "roles": ["approvatore"] }] },
    });
    std::fs::write(dir.join("hub.yaml"), hub.to_string()).expect("writable");
}

async fn post(dir: &Path, id: &str) {
    let address = appears(&dir.join("http.address")).await;
    let request = reqwest::Client::new().post(format!("http://{}/parole", address.trim()));
    let sent = request.header("content-type", "application/json").body(json!({ "id": id }).to_string()).send().await;
    assert_eq!(sent.expect("an answer").status().as_u16(), 202);
}

async fn api(admin: &str, path: &str, body: Option<Value>) -> Value {
    let (url, http) = (format!("{admin}/api/v1/{path}"), reqwest::Client::new());
    let request = match body {
        Some(body) => http.post(url).header("content-type", "application/json").body(body.to_string()),
        None => http.get(url),
    };
    let answer = request.bearer_auth(TOKEN).send().await.expect("an answer");
    serde_json::from_str(&answer.text().await.expect("text")).expect("JSON")
}

/// Waits for so many open tasks.
async fn tasks(admin: &str, count: usize) -> Vec<Value> {
    let begun = Instant::now();
    loop {
        let items = api(admin, "tasks", None).await["items"].as_array().cloned().unwrap_or_default();
        if items.len() == count {
            return items;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{count} tasks expected: {items:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_waiting_message_finishes_on_its_own_version() {
    let dir = tempfile::tempdir().expect("folder");
    let dir = dir.path();
    configure(dir, "vecchia");
    let first = Life::begin(&dir.join("hub.yaml"));
    post(dir, "uno").await;
    assert_eq!(tasks(&first.admin, 1).await.len(), 1);
    first.kill();

    configure(dir, "nuova");
    std::fs::remove_file(dir.join("http.address")).expect("the first life wrote it");
    let second = Life::begin(&dir.join("hub.yaml"));
    post(dir, "due").await;
    for task in tasks(&second.admin, 2).await {
        let path = format!("tasks/{}/decision", task["id"].as_str().expect("an id"));
        let verdict = api(&second.admin, &path, Some(json!({ "decision": "approve", "sha256": task["sha256"] }))).await;
        assert_eq!(verdict["outcome"], "approved", "{verdict}");
    }
    assert_eq!(appears(&dir.join("out/uno.json")).await, r#"{"versione":"vecchia"}"#);
    assert_eq!(appears(&dir.join("out/due.json")).await, r#"{"versione":"nuova"}"#);
    second.end();
}
