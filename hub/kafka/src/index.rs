//! Where a record of ours lies in Kafka's numbering.
//!
//! Kafka numbers everything that stands in a partition: our records, the marks at the end of each transaction, what an
//! aborted one left, what others wrote. So our offset n lies at n or somewhere beyond, and two of ours are at least as far
//! apart there as here. Some known points and that rule are enough to find any record with few looks.

use std::collections::BTreeMap;

use hub_backbone::Offset;

/// Offsets between two points that are kept: reading over so many to reach a record costs one fetch.
pub(crate) const STRIDE: u64 = 256;
/// Points that are kept for one partition; then every second one goes.
const POINTS_MAX: usize = 4_096;

/// Known points of one partition.
#[derive(Debug, Default)]
pub(crate) struct Index {
    points: BTreeMap<Offset, i64>,
    /// The newest record.
    last: Option<(Offset, i64)>,
}

/// Where to look for a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hint {
    /// Reading from here on reaches it soon.
    Near(i64),
    /// It lies between these two (the second excluded): look in the middle, note what is there, ask again.
    Between(i64, i64),
}

impl Index {
    /// Notes where the newest record lies.
    pub(crate) fn appended(&mut self, offset: Offset, at: i64) {
        self.last = Some((offset, at));
        let newest = self.points.last_key_value().map(|(offset, _)| *offset);
        if newest.is_none_or(|newest| offset >= newest + STRIDE) {
            let _ = self.note(offset, at);
        }
    }

    /// Notes a record that was met, unless it cannot stand there: then it is a copy of one that stands elsewhere.
    pub(crate) fn note(&mut self, offset: Offset, at: i64) -> bool {
        let below = self.below(offset).is_none_or(|(point, there)| at - there >= distance(point, offset));
        let above = self.points.range(offset..).next().map(|(point, there)| (*point, *there)).or(self.last);
        let above = above.is_none_or(|(point, there)| there - at >= distance(offset, point));
        if below && above {
            self.keep(offset, at);
        }
        below && above
    }

    fn keep(&mut self, offset: Offset, at: i64) {
        let _ = self.points.insert(offset, at);
        if self.points.len() > POINTS_MAX {
            let mut keep = false;
            self.points.retain(|_, _| {
                keep = !keep;
                keep
            });
        }
    }

    /// Forgets what was removed.
    pub(crate) fn trimmed(&mut self, first: Offset) {
        self.points = self.points.split_off(&first);
    }

    /// A number of Kafka's that is not beyond the record, without a look.
    pub(crate) fn not_beyond(&self, offset: Offset) -> i64 {
        match self.last {
            Some((last, at)) if offset > last => at + 1,
            _ => self.below(offset).map_or(0, |(point, at)| at + distance(point, offset)),
        }
    }

    /// Where to look for `offset`. `low` is where the partition begins in Kafka's numbering.
    pub(crate) fn find(&self, offset: Offset, first: Offset, low: i64) -> Hint {
        let (below, at) = self.below(offset).unwrap_or((first.min(offset), low));
        let from = at + distance(below, offset);
        let above = self.points.range(offset..).next().map(|(point, at)| (*point, *at)).or(self.last);
        let to = above.map(|(point, at)| at - distance(offset, point) + 1);
        match to {
            // between two points there are only so many of ours, however far they lie apart
            Some(to) if to - from > i64::try_from(4 * STRIDE).unwrap_or(i64::MAX) => Hint::Between(from, to),
            _ => Hint::Near(from),
        }
    }

    fn below(&self, offset: Offset) -> Option<(Offset, i64)> {
        self.points.range(..=offset).next_back().map(|(point, at)| (*point, *at))
    }
}

fn distance(from: Offset, to: Offset) -> i64 {
    i64::try_from(to.saturating_sub(from)).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log with a mark behind each `group` records, and the number of looks that finding one record takes.
    fn looks(records: u64, group: u64, wanted: Offset, known: &mut Index) -> u32 {
        let at = |offset: Offset| i64::try_from(offset + offset / group).expect("small");
        for looks in 0..64 {
            match known.find(wanted, 0, 0) {
                Hint::Near(from) => {
                    assert!(from <= at(wanted), "not beyond");
                    assert!(at(wanted) - from <= 2_048, "near");
                    return looks;
                }
                Hint::Between(from, to) => {
                    assert!(from <= at(wanted) && at(wanted) < to, "it lies between");
                    let middle = from + (to - from) / 2;
                    let met = (0..records).find(|offset| at(*offset) >= middle).expect("a record");
                    assert!(group < 100 || !known.note(3, 90_000), "where there are few gaps, a copy is known as one");
                    assert!(known.note(met, at(met)));
                }
            }
        }
        panic!("it must be found");
    }

    #[test]
    fn any_record_is_found_with_few_looks() {
        for group in [1, 3, 100] {
            let records = 100_000u64;
            let mut index = Index::default();
            index.appended(records - 1, i64::try_from(records - 1 + (records - 1) / group).expect("small"));
            for wanted in [0, 1, 777, 50_000, 99_000, 99_999] {
                assert!(looks(records, group, wanted, &mut index) <= 20, "{wanted} of groups of {group}");
            }
        }
    }

    #[test]
    fn points_are_few() {
        let mut index = Index::default();
        (0..5_000_000u64).step_by(100).for_each(|n| index.appended(n, i64::try_from(n).expect("small")));
        assert!(index.points.len() <= POINTS_MAX);
        index.trimmed(4_000_000);
        assert!(index.points.keys().all(|point| *point >= 4_000_000));
        assert_eq!(index.not_beyond(9_000_000), 4_999_901);
    }
}
