//! The README's first route, word by word: the same configuration, the same requests, the same answers.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::life::{Life, appears};

fn example(dir: &Path) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/first-route");
    std::fs::create_dir_all(dir.join("routes")).expect("folder");
    for file in ["saluto.json", "routes/saluti.yaml"] {
        std::fs::copy(from.join(file), dir.join(file)).expect("the example is there");
    }
    let hub = std::fs::read_to_string(from.join("hub.yaml")).expect("the example is there");
    // A free port instead of the README's: tests share the machine.
    let hub = hub.replace("bind: 127.0.0.1:8090", "bind: \"127.0.0.1:0\", address_file: http.address");
    std::fs::write(dir.join("hub.yaml"), hub).expect("writable");
}

async fn post(address: &str, key: &str, body: &Value) -> (u16, bool, Value) {
    let request = reqwest::Client::new().post(format!("http://{address}/saluti"));
    let request =
        request.header("content-type", "application/json").header("idempotency-key", key).body(body.to_string());
    let response = request.send().await.expect("an answer");
    let replayed = response.headers().contains_key("idempotent-replayed");
    let status = response.status().as_u16();
    (status, replayed, serde_json::from_str(&response.text().await.expect("text")).unwrap_or_default())
}

#[tokio::test]
async fn the_readme_is_true() {
    let dir = tempfile::tempdir().expect("folder");
    example(dir.path());
    let check = Command::new(env!("CARGO_BIN_EXE_raccordo"))
        .args(["check", "--explain", "--config"])
        .arg(dir.path().join("hub.yaml"))
        .output()
        .expect("check runs");
    let told = String::from_utf8_lossy(&check.stdout);
    assert!(check.status.success() && told.contains("-- durable"), "{told}");

    let hub = Life::begin(&dir.path().join("hub.yaml"));
    let address = appears(&dir.path().join("http.address")).await.trim().to_string();
    let anna = json!({ "id": "primo", "nome": "Anna" });
    let (status, replayed, answer) = post(&address, "1", &anna).await;
    assert_eq!((status, replayed), (202, false), "{answer}");
    assert_eq!(appears(&dir.path().join("out/primo.json")).await, r#"{"testo":"Ciao Anna!","da":"/saluti"}"#);

    assert_eq!(post(&address, "1", &anna).await.0, 202, "the same again gets the first answer");
    assert!(post(&address, "1", &anna).await.1, "and says so");
    assert_eq!(post(&address, "1", &json!({ "id": "primo", "nome": "Bruno" })).await.0, 409, "same key, other content");
    assert_eq!(post(&address, "2", &json!({ "id": "primo", "nome": "Bruno" })).await.0, 409, "same id, other key");
    let (status, _, problem) = post(&address, "3", &json!({ "id": "secondo" })).await;
    assert_eq!(status, 422);
    assert!(problem["problems"][0]["detail"].as_str().is_some_and(|detail| detail.contains("nome")), "{problem}");
    assert_eq!(
        std::fs::read_dir(dir.path().join("out")).expect("folder").count(),
        1,
        "one file, whatever was repeated"
    );
    hub.end();
}
