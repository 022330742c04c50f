//! `raccordo audit verify`: walks chain, archive, blobs and ledger, in parallel, and names the first thing that is damaged.
//!
//! Nothing is written, and no lock is taken: it runs beside a hub, too. Then it judges what was committed when it looked.
//!
//! - `walk`: the log and keyed state, the sealed segments, and that one continues the other;
//! - `blobs`: every file against its name, and that what is named is there;
//! - `ledger`: the rows against those that the same journal gives when it is projected anew;
//! - `report`: what was found, the first first.

mod blobs;
mod ledger;
mod report;
mod walk;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use clap::Args;
use hub_backbone::{Archive, FileBlobs, Look, Place, Segment, Topic};
use hub_core::Clock;
use hub_runtime::SystemClock;
use jiff::Timestamp;

use crate::settings::Config;

use report::{Finding, Report};

/// `raccordo audit verify`
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The configuration
    #[arg(long, default_value = "config/hub.yaml")]
    config: PathBuf,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
    /// Leaves out the ledger, which takes longest: it is a view, and can be computed anew
    #[arg(long)]
    without_ledger: bool,
    /// Judges as of this instant which documents must still be there (default: now), for example 2036-01-01T00:00:00Z
    #[arg(long)]
    at: Option<Timestamp>,
}

/// One piece of work of an audit.
enum Job {
    Ledger,
    Pages,
    Index,
    Segment(Segment),
    Log(Place),
    State(Place),
    Blobs(u8),
}

/// What all pieces of work share.
struct Audit {
    look: Look,
    archive: Archive,
    blobs: FileBlobs,
    now: Timestamp,
    evidence: std::time::Duration,
    counts: Counts,
    findings: Mutex<Vec<Finding>>,
}

/// What was looked at.
#[derive(Default)]
struct Counts {
    records: AtomicU64,
    sealed: AtomicU64,
    segments: AtomicU64,
    values: AtomicU64,
    blobs: AtomicU64,
    blob_bytes: AtomicU64,
    named: AtomicU64,
    events: AtomicU64,
}

impl Counts {
    fn add(count: &AtomicU64, more: u64) {
        let _ = count.fetch_add(more, Ordering::Relaxed);
    }
}

/// Runs the audit; exit code 1 if something is damaged.
pub(crate) fn verify(options: &Options) -> anyhow::Result<ExitCode> {
    let begun = Instant::now();
    let config = Config::load_names(&options.config)?;
    let store = config.store()?;
    let report = match Audit::begin(&config, &store, options.at.unwrap_or_else(|| SystemClock.now())) {
        Ok(audit) => {
            audit.run(&audit.jobs(!options.without_ledger));
            Report::of(&audit, begun.elapsed())
        }
        // A store whose first page, or an archive whose index is damaged, is the finding.
        Err(error @ hub_backbone::Error::Corrupt { .. }) => Report::of_one(Finding::of(&store, &error)),
        Err(error) => return Err(error.into()),
    };
    match options.json {
        true => println!("{}", serde_json::to_string(&report)?),
        false => print!("{report}"),
    }
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

impl Audit {
    fn begin(config: &Config, store: &Path, now: Timestamp) -> Result<Self, hub_backbone::Error> {
        Ok(Self {
            look: Look::open(store)?,
            archive: Archive::look(config.archive())?,
            blobs: FileBlobs::look(config.blobs()),
            now,
            evidence: config.settings.retention.evidence.0,
            counts: Counts::default(),
            findings: Mutex::default(),
        })
    }

    /// The longest pieces first.
    fn jobs(&self, ledger: bool) -> Vec<Job> {
        let mut jobs = Vec::new();
        if ledger {
            jobs.push(Job::Ledger);
        }
        jobs.extend([Job::Pages, Job::Index]);
        let all = || Topic::ALL.into_iter().flat_map(|t| (0..self.look.partitions()).map(move |p| Place::new(t, p)));
        jobs.extend(all().map(Job::Log));
        jobs.extend(self.archive.segments().into_iter().map(Job::Segment));
        jobs.extend(all().map(Job::State));
        jobs.extend((0..=u8::MAX).map(Job::Blobs));
        jobs
    }

    /// Works through the jobs with as many threads as there are cores.
    fn run(&self, jobs: &[Job]) {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(jobs.len());
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                self.work(job);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..threads {
                let _ = scope.spawn(work);
            }
        });
    }

    fn work(&self, job: &Job) {
        let (file, result) = match job {
            Job::Ledger => (self.look.path().to_path_buf(), self.ledger()),
            Job::Pages => (self.look.path().to_path_buf(), self.pages()),
            Job::Index => (self.archive.folder().join("index.jsonl"), self.index()),
            Job::Segment(segment) => (self.archive.folder().join(&segment.file), self.segment(segment)),
            Job::Log(place) => (self.look.path().to_path_buf(), self.log(*place)),
            Job::State(place) => (self.look.path().to_path_buf(), self.state(*place)),
            Job::Blobs(shard) => (self.archive.folder().to_path_buf(), self.shard(*shard)),
        };
        if let Err(error) = result {
            self.found(Finding::of(&file, &error));
        }
    }

    fn found(&self, finding: Finding) {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner).push(finding);
    }
}
