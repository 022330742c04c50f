//! The shipped routes, unchanged, on a real Kafka broker with the ledger in a real PostgreSQL.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use hub_testkit::Postgres;
use raccordo::demo::{Answer, Offer, People, Sender, World, repository};
use serde_json::{Value, json};

use crate::life::Life;
use crate::verdict::{judge, many_orders, quick_world};

const ORDERS: usize = 12;
/// Every order has to be paid within this time: the machine may be busy.
const WITHIN: Duration = Duration::from_secs(240);

/// The address of the broker that `./test` has fetched; the tests of `hub/kafka` share it.
pub(crate) fn broker(root: &Path) -> Option<String> {
    let folder = root.join("target/kafka");
    let started = match folder.join("jars").is_dir() {
        true => Command::new(root.join("examples/kafka/kafka"))
            .arg("start")
            .arg(&folder)
            .args(["--fresh", "--for", "900"])
            .output(),
        false => Err(std::io::Error::other("`examples/kafka/kafka get target/kafka` was not run")),
    };
    match started {
        Ok(done) if done.status.success() => Some(String::from_utf8_lossy(&done.stdout).trim().to_owned()),
        other => {
            let required = std::env::var("RACCORDO_REQUIRE_TOOLS").as_deref() == Ok("1");
            assert!(!required, "Kafka is required (RACCORDO_REQUIRE_TOOLS=1) and cannot be had: {other:?}");
            println!("skipped: Kafka cannot be had: {other:?}");
            None
        }
    }
}

/// Only `backbone` and `ledger` become others.
fn moved(config: &Path, broker: &str, url: &str) {
    let text = std::fs::read_to_string(config).expect("a configuration");
    let mut value: Value = serde_json::from_str(&text).expect("JSON");
    let name = format!("e2e{}", uuid::Uuid::now_v7().simple());
    on_kafka(&mut value, broker, url, (&name, 1));
    std::fs::write(config, value.to_string()).expect("writable");
}

/// Puts the hub with this number onto a shared log.
pub(crate) fn on_kafka(value: &mut Value, broker: &str, url: &str, (name, number): (&str, usize)) {
    value["backbone"] = json!({ "kafka": {
        "brokers": [broker], "prefix": name, "transactional_id": format!("{name}-{number}"), "partitions": 4,
        "replication": 1, "min_insync_replicas": 1, "relaxed": true, "timeouts": { "transaction": "45s" },
    } });
    value["ledger"] = json!({ "postgres": { "url": url } });
}

async fn get(life: &Life, token: &str, path: &str) -> Result<Value, String> {
    let request = reqwest::Client::new().get(format!("{}/api/v1/{path}", life.admin)).bearer_auth(token);
    let response = request.send().await.map_err(|e| e.to_string())?;
    let (status, text) = (response.status(), response.text().await.map_err(|e| e.to_string())?);
    if status.is_success() { serde_json::from_str(&text).map_err(|e| e.to_string()) } else { Err(text) }
}

async fn all_paid(life: &Life, token: &str, offers: &[Offer]) {
    let begun = Instant::now();
    for order in offers.iter().filter_map(|offer| offer.order.as_ref()) {
        let path = format!("cases/{}", order.case.replace('/', "%2F"));
        loop {
            let case = get(life, token, &path).await;
            if case.as_ref().is_ok_and(|case| case["case"]["state"] == "pagato" || case["state"] == "pagato") {
                break;
            }
            assert!(begun.elapsed() < WITHIN, "{} is not paid: {case:?}", order.case);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// A person's word gives a position; what is read after it shows the word.
async fn a_word_is_read_after_it_was_given(life: &Life, world: &World) {
    let token = world.team.token("approvatore");
    let begun = Instant::now();
    let task = loop {
        let tasks = get(life, token, "tasks").await;
        if let Some(task) =
            tasks.as_ref().ok().and_then(|tasks| tasks["items"][0]["id"].is_string().then(|| tasks["items"][0].clone()))
        {
            break task;
        }
        assert!(begun.elapsed() < WITHIN, "no task: {tasks:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let (id, case) = (task["id"].as_str().expect("an id"), task["case"].as_str().expect("a case"));
    let word = json!({ "decision": "approve", "comment": "on Kafka", "sha256": task["sha256"] });
    let request = reqwest::Client::new().post(format!("{}/api/v1/tasks/{id}/decision", life.admin)).bearer_auth(token);
    let answer =
        request.header("content-type", "application/json").body(word.to_string()).send().await.expect("an answer");
    let answer: Value = serde_json::from_str(&answer.text().await.expect("text")).expect("JSON");
    let position = answer["position"].as_str().unwrap_or_else(|| panic!("a position: {answer}"));
    assert!(position.starts_with("cases/"), "{answer}");
    let path = format!("cases/{}/timeline?limit=200&after={position}", case.replace('/', "%2F"));
    let timeline = get(life, token, &path).await.expect("the timeline");
    assert!(timeline.to_string().contains("on Kafka"), "the read does not show the word: {timeline}");
}

fn ledger(config: &Path, what: &str) -> String {
    let run = Command::new(env!("CARGO_BIN_EXE_raccordo")).args(["ledger", what, "--config"]).arg(config).output();
    let run = run.expect("the command runs");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8_lossy(&run.stdout).trim().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shipped_routes_run_unchanged_on_kafka_and_postgres() {
    let root: PathBuf = repository().expect("repository");
    let (Some(broker), Some(server)) = (broker(&root), Postgres::start()) else { return };
    let dir = tempfile::tempdir().expect("folder");
    let world = quick_world(&root, dir.path(), 7, Duration::from_secs(10)).await;
    moved(&world.config, &broker, &server.database("ledger"));
    let token = world.team.token("controllore");
    let life = Life::begin(&world.config);
    let offers = many_orders(&root, "kafka", ORDERS);
    let sender = Sender::new(&world).await.expect("sender");
    for offer in &offers {
        assert!(matches!(sender.post(offer).await.expect("an answer"), Answer::Taken), "{}", offer.name);
    }
    a_word_is_read_after_it_was_given(&life, &world).await;
    let people = People::start(&life.admin, world.team.clone()).expect("people");
    all_paid(&life, token, &offers).await;
    people.stop().await;
    judge(&world, &offers, &std::collections::HashMap::new()).await;
    life.end();

    // The ledger is emptied, and the next life fills it again from the journal.
    let digest = ledger(&world.config, "digest");
    assert!(ledger(&world.config, "rebuild").contains("fill it again"));
    assert_ne!(ledger(&world.config, "digest"), digest);
    let life = Life::begin(&world.config);
    all_paid(&life, token, &offers).await;
    life.end();
    let mut refused = Command::new(env!("CARGO_BIN_EXE_raccordo"));
    let refused = refused.args(["audit", "verify", "--config"]).arg(&world.config).output().expect("the command runs");
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && told.contains("names Kafka"), "{told}");
    world.siope.shutdown().await;
}
