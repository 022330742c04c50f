//! The log, keyed state, the archive, and where they meet.

use std::path::Path;

use hub_backbone::embedded::{Bounds, Session};
use hub_backbone::{Archive, Error, Place, Segment, Stored, Topic};
use hub_core::journal::Event;

use super::report::Finding;
use super::{Audit, Counts};
use crate::keep::document_of;

/// Records of one page.
const RECORDS_MAX: usize = 1_000;
/// Bytes of one page, about.
const BYTES_MAX: usize = 4 << 20;
/// How often a walk begins again because a running hub has trimmed what it was about to read.
const AGAIN_MAX: usize = 5;

impl Audit {
    /// SQLite's own pages and indexes.
    pub(super) fn pages(&self) -> Result<(), Error> {
        if let Some(detail) = self.look.session()?.judge_pages()? {
            self.found(Finding::pages(self.look.path(), detail));
        }
        Ok(())
    }

    /// The archive's index. Files that it does not name are what a crash left behind: they do not count, and are no damage.
    pub(super) fn index(&self) -> Result<(), Error> {
        self.archive.judge().map(drop)
    }

    /// One sealed segment.
    pub(super) fn segment(&self, segment: &Segment) -> Result<(), Error> {
        let records = self.archive.check(segment)?;
        Counts::add(&self.counts.sealed, records.len() as u64);
        Counts::add(&self.counts.segments, 1);
        let file = self.archive.folder().join(&segment.file);
        records.iter().for_each(|record| self.event(&file, &segment.place, record));
        Ok(())
    }

    /// One partition of the log, from its first kept record to its end.
    pub(super) fn log(&self, place: Place) -> Result<(), Error> {
        let session = self.look.session()?;
        for _ in 0..AGAIN_MAX {
            let bounds = session.bounds(place)?;
            if place.topic == Topic::JOURNAL {
                self.meets_archive(&session, place, &bounds)?;
            }
            if self.walk(&session, place, &bounds)? {
                break;
            }
        }
        Ok(())
    }

    /// Reads all records; `false` if some were trimmed meanwhile.
    fn walk(&self, session: &Session<'_>, place: Place, bounds: &Bounds) -> Result<bool, Error> {
        let mut next = bounds.first;
        while next < bounds.end {
            let page = session.read(place, next, RECORDS_MAX, BYTES_MAX)?;
            let Some(last) = page.last() else { return Ok(false) };
            if page.first().is_some_and(|first| first.offset != next) {
                return Ok(false);
            }
            for record in &page {
                match place.topic {
                    Topic::JOURNAL => self.event(self.look.path(), &place.to_string(), record),
                    _ => self.names(place, None, &record.key, &record.bytes),
                }
            }
            Counts::add(&self.counts.records, page.len() as u64);
            next = last.offset + 1;
        }
        Ok(true)
    }

    /// The archive must hold everything before the log's first record, and end on the same chain. It is read after the
    /// log's bounds: a hub that runs seals before it trims.
    fn meets_archive(&self, session: &Session<'_>, place: Place, bounds: &Bounds) -> Result<(), Error> {
        let (end, chain) = Archive::look(self.archive.folder())?.end(place);
        let found = |offset, detail: String| {
            self.found(Finding::join(self.archive.folder(), place.to_string(), offset, detail));
        };
        if end < bounds.first {
            let detail = format!("records {end} to {} are neither in the archive nor in the log", bounds.first - 1);
            found(end, detail);
        } else if end > bounds.end {
            let detail = format!("the archive goes to record {}, the store only to {}", end - 1, bounds.end);
            found(bounds.end, detail);
        } else if end > 0 && self.chain_before(session, place, bounds, end)?.is_some_and(|found| found != chain) {
            found(end - 1, "the record in the archive and the one in the log have other chains".to_owned());
        }
        Ok(())
    }

    /// The chain in the log of the record before `offset`, if it is still there.
    fn chain_before(
        &self,
        session: &Session<'_>,
        place: Place,
        bounds: &Bounds,
        offset: u64,
    ) -> Result<Option<[u8; 32]>, Error> {
        if offset == bounds.first {
            return Ok(Some(bounds.first_chain));
        }
        let record = session.read(place, offset - 1, 1, 1)?.into_iter().next();
        Ok(record.filter(|record| record.offset == offset - 1).map(|record| record.chain))
    }

    /// The documents that an event names must be there as long as they have to be kept.
    fn event(&self, file: &Path, place: &str, record: &Stored) {
        let Ok(event) = serde_json::from_slice::<Event>(&record.bytes) else {
            let error = Error::Io(format!("{place} offset {} is not an event", record.offset));
            return self.found(Finding::of(file, &error));
        };
        if let Some((name, until)) = document_of(&event, self.evidence).filter(|(_, until)| *until > self.now) {
            self.must_be_there(
                &name,
                &format!("{place} offset {}, case {}, until {until}", record.offset, event.case.id),
            );
        }
    }

    /// The keyed state of one partition.
    pub(super) fn state(&self, place: Place) -> Result<(), Error> {
        let session = self.look.session()?;
        for space in session.spaces(place)? {
            let mut after: Option<String> = None;
            loop {
                let page = session.scan(place, &space, after.as_deref(), RECORDS_MAX)?;
                let Some((last, _)) = page.last() else { break };
                after = Some(last.clone());
                Counts::add(&self.counts.values, page.len() as u64);
                for (key, value) in &page {
                    self.names(place, Some(&space), key, value);
                }
            }
        }
        Ok(())
    }

    /// What a record or value cannot be worked on without.
    fn names(&self, place: Place, space: Option<&str>, key: &str, bytes: &[u8]) {
        let about = format!("{place} {} {key}", space.unwrap_or("record"));
        match hub_runtime::blobs_of(place.topic, space, bytes) {
            Ok(names) => names.iter().for_each(|name| self.must_be_there(name, &about)),
            Err(error) => self.found(Finding::of(self.look.path(), &Error::Io(format!("{about}: {error}")))),
        }
    }
}
