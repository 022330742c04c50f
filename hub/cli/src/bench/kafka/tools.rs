//! Kafka's own tools: the bare loops, and a consumer that shares no code with the hub.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// How long a tool may take; it is ended then.
const WITHIN: Duration = Duration::from_secs(1200);
/// A consumer that hears nothing for so long gives up, in milliseconds: joining its group and beginning to read are part of it.
const SILENT_MS: &str = "30000";
/// Memory of a tool.
const HEAP: &str = "-Xmx512m";
/// How much of a failed tool's words is shown.
const SAID_CHARS: usize = 1000;

/// The jars of `examples/kafka/kafka get`, and the brokers.
#[derive(Debug, Clone)]
pub(super) struct Tools {
    jars: PathBuf,
    brokers: String,
}

impl Tools {
    /// # Errors
    /// When the folder has no jar of the tools.
    pub(super) fn new(jars: &Path, brokers: &str) -> anyhow::Result<Self> {
        let names =
            std::fs::read_dir(jars).with_context(|| format!("--kafka-jars {}: cannot be read", jars.display()))?;
        let mut names = names.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        ensure!(
            names.any(|name| is_tools(&name)),
            "--kafka-jars {}: there is no kafka-tools-*.jar; `examples/kafka/kafka get DIR` fetches it into DIR/jars",
            jars.display()
        );
        Ok(Self { jars: jars.to_path_buf(), brokers: brokers.to_string() })
    }

    /// Records a second that the producer's tool writes, each acknowledged by all copies.
    ///
    /// # Errors
    /// When Java is missing, or the tool fails or says something else than expected.
    pub(super) async fn produce(&self, topic: &str, records: u32, bytes: usize) -> anyhow::Result<f64> {
        let (records, bytes) = (records.to_string(), bytes.to_string());
        let args = ["--topic", topic, "--num-records", &records, "--record-size", &bytes, "--throughput", "-1"];
        let said = self.run("ProducerPerformance", &[&args[..], &["--command-property", "acks=all"]].concat()).await?;
        produced_per_s(&said).with_context(|| format!("the producer's tool said nothing of records/sec:\n{said}"))
    }

    /// Records a second that the consumer's tool reads, without the time that joining its group takes.
    ///
    /// # Errors
    /// As [`Tools::produce`].
    pub(super) async fn consume(&self, topic: &str, records: u32) -> anyhow::Result<f64> {
        let args = ["--topic", topic, "--num-records", &records.to_string(), "--timeout", "60000"];
        let said = self.run("ConsumerPerformance", &args).await?;
        consumed_per_s(&said).with_context(|| format!("the consumer's tool gave no fetch.nMsg.sec:\n{said}"))
    }

    /// What is committed in a topic, line by line; from the beginning until nothing more comes, or from now on.
    ///
    /// # Errors
    /// When Java is missing.
    pub(super) fn follow(&self, topic: &str, whole: bool) -> anyhow::Result<Follower> {
        let from: &[&str] = if whole { &["--from-beginning", "--timeout-ms", SILENT_MS] } else { &[] };
        let committed = ["--topic", topic, "--isolation-level", "read_committed"];
        let times = ["--formatter-property", "print.timestamp=true"];
        let mut command = self.command("consumer.ConsoleConsumer", &[&committed[..], &times[..], from].concat());
        let mut child = command.stderr(Stdio::null()).spawn().context(NO_JAVA)?;
        let out = child.stdout.take().context("invariant: standard output is piped")?;
        Ok(Follower { _child: child, lines: BufReader::new(out).lines() })
    }

    async fn run(&self, class: &str, args: &[&str]) -> anyhow::Result<String> {
        let output = self.command(class, args).output();
        let done = tokio::time::timeout(WITHIN, output).await;
        let done = done.with_context(|| format!("{class} did not end within {WITHIN:?}"))?.context(NO_JAVA)?;
        let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        if !done.status.success() {
            bail!("{class} failed ({}): {}", done.status, said.chars().take(SAID_CHARS).collect::<String>());
        }
        Ok(said)
    }

    fn command(&self, class: &str, args: &[&str]) -> Command {
        let mut command = Command::new("java");
        let _ = command.arg(HEAP).arg("-cp").arg(self.jars.join("*")).arg(format!("org.apache.kafka.tools.{class}"));
        let _ = command.args(["--bootstrap-server", &self.brokers]).args(args);
        let _ = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }
}

const NO_JAVA: &str = "cannot start `java`: install Java 17 or newer (Debian: default-jre-headless)";

fn is_tools(name: &str) -> bool {
    name.strip_prefix("kafka-tools-").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// A consumer of what is committed; ends when dropped.
#[derive(Debug)]
pub(super) struct Follower {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Follower {
    /// The next record: when its producer made it, in milliseconds since 1970, and its value. `None`: it has ended.
    ///
    /// # Errors
    /// When its output cannot be read.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<(i64, String)>> {
        while let Some(line) = self.lines.next_line().await? {
            if let Some(record) = timed(&line) {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }
}

/// `CreateTime:1732775000000<TAB>value`
fn timed(line: &str) -> Option<(i64, String)> {
    let (time, value) = line.split_once('\t')?;
    Some((time.strip_prefix("CreateTime:")?.parse().ok()?, value.to_string()))
}

/// `300000 records sent, 95238.1 records/sec (45.41 MB/sec), ...`: the last such line is about everything.
fn produced_per_s(said: &str) -> Option<f64> {
    let line = said.lines().rev().find(|line| line.contains(" records sent, "))?;
    line.split(" records/sec").next()?.rsplit(' ').next()?.parse().ok()
}

/// A line of titles and one of values, with commas between them.
fn consumed_per_s(said: &str) -> Option<f64> {
    let mut lines = said.lines().skip_while(|line| !line.contains("fetch.nMsg.sec"));
    let at = lines.next()?.split(',').position(|title| title.trim() == "fetch.nMsg.sec")?;
    lines.find(|line| line.split(',').count() > at)?.split(',').nth(at)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tools_words_are_read() {
        let producer = "100 records sent, 20.0 records/sec (0.01 MB/sec), 1 ms avg latency\n\
            300000 records sent, 95238.1 records/sec (45.41 MB/sec), 10.2 ms avg latency, 300.00 ms max latency.\n";
        assert_eq!(produced_per_s(producer), Some(95238.1));
        let consumer = "start.time, end.time, nMsg.sec, fetch.time.ms, fetch.nMsg.sec\n\
            2026-11-28 06:00:00:000, 2026-11-28 06:00:09:000, 33333.3, 900, 333333.3\n";
        assert_eq!(consumed_per_s(consumer), Some(333333.3));
        assert_eq!(produced_per_s("nothing"), None);
        assert_eq!(consumed_per_s("nothing"), None);
        assert_eq!(timed("CreateTime:12\t{\"a\":\"\\t\"}"), Some((12, "{\"a\":\"\\t\"}".to_string())));
        assert_eq!(timed("Processed a total of 3 messages"), None);
    }

    #[test]
    fn a_folder_without_the_tools_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("kafka-tools-api-4.3.1.jar"), "").expect("writable");
        let error = Tools::new(folder.path(), "a:1").expect_err("no tools").to_string();
        assert!(error.contains("kafka get"), "{error}");
        std::fs::write(folder.path().join("kafka-tools-4.3.1.jar"), "").expect("writable");
        assert!(Tools::new(folder.path(), "a:1").is_ok());
    }
}
