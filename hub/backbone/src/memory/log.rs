//! What is in the log, and what a commit does to it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;

use super::cluster::Slots;
use crate::chain::{Chain, genesis, link};
use crate::{Commit, Error, Life, Note, Offset, Place, Stored};

#[derive(Clone, Default)]
pub(super) struct Log {
    /// The life that owns the store.
    pub(super) life: u64,
    /// Epochs that are provably over.
    pub(super) over: BTreeSet<String>,
    pub(super) places: HashMap<Place, Partition>,
    pub(super) state: HashMap<Place, HashMap<String, BTreeMap<String, Bytes>>>,
    /// What is said about the moving of the store.
    pub(super) note: Option<Note>,
    /// Lives of another store.
    pub(super) elsewhere: BTreeSet<Life>,
    /// Who owns what, where several hubs share the log.
    pub(super) slots: Option<Slots>,
}

#[derive(Clone, Default)]
pub(super) struct Partition {
    pub(super) first: Offset,
    /// The chain before `first`; `None` while nothing was trimmed.
    pub(super) first_chain: Option<Chain>,
    pub(super) records: Vec<Stored>,
    pub(super) position: Offset,
}

impl Partition {
    pub(super) fn end(&self) -> Offset {
        self.first + self.records.len() as u64
    }
    pub(super) fn chain_before(&self, place: Place, index: usize) -> Chain {
        match index.checked_sub(1) {
            Some(previous) => self.records[previous].chain,
            None => self.first_chain.unwrap_or_else(|| genesis(place)),
        }
    }
}

impl Log {
    pub(super) fn space(&self, place: Place, space: &str) -> Option<&BTreeMap<String, Bytes>> {
        self.state.get(&place)?.get(space)
    }

    pub(super) fn apply(&mut self, life: u64, commit: Commit) -> (Vec<Offset>, Vec<Offset>) {
        let offsets = commit.outputs.into_iter().map(|(place, record)| {
            let mailed = self.mailed(life, place.partition);
            let part = self.places.entry(place).or_default();
            let offset = part.end();
            let chain = link(&part.chain_before(place, part.records.len()), offset, &record.key, &record.bytes);
            part.records.push(Stored { offset, key: record.key, bytes: record.bytes, chain });
            (mailed.unwrap_or(offset), offset)
        });
        let offsets = offsets.unzip();
        for change in commit.state {
            let spaces = self.state.entry(change.place).or_default();
            if !spaces.contains_key(change.space) {
                let _ = spaces.insert(change.space.to_owned(), BTreeMap::new());
            }
            let Some(space) = spaces.get_mut(change.space) else { continue };
            match change.value {
                Some(value) => drop(space.insert(change.key, value)),
                None => drop(space.remove(&change.key)),
            }
        }
        for (place, next) in commit.positions {
            let part = self.places.entry(place).or_default();
            part.position = part.position.max(next);
        }
        offsets
    }

    pub(super) fn read(
        &self,
        place: Place,
        from: Offset,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Stored>, Error> {
        let Some(part) = self.places.get(&place) else { return Ok(Vec::new()) };
        let skip = usize::try_from(from.saturating_sub(part.first)).unwrap_or(usize::MAX);
        let (mut found, mut bytes) = (Vec::new(), 0usize);
        for (index, record) in part.records.iter().enumerate().skip(skip).take(records_max.max(1)) {
            bytes += record.bytes.len();
            if bytes > bytes_max && !found.is_empty() {
                break;
            }
            let chain = link(&part.chain_before(place, index), record.offset, &record.key, &record.bytes);
            if chain != record.chain {
                let detail = "the content does not fit the chain".to_owned();
                let file = "memory".to_owned();
                return Err(Error::Corrupt { file, place: place.to_string(), offset: record.offset, detail });
            }
            found.push(record.clone());
        }
        Ok(found)
    }

    pub(super) fn trim(&mut self, place: Place, before: Offset) {
        let part = self.places.entry(place).or_default();
        let count = usize::try_from(before.saturating_sub(part.first)).unwrap_or(usize::MAX).min(part.records.len());
        if count > 0 {
            part.first_chain = Some(part.chain_before(place, count));
            part.first += count as u64;
            part.records.drain(..count);
        }
    }
}
