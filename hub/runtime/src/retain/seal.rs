//! The journal's way into the archive: seal, read back, and only then trim.
//!
//! Each round begins with what the archive holds, so that a crash between any two steps is made up for by the next round.

use hub_backbone::{Offset, Place, Segment, Stored, Topic};
use jiff::Timestamp;
use serde::Deserialize;

use super::{Keeper, Retained, blocking};
use crate::Error;

/// Records of one segment, at most.
const RECORDS_MAX: usize = 10_000;
/// Content of one segment, about, in bytes.
const BYTES_MAX: usize = 16 << 20;
/// Segments of one partition that one round seals.
const SEGMENTS_MAX: usize = 8;
/// A segment is begun when its oldest record is so much over the age of sealing: one a day and partition, not one a round.
const GATHER: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// As much of an event as is needed here.
#[derive(Deserialize)]
struct Dated {
    at: Timestamp,
}

impl Keeper {
    /// Seals what is due in all partitions of the journal.
    pub(super) async fn seal(&self, done: &mut Retained) -> Result<(), Error> {
        for place in self.places(&[Topic::JOURNAL]) {
            self.seal_place(place, done).await?;
        }
        Ok(())
    }

    async fn seal_place(&self, place: Place, done: &mut Retained) -> Result<(), Error> {
        for _ in 0..SEGMENTS_MAX {
            self.trim_sealed(place, done).await?;
            let records = self.due(place).await?;
            if records.is_empty() {
                return Ok(());
            }
            let (archive, at) = (self.settings.archive.clone(), self.shared.clock.now().to_string());
            let _ = blocking(move || archive.seal(place, &records, &at)).await?;
            done.segments += 1;
        }
        self.trim_sealed(place, done).await?;
        done.more = true;
        Ok(())
    }

    /// Trims what the archive holds, after reading it back from there.
    async fn trim_sealed(&self, place: Place, done: &mut Retained) -> Result<(), Error> {
        let (end, chain) = self.settings.archive.end(place);
        let Some(first) = self.first(place).await? else { return Ok(()) };
        if end < first.offset {
            let last = first.offset - 1;
            return Err(wrong(place, format!("records {end} to {last} are neither in the archive nor in the log")));
        }
        if end == first.offset {
            return Ok(());
        }
        let last = self.shared.backbone.read(place, end - 1, 1, 1).await?.into_iter().next();
        if last.is_none_or(|last| last.offset != end - 1 || last.chain != chain) {
            return Err(wrong(
                place,
                format!("the archive goes on to record {}, which the log does not hold", end - 1),
            ));
        }
        for segment in self.settings.archive.of(place).into_iter().filter(|segment| segment.last >= first.offset) {
            self.read_back(place, &segment, first.offset).await?;
        }
        self.shared.backbone.trim(place, end).await?;
        done.unlogged += end - first.offset;
        Ok(())
    }

    /// Reads a segment back. One that is damaged is written again as long as the log holds all of it.
    async fn read_back(&self, place: Place, segment: &Segment, first: Offset) -> Result<(), Error> {
        let check = || {
            let (archive, segment) = (self.settings.archive.clone(), segment.clone());
            blocking(move || archive.check(&segment).map(drop))
        };
        let Err(error) = check().await else { return Ok(()) };
        if segment.first < first {
            return Err(error);
        }
        tracing::warn!(%error, "a sealed segment is damaged: it is written again from the log");
        let count = usize::try_from(segment.count).unwrap_or(usize::MAX);
        let records = self.records(place, segment.first, count).await?;
        let (archive, again) = (self.settings.archive.clone(), segment.clone());
        blocking(move || archive.write_again(place, &again, &records)).await?;
        check().await
    }

    /// The records of the next segment; empty if it is not due.
    async fn due(&self, place: Place) -> Result<Vec<Stored>, Error> {
        let (next, _) = self.settings.archive.end(place);
        // The last record stays: its time tells the next start how late it is at least.
        let kept = self.shared.backbone.end(place).await?.saturating_sub(1);
        let surplus = kept.saturating_sub(next).saturating_sub(self.settings.journal_records);
        let crowded = surplus >= RECORDS_MAX as u64;
        let begins = self.ago(self.settings.seal_after.saturating_add(GATHER));
        let oldest = self.shared.backbone.read(place, next, 1, 1).await?.into_iter().next();
        let Some(oldest) = oldest.filter(|oldest| oldest.offset == next && next < kept) else { return Ok(Vec::new()) };
        if !crowded && time_of(place, &oldest)? > begins {
            return Ok(Vec::new());
        }
        let old = self.ago(self.settings.seal_after);
        let count = usize::try_from(kept - next).unwrap_or(usize::MAX).min(RECORDS_MAX);
        let mut records = self.records(place, next, count).await?;
        if !crowded {
            let mut due = 0;
            while due < records.len() && time_of(place, &records[due])? <= old {
                due += 1;
            }
            records.truncate(due);
        }
        Ok(records)
    }

    /// Records from `from` on, at most `count` and about [`BYTES_MAX`] bytes.
    async fn records(&self, place: Place, from: Offset, count: usize) -> Result<Vec<Stored>, Error> {
        let mut records: Vec<Stored> = Vec::new();
        let mut bytes = 0;
        while records.len() < count && bytes < BYTES_MAX {
            let next = from + records.len() as u64;
            let page = self.shared.backbone.read(place, next, (count - records.len()).min(500), 1 << 20).await?;
            if page.first().is_none_or(|first| first.offset != next) {
                break;
            }
            bytes += page.iter().map(|record| record.bytes.len()).sum::<usize>();
            records.extend(page);
        }
        Ok(records)
    }

    async fn first(&self, place: Place) -> Result<Option<Stored>, Error> {
        Ok(self.shared.backbone.read(place, 0, 1, 1).await?.into_iter().next())
    }
}

fn time_of(place: Place, record: &Stored) -> Result<Timestamp, Error> {
    let dated: Result<Dated, _> = serde_json::from_slice(&record.bytes);
    dated.map(|dated| dated.at).map_err(|e| wrong(place, format!("offset {} cannot be read: {e}", record.offset)))
}

fn wrong(place: Place, detail: String) -> Error {
    Error::Format(format!(
        "{place}: {detail}; nothing is trimmed: archive and store are not of the same time, find the newer files"
    ))
}
