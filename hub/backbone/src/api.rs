//! The log, as the runtime sees it.

use std::fmt;
use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;

/// A kind of log. There are few, and they are fixed; each has the same number of partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(pub &'static str);

impl Topic {
    /// Messages that wait for a segment of their route.
    pub const INBOX: Self = Self("inbox");
    /// Messages that wait to be sent, and commands about them.
    pub const OUTBOX: Self = Self("outbox");
    /// Waits, answers, decisions.
    pub const WAITS: Self = Self("waits");
    /// Events on their way to the owner of their case.
    pub const CASES: Self = Self("cases");
    /// The chained history of cases: the truth from which the ledger is computed.
    pub const JOURNAL: Self = Self("journal");
    /// All topics.
    pub const ALL: [Self; 5] = [Self::INBOX, Self::OUTBOX, Self::WAITS, Self::CASES, Self::JOURNAL];
}

/// One partition of one topic.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The topic.
    pub topic: Topic,
    /// The partition, from 0.
    pub partition: u16,
}

impl Place {
    /// A partition of a topic.
    #[must_use]
    pub const fn new(topic: Topic, partition: u16) -> Self {
        Self { topic, partition }
    }

    /// The partition that owns `key`, of `partitions`. The same on every implementation and for ever: FNV-1a, 64 bits.
    #[must_use]
    pub fn of_key(topic: Topic, key: &str, partitions: u16) -> Self {
        let hash = key
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        let partition = u16::try_from(hash % u64::from(partitions.max(1))).unwrap_or_default();
        Self { topic, partition }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic.0, self.partition)
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Position in a partition; the first record has 0. A consumer's position is the offset of the next record to read.
///
/// What a commit appends to a slot of another hub has no place in its log yet: its offset is [`MAILED`] and a number.
pub type Offset = u64;

/// In an [`Offset`] that a commit gives: the record is on its way to the log of another hub's slot. The rest of the number is
/// its place in the slot's mail; see [`Backbone::mail_taken`].
pub const MAILED: Offset = 1 << 63;

/// A time in which one hub owns one slot without a break. A slot is all partitions with one number, of all topics: they are
/// owned together. A hub that loses a slot and gets it back owns it in another, greater term.
pub type Term = u64;

/// The terms in which this hub owns slots, by slot; `None`: another hub's, or nobody's just now.
pub type Terms = Vec<Option<Term>>;

/// A record on its way in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it is about (message id, case id, ...); for people and for Kafka's record key.
    pub key: String,
    /// The content, at most [`RECORD_BYTES_MAX`].
    pub bytes: Bytes,
}

/// The largest record that a backbone takes. Larger bodies go to the blob store first (claim check).
pub const RECORD_BYTES_MAX: usize = 1 << 20;

/// A record as it is read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its position.
    pub offset: Offset,
    /// What it is about.
    pub key: String,
    /// The content.
    pub bytes: Bytes,
    /// SHA-256 over the previous record's chain, offset, key and content; verified on reading.
    pub chain: [u8; 32],
}

/// A change of keyed state. State belongs to the partition whose owner writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The partition that owns the state.
    pub place: Place,
    /// What kind of state, for example `outbound`.
    pub space: &'static str,
    /// The key.
    pub key: String,
    /// The new value, or `None` to delete.
    pub value: Option<Bytes>,
}

/// Everything that becomes durable together, or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// Records to append; order within a partition is kept.
    pub outputs: Vec<(Place, Record)>,
    /// Keyed state to change, in order.
    pub state: Vec<Change>,
    /// Consumers' positions that move forward.
    pub positions: Vec<(Place, Offset)>,
    /// Slots and the terms in which they were read to compute this: if one is over, nothing is written.
    pub basis: Vec<(u16, Term)>,
}

impl Commit {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.outputs.is_empty() && self.state.is_empty() && self.positions.is_empty()
    }
    /// Appends a record.
    pub fn append(&mut self, place: Place, key: impl Into<String>, bytes: impl Into<Bytes>) {
        self.outputs.push((place, Record { key: key.into(), bytes: bytes.into() }));
    }
    /// Sets a key.
    pub fn put(&mut self, place: Place, space: &'static str, key: impl Into<String>, value: impl Into<Bytes>) {
        self.state.push(Change { place, space, key: key.into(), value: Some(value.into()) });
    }
    /// Deletes a key.
    pub fn delete(&mut self, place: Place, space: &'static str, key: impl Into<String>) {
        self.state.push(Change { place, space, key: key.into(), value: None });
    }
    /// Moves a consumer's position; it never moves back.
    pub fn done(&mut self, place: Place, next: Offset) {
        self.positions.push((place, next));
    }
    /// Says that what was read of a slot counts only in this term.
    pub fn based_on(&mut self, slot: u16, term: Term) {
        self.basis.push((slot, term));
    }
    /// Adds all of `other` behind what is there.
    pub fn merge(&mut self, other: Self) {
        self.basis.extend(other.basis);
        self.outputs.extend(other.outputs);
        self.state.extend(other.state);
        self.positions.extend(other.positions);
    }
}

/// What can go wrong with a backbone. A full disk is not an error: commits wait until there is room, and an alarm is raised.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Another hub owns the partition (or the store): stop all work on it at once.
    #[error("fenced: {0}")]
    Fenced(String),
    /// The slot is another hub's now, or was in between: nothing of the commit is written. Work on the slot stops; the rest of
    /// the hub goes on.
    #[error("slot {slot} is not this hub's any more: nothing was written, its owner does it again")]
    Lost {
        /// Which slot.
        slot: u16,
    },
    /// A record, a value or a page is not what was written.
    #[error(
        "{file}: {place} offset {offset} is damaged: {detail}; stop the hub, keep the file, and put no older copy in its place before reading docs/runbook.md, `store`"
    )]
    Corrupt {
        /// Which file.
        file: String,
        /// Which partition.
        place: String,
        /// Which record.
        offset: Offset,
        /// What does not fit.
        detail: String,
    },
    /// A record is larger than [`RECORD_BYTES_MAX`].
    #[error("record {key} has {bytes} bytes, at most {RECORD_BYTES_MAX} are allowed")]
    TooLarge {
        /// The record's key.
        key: String,
        /// Its size.
        bytes: usize,
    },
    /// The store cannot be used. A failed fsync comes here and is never retried: the hub stops and recovers.
    #[error("backbone: {0}")]
    Io(String),
}

impl Error {
    /// The same, naming the file in which it was found.
    pub(crate) fn in_file(self, path: &Path) -> Self {
        match self {
            Self::Corrupt { file, place, offset, detail } if file.is_empty() => {
                Self::Corrupt { file: path.display().to_string(), place, offset, detail }
            }
            Self::Io(text) if !text.contains(&*path.to_string_lossy()) => {
                Self::Io(format!("{}: {text}", path.display()))
            }
            other => other,
        }
    }
}

/// The durable log with keyed state.
///
/// # Contract (each sentence is a test of [`crate::contract`])
/// - `commit` returns when everything is durable; all of it becomes visible at once or, after a crash, not at all. A caller
///   that gives up waiting must treat the commit as possibly done. Concurrent commits are grouped (one fsync).
/// - Offsets of a partition are dense and start at 0 (after `trim`, at the first kept one). Commits of one caller keep their
///   order.
/// - `read` gives records in order and checks the chain; a damaged record is [`Error::Corrupt`], never skipped.
/// - `changed` completes when the partition's end is beyond `after`; it may be dropped.
/// - `get` and `scan` see every commit that has returned. `scan` goes in key order, from the first key greater than `after`.
/// - Positions only move forward; a lower one is ignored.
/// - `trim` removes records below `before`; the chain goes on.
///
/// Where several hubs work on one log (the cases of [`crate::contract::Hubs`]):
/// - A slot has one owner at most. `term` says whether this hub is it; a store of one hub has one term for ever.
/// - A commit with state or positions of a slot that is not this hub's, or with a basis whose term is over, is [`Error::Lost`],
///   and nothing of it is written: not even if the slot was lost and came back.
/// - A commit may append to any slot. What it appends to another hub's arrives in that log exactly once, in the order of the
///   commits of one hub; its offset is [`MAILED`] until then.
/// - Who gets a slot sees everything that was committed to it before, by whomever, before its term begins.
/// - `get`, `scan`, `read`, `end` and `position` may be asked only for slots of this hub; of others they are [`Error::Lost`].
/// - `share` makes a fact known to all hubs, for ever; a fact that is there is not changed.
/// - `reply` reaches the hub with that epoch while it lives, once at most; nobody may rely on it.
#[async_trait]
pub trait Backbone: Send + Sync + fmt::Debug {
    /// How many partitions each topic has.
    fn partitions(&self) -> u16;

    /// Identity of this life of the hub: unique for each opening of the store, so that attempts of earlier lives can be told
    /// apart.
    fn epoch(&self) -> &str;

    /// Whether the life named `epoch` is provably over (it is not this one, and its lock is ours now).
    fn is_over(&self, epoch: &str) -> bool;

    /// Makes everything in `commit` durable together. Gives the offsets of the outputs, in their order.
    async fn commit(&self, commit: Commit) -> Result<Vec<Offset>, Error>;

    /// Reads from `from` on: at most `records_max` records and about `bytes_max` bytes, but at least one record if there is.
    async fn read(
        &self,
        place: Place,
        from: Offset,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Stored>, Error>;

    /// Where the consumer of a partition stands.
    async fn position(&self, place: Place) -> Result<Offset, Error>;

    /// The offset that the next record will get.
    async fn end(&self, place: Place) -> Result<Offset, Error>;

    /// Completes when `end(place) > after`.
    async fn changed(&self, place: Place, after: Offset) -> Result<(), Error>;

    /// One value of keyed state.
    async fn get(&self, place: Place, space: &str, key: &str) -> Result<Option<Bytes>, Error>;

    /// Keyed state in key order, from the first key greater than `after` on (`None`: from the beginning).
    async fn scan(
        &self,
        place: Place,
        space: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Bytes)>, Error>;

    /// The kinds of keyed state that a partition has, in order.
    async fn spaces(&self, place: Place) -> Result<Vec<String>, Error>;

    /// Removes records below `before`.
    async fn trim(&self, place: Place, before: Offset) -> Result<(), Error>;

    /// The term in which this hub owns a slot. Cheap: it is asked right before bytes leave the hub.
    fn term(&self, slot: u16) -> Option<Term> {
        (slot < self.partitions()).then_some(0)
    }

    /// Completes when the terms are not `known` (any more), with what they are. It may be dropped.
    async fn terms_beyond(&self, known: &Terms) -> Result<Terms, Error> {
        let terms: Terms = (0..self.partitions()).map(|slot| self.term(slot)).collect();
        if terms != *known {
            return Ok(terms);
        }
        std::future::pending().await
    }

    /// How much of a slot's mail is in its logs: everything whose number is smaller. Asked of the owner.
    async fn mail_taken(&self, slot: u16) -> Result<u64, Error> {
        let _ = slot;
        Ok(0)
    }

    /// Makes a fact known to all hubs of this log. Durable on return.
    async fn share(&self, space: &'static str, key: &str, value: Bytes) -> Result<(), Error> {
        let mut commit = Commit::new();
        commit.put(SHARED, space, key, value);
        self.commit(commit).await.map(drop)
    }

    /// The shared facts of a kind, by key.
    async fn shared(&self, space: &str) -> Result<Vec<(String, Bytes)>, Error> {
        self.scan(SHARED, space, None, SHARED_MAX).await
    }

    /// Tells the hub with this epoch something, if it still lives.
    async fn reply(&self, epoch: &str, bytes: Bytes) -> Result<(), Error> {
        let _ = (epoch, bytes);
        Ok(())
    }

    /// The next thing that another hub has told this one. It may be dropped.
    async fn told(&self) -> Result<Bytes, Error> {
        std::future::pending().await
    }
}

/// Where a store of one hub keeps what would be shared.
pub(crate) const SHARED: Place = Place::new(Topic::INBOX, 0);
/// Shared facts of one kind, at most.
const SHARED_MAX: usize = 10_000;

/// Content-addressed bytes beside the log: bodies too large for a record, and archived documents.
///
/// `put` returns when the bytes are durable, and renews the time of a blob that is already there. `get` verifies the hash.
#[async_trait]
pub trait Blobs: Send + Sync + fmt::Debug {
    /// Keeps bytes; gives their SHA-256 in hexadecimal.
    async fn put(&self, bytes: &[u8]) -> Result<String, Error>;
    /// Keeps several; all are durable on return.
    async fn put_all(&self, blobs: &[Bytes]) -> Result<(), Error> {
        for bytes in blobs {
            let _ = self.put(bytes).await?;
        }
        Ok(())
    }
    /// The bytes of a hash, or `None`.
    async fn get(&self, sha256: &str) -> Result<Option<Bytes>, Error>;
}
