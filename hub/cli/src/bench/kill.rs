//! `bench kill`: files are sent one by one to a receiver that can be neither asked nor keyed, while the hub is killed again
//! and again. Afterwards the receiver tells what it got, and a person settles what nobody could know.

mod desk;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::json;

use super::process::Process;
use super::receiver::Receiver;
use super::site::Site;
use super::{Common, Run, Sheet};
use desk::Desk;

/// How long everything may take, for each file; kills included.
const FILE_WITHIN: Duration = Duration::from_millis(600);
/// The same, at least.
const WITHIN: Duration = Duration::from_secs(60);
/// Between two looks at whether all is done.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// `raccordo bench kill`
#[derive(Args, Debug)]
pub(super) struct Options {
    #[command(flatten)]
    common: Common,
    /// Files to send
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    files: u32,
    /// How long the receiver takes to answer, in milliseconds
    #[arg(long, default_value_t = 8)]
    answer_ms: u64,
    /// The hub is killed so long after the first receipt of each life: at least, in milliseconds
    #[arg(long, default_value_t = 300)]
    kill_min_ms: u64,
    /// At most, in milliseconds
    #[arg(long, default_value_t = 1_200)]
    kill_max_ms: u64,
}

/// One lane: the files go out one after the other. The sink repeats nothing, and cannot ask.
fn route(receiver: &Receiver) -> String {
    format!(
        "route: invii
from:
  file: {{ folder: drop, pattern: \"*.json\", every: 20ms, stable_for: 0s, batch: 10 }}
lane: \"'uno'\"
steps:
  - to: {{ http: {{ url: \"{}\", timeout: 5s }} }}
on_failure: {{ retry: {{ times: 100, min: 10ms, max: 100ms }}, then: park }}
",
        receiver.url()
    )
}

pub(super) async fn run(options: Options) -> anyhow::Result<ExitCode> {
    ensure!(options.kill_min_ms <= options.kill_max_ms, "--kill-min-ms is more than --kill-max-ms");
    let run = Run::begin("kill", &options.common)?;
    let receiver = Receiver::start(Duration::from_millis(options.answer_ms)).await?;
    let site = Site::make(run.scratch.folder("hub")?, &[("invii", route(&receiver))], &json!({}))?;
    let files = drop_files(&site.dir, options.files)?;
    let begun = Instant::now();
    let within = WITHIN.max(FILE_WITHIN * options.files);
    let (hub, admin, kills) = lives(&run, &site, &receiver, &options, within).await?;
    let took = begun.elapsed();
    let desk = Desk::new(site.api(&admin)?);
    let parked = desk.parked().await?;
    let verdict = Verdict::of(&files, &parked, &receiver, kills);
    run.say(&format!("{kills} kills, {} parked; now a person asks the receiver and settles them", parked.len()));
    let arrived = desk.settle(&parked, &receiver).await?;
    let settled = receiver.has(files.len(), Instant::now(), WITHIN).await.is_some();
    hub.end().await?;
    let missing = files.iter().filter(|file| receiver.times(file) == 0).count();
    let kept = verdict.is_kept() && settled && receiver.twice() == 0;
    let mut sheet = verdict.sheet(&options);
    sheet.add("unknown_arrived", arrived, "of the unknown ones had arrived, says the receiver");
    sheet.add("missing_after_settling", missing, "files that the receiver does not have in the end");
    sheet.add("twice_after_settling", receiver.twice(), "files that it has more than once in the end");
    sheet.number("seconds", took.as_secs_f64(), 1, "from the first start until all was done");
    Ok(run.end(sheet, kept))
}

/// Files with bodies that the receiver can tell apart, all in the folder from the beginning.
fn drop_files(dir: &Path, count: u32) -> anyhow::Result<BTreeSet<String>> {
    let folder = dir.join("drop");
    std::fs::create_dir_all(&folder)?;
    let body = |number: u32| format!("{{\"numero\":{number},\"testo\":\"pagamento {number}\"}}");
    (0..count)
        .map(|number| {
            std::fs::write(folder.join(format!("{number:06}.json")), body(number))?;
            Ok(body(number))
        })
        .collect()
}

/// Lives of the hub, each ended by SIGKILL, until nothing is left to send; gives the last one, running, and the kills.
async fn lives(
    run: &Run,
    site: &Site,
    receiver: &Receiver,
    options: &Options,
    within: Duration,
) -> anyhow::Result<(Process, String, u64)> {
    let (begun, mut random, mut kills) = (Instant::now(), run.random(), 0);
    loop {
        let before = receiver.count();
        let (hub, admin) = site.start().await?;
        let desk = Desk::new(site.api(&admin)?);
        while !receiver.beyond(before, LOOK_EVERY).await {
            if desk.is_done(receiver, options.files).await? {
                return Ok((hub, admin, kills));
            }
            ensure!(begun.elapsed() < within, "not done after {within:?}:\n{}", hub.log_end());
        }
        tokio::time::sleep(pause(&mut random, options)).await;
        hub.kill().context("the hub must live until it is killed")?;
        kills += 1;
        run.say(&format!("kill {kills}: {} of {} files received", receiver.distinct(), options.files));
    }
}

fn pause(random: &mut StdRng, options: &Options) -> Duration {
    Duration::from_millis(random.random_range(options.kill_min_ms..=options.kill_max_ms))
}

/// What the comparison of files, receipts and parked messages says, before a person did anything.
#[derive(Debug)]
struct Verdict {
    kills: u64,
    /// Neither received nor parked.
    lost: usize,
    /// Received more than once.
    twice: usize,
    /// Parked because nobody knows, each with its evidence.
    unknown: usize,
    /// Parked for another reason, or without evidence.
    odd: usize,
}

impl Verdict {
    fn of(files: &BTreeSet<String>, parked: &[desk::Parked], receiver: &Receiver, kills: u64) -> Self {
        let known: BTreeSet<&str> = parked.iter().map(|parked| parked.body.as_str()).collect();
        let gone = |file: &&String| receiver.times(file) == 0 && !known.contains(file.as_str());
        let unknown = parked.iter().filter(|parked| parked.is_proved_unknown()).count();
        Self {
            kills,
            lost: files.iter().filter(gone).count(),
            twice: receiver.twice(),
            unknown,
            odd: parked.len() - unknown,
        }
    }

    fn is_kept(&self) -> bool {
        self.lost == 0 && self.twice == 0 && self.odd == 0 && self.unknown as u64 <= self.kills
    }

    fn sheet(&self, options: &Options) -> Sheet {
        let mut sheet = Sheet::default();
        sheet.add("files", options.files, "sent one by one to a receiver that can be neither asked nor keyed");
        sheet.add("kills", self.kills, "SIGKILL after the first receipt of each life");
        sheet.add("lost", self.lost, "neither received nor parked; goal: 0");
        sheet.add("twice", self.twice, "received more than once; goal: 0");
        sheet.add("unknown", self.unknown, "parked with evidence, for a person; goal: at most one a kill");
        sheet.add("odd", self.odd, "parked for another reason, or without evidence; goal: 0");
        sheet
    }
}
