//! `retention:` of `config/hub.yaml`: how long what is kept, and where the archive lies.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use hub_core::Span;
use serde::Deserialize;

/// How long what is kept. The defaults lose nothing that anybody may ask for within ten years.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RetentionSettings {
    /// How often the hub looks for something to do.
    pub(crate) every: Span,
    /// How long records that have been worked on stay in inbox, outbox, waits and cases. At least an hour.
    pub(crate) finished: Span,
    /// How long a sender's own keys (`Idempotency-Key`, file identity) are remembered, at least; a route whose `remember`
    /// is longer remembers them as long.
    pub(crate) transport_keys: Span,
    /// How long the documents that people were shown, and the bodies of parked messages, are kept as evidence. Archived
    /// documents are kept as long as their own `retain` says.
    pub(crate) evidence: Span,
    /// The journal.
    pub(crate) journal: JournalSettings,
    /// Blobs that nothing names any more.
    pub(crate) blobs: BlobSettings,
}

/// When events leave the log for the archive.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct JournalSettings {
    /// Where sealed segments go, relative to `data`. It belongs into every backup.
    pub(crate) archive: PathBuf,
    /// Events older than this are sealed.
    pub(crate) seal_after: Span,
    /// So many events of one partition stay in the log at most; older ones are sealed earlier.
    pub(crate) records: u64,
}

/// When blobs are collected.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct BlobSettings {
    /// A blob younger than this is never looked at. At least an hour.
    pub(crate) grace: Span,
    /// How long the trash keeps a blob.
    pub(crate) trash: Span,
    /// How often the blobs are gone through.
    pub(crate) every: Span,
}

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

fn seconds(seconds: u64) -> Span {
    Span(Duration::from_secs(seconds))
}

impl Default for RetentionSettings {
    fn default() -> Self {
        Self {
            every: seconds(600),
            finished: seconds(3 * DAY),
            transport_keys: seconds(90 * DAY),
            evidence: seconds(3650 * DAY),
            journal: JournalSettings::default(),
            blobs: BlobSettings::default(),
        }
    }
}

impl Default for JournalSettings {
    fn default() -> Self {
        Self { archive: "archive".into(), seal_after: seconds(30 * DAY), records: 200_000 }
    }
}

impl Default for BlobSettings {
    fn default() -> Self {
        Self { grace: seconds(7 * DAY), trash: seconds(30 * DAY), every: seconds(DAY) }
    }
}

impl RetentionSettings {
    /// Refuses what would take away things that are still needed.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        for (name, span, least) in [
            ("every", self.every, seconds(1)),
            ("finished", self.finished, seconds(HOUR)),
            ("blobs.grace", self.blobs.grace, seconds(HOUR)),
            ("blobs.trash", self.blobs.trash, seconds(HOUR)),
            ("blobs.every", self.blobs.every, seconds(1)),
        ] {
            if span < least {
                bail!("`retention.{name}` is {span}; the least is {least}");
            }
        }
        Ok(())
    }
}
