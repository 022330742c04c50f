//! `bench month`: a region's month of payments in one go. Orders come in over mutual TLS; each becomes a signed flow of its
//! own, goes to the SIOPE+ simulator, is acknowledged, paid, archived; its case is closed.
//!
//! Hub, simulator and load are three processes. What is lost or sent twice is judged by what the simulator saw; when the
//! last case is closed, by the ledger.

mod judge;
mod load;
mod orders;
mod place;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;

use super::process::{Usage, own_cpu_s};
use super::scratch::bytes_below;
use super::{Common, Run, Sheet};
use judge::Verdict;
use place::Place;

/// `raccordo bench month`
#[derive(Args, Debug, Clone)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
    /// Orders
    #[arg(long, default_value_t = 15_000)]
    orders: usize,
    /// Bodies that they are of
    #[arg(long, default_value_t = 20)]
    entities: usize,
    /// Connections that offer them
    #[arg(long, default_value_t = 32)]
    senders: usize,
    /// How long it may take, in seconds
    #[arg(long, default_value_t = 1_800)]
    within: u64,
}

/// What one run has shown.
struct Month {
    orders: usize,
    closed: usize,
    seconds: f64,
    intake_seconds: f64,
    verdict: Verdict,
    latencies: super::percentiles::Times,
    hub: Usage,
    simulator: Usage,
    disk_bytes: u64,
}

/// Runs it; exit code 1 when an order was lost, sent twice, or not closed in time.
pub(crate) async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let run = Run::begin("month", &options.common)?;
    let month = measure(&run, &options).await?;
    let kept = month.closed == month.orders && month.verdict == Verdict { lost: 0, duplicates: 0 };
    Ok(run.end(sheet(month), kept))
}

async fn measure(run: &Run, options: &Options) -> anyhow::Result<Month> {
    let place = Place::make(run.scratch.path(), options.entities)?;
    let offers = orders::make(&place.root, &place.entities, options.orders)?;
    let simulator = place.simulator().await?;
    let hub = place.hub(&simulator).await?;
    run.say(&format!("hub {} and simulator {} are ready", hub.process.id(), simulator.process.id()));

    let begun = Instant::now();
    load::offer(&place, &offers, options.senders).await?;
    let intake_seconds = begun.elapsed().as_secs_f64();
    run.say(&format!("{} orders taken", offers.len()));
    let within = Duration::from_secs(options.within);
    let closed = judge::wait_until_closed(run, &place, &hub, offers.len(), within).await?;
    let seconds = begun.elapsed().as_secs_f64();
    // Before the questions below, which are no part of the month.
    let (used, used_simulator) = (hub.process.usage()?, simulator.process.usage()?);

    let verdict = judge::compare(&offers, &simulator).await?;
    let latencies = judge::latencies(&place, &hub).await?;
    hub.process.end().await?;
    Ok(Month {
        orders: offers.len(),
        closed,
        seconds,
        intake_seconds,
        verdict,
        latencies,
        hub: used,
        simulator: used_simulator,
        disk_bytes: bytes_below(&place.data())?,
    })
}

fn sheet(mut month: Month) -> Sheet {
    let mut sheet = Sheet::default();
    sheet.add("orders", month.orders, "orders, each its own signed flow");
    sheet.number("seconds", month.seconds, 2, "from the first offer until the last case was closed (goal: under 60)");
    sheet.add("lost", month.verdict.lost, "taken, and in no flow at the simulator");
    sheet.add("duplicates", month.verdict.duplicates, "in more than one flow");
    sheet.number("rss_mib", month.hub.peak_rss_mib, 0, "peak of the hub process (goal: under 200)");
    sheet.number("p50_ms", month.latencies.at(0.5), 0, "from an order's first event to its last");
    sheet.number("p99_ms", month.latencies.at(0.99), 0, "the same, one of a hundred is slower");
    sheet.number("cpu_s", month.hub.cpu_s, 1, "CPU time of the hub process");
    let each = month.disk_bytes / u64::try_from(month.orders.max(1)).unwrap_or(1);
    sheet.add("disk_bytes_per_order", each, "store and blobs after the end");
    sheet.add("closed", month.closed, "cases that came to their end in time");
    sheet.number("intake_s", month.intake_seconds, 2, "from the first offer until the last one was taken");
    sheet.number("cpu_simulator_s", month.simulator.cpu_s, 1, "CPU time of the simulator process");
    sheet.number("cpu_load_s", own_cpu_s(), 1, "CPU time of the load");
    sheet
}
