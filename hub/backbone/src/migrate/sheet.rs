//! What a store has, in counts and hashes, and how two are compared.

use sha2::{Digest, Sha256};

use super::copy::{PAGE_BYTES, PAGE_VALUES};
use super::refuse;
use crate::api::SHARED;
use crate::chain::value_sum;
use crate::embedded::Bounds;
use crate::{Error, Life, Movable, Place, Topic};

/// What a store has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sheet {
    /// Where each log begins and ends, with the chain of its last record, and where its consumer stands. Offset and partition
    /// are hashed into the chain: equal ends mean equal logs.
    pub logs: Vec<(Place, Bounds)>,
    /// Keyed state of each partition: how many values, and the sum of their checksums. It does not depend on order.
    pub state: Vec<(Place, Values)>,
    /// Shared facts.
    pub facts: Values,
    /// Lives, in order of their names.
    pub lives: Vec<Life>,
}

/// How many values, and the sum (modulo 2^64) of their checksums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Values {
    /// How many.
    pub count: u64,
    /// The sum.
    pub sum: u64,
}

impl Values {
    fn add(&mut self, place: Place, space: &str, key: &str, value: &[u8]) {
        self.count += 1;
        self.sum = self.sum.wrapping_add(value_sum(place, space, key, value).cast_unsigned());
    }
}

impl Sheet {
    pub(super) async fn of(store: &dyn Movable, facts: &[&'static str]) -> Result<Self, Error> {
        let (mut logs, mut state) = (Vec::new(), Vec::new());
        for place in places(store.partitions()) {
            logs.push((place, store.bounds(place).await?));
            state.push((place, values(store, place, facts).await?));
        }
        let mut lives = store.lives().await?;
        lives.sort();
        Ok(Self { logs, state, facts: shared(store, facts).await?, lives })
    }

    /// How many records are kept.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.logs.iter().map(|(_, bounds)| bounds.end - bounds.first).sum()
    }

    /// How many values of keyed state there are.
    #[must_use]
    pub fn values(&self) -> u64 {
        self.state.iter().map(|(_, values)| values.count).sum()
    }

    /// SHA-256 over logs, positions, keyed state and facts, in base 16: the same for two stores with the same content.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for (place, one) in &self.logs {
            hash.update(format!("{place} {} {} {} ", one.first, one.end, one.position));
            hash.update(one.first_chain);
            hash.update(one.chain);
        }
        for (place, Values { count, sum }) in &self.state {
            hash.update(format!("{place} {count} {sum} "));
        }
        hash.update(format!("facts {} {}", self.facts.count, self.facts.sum));
        hex::encode(hash.finalize())
    }

    pub(super) fn is_empty(&self) -> bool {
        let untouched = self.logs.iter().all(|(_, bounds)| bounds.end == 0 && bounds.position == 0);
        untouched && self.values() == 0 && self.facts.count == 0
    }

    /// Whether `have` is what this one is. It may know more lives: those of its own.
    pub(super) fn compare(&self, have: &Self) -> Result<(), Error> {
        let log = self.logs.iter().zip(&have.logs).find(|(want, have)| want != have);
        let state = self.state.iter().zip(&have.state).find(|(want, have)| want != have);
        let known = |life: &&Life| have.lives.iter().any(|there| there.says_the_same(life));
        let life = self.lives.iter().find(|life| !known(life));
        let difference = match (log, state, life) {
            (Some((want, have)), ..) => format!("the log {} is {:?} there, not {:?}", want.0, have.1, want.1),
            (_, Some((want, have)), _) => {
                format!("the keyed state of {} is {:?} there, not {:?}", want.0, have.1, want.1)
            }
            (.., Some(life)) => format!("the life {} ({:?}) is not known there as it is here", life.epoch, life.over),
            _ if self.facts != have.facts => format!("shared facts are {:?} there, not {:?}", have.facts, self.facts),
            _ => return Ok(()),
        };
        refuse(format!(
            "the target is not what the source is: {difference}. Nothing was released; run the command again, or take it back with `--abandon`"
        ))
    }
}

/// All partitions of all topics.
pub(super) fn places(partitions: u16) -> Vec<Place> {
    Topic::ALL.into_iter().flat_map(|topic| (0..partitions).map(move |slot| Place::new(topic, slot))).collect()
}

/// The kinds of keyed state of a partition, without facts that only lie there.
pub(super) async fn own_spaces(
    store: &dyn Movable,
    place: Place,
    facts: &[&'static str],
) -> Result<Vec<String>, Error> {
    let mut spaces = store.spaces(place).await?;
    spaces.retain(|space| place != SHARED || !facts.contains(&space.as_str()));
    Ok(spaces)
}

async fn values(store: &dyn Movable, place: Place, facts: &[&'static str]) -> Result<Values, Error> {
    let mut all = Values::default();
    for space in own_spaces(store, place, facts).await? {
        let mut after: Option<String> = None;
        loop {
            let page = store.scan(place, &space, after.as_deref(), PAGE_VALUES).await?;
            page.iter().for_each(|(key, value)| all.add(place, &space, key, value));
            let Some((last, _)) = page.into_iter().next_back() else { break };
            after = Some(last);
        }
    }
    Ok(all)
}

async fn shared(store: &dyn Movable, facts: &[&'static str]) -> Result<Values, Error> {
    let mut all = Values::default();
    for space in facts {
        let known = store.shared(space).await?;
        known.iter().for_each(|(key, value)| all.add(SHARED, space, key, value));
    }
    Ok(all)
}

/// Reads every log from its first record to its end: the store itself checks each link.
pub(super) async fn read_back(store: &dyn Movable) -> Result<(), Error> {
    for place in places(store.partitions()) {
        let bounds = store.bounds(place).await?;
        let mut next = bounds.first;
        while next < bounds.end {
            let page = store.read(place, next, 1_000, PAGE_BYTES).await?;
            let Some(last) = page.last() else {
                return refuse(format!("{place} has no record {next}, although it is longer"));
            };
            next = last.offset + 1;
        }
    }
    Ok(())
}
