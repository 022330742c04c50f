//! `bench intake`: durable messages that the hub acknowledges over HTTP, beside a bare loop that appends and syncs on the same
//! disk. Both take turns, and medians are compared, since machines are noisy.

mod bare;
mod load;

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::percentiles::{Times, median};
use super::process::{Process, own_cpu_s};
use super::rest::rest;
use super::site::Site;
use super::{Common, Run, Sheet};

/// The route under test: what is taken rests in the inbox, runs through one step, and its case is closed.
const ROUTE: &str = "route: intake
from:
  http: { path: /intake, auth: none, require_key: true }
steps:
  - filter: body.numero > 0
";

/// `raccordo bench intake`
#[derive(Args, Debug)]
pub(super) struct Options {
    #[command(flatten)]
    common: Common,
    /// Clients at once, each with one connection that stays open
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    clients: u16,
    /// Size of each message in bytes
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(64..=1_000_000))]
    bytes: u32,
    /// Turns of hub and bare loop
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=100))]
    rounds: u8,
    /// Length of each turn, in milliseconds
    #[arg(long, default_value_t = 3_000, value_parser = clap::value_parser!(u32).range(10..=600_000))]
    turn_ms: u32,
}

/// What the turns of one side gave.
#[derive(Debug, Default)]
struct Side {
    per_s: Vec<f64>,
    times: Times,
}

impl Side {
    fn add(&mut self, times: Times, took: Duration) {
        self.per_s.push(times.len() as f64 / took.as_secs_f64());
        self.times.merge(times);
    }
}

/// CPU time that load and hub used while the hub was measured, in seconds, and how long that was.
#[derive(Debug, Default)]
struct Cost {
    load_s: f64,
    hub_s: f64,
    took_s: f64,
}

pub(super) async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let run = Run::begin("intake", &options.common)?;
    let site = Site::make(run.scratch.folder("hub")?, &[("intake", ROUTE.into())], &json!({}))?;
    let (hub, _) = site.start().await?;
    let load = load::Load::new(site.listener().await?, &options, &run);
    let turn = Duration::from_millis(options.turn_ms.into());
    // Files, caches and connections are warm before anything counts.
    let _warm = load.run(turn / 3).await?;
    rest(&hub).await?;
    let bare = bare::Bare::open(&run.scratch.folder("bare")?, &options)?;
    let (mut ours, mut theirs, mut cost) = (Side::default(), Side::default(), Cost::default());
    for round in 1..=options.rounds {
        measure(&load, &hub, turn, &mut ours, &mut cost).await?;
        rest(&hub).await?;
        let (times, took) = bare.run(turn).await?;
        theirs.add(times, took);
        let last = |side: &Side| side.per_s.last().copied().unwrap_or(0.0);
        run.say(&format!("round {round}: hub {:.0}/s, bare loop {:.0}/s", last(&ours), last(&theirs)));
    }
    let sheet = sheet(&run, &hub, ours, theirs, &cost)?;
    hub.end().await?;
    Ok(run.end(sheet, true))
}

async fn measure(
    load: &load::Load,
    hub: &Process,
    turn: Duration,
    ours: &mut Side,
    cost: &mut Cost,
) -> anyhow::Result<()> {
    let (hub_before, own_before) = (hub.usage()?.cpu_s, own_cpu_s());
    let (times, took) = load.run(turn).await?;
    cost.load_s += own_cpu_s() - own_before;
    cost.hub_s += hub.usage()?.cpu_s - hub_before;
    cost.took_s += took.as_secs_f64();
    ours.add(times, took);
    Ok(())
}

fn sheet(run: &Run, hub: &Process, mut ours: Side, mut theirs: Side, cost: &Cost) -> anyhow::Result<Sheet> {
    let (per_s, bare) = (median(&ours.per_s), median(&theirs.per_s));
    let share = |cpu_s: f64| 100.0 * cpu_s / (cost.took_s * run.machine.cores() as f64);
    let mut sheet = Sheet::default();
    sheet.number("per_s", per_s, 0, "durable messages acknowledged in a second (median of the turns)");
    sheet.number("p99_ms", ours.times.at(0.99), 2, "99 of 100 were answered within this");
    sheet.number("ratio_to_bare", per_s / bare, 3, "of the bare loop; goal: at least 0.5");
    sheet.number("bare_per_s", bare, 0, "records of the same size appended and synced by the bare loop");
    sheet.number("bare_p99_ms", theirs.times.at(0.99), 2, "the same for the bare loop");
    sheet.number("p50_ms", ours.times.at(0.5), 2, "half were answered within this");
    sheet.number("hub_cpu_percent", share(cost.hub_s), 0, "of all cores used by the hub meanwhile");
    sheet.number("load_cpu_percent", share(cost.load_s), 0, "of all cores used by the load");
    sheet.number("rss_mib", hub.usage()?.peak_rss_mib, 1, "peak memory of the hub");
    Ok(sheet)
}
