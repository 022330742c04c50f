//! The events of a case, wherever they are, each with the chain before it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, bail};
use hub_backbone::chain::Chain;
use hub_backbone::embedded::Session;
use hub_backbone::{Archive, Look, Place, Segment, Stored, Topic};
use hub_core::Value;
use hub_core::journal::{Event, What};
use hub_ledger::sqlite;
use serde_json::json;

/// Other cases that are looked into: messages that brought answers are cases of their own.
const RELATED_MAX: usize = 1_000;
/// Events of one package.
const EVENTS_MAX: usize = 100_000;

/// Where events come from.
pub(super) struct Records<'l> {
    partitions: u16,
    session: Session<'l>,
    archive: Archive,
    /// The segment that was read last: the events of a case often lie in one.
    last: RefCell<Option<(Segment, Vec<Stored>)>>,
}

/// An event as it was found.
pub(super) struct Sealed {
    pub(super) place: Place,
    /// The chain of the record before it.
    pub(super) previous: Chain,
    pub(super) record: Stored,
    pub(super) event: Event,
    /// The archive's file, if it has left the log.
    pub(super) segment: Option<String>,
}

/// All that was found.
pub(super) struct Found {
    pub(super) events: Vec<Sealed>,
    /// The sealed segments that hold some of them.
    pub(super) segments: Vec<Segment>,
}

impl<'l> Records<'l> {
    pub(super) fn open(look: &'l Look, archive: Archive) -> anyhow::Result<Self> {
        Ok(Self { partitions: look.partitions(), session: look.session()?, archive, last: RefCell::default() })
    }

    /// The events of a case, then those of the messages that took part in it.
    pub(super) fn of_case(&self, case: &str) -> anyhow::Result<Found> {
        let mut events = self.events(case)?;
        for related in self.related(case, &events)? {
            events.extend(self.events(&related)?);
            if events.len() > EVENTS_MAX {
                bail!("the case has more than {EVENTS_MAX} events: ask the archive itself");
            }
        }
        let files: BTreeSet<&str> = events.iter().filter_map(|event| event.segment.as_deref()).collect();
        let segments = self.archive.segments().into_iter().filter(|s| files.contains(s.file.as_str())).collect();
        Ok(Found { events, segments })
    }

    /// The ledger says where the events are; `audit verify` proves that it leaves none out.
    fn events(&self, case: &str) -> anyhow::Result<Vec<Sealed>> {
        let offsets = self.session.at_one_moment(|_, conn| anyhow::Ok(sqlite::offsets_of(conn, case)?))?;
        // A case's journal lies where its events were judged.
        let owner = Place::of_key(Topic::CASES, case, self.partitions);
        let place = Place::new(Topic::JOURNAL, owner.partition);
        let events = offsets.into_iter().map(|offset| self.event(place, offset)).collect::<anyhow::Result<Vec<_>>>()?;
        if let Some(other) = events.iter().find(|sealed| sealed.event.case.id != case) {
            bail!("{place} offset {} is not of case `{case}`: run `raccordo ledger rebuild`", other.record.offset);
        }
        Ok(events)
    }

    /// The cases of messages that caused an event here, or brought an answer: acknowledgements and outcomes.
    fn related(&self, case: &str, events: &[Sealed]) -> anyhow::Result<BTreeSet<String>> {
        let mut messages = BTreeMap::new();
        for Sealed { event, .. } in events {
            let about = (event.route.as_str(), event.at);
            let _ = messages.entry(event.message.as_str()).or_insert(about);
            if let What::WaitAnswered { by, .. } = &event.what {
                let _ = messages.entry(by.as_str()).or_insert(about);
            }
        }
        self.session.at_one_moment(|_, conn| {
            let mut cases = BTreeSet::new();
            for (message, (route, at)) in messages.into_iter().take(RELATED_MAX) {
                let found = sqlite::case_of_message(conn, message, route, at)?;
                cases.extend(found.filter(|found| found != case));
            }
            Ok(cases)
        })
    }

    fn event(&self, place: Place, offset: u64) -> anyhow::Result<Sealed> {
        let found = match self.in_log(place, offset)? {
            Some((previous, record)) => Some((previous, record, None)),
            None => self.in_archive(place, offset)?,
        };
        let gone =
            || format!("{place} offset {offset} is neither in the log nor in the archive: run `raccordo audit verify`");
        let (previous, record, segment) = found.with_context(gone)?;
        let event = serde_json::from_slice(&record.bytes).with_context(|| format!("{place} offset {offset}"))?;
        Ok(Sealed { place, previous, record, event, segment })
    }

    fn in_log(&self, place: Place, offset: u64) -> anyhow::Result<Option<(Chain, Stored)>> {
        let bounds = self.session.bounds(place)?;
        if offset < bounds.first {
            return Ok(None);
        }
        let from = offset.saturating_sub(1).max(bounds.first);
        let mut records = self.session.read(place, from, 2, usize::MAX)?;
        let Some(at) = records.iter().position(|record| record.offset == offset) else { return Ok(None) };
        let record = records.remove(at);
        let previous = records.first().filter(|before| before.offset < offset).map(|before| before.chain);
        Ok(Some((previous.unwrap_or(bounds.first_chain), record)))
    }

    fn in_archive(&self, place: Place, offset: u64) -> anyhow::Result<Option<(Chain, Stored, Option<String>)>> {
        let segment = self.archive.of(place).into_iter().find(|s| (s.first..=s.last).contains(&offset));
        let Some(segment) = segment else { return Ok(None) };
        let mut last = self.last.borrow_mut();
        let cached = match last.take().filter(|(cached, _)| *cached == segment) {
            Some(cached) => cached,
            None => (segment.clone(), self.archive.check(&segment)?),
        };
        let (_, records) = last.insert(cached);
        let at = usize::try_from(offset - segment.first)?;
        let Some(record) = records.get(at).cloned() else { return Ok(None) };
        let previous = match at.checked_sub(1) {
            Some(before) => records[before].chain,
            None => segment.before_chain()?,
        };
        Ok(Some((previous, record, Some(segment.file))))
    }
}

impl Sealed {
    /// Its file in the package.
    pub(super) fn file(&self) -> String {
        format!("chain/{}-{:04}-{:012}.bin", self.place.topic.0, self.place.partition, self.record.offset)
    }

    /// What its chain value is the SHA-256 of; see `hub_backbone::chain::link`.
    pub(super) fn chained(&self) -> Vec<u8> {
        let (key, bytes) = (self.record.key.as_bytes(), &self.record.bytes[..]);
        let length = (key.len() as u64).to_be_bytes();
        [&self.previous[..], &self.record.offset.to_be_bytes(), &length, key, bytes].concat()
    }

    /// It, for people and programs.
    pub(super) fn line(&self) -> anyhow::Result<Value> {
        Ok(json!({
            "partition": self.place.to_string(), "offset": self.record.offset,
            "previous": hex::encode(self.previous), "chain": hex::encode(self.record.chain),
            "file": self.file(), "segment": self.segment,
            "event": serde_json::from_slice::<Value>(&self.record.bytes)?,
        }))
    }
}
