//! What a hub has in memory of one partition that it owns.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use bytes::Bytes;
use hub_backbone::chain::{Chain, genesis};
use hub_backbone::{Offset, Place, Stored};

use crate::index::Index;
use crate::wire::{self, First};

/// One partition: where its log begins and ends, its newest records, its keyed state.
#[derive(Debug)]
pub(crate) struct Partition {
    /// The first kept offset, and the chain before it.
    pub(crate) first: (Offset, Chain),
    /// In Kafka's numbering, everything before this may be gone.
    pub(crate) first_at: i64,
    /// The offset that the next record gets, and the chain before it.
    pub(crate) end: (Offset, Chain),
    pub(crate) position: Offset,
    /// Of an inbox: up to where the mail of the slot is in its logs.
    pub(crate) mail: u64,
    pub(crate) index: Index,
    tail: Tail,
    state: BTreeMap<String, BTreeMap<String, Bytes>>,
}

/// The newest records, as they were written; older ones are read from a broker.
#[derive(Debug, Default)]
struct Tail {
    records: VecDeque<Stored>,
    bytes: usize,
    bytes_max: usize,
}

impl Partition {
    pub(crate) fn new(place: Place, cache_bytes: usize) -> Self {
        let begin = (0, genesis(place));
        let tail = Tail { bytes_max: cache_bytes, ..Tail::default() };
        Self {
            first: begin,
            first_at: 0,
            end: begin,
            position: 0,
            mail: 0,
            index: Index::default(),
            tail,
            state: BTreeMap::new(),
        }
    }

    /// A committed record, and where Kafka has put it, if it said so.
    pub(crate) fn appended(&mut self, record: Stored, at: Option<i64>) {
        self.end = (record.offset + 1, record.chain);
        if let Some(at) = at {
            self.index.appended(record.offset, at);
        }
        self.tail.push(record);
    }

    pub(crate) fn trimmed(&mut self, first: First) {
        (self.first, self.first_at) = ((first.offset, first.chain), first.at);
        if self.end.0 < first.offset {
            self.end = self.first;
        }
        self.index.trimmed(first.offset);
        self.tail.drop_below(first.offset);
    }

    /// A page from memory, or `None` if it must be read from a broker.
    pub(crate) fn newest(&self, from: Offset, records_max: usize, bytes_max: usize) -> Option<Vec<Stored>> {
        let from = from.max(self.first.0);
        if from >= self.end.0 {
            return Some(Vec::new());
        }
        let skip = usize::try_from(from.checked_sub(self.tail.records.front()?.offset)?).ok()?;
        let (mut page, mut bytes) = (Vec::new(), 0usize);
        for record in self.tail.records.iter().skip(skip).take(records_max.max(1)) {
            bytes += record.bytes.len();
            if bytes > bytes_max && !page.is_empty() {
                break;
            }
            page.push(record.clone());
        }
        Some(page)
    }

    /// A change of state that is committed. The empty space holds facts about the partition itself.
    pub(crate) fn change(&mut self, space: &str, key: String, value: Option<Bytes>) {
        if space.is_empty() {
            return self.fact(&key, &value.unwrap_or_default());
        }
        match value {
            Some(value) => drop(self.space_mut(space).insert(key, value)),
            None => self.forget(space, &key),
        }
    }

    fn fact(&mut self, key: &str, value: &[u8]) {
        match key {
            wire::POSITION => self.position = self.position.max(wire::read_position(value).unwrap_or(0)),
            wire::MAIL => self.mail = self.mail.max(wire::read_position(value).unwrap_or(0)),
            wire::FIRST => {
                if let Some(first) = wire::read_first(value) {
                    self.trimmed(first);
                }
            }
            other => tracing::warn!(target: "kafka", "state of the hub itself has the unknown key {other}"),
        }
    }

    fn space_mut(&mut self, space: &str) -> &mut BTreeMap<String, Bytes> {
        self.state.entry(space.to_owned()).or_default()
    }

    fn forget(&mut self, space: &str, key: &str) {
        let Some(values) = self.state.get_mut(space) else { return };
        let _ = values.remove(key);
        if values.is_empty() {
            let _ = self.state.remove(space);
        }
    }

    pub(crate) fn get(&self, space: &str, key: &str) -> Option<Bytes> {
        self.state.get(space)?.get(key).cloned()
    }

    pub(crate) fn scan(&self, space: &str, after: Option<&str>, limit: usize) -> Vec<(String, Bytes)> {
        let Some(values) = self.state.get(space) else { return Vec::new() };
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rows = values.range::<str, _>((from, Bound::Unbounded)).take(limit);
        rows.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    pub(crate) fn spaces(&self) -> Vec<String> {
        self.state.keys().cloned().collect()
    }
}

impl Tail {
    fn push(&mut self, record: Stored) {
        self.bytes += size(&record);
        self.records.push_back(record);
        while self.bytes > self.bytes_max {
            let Some(oldest) = self.records.pop_front() else { break };
            self.bytes -= size(&oldest);
        }
    }

    fn drop_below(&mut self, first: Offset) {
        while self.records.front().is_some_and(|record| record.offset < first) {
            let Some(oldest) = self.records.pop_front() else { break };
            self.bytes -= size(&oldest);
        }
    }
}

/// What a record takes up in memory, about.
fn size(record: &Stored) -> usize {
    record.bytes.len() + record.key.len() + size_of::<Stored>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hub_backbone::Topic;

    #[test]
    fn the_newest_records_are_at_hand() {
        let mut partition = Partition::new(Place::new(Topic::INBOX, 0), 3_000);
        for offset in 0..10 {
            let record = Stored { offset, key: String::new(), bytes: vec![0; 500].into(), chain: [0; 32] };
            partition.appended(record, i64::try_from(offset * 2).ok());
        }
        assert_eq!(partition.newest(0, 9, 9_000), None, "too old");
        let page = partition.newest(8, 9, 9_000).expect("at hand");
        assert_eq!(page.iter().map(|record| record.offset).collect::<Vec<_>>(), [8, 9]);
        assert_eq!(partition.newest(10, 9, 9).map(|page| page.len()), Some(0), "the end");
        partition.trimmed(First { offset: 9, chain: [1; 32], at: 18 });
        assert_eq!(partition.newest(0, 9, 9_000).map(|page| page.len()), Some(1));
    }
}
