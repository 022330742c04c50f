//! The hashes that make a damaged record visible. Every implementation uses these, so that a log that moves from one to
//! another keeps its chain.

use sha2::{Digest, Sha256};

use crate::{Commit, Error, Offset, Place, RECORD_BYTES_MAX};

/// SHA-256 over a record and everything before it in its partition.
pub type Chain = [u8; 32];

/// The chain before the first record of a partition; it names the partition, so that two cannot be exchanged.
#[must_use]
pub fn genesis(place: Place) -> Chain {
    genesis_of(&place.to_string())
}

/// The same by the partition's name, for example `journal/3`.
#[must_use]
pub fn genesis_of(place: &str) -> Chain {
    Sha256::digest(format!("raccordo log {place}")).into()
}

/// The chain of a record: `sha256(previous || offset || key length || key || bytes)`, numbers as 8 bytes, big end first.
#[must_use]
pub fn link(previous: &Chain, offset: Offset, key: &str, bytes: &[u8]) -> Chain {
    let mut hash = Sha256::new();
    hash.update(previous);
    hash.update(offset.to_be_bytes());
    hash.update((key.len() as u64).to_be_bytes());
    hash.update(key);
    hash.update(bytes);
    hash.finalize().into()
}

/// A short checksum of one value of keyed state: it says when a value was changed outside, or stands at another key.
#[must_use]
pub fn value_sum(place: Place, space: &str, key: &str, value: &[u8]) -> i64 {
    let mut hash = Sha256::new();
    hash.update(place.topic.0);
    hash.update(place.partition.to_be_bytes());
    hash.update((space.len() as u64).to_be_bytes());
    hash.update(space);
    hash.update((key.len() as u64).to_be_bytes());
    hash.update(key);
    hash.update(value);
    let [a, b, c, d, e, f, g, h, ..]: Chain = hash.finalize().into();
    i64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// Checks what a commit must fulfil before anything of it is taken: known partitions, and sizes of records and values.
///
/// # Errors
/// [`Error::TooLarge`], and [`Error::Io`] for a partition that does not exist: nothing of the commit was done.
pub fn admit(commit: &Commit, partitions: u16) -> Result<(), Error> {
    for (place, record) in &commit.outputs {
        admit_place(*place, partitions)?;
        admit_size(&record.key, record.bytes.len())?;
    }
    for change in &commit.state {
        admit_place(change.place, partitions)?;
        admit_size(&change.key, change.value.as_ref().map_or(0, bytes::Bytes::len))?;
    }
    commit.positions.iter().try_for_each(|(place, _)| admit_place(*place, partitions))
}

/// Checks that a partition exists.
///
/// # Errors
/// [`Error::Io`] that names it.
pub fn admit_place(place: Place, partitions: u16) -> Result<(), Error> {
    if place.partition < partitions && crate::Topic::ALL.contains(&place.topic) {
        return Ok(());
    }
    Err(Error::Io(format!("there is no partition {place}: topics have the partitions 0 to {}", partitions - 1)))
}

fn admit_size(key: &str, bytes: usize) -> Result<(), Error> {
    match key.len() + bytes > RECORD_BYTES_MAX + KEY_BYTES_MAX || bytes > RECORD_BYTES_MAX {
        true => Err(Error::TooLarge { key: key.chars().take(200).collect(), bytes: key.len() + bytes }),
        false => Ok(()),
    }
}

/// Room for a key beside the largest record.
const KEY_BYTES_MAX: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Topic;

    /// The chain is part of the stored format: it must never change.
    #[test]
    fn known_values() {
        let place = Place::new(Topic::JOURNAL, 3);
        let first = link(&genesis(place), 0, "k", b"v");
        let by_hand = {
            let mut all = Vec::new();
            all.extend_from_slice(&Sha256::digest(b"raccordo log journal/3"));
            all.extend_from_slice(&[0; 8]);
            all.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 1]);
            all.extend_from_slice(b"kv");
            Chain::from(Sha256::digest(&all))
        };
        assert_eq!(first, by_hand);
    }

    #[test]
    fn every_part_counts() {
        let start = genesis(Place::new(Topic::INBOX, 0));
        let one = link(&start, 0, "ab", b"c");
        assert_ne!(one, link(&start, 0, "a", b"bc"), "where the key ends");
        assert_ne!(one, link(&start, 1, "ab", b"c"), "offset");
        assert_ne!(one, link(&genesis(Place::new(Topic::INBOX, 1)), 0, "ab", b"c"), "partition");
        let place = Place::new(Topic::WAITS, 0);
        assert_ne!(value_sum(place, "a", "bc", b""), value_sum(place, "ab", "c", b""), "space and key");
    }

    #[test]
    fn sizes_and_places_are_checked() {
        let place = Place::new(Topic::INBOX, 1);
        let mut commit = Commit::new();
        commit.append(place, "k", vec![0; RECORD_BYTES_MAX]);
        assert!(admit(&commit, 2).is_ok());
        assert!(matches!(admit(&commit, 1), Err(Error::Io(text)) if text.contains("inbox/1")));
        commit.append(place, "large", vec![0; RECORD_BYTES_MAX + 1]);
        assert!(matches!(admit(&commit, 2), Err(Error::TooLarge { key, .. }) if key == "large"));
        let mut keys = Commit::new();
        keys.append(place, "k".repeat(2 << 20), "");
        assert!(matches!(admit(&keys, 2), Err(Error::TooLarge { key, .. }) if key.len() == 200));
        assert!(admit_place(Place::new(Topic("other"), 0), 2).is_err());
    }
}
