//! A transaction in the making, and what becomes visible with it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use hub_backbone::chain::{Chain, genesis, link};
use hub_backbone::{Commit, MAILED, Offset, Place, Record, Stored, Topic};

use crate::names::{Names, index, of_slot, places};
use crate::partition::Partition;
use crate::terms::Standing;
use crate::transact::{Consumed, Outgoing, Placed, Transaction};
use crate::wire::{self, First, Hand, Mail};
use crate::work::{MailWork, Work};

/// Where a log goes on, and what its consumer has seen.
#[derive(Clone, Copy)]
struct Head {
    next: Offset,
    chain: Chain,
    position: Offset,
}

/// Where all logs of this hub go on, after what is committed.
pub(crate) struct Heads {
    slots: u16,
    logs: Vec<Head>,
    /// By slot: up to where its mail is in its logs.
    taken: Vec<u64>,
    /// By slot: behind this hub's own newest mail for it.
    sent: Vec<u64>,
}

impl Heads {
    pub(crate) fn new(slots: u16) -> Self {
        let empty = |place| Head { next: 0, chain: genesis(place), position: 0 };
        let count = usize::from(slots);
        Self { slots, logs: places(slots).map(empty).collect(), taken: vec![0; count], sent: vec![0; count] }
    }

    /// Takes over what was read back.
    pub(crate) fn install(&mut self, place: Place, partition: &Partition) {
        let head = Head { next: partition.end.0, chain: partition.end.1, position: partition.position };
        self.logs[index(place, self.slots)] = head;
        if place.topic == Topic::INBOX {
            self.taken[usize::from(place.partition)] = partition.mail;
        }
    }

    /// Whether there is mail of this hub's own for a slot that is not in its logs.
    pub(crate) fn is_behind(&self, slot: u16) -> bool {
        self.sent[usize::from(slot)] > self.taken[usize::from(slot)]
    }

    /// All mail of this hub's own for the slot was read, and nothing has been sent since.
    pub(crate) fn caught_up(&mut self, slot: u16) {
        self.sent[usize::from(slot)] = 0;
    }
}

/// What a record of a commit got.
#[derive(Clone, Copy, Debug)]
enum Given {
    At(Offset),
    /// By its number in the transaction.
    Mailed(usize),
}

/// A transaction in the making.
pub(crate) struct Group<'a> {
    names: &'a Names,
    heads: &'a Heads,
    standing: &'a Standing,
    hand: Hand,
    pub(crate) made: Made,
}

/// A transaction that is made, with what becomes visible with it.
#[derive(Default)]
pub(crate) struct Made {
    pub(crate) transaction: Transaction,
    /// Records of logs, and their numbers in the transaction.
    stored: Vec<(Place, Stored, usize)>,
    changes: Vec<(Place, String, String, Option<Bytes>)>,
    /// New heads of the partitions that it touches.
    heads: BTreeMap<Place, Head>,
    taken: BTreeMap<u16, u64>,
    /// Mail for other slots, by number.
    mailed: Vec<(u16, usize)>,
    works: Vec<(Work, Vec<Given>)>,
}

/// What has become durable.
pub(crate) struct Shown {
    /// Where each log ends that was touched.
    pub(crate) ends: Vec<(Place, Offset)>,
    /// The works that are done, with the offsets of their records.
    pub(crate) works: Vec<(Work, Vec<Offset>)>,
}

impl<'a> Group<'a> {
    pub(crate) fn new(names: &'a Names, heads: &'a Heads, standing: &'a Standing, hand: Hand) -> Self {
        Self { names, heads, standing, hand, made: Made::default() }
    }

    /// Adds what was judged as allowed.
    pub(crate) fn add(&mut self, work: Work) {
        let given = match &work {
            Work::Commit(one) => self.commit(&one.commit),
            Work::Mail(one) => self.mail(one),
            Work::Trim(place, first, _) => {
                self.change(*place, "", wire::FIRST, Some(wire::first_value(*first)));
                self.begin_at(*place, *first);
                Vec::new()
            }
        };
        self.made.works.push((work, given));
    }

    /// A log that is told where it begins before anything is in it (`moved`) goes on from there.
    fn begin_at(&mut self, place: Place, first: First) {
        let head = self.head(place);
        if head.next < first.offset {
            (head.next, head.chain) = (first.offset, first.chain);
        }
    }

    fn commit(&mut self, commit: &Commit) -> Vec<Given> {
        let give = |(place, record): &(Place, Record)| match self.standing.term(place.partition) {
            Some(_) => Given::At(self.append(*place, record)),
            None => Given::Mailed(self.post(*place, record)),
        };
        let given = commit.outputs.iter().map(give).collect();
        for change in &commit.state {
            self.change(change.place, change.space, &change.key, change.value.clone());
        }
        for (place, position) in &commit.positions {
            let head = self.head(*place);
            if *position > head.position {
                head.position = *position;
                self.change(*place, "", wire::POSITION, Some(wire::offset_value(*position)));
            }
        }
        commit.basis.iter().for_each(|(slot, _)| self.touch(*slot));
        given
    }

    /// Moves mail into its logs, each record once.
    fn mail(&mut self, work: &MailWork) -> Vec<Given> {
        let slot = work.slot;
        let before = self.heads.taken[usize::from(slot)];
        let taken = self.made.taken.get(&slot).copied().unwrap_or(before);
        let fresh: Vec<&Mail> = work.mails.iter().filter(|mail| mail.number >= taken).collect();
        let Some(last) = fresh.last() else { return Vec::new() };
        for mail in &fresh {
            let _offset = self.append(mail.place, &mail.record);
        }
        let next = last.number + 1;
        let _ = self.made.taken.insert(slot, next);
        self.change(Place::new(Topic::INBOX, slot), "", wire::MAIL, Some(wire::offset_value(next)));
        Vec::new()
    }

    fn append(&mut self, place: Place, record: &Record) -> Offset {
        let head = self.head(place);
        let (offset, chain) = (head.next, link(&head.chain, head.next, &record.key, &record.bytes));
        (head.next, head.chain) = (offset + 1, chain);
        let stored = Stored { offset, key: record.key.clone(), bytes: record.bytes.clone(), chain };
        let number = self.send(Outgoing {
            topic: self.names.log(place.topic),
            partition: i32::from(place.partition),
            key: record.key.clone(),
            value: Some(record.bytes.clone()),
            header: wire::log_header(self.hand, offset, &chain),
        });
        self.made.stored.push((place, stored, number));
        offset
    }

    /// Sends a record to the mail of another hub's slot.
    fn post(&mut self, place: Place, record: &Record) -> usize {
        let number = self.send(Outgoing {
            topic: self.names.mail(),
            partition: i32::from(place.partition),
            key: record.key.clone(),
            value: Some(record.bytes.clone()),
            header: wire::mail_header(place, &record.key, &record.bytes),
        });
        self.made.mailed.push((place.partition, number));
        number
    }

    fn change(&mut self, place: Place, space: &str, key: &str, value: Option<Bytes>) {
        let _touched = self.head(place);
        let _number = self.send(Outgoing {
            topic: self.names.state(place.topic),
            partition: i32::from(place.partition),
            key: wire::state_key(space, key),
            value: value.clone(),
            header: wire::state_header(place, space, key, value.as_ref()),
        });
        self.made.changes.push((place, space.to_owned(), key.to_owned(), value));
    }

    /// Makes the transaction depend on the slot's being this hub's.
    pub(crate) fn touch(&mut self, slot: u16) {
        let _touched = self.head(Place::new(Topic::INBOX, slot));
    }

    pub(crate) fn send(&mut self, record: Outgoing) -> usize {
        self.made.transaction.records.push(record);
        self.made.transaction.records.len() - 1
    }

    fn head(&mut self, place: Place) -> &mut Head {
        let heads = self.heads;
        self.made.heads.entry(place).or_insert_with(|| heads.logs[index(place, heads.slots)])
    }

    /// The transaction, with the position of every partition that it touches.
    pub(crate) fn finish(mut self, partitions: &[Partition]) -> Made {
        let consumed = self.made.heads.iter().map(|(place, head)| Consumed {
            topic: self.names.log(place.topic),
            partition: i32::from(place.partition),
            at: partitions[index(*place, self.heads.slots)].index.not_beyond(head.position),
            position: head.position,
        });
        self.made.transaction.consumed = consumed.collect();
        self.made
    }
}

impl Made {
    /// Notes what is durable now: in the heads, and in memory for everybody to see.
    pub(crate) fn show(self, placed: &Placed, heads: &mut Heads, partitions: &mut [Partition]) -> Shown {
        let at: BTreeMap<usize, i64> = placed.iter().copied().collect();
        for (place, stored, number) in self.stored {
            partitions[index(place, heads.slots)].appended(stored, at.get(&number).copied());
        }
        for (place, space, key, value) in self.changes {
            partitions[index(place, heads.slots)].change(&space, key, value);
        }
        let number_of = |number: &usize| at.get(number).and_then(|at| u64::try_from(*at).ok()).unwrap_or(MAILED - 2);
        for (slot, number) in &self.mailed {
            heads.sent[usize::from(*slot)] = number_of(number) + 1;
        }
        self.taken.iter().for_each(|(slot, next)| heads.taken[usize::from(*slot)] = *next);
        let ends = self.heads.iter().map(|(place, head)| (*place, head.next)).collect();
        let count = heads.slots;
        self.heads.into_iter().for_each(|(place, head)| heads.logs[index(place, count)] = head);
        let offset = |given: Given| match given {
            Given::At(offset) => offset,
            Given::Mailed(number) => MAILED | number_of(&number),
        };
        let give = |(work, given): (Work, Vec<Given>)| (work, given.into_iter().map(offset).collect());
        Shown { ends, works: self.works.into_iter().map(give).collect() }
    }

    pub(crate) fn into_works(self) -> Vec<Work> {
        self.works.into_iter().map(|(work, _)| work).collect()
    }

    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.transaction.records.is_empty() && self.transaction.consumed.is_empty()
    }
}

/// Partitions of slots, as if nothing were known of them.
pub(crate) fn unknown(slots: &BTreeSet<u16>) -> Vec<(Place, Partition)> {
    slots.iter().flat_map(|slot| of_slot(*slot)).map(|place| (place, Partition::new(place, 0))).collect()
}
