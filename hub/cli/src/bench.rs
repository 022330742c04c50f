//! `raccordo bench NAME`: measures this machine, each figure beside a bare loop or a goal in the same run.
//!
//! Every bench runs the hub in a process of its own ([`process`]), in a scratch folder on a real disk ([`scratch`]), and
//! prints lines for people or, with `--json`, one JSON object on the last line ([`sheet`]). What is counted comes from
//! comparing what was offered with what the other side saw, never from the hub's own counters.

mod http;
mod intake;
mod kafka;
mod kill;
mod machine;
mod month;
mod percentiles;
mod process;
mod receiver;
mod rest;
mod scratch;
mod sender;
mod sheet;
mod site;
mod start;
mod waits;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Args, Subcommand};
use rand::SeedableRng;
use rand::rngs::StdRng;

pub(crate) use machine::Machine;
pub(crate) use scratch::Scratch;
pub(crate) use sheet::Sheet;

/// `raccordo bench`
#[derive(Args, Debug)]
pub(crate) struct Options {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand, Debug)]
enum Bench {
    /// Durable messages over HTTP, beside a bare loop that appends and syncs
    Intake(intake::Options),
    /// A region's month: 15,000 orders from HTTP to the bank's last word
    Month(month::Options),
    /// Time until the first right answer, memory at rest, and a start after SIGKILL with a full store
    Start(start::Options),
    /// Cases that wait for an answer: what they cost, and how fast they are woken
    Waits(waits::Options),
    /// SIGKILL again and again while files go to a receiver that can be neither asked nor keyed
    Kill(kill::Options),
    /// Exactly once through a route on real Kafka brokers, beside Kafka's own bare tools
    Kafka(kafka::Options),
}

/// What all benches take.
#[derive(Args, Debug, Clone)]
pub(crate) struct Common {
    /// Prints one JSON object on the last line
    #[arg(long)]
    json: bool,
    /// Folder for the scratch data, on the disk that is measured (default: `target/` here, else the system's temp folder)
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Seed of everything random
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Leaves the scratch folder behind
    #[arg(long)]
    keep: bool,
}

/// One run of a bench: where it works, what it says.
#[derive(Debug)]
pub(crate) struct Run {
    json: bool,
    seed: u64,
    begun: Instant,
    /// The scratch folder; removed at the end.
    pub(crate) scratch: Scratch,
    /// What it runs on.
    pub(crate) machine: Machine,
}

impl Run {
    /// Makes the scratch folder and says what the machine is.
    ///
    /// # Errors
    /// When the folder cannot be made, or stands on a file system in memory.
    pub(crate) fn begin(name: &str, common: &Common) -> anyhow::Result<Self> {
        let scratch = Scratch::make(name, common.dir.as_deref(), common.keep)?;
        let machine = Machine::here(scratch.path());
        let run = Self { json: common.json, seed: common.seed, begun: Instant::now(), scratch, machine };
        run.say(&format!("bench {name} on {}", run.machine));
        Ok(run)
    }

    /// A line for people; with `--json` it goes to standard error.
    pub(crate) fn say(&self, text: &str) {
        let line = format!("[{:6.1} s] {text}", self.begun.elapsed().as_secs_f64());
        if self.json { eprintln!("{line}") } else { println!("{line}") }
    }

    /// Random numbers of this run, the same for the same seed.
    pub(crate) fn random(&self) -> StdRng {
        StdRng::seed_from_u64(self.seed)
    }

    /// Prints what was measured and removes the scratch folder. Exit code 1 if a promise was broken; a figure that misses
    /// its goal is no failure.
    pub(crate) fn end(self, mut sheet: Sheet, kept: bool) -> ExitCode {
        sheet.add("machine", self.machine.to_string(), "");
        if self.json {
            println!("{}", sheet.json())
        } else {
            print!("{}", sheet.lines())
        }
        if kept { ExitCode::SUCCESS } else { ExitCode::from(1) }
    }
}

/// Runs a bench.
pub(crate) async fn run(options: Options) -> anyhow::Result<ExitCode> {
    match options.bench {
        Bench::Intake(options) => intake::run(options).await,
        Bench::Month(options) => month::run(options).await,
        Bench::Start(options) => start::run(options).await,
        Bench::Waits(options) => waits::run(options).await,
        Bench::Kill(options) => kill::run(options).await,
        Bench::Kafka(options) => kafka::run(options).await,
    }
}
