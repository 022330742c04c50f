//! `bench start`: how long until the first right answer, and how much memory an idle hub takes.

mod killed;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;

use super::http::Wire;
use super::percentiles::median;
use super::process::{Process, Usage};
use super::site::listener_at;
use super::{Common, Run, Sheet};
use crate::demo::{Sender, World, WorldSettings, load_orders, repository};

/// How long a hub may take until it is ready.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// `raccordo bench start`
#[derive(Args, Debug)]
pub(super) struct Options {
    #[command(flatten)]
    common: Common,
    /// Starts of which the median counts
    #[arg(long, default_value_t = 11, value_parser = clap::value_parser!(u8).range(1..=100))]
    starts: u8,
    /// How long the hub is left alone before its memory is read, in seconds
    #[arg(long, default_value_t = 5)]
    idle_s: u64,
    /// Messages in the store of the killed hub
    #[arg(long, default_value_t = 100_000)]
    messages: u32,
    /// Cases that wait in it
    #[arg(long, default_value_t = 10_000)]
    waits: u32,
}

pub(super) async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let run = Run::begin("start", &options.common)?;
    let root = repository()?;
    // The shipped routes with everything that they name; SIOPE+ answers from this process.
    let world = World::prepare(&root, &run.scratch.folder("world")?.join("all"), WorldSettings::default()).await?;
    let first = ready(&world).await?.end().await?;
    run.say(&format!("first start, with a new store: ready after {first:.1} ms"));
    let mut all = Vec::new();
    for _ in 0..options.starts {
        all.push(ready(&world).await?.end().await?);
    }
    let idle = idle(&world, options.idle_s).await?;
    let order = first_order(&root, &world).await?;
    let killed = killed::run(&run, options.messages.into(), options.waits.into()).await?;
    let mut sheet = Sheet::default();
    sheet.number(
        "ready_ms",
        median(&all),
        1,
        "until `/health/ready` said 200, shipped routes (median); goal: under 50",
    );
    sheet.number("idle_rss_mib", idle.rss_mib, 1, "resident memory of the idle hub; goal: under 30");
    sheet.number("ready_ms_after_kill_100k", killed.ready_ms, 1, "after SIGKILL with a full store; goal: under 2,000");
    sheet.number(
        "first_order_ms",
        order,
        1,
        "until a signed-on sender's first order was durable (202 over mutual TLS)",
    );
    sheet.number("ready_ms_new_store", first, 1, "until ready, with a store to make");
    sheet.number("peak_rss_mib", idle.peak_rss_mib, 1, "peak memory of that hub");
    sheet.add("messages", killed.messages, "messages in the store of the killed hub");
    sheet.add("waits", killed.waits, "of them wait for an answer");
    sheet.add("lost", killed.lost, "messages that the killed hub had taken and its successor does not know; goal: 0");
    world.siope.shutdown().await;
    let kept = killed.lost == 0;
    Ok(run.end(sheet, kept))
}

/// A hub that was ready after so many milliseconds.
struct Ready {
    hub: Process,
    ms: f64,
}

impl Ready {
    async fn end(self) -> anyhow::Result<f64> {
        self.hub.end().await?;
        Ok(self.ms)
    }
}

async fn ready(world: &World) -> anyhow::Result<Ready> {
    drop(std::fs::remove_file(world.dir.join("http.address")));
    let begun = Instant::now();
    let mut hub = Process::hub(&world.config, &world.dir.join("hub.log"))?;
    until_ready(&mut hub).await?;
    Ok(Ready { hub, ms: begun.elapsed().as_secs_f64() * 1000.0 })
}

/// Asks `/health/ready` until it says yes.
async fn until_ready(hub: &mut Process) -> anyhow::Result<String> {
    let admin = hub.hub_ready().await?;
    let address = admin.strip_prefix("http://").context("the admin API speaks plain HTTP here")?;
    let mut wire = Wire::connect(address).await?;
    let begun = Instant::now();
    while wire.get("/health/ready").await?.status != 200 {
        ensure!(begun.elapsed() < READY_WITHIN, "the hub does not get ready:\n{}", hub.log_end());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(admin)
}

async fn idle(world: &World, seconds: u64) -> anyhow::Result<Usage> {
    let ready = ready(world).await?;
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let usage = ready.hub.usage()?;
    ready.hub.end().await?;
    Ok(usage)
}

/// From the start of a hub until the first order is durable: schemas, rules and certificates are all in use by then.
async fn first_order(root: &std::path::Path, world: &World) -> anyhow::Result<f64> {
    drop(std::fs::remove_file(world.dir.join("http.address")));
    let offers = load_orders(&root.join("examples/mandati"))?;
    let offer = offers.iter().find(|offer| offer.order.is_some() && !offer.is_cancellation()).context("no sample")?;
    let sender = Sender::new(world).await?;
    let begun = Instant::now();
    let mut hub = Process::hub(&world.config, &world.dir.join("hub.log"))?;
    let _address = listener_at(&world.dir.join("http.address")).await?;
    let answer = loop {
        match sender.post_once(offer).await {
            Ok(Some(answer)) => break answer,
            _ if begun.elapsed() < READY_WITHIN => tokio::time::sleep(Duration::from_millis(1)).await,
            other => anyhow::bail!("no answer to the first order ({other:?}):\n{}", hub.log_end()),
        }
    };
    let took = begun.elapsed();
    ensure!(answer.is_taken(), "the first order was not taken: {answer:?}");
    let _admin = until_ready(&mut hub).await?;
    hub.end().await?;
    Ok(took.as_secs_f64() * 1000.0)
}
