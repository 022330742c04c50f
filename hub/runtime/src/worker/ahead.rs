//! Records of a partition that were read and are not worked on yet.

use std::collections::VecDeque;

use hub_backbone::{Backbone, Error, Offset, Place, Stored};

/// Records that a worker reads at once. What stays over is worked on by the next commits: nothing is read twice.
pub const READ_RECORDS_MAX: usize = 512;
/// Their bytes, unless a single one has more.
pub const READ_BYTES_MAX: usize = 1 << 20;

/// A partition, from where its worker stands.
pub(super) struct Ahead {
    place: Place,
    position: Offset,
    records: VecDeque<Stored>,
}

impl Ahead {
    pub(super) fn new(place: Place, position: Offset) -> Self {
        Self { place, position, records: VecDeque::new() }
    }

    /// The first offset that was not taken yet.
    pub(super) fn position(&self) -> Offset {
        self.position
    }

    /// Reads on, if everything was taken. Says whether there is a record.
    pub(super) async fn fill(&mut self, backbone: &dyn Backbone) -> Result<bool, Error> {
        if self.records.is_empty() {
            let page = backbone.read(self.place, self.position, READ_RECORDS_MAX, READ_BYTES_MAX);
            self.records = page.await?.into();
        }
        Ok(!self.records.is_empty())
    }

    /// Takes the next one.
    pub(super) fn next(&mut self) -> Option<Stored> {
        let record = self.records.pop_front()?;
        self.position = record.offset + 1;
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hub_backbone::{Commit, Memory, Topic};

    #[tokio::test]
    async fn each_record_is_taken_once_and_in_order() {
        let (memory, place) = (Memory::new(1), Place::new(Topic::INBOX, 0));
        let mut commit = Commit::new();
        (0..1_200).for_each(|number: u32| commit.append(place, number.to_string(), "x"));
        let _offsets = memory.commit(commit).await.expect("in memory");
        let (mut ahead, mut taken) = (Ahead::new(place, 100), Vec::new());
        while ahead.fill(&memory).await.expect("in memory") {
            // as a commit does that has no time for all of them
            let some: Vec<_> = std::iter::from_fn(|| ahead.next()).take(300).map(|record| record.offset).collect();
            assert_eq!(Some(ahead.position()), some.last().map(|last| last + 1));
            taken.extend(some);
        }
        assert_eq!(taken, (100..1_200).collect::<Vec<Offset>>());
    }
}
