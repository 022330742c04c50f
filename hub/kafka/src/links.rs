//! How one record of a log follows another: checked when it is read, and when its end is looked for.

use std::collections::BTreeMap;

use hub_backbone::chain::{Chain, link};
use hub_backbone::{Error, Offset, Place, Stored};

use crate::partition::Partition;

/// The record before another one.
#[derive(Clone, Copy)]
pub(crate) struct Before {
    pub(crate) offset: Offset,
    pub(crate) chain: Chain,
    /// Whether its own place in the chain was checked.
    pub(crate) sure: bool,
}

impl Before {
    pub(crate) fn sure(offset: Offset, chain: Chain) -> Self {
        Self { offset, chain, sure: true }
    }
    /// What stands before the first kept record, if that is the one. There is no offset -1, but the next of it is 0.
    pub(crate) fn first((first, chain): (Offset, Chain), offset: Offset) -> Option<Self> {
        (first == offset).then(|| Self::sure(first.wrapping_sub(1), chain))
    }
    pub(crate) fn next(self) -> Offset {
        self.offset.wrapping_add(1)
    }
    pub(crate) fn leads_to(self, stored: &Stored) -> bool {
        link(&self.chain, stored.offset, &stored.key, &stored.bytes) == stored.chain
    }
}

/// The last two records of ours in a partition, by their place in Kafka's numbering.
pub(crate) type Newest = BTreeMap<i64, Stored>;

/// Notes a record, and forgets all but the last two.
pub(crate) fn push(newest: &mut Newest, at: i64, stored: Stored) -> Result<(), String> {
    if newest.last_key_value().is_some_and(|(_, last)| stored.offset <= last.offset) {
        return Err(format!("the offset {} was there before", stored.offset));
    }
    let _ = newest.insert(at, stored);
    if newest.len() > 2 {
        let _ = newest.pop_first();
    }
    Ok(())
}

/// Sets where a log ends, from its newest records and from what was trimmed. `low` is where it begins for Kafka.
pub(crate) fn set_end(topic: &str, place: Place, one: &mut Partition, newest: &Newest, low: i64) -> Result<(), Error> {
    let lost = |offset, detail: &str| Err(corrupt(topic, place, offset, detail));
    let mut records = newest.iter().rev();
    let Some((at, last)) = records.next() else {
        if low > one.first_at {
            return lost(one.first.0, "another program, or a time limit, has removed the records");
        }
        one.end = one.first;
        return Ok(());
    };
    match records.next() {
        Some((_, before)) if before.offset + 1 != last.offset => return lost(before.offset + 1, "it is missing"),
        Some((_, before)) if link(&before.chain, last.offset, &last.key, &last.bytes) != last.chain => {
            return lost(last.offset, "the content does not fit the chain");
        }
        _ => {}
    }
    if last.offset + 1 < one.first.0 {
        return lost(last.offset + 1, "the log ends before the records that were removed on purpose");
    }
    one.end = (last.offset + 1, last.chain);
    one.index.appended(last.offset, *at);
    Ok(())
}

/// What was written by a hub and is not what was written.
pub(crate) fn corrupt(topic: &str, place: Place, offset: Offset, detail: &str) -> Error {
    let (file, detail) = (format!("the topic {topic}"), detail.to_owned());
    Error::Corrupt { file, place: place.to_string(), offset, detail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::First;
    use hub_backbone::Topic;
    use hub_backbone::chain::genesis;

    const PLACE: Place = Place::new(Topic::JOURNAL, 2);

    /// A log of three records, each with a mark behind it.
    fn log() -> Vec<(i64, Stored)> {
        let mut chain = genesis(PLACE);
        let record = |offset: Offset| {
            chain = link(&chain, offset, "k", b"v");
            let stored = Stored { offset, key: "k".to_owned(), bytes: (&b"v"[..]).into(), chain };
            (i64::try_from(offset * 2).expect("small"), stored)
        };
        (0..3).map(record).collect()
    }

    fn end(records: Vec<(i64, Stored)>, first: Option<First>, low: i64) -> Result<Offset, Error> {
        let mut newest = Newest::new();
        for (at, stored) in records {
            push(&mut newest, at, stored).expect("in order");
        }
        let mut partition = Partition::new(PLACE, 0);
        first.into_iter().for_each(|first| partition.trimmed(first));
        set_end("t", PLACE, &mut partition, &newest, low).map(|()| partition.end.0)
    }

    #[test]
    fn the_end_is_where_the_newest_record_says() {
        assert_eq!(end(log(), None, 0).expect("an end"), 3);
        assert_eq!(end(Vec::new(), None, 0).expect("an end"), 0, "a new log");
        let first = First { offset: 3, chain: log()[2].1.chain, at: 5 };
        assert_eq!(end(Vec::new(), Some(first), 5).expect("an end"), 3, "all was removed on purpose");
    }

    #[test]
    fn an_end_that_cannot_be_is_an_error() {
        let lost = |result: Result<Offset, Error>| matches!(result, Err(Error::Corrupt { .. }));
        assert!(lost(end(Vec::new(), None, 9)), "removed by somebody else");
        let mut gap = log();
        let _ = gap.remove(1);
        assert!(lost(end(gap, None, 0)), "a record is missing");
        let mut changed = log();
        changed[2].1.bytes = (&b"w"[..]).into();
        assert!(lost(end(changed, None, 0)), "a record was changed");
        let first = First { offset: 9, chain: [0; 32], at: 20 };
        assert!(lost(end(log(), Some(first), 0)), "the log was set back");
    }

    #[test]
    fn copies_are_not_the_end() {
        let mut newest = Newest::new();
        log().into_iter().for_each(|(at, stored)| push(&mut newest, at, stored).expect("in order"));
        let copy = log().remove(0).1;
        assert!(push(&mut newest, 99, copy).is_err_and(|reason| reason.contains("there before")));
        assert_eq!(newest.keys().copied().collect::<Vec<_>>(), [2, 4]);
    }
}
