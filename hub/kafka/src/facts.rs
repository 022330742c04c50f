//! What all hubs know: facts that are never changed, and what hubs tell each other.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use hub_backbone::{Error, RECORD_BYTES_MAX};

use crate::transact::Outgoing;
use crate::wire;

/// Facts of all kinds that are kept, at most.
pub(crate) const FACTS_MAX: usize = 50_000;
/// What was told and not heard yet, at most; then the oldest goes.
const TOLD_MAX: usize = 1_000;

/// Shared facts, by kind and key. The first one that was written counts.
///
/// Each writing has a key of its own on Kafka, so that compaction never drops the first for a later one.
#[derive(Debug, Default)]
pub(crate) struct Facts(BTreeMap<(String, String), Bytes>);

impl Facts {
    /// A record of the topic, in order. Says what is wrong with it.
    pub(crate) fn heard(&mut self, key: &str, value: &[u8]) -> Result<(), String> {
        let mut parts = key.split('\0');
        let (Some(space), Some(key), Some(_writing)) = (parts.next(), parts.next(), parts.next()) else {
            return Err("its key names no fact".to_owned());
        };
        if self.0.len() >= FACTS_MAX {
            return Err(format!("there are {FACTS_MAX} facts already"));
        }
        let _first = self.0.entry((space.to_owned(), key.to_owned())).or_insert_with(|| Bytes::copy_from_slice(value));
        Ok(())
    }

    pub(crate) fn knows(&self, space: &str, key: &str) -> bool {
        self.0.contains_key(&(space.to_owned(), key.to_owned()))
    }

    pub(crate) fn is_full(&self) -> bool {
        self.0.len() >= FACTS_MAX
    }

    pub(crate) fn of(&self, space: &str) -> Vec<(String, Bytes)> {
        let from = (space.to_owned(), String::new());
        let known = self.0.range(from..).take_while(|((kind, _), _)| kind == space);
        known.map(|((_, key), value)| (key.clone(), value.clone())).collect()
    }
}

/// Checks what becomes a key and a value on the wire.
pub(crate) fn admit(space: &str, key: &str, bytes: usize) -> Result<(), Error> {
    match bytes + key.len() > RECORD_BYTES_MAX {
        true => Err(Error::TooLarge { key: key.chars().take(200).collect(), bytes: bytes + key.len() }),
        false if space.is_empty() || space.contains('\0') || key.contains('\0') => {
            Err(Error::Io(format!("{space:?} {key:?} cannot be the name of a shared fact")))
        }
        false => Ok(()),
    }
}

/// A record that makes a fact known. `writing` is unique.
pub(crate) fn record(topic: String, space: &str, key: &str, writing: &str, value: Bytes) -> Outgoing {
    let key = format!("{space}\0{key}\0{writing}");
    Outgoing { topic, partition: 0, key, value: Some(value), header: wire::plain_header() }
}

/// What other hubs have told this one.
#[derive(Debug, Default)]
pub(crate) struct Told(VecDeque<Bytes>);

impl Told {
    pub(crate) fn push(&mut self, bytes: Bytes) {
        if self.0.len() >= TOLD_MAX {
            tracing::warn!(target: "kafka", "nobody hears what other hubs tell this one: the oldest is dropped");
            let _ = self.0.pop_front();
        }
        self.0.push_back(bytes);
    }
    pub(crate) fn pop(&mut self) -> Option<Bytes> {
        self.0.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_fact_counts() {
        let mut facts = Facts::default();
        for (key, value) in [("a\0k\0w1", "1"), ("a\0k\0w2", "2"), ("ab\0k\0w3", "3"), ("a\0l\0w4", "4")] {
            facts.heard(key, value.as_bytes()).expect("a fact");
        }
        assert!(facts.heard("no fact", b"").is_err());
        let of_a = facts.of("a");
        assert_eq!(of_a, [("k".to_owned(), Bytes::from("1")), ("l".to_owned(), Bytes::from("4"))]);
        assert!(facts.knows("ab", "k") && !facts.knows("b", "k"));
    }

    #[test]
    fn what_nobody_hears_is_bounded() {
        let mut told = Told::default();
        (0..TOLD_MAX + 5).for_each(|n| told.push(n.to_string().into()));
        assert_eq!(told.pop().as_deref(), Some(&b"5"[..]));
    }
}
