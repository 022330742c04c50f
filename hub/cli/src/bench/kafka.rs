//! `bench kafka`: consume, transform and produce exactly once on real brokers, beside Kafka's own bare tools.
//!
//! **What is compared.** Messages of 500 bytes wait in the inbox before the clock runs. A hub reads each, runs it through a route
//! (one `map`, one `log`), and the result stands in the journal, which a consumer of Kafka's own reads with `read_committed`.
//! The clock runs from the first record of a result to the last, by the times that stand in them. Beside it: the producer's
//! tool (`acks=all`) and the consumer's, on a topic with as many partitions and copies, with records of 500 bytes.
//!
//! **What one message costs.** It is read from the inbox; its two events (the text, and that it is finished) go as one record to
//! the owner of its case, who reads it and writes two records of the journal: three records written, two read. Each case adds a
//! value of keyed state, each commit a position. Commits of all workers that wait together are one Kafka transaction. The
//! ledger's applier reads the journal, too, and writes rows into a SQLite file; its CPU is in the measurement.
//! The bare tools write, or read, one record without a transaction.

mod hubs;
mod load;
mod log;
mod paced;
mod store;
mod tools;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use hub_core::Value;
use serde_json::json;

use super::{Common, Run, Sheet};
use hubs::Outcome;
use load::BYTES;
use store::Store;
use tools::Tools;

/// Fastest paced load, in messages a second: what one sender's door takes is measured by `bench intake`.
const PACED_MAX: f64 = 100.0;

/// `raccordo bench kafka`
#[derive(Args, Debug)]
pub(super) struct Options {
    #[command(flatten)]
    common: Common,
    /// Brokers, as `host:port`, with commas between them; plain text
    #[arg(long)]
    brokers: String,
    /// Folder with Kafka's jars, its tools included (`examples/kafka/kafka get DIR` fetches them into DIR/jars)
    #[arg(long)]
    kafka_jars: PathBuf,
    /// Messages of 500 bytes
    #[arg(long, default_value_t = 300_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    messages: u32,
    /// How many hubs work together, one run after the other; from two on, one of them is killed in a further run
    #[arg(long, default_value = "1", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=16))]
    hubs: Vec<u16>,
    /// Partitions of each topic
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    partitions: u16,
    /// Copies of each partition
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=9))]
    replication: u16,
    /// Messages of the paced load, offered at half of the throughput that was found, 100 a second at most
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    paced: u32,
}

impl Options {
    fn store(&self) -> Store {
        Store::new(&self.brokers, self.partitions, self.replication)
    }
}

/// What Kafka's own tools do, in records a second.
struct Bare {
    produced: f64,
    consumed: f64,
}

pub(super) async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let tools = Tools::new(&options.kafka_jars, &options.brokers)?;
    let run = Run::begin("kafka", &options.common)?;
    let alone = options.store();
    let log_per_s = log::per_s(&alone, options.messages).await?;
    run.say(&format!("the log alone: {log_per_s:.0} a second"));
    // The log has made its topics and is closed: one of them, still empty, is a topic as the hub's are.
    let bare = bare(&tools, &alone.topic("waits"), options.messages).await?;
    run.say(&format!("bare: {:.0} a second produced, {:.0} consumed", bare.produced, bare.consumed));
    let store = options.store();
    let one = hubs::work(&run, &tools, &store, options.messages, (1, false)).await?;
    let per_s = per_s(&one, options.messages);
    run.say(&format!("1 hub: {per_s:.0} a second"));
    let rate = (per_s / 2.0).clamp(1.0, PACED_MAX);
    let mut times = paced::times(&run, &tools, &store, (options.messages + 1, options.paced), rate).await?;
    let (list, more) = together(&run, &tools, &options, &one).await?;
    let mut sheet = sheet(&one, &bare, &options, log_per_s);
    sheet.number(
        "p99_ms",
        times.at(0.99),
        1,
        "from when a message was due at the HTTP door until a consumer had its result",
    );
    sheet.number("p50_ms", times.at(0.5), 1, "the same, the middle one");
    sheet.number("paced_per_s", rate, 0, "messages a second that were offered meanwhile");
    sheet.add(
        "hubs",
        list,
        "as many hubs on the same topics; `takeover_ms` from SIGKILL until the others own all slots",
    );
    let kept = [&one].into_iter().chain(&more).all(|outcome| is_kept(outcome, options.messages));
    Ok(run.end(sheet, kept))
}

async fn bare(tools: &Tools, topic: &str, records: u32) -> anyhow::Result<Bare> {
    let produced = tools.produce(topic, records, BYTES).await.context("the bare producer")?;
    let consumed = tools.consume(topic, records).await.context("the bare consumer")?;
    Ok(Bare { produced, consumed })
}

/// Runs with as many hubs as were asked for, and with one of them killed; as JSON, and what else was seen.
async fn together(run: &Run, tools: &Tools, options: &Options, one: &Outcome) -> anyhow::Result<(Value, Vec<Outcome>)> {
    let (mut list, mut more) = (Vec::new(), Vec::new());
    for count in &options.hubs {
        if *count == 1 {
            list.push(line(1, one, None, options.messages));
            continue;
        }
        let whole = hubs::work(run, tools, &options.store(), options.messages, (*count, false)).await?;
        let killed = hubs::work(run, tools, &options.store(), options.messages, (*count, true)).await?;
        list.push(line(*count, &whole, Some(&killed), options.messages));
        run.say(&format!("{}", list[list.len() - 1]));
        more.extend([whole, killed]);
    }
    Ok((Value::Array(list), more))
}

fn line(count: u16, whole: &Outcome, killed: Option<&Outcome>, messages: u32) -> Value {
    let both = || [whole].into_iter().chain(killed);
    json!({
        "hubs": count,
        "eos_per_s": per_s(whole, messages).round() as u64,
        "takeover_ms": killed.and_then(|outcome| outcome.takeover).map(|took| took.as_millis() as u64),
        "lost": both().map(|outcome| lost(outcome, messages)).sum::<usize>(),
        "duplicates": both().map(duplicates).sum::<usize>(),
    })
}

fn lost(outcome: &Outcome, messages: u32) -> usize {
    outcome.seen.lost(messages)
}

fn duplicates(outcome: &Outcome) -> usize {
    outcome.seen.duplicates() as usize
}

fn per_s(outcome: &Outcome, messages: u32) -> f64 {
    f64::from(messages) / outcome.seen.seconds()
}

fn is_kept(outcome: &Outcome, messages: u32) -> bool {
    lost(outcome, messages) == 0 && duplicates(outcome) == 0
}

fn sheet(one: &Outcome, bare: &Bare, options: &Options, log_per_s: f64) -> Sheet {
    let (per_s, slower) = (per_s(one, options.messages), bare.produced.min(bare.consumed));
    let mut sheet = Sheet::default();
    sheet.add("messages", options.messages, "of 500 bytes, through a route with `map` and `log`");
    sheet.number("eos_per_s", per_s, 0, "messages a second, exactly once, from the inbox to the journal");
    sheet.number("bare_per_s", slower, 0, "records a second of the slower of Kafka's own producer and consumer tools");
    sheet.number("ratio_to_bare", per_s / slower, 3, "goal: 0.6");
    sheet.number("log_eos_per_s", log_per_s, 0, "records a second through the log alone, without routes and cases");
    sheet.number("bare_produced_per_s", bare.produced, 0, "ProducerPerformance, acks=all");
    sheet.number("bare_consumed_per_s", bare.consumed, 0, "ConsumerPerformance, without joining its group");
    sheet.number("rss_mib", one.usage.peak_rss_mib, 1, "peak memory of the hub; goal: under 150");
    sheet.number("cpu_s", one.usage.cpu_s, 1, "CPU seconds of the hub, start and ledger included");
    sheet.add("lost", lost(one, options.messages), "messages without their result in the journal; goal: 0");
    sheet.add("duplicates", duplicates(one), "results that are there more than once; goal: 0");
    sheet
}
