//! The benches, small: they run, they give the keys that people rely on, and what they count as lost or twice is nothing.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Runs a bench on little; gives what it says, after a look at its keys.
fn sheet(name: &str, options: &[&str], keys: &[&str]) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_raccordo"));
    let _ = command.args(["bench", name, "--json", "--dir", env!("CARGO_TARGET_TMPDIR")]).args(options);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let run = command.current_dir(root).output().expect("the binary runs");
    let said = String::from_utf8_lossy(&run.stdout);
    let sheet: Value = serde_json::from_str(said.lines().last().unwrap_or_default())
        .unwrap_or_else(|e| panic!("{e}: {said}{}", String::from_utf8_lossy(&run.stderr)));
    for key in keys {
        assert!(sheet[key].is_number(), "{key} of {sheet}");
    }
    assert!(run.status.success(), "{sheet}");
    sheet
}

fn number(sheet: &Value, key: &str) -> u64 {
    sheet[key].as_u64().unwrap_or_else(|| panic!("{key} of {sheet}"))
}

#[test]
fn a_small_month_loses_nothing_and_sends_nothing_twice() {
    let keys =
        ["orders", "seconds", "lost", "duplicates", "rss_mib", "p50_ms", "p99_ms", "cpu_s", "disk_bytes_per_order"];
    let options = ["--orders", "20", "--entities", "4", "--senders", "4", "--within", "120"];
    let sheet = sheet("month", &options, &keys);
    let counts = ["orders", "closed", "lost", "duplicates"].map(|key| number(&sheet, key));
    assert_eq!(counts, [20, 20, 0, 0], "{sheet}");
}

#[test]
fn a_short_intake_is_compared_with_the_bare_loop() {
    let options = ["--rounds", "1", "--turn-ms", "300", "--clients", "8"];
    let sheet = sheet("intake", &options, &["per_s", "p99_ms", "ratio_to_bare"]);
    assert!(sheet["per_s"].as_f64() > Some(0.0) && sheet["ratio_to_bare"].as_f64() > Some(0.0), "{sheet}");
}

#[test]
fn a_hub_that_was_killed_knows_what_it_had_taken() {
    let options = ["--starts", "1", "--idle-s", "0", "--messages", "50", "--waits", "5"];
    let sheet = sheet("start", &options, &["ready_ms", "idle_rss_mib", "ready_ms_after_kill_100k"]);
    assert_eq!(number(&sheet, "lost"), 0, "{sheet}");
}

#[test]
fn a_few_that_wait_are_woken_once() {
    let sheet = sheet("waits", &["--waits", "50"], &["waits", "added_rss_mib", "wake_all_s"]);
    assert_eq!((number(&sheet, "waits"), number(&sheet, "twice")), (50, 0), "{sheet}");
}

#[test]
fn some_kills_lose_nothing_and_send_nothing_twice() {
    let options = ["--files", "40", "--kill-min-ms", "50", "--kill-max-ms", "200"];
    let sheet = sheet("kill", &options, &["files", "kills", "lost", "twice", "unknown"]);
    let [lost, twice, unknown, kills] = ["lost", "twice", "unknown", "kills"].map(|key| number(&sheet, key));
    assert_eq!((lost, twice), (0, 0), "{sheet}");
    assert!(kills > 0 && unknown <= kills, "{sheet}");
}

#[test]
fn a_little_through_kafka_arrives_once_beside_the_bare_tools() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let Some(broker) = crate::on_kafka::broker(&root) else { return };
    let jars = root.join("target/kafka/jars");
    let jars = jars.to_str().expect("a readable path");
    let options = ["--brokers", &broker, "--kafka-jars", jars, "--messages", "200", "--paced", "20"];
    let keys = ["eos_per_s", "bare_per_s", "ratio_to_bare", "log_eos_per_s", "p99_ms", "rss_mib"];
    let sheet = sheet("kafka", &options, &keys);
    assert_eq!(["messages", "lost", "duplicates"].map(|key| number(&sheet, key)), [200, 0, 0], "{sheet}");
    assert_eq!(sheet["hubs"][0]["hubs"], 1, "{sheet}");
}
