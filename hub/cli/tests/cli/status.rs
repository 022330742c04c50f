//! `raccordo status` against a real hub: what it prints, and what it exits with.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;

use crate::life::Life;

const TOKEN: &str = "a-token-of-an-operator-0123456789";

/// A hub whose only route reads a folder that may be missing.
fn configure(dir: &Path) -> std::path::PathBuf {
    std::fs::create_dir_all(dir.join("routes")).expect("folder");
    let route = "route: consegne\nfrom: { file: { folder: dentro, stable_for: 10ms, every: 50ms } }\n\
        steps: [ { log: \"'consegnato'\" } ]\n";
    std::fs::write(dir.join("routes/consegne.yaml"), route).expect("writable");
    let hub = format!(
        "data: data\nroutes: routes\nadmin:\n  bind: 127.0.0.1:0\n  tokens:\n    - {{ token: {TOKEN}, person: anna, \
         roles: [operatore] }}\nalarms: {{ every: 1s, disk_free: 1B, clear_after: 1s }}\n"
    );
    std::fs::write(dir.join("hub.yaml"), hub).expect("writable");
    dir.join("hub.yaml")
}

fn status(api: &str, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_raccordo"));
    command.args(["status", "--api", api]).args(more).env("RACCORDO_TOKEN", TOKEN).output().expect("it runs")
}

/// Asks until the exit code is the expected one.
async fn until(life: &Life, code: i32) -> String {
    let begun = std::time::Instant::now();
    loop {
        let output = status(&life.admin, &[]);
        let text = String::from_utf8(output.stdout).expect("text");
        if output.status.code() == Some(code) {
            return text;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn the_exit_code_says_how_the_hub_is_and_the_screen_why() {
    let dir = tempfile::tempdir().expect("folder");
    let config = configure(dir.path());
    let life = Life::begin(&config);

    let trouble = until(&life, 1).await;
    assert!(trouble.contains("ROUTES  0 of 1 running"), "{trouble}");
    assert!(trouble.contains("! source") && trouble.contains("docs/runbook.md#source"), "{trouble}");
    assert!(trouble.lines().count() <= 24 && trouble.lines().all(|line| line.chars().count() <= 80), "{trouble}");

    std::fs::create_dir(dir.path().join("dentro")).expect("folder");
    std::fs::write(dir.path().join("dentro/a.txt"), "ecco").expect("writable");
    let well = until(&life, 0).await;
    assert!(well.contains("ready, since") && well.contains("ALARMS  none"), "{well}");

    let output = status(&life.admin, &["--json"]);
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(told["routes"][0]["name"], "consegne");
    assert!(told["status"]["store"]["disk_free"].as_u64().is_some_and(|free| free > 0), "{told}");
    assert!(told["status"]["store"]["commits"].as_u64().is_some_and(|commits| commits > 0), "{told}");
    assert_eq!(told["alarms"], serde_json::json!([]));

    let api = life.admin.clone();
    life.end();
    let gone = status(&api, &[]);
    assert_eq!(gone.status.code(), Some(2), "it cannot be asked");
    assert!(String::from_utf8_lossy(&gone.stderr).contains("the hub does not answer"));
}

/// `raccordo health` with a configuration that names the address at which the hub answers.
fn health(dir: &Path, address: &str) -> Output {
    let config = dir.join("health.yaml");
    std::fs::write(&config, format!("admin: {{ bind: '{address}' }}\n")).expect("writable");
    let mut command = Command::new(env!("CARGO_BIN_EXE_raccordo"));
    command.arg("health").arg("--config").arg(config).output().expect("it runs")
}

#[tokio::test]
async fn health_says_whether_the_hub_is_ready() {
    let dir = tempfile::tempdir().expect("folder");
    let config = configure(dir.path());
    std::fs::create_dir(dir.path().join("dentro")).expect("folder");
    let life = Life::begin(&config);
    let address = life.admin.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let _well = until(&life, 0).await;
    let ready = health(dir.path(), &address);
    assert_eq!(ready.status.code(), Some(0), "{ready:?}");
    assert!(String::from_utf8_lossy(&ready.stdout).contains("ready"), "{ready:?}");

    drop(life);
    let gone = health(dir.path(), &address);
    assert_eq!(gone.status.code(), Some(2), "{gone:?}");
    assert!(String::from_utf8_lossy(&gone.stderr).contains("does not answer"), "{gone:?}");
}
