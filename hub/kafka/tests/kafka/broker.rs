//! The broker of a test run, and settings for a store of a test's own.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use hub_core::{Bytesize, Span};
use hub_kafka::KafkaSettings;

/// Seconds after the last test has asked for it that the broker stops by itself.
const STAYS: &str = "900";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The address of the broker; it is started if it does not run. `None`: there is none to be had, and the reason is said.
pub(crate) fn broker() -> Option<&'static str> {
    static BROKER: OnceLock<Option<String>> = OnceLock::new();
    BROKER.get_or_init(|| start().map_err(|reason| missing(&reason)).ok()).as_deref()
}

/// Where `./test` has put the broker.
pub(crate) fn folder() -> PathBuf {
    root().join("target/kafka")
}

/// All processes of a test run share this one.
fn start() -> Result<String, String> {
    let folder = found()?;
    run("start", &folder, &["--fresh", "--for", STAYS])
}

fn found() -> Result<PathBuf, String> {
    let folder = folder();
    match folder.join("jars").is_dir() {
        true => Ok(folder),
        false => Err(format!("there is no broker in {}: `examples/kafka/kafka get target/kafka`", folder.display())),
    }
}

/// For a test with brokers of its own: a new folder with the jars in it. `None`: there are none, and the reason is said.
pub(crate) fn own_folder() -> Option<PathBuf> {
    let shared = found().map_err(|reason| missing(&reason)).ok()?;
    let own = shared.with_file_name(format!("kafka-{}", uuid::Uuid::now_v7().simple()));
    std::fs::create_dir_all(&own).expect("a folder");
    std::os::unix::fs::symlink(shared.join("jars"), own.join("jars")).expect("a link");
    Some(own)
}

/// Runs a command of the script; gives what it says.
pub(crate) fn run(command: &str, folder: &Path, options: &[impl AsRef<OsStr>]) -> Result<String, String> {
    let script = root().join("examples/kafka/kafka");
    let done = Command::new(script).arg(command).arg(folder).args(options).output();
    let done = done.map_err(|error| format!("examples/kafka/kafka: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if done.status.success() { Ok(text(&done.stdout)) } else { Err(text(&done.stderr)) }
}

fn missing(reason: &str) {
    let required = std::env::var("RACCORDO_REQUIRE_TOOLS").as_deref() == Ok("1");
    assert!(!required, "Kafka is required (RACCORDO_REQUIRE_TOOLS=1) and cannot be had: {reason}");
    println!("skipped: Kafka cannot be had: {reason}");
}

/// A store of the test's own on a cluster of one.
pub(crate) fn settings(broker: &str, partitions: u16) -> KafkaSettings {
    let name = format!("t{}", uuid::Uuid::now_v7().simple());
    let mut settings = KafkaSettings::new([broker.to_owned()], format!("{name}-hub"));
    settings.prefix = name;
    settings.partitions = partitions;
    (settings.replication, settings.min_insync_replicas, settings.relaxed) = (1, 1, true);
    // the machine may be busy
    settings.timeouts.transaction = Span(Duration::from_secs(45));
    settings.cache = Bytesize(4 << 20);
    settings
}
