//! What an audit has found, the first first.

use std::fmt;
use std::path::Path;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hub_backbone::Error;
use serde::Serialize;

use super::Audit;

/// Findings that are told one by one; more are counted.
const TOLD_MAX: usize = 50;

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Finding {
    /// What is judged first comes first: the archive, the log, keyed state, blobs, pages, the ledger.
    #[serde(skip)]
    pub(super) rank: u8,
    /// The partition, or what else it is about.
    pub(super) place: String,
    /// The record, if it is about one.
    pub(super) offset: Option<u64>,
    /// What does not fit.
    pub(super) detail: String,
    /// The file.
    pub(super) file: String,
    /// What to do.
    pub(super) advice: String,
}

/// The whole result.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    /// Whether everything is as it was written.
    pub(super) ok: bool,
    /// The first damaged thing.
    pub(super) first: Option<Finding>,
    /// How many there are.
    pub(super) findings: usize,
    /// All of them, up to a limit.
    pub(super) all: Vec<Finding>,
    /// Records of the log.
    records: u64,
    /// Records in sealed segments.
    sealed: u64,
    /// Sealed segments.
    segments: u64,
    /// Values of keyed state.
    values: u64,
    /// Blobs whose bytes were compared with their name.
    blobs: u64,
    /// Their size.
    blob_bytes: u64,
    /// Names of blobs that must be there.
    named: u64,
    /// Events that were projected anew and compared with the ledger.
    events: u64,
    /// How long it took.
    seconds: f64,
    /// Records of log and archive a second, ledger included.
    records_per_s: u64,
}

const ADVICE_STORE: &str =
    "stop the hub, keep the file, and put no older copy in its place before reading docs/runbook.md, `store`";
const ADVICE_ARCHIVE: &str = "copy this file from a backup of the archive; if the log still holds its records, the hub writes it again by itself";
const ADVICE_BLOB: &str = "copy the file from a backup of the blobs";

impl Finding {
    /// An error of the store or the archive, as a finding.
    pub(super) fn of(file: &Path, error: &Error) -> Self {
        let (place, offset, detail) = match error {
            Error::Corrupt { place, offset, detail, .. } => (place.clone(), Some(*offset), detail.clone()),
            other => (String::new(), None, other.to_string()),
        };
        let (rank, advice) = match &place {
            place if place.contains("archive") => (0, ADVICE_ARCHIVE),
            place if place.starts_with("journal/") => (1, ADVICE_STORE),
            _ => (2, ADVICE_STORE),
        };
        Self { rank, place, offset, detail, file: file.display().to_string(), advice: advice.to_owned() }
    }

    /// The archive and the log do not meet.
    pub(super) fn join(file: &Path, place: String, offset: u64, detail: String) -> Self {
        let advice = "archive and store are not of the same time: one of the two is an older copy; find the newer files (docs/runbook.md, `recovery`)".to_owned();
        Self { rank: 1, place, offset: Some(offset), detail, file: file.display().to_string(), advice }
    }

    /// A blob is damaged or missing.
    pub(super) fn blob(name: &str, file: String, detail: String) -> Self {
        let advice = ADVICE_BLOB.to_owned();
        Self { rank: 4, place: format!("blob {name}"), offset: None, detail, file, advice }
    }

    /// SQLite does not like its file.
    pub(super) fn pages(file: &Path, detail: String) -> Self {
        let (place, advice) = ("pages".to_owned(), ADVICE_STORE.to_owned());
        Self { rank: 5, place, offset: None, detail, file: file.display().to_string(), advice }
    }

    /// The ledger is not what the journal says.
    pub(super) fn ledger(file: &Path, detail: String) -> Self {
        let advice = "stop the hub and run `raccordo ledger rebuild`: the journal is the truth".to_owned();
        Self { rank: 6, place: "ledger".to_owned(), offset: None, detail, file: file.display().to_string(), advice }
    }
}

impl Report {
    /// What an audit has found.
    pub(super) fn of(audit: &Audit, took: Duration) -> Self {
        let mut all = audit.findings.lock().unwrap_or_else(PoisonError::into_inner).clone();
        all.sort();
        all.dedup();
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let counts = &audit.counts;
        let (records, sealed) = (count(&counts.records), count(&counts.sealed));
        Self {
            ok: all.is_empty(),
            first: all.first().cloned(),
            findings: all.len(),
            all: all.into_iter().take(TOLD_MAX).collect(),
            records,
            sealed,
            segments: count(&counts.segments),
            values: count(&counts.values),
            blobs: count(&counts.blobs),
            blob_bytes: count(&counts.blob_bytes),
            named: count(&counts.named),
            events: count(&counts.events),
            seconds: took.as_secs_f64(),
            records_per_s: u64::try_from(u128::from(records + sealed) * 1000 / took.as_millis().max(1)).unwrap_or(0),
        }
    }

    /// The store or the archive cannot even be opened.
    pub(super) fn of_one(finding: Finding) -> Self {
        Self { first: Some(finding.clone()), findings: 1, all: vec![finding], ..Self::default() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let offset = self.offset.map(|offset| format!(" offset {offset}")).unwrap_or_default();
        writeln!(f, "{}{offset}: {}", self.place, self.detail)?;
        writeln!(f, "  file     {}", self.file)?;
        writeln!(f, "  what to do: {}", self.advice)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "log      {} records, {} values of keyed state", self.records, self.values)?;
        writeln!(f, "archive  {} records in {} segments", self.sealed, self.segments)?;
        writeln!(
            f,
            "blobs    {} files, {} bytes; {} names that must be there",
            self.blobs, self.blob_bytes, self.named
        )?;
        writeln!(f, "ledger   {} events projected anew", self.events)?;
        writeln!(f, "{:.1} s, {} records/s", self.seconds, self.records_per_s)?;
        match &self.first {
            None => writeln!(f, "everything is as it was written"),
            Some(first) => {
                write!(f, "\nDAMAGED, the first of {}:\n{first}", self.findings)?;
                self.all.iter().skip(1).try_for_each(|finding| write!(f, "\nalso:\n{finding}"))
            }
        }
    }
}
