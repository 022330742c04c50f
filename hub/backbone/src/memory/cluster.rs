//! Several hubs over one log in memory: who owns which slot is what a test says.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Notify;

use super::{Log, Memory, Shared};
use crate::api::SHARED;
use crate::{Commit, Error, MAILED, Offset, Place, Stored, Term};

/// A log in memory that several hubs share. Nobody owns anything at first.
#[derive(Clone)]
pub struct Cluster(Arc<Shared>);

impl Cluster {
    /// An empty log with as many slots (at least one).
    #[must_use]
    pub fn new(slots: u16) -> Self {
        let slots = slots.max(1);
        let log = Log { slots: Some(Slots::new(slots)), ..Log::default() };
        Self(Arc::new(Shared::new(slots, log)))
    }

    /// One more hub, with an epoch of its own. It is alive until [`Memory::bury`].
    #[must_use]
    pub fn join(&self) -> Memory {
        Memory::life_of(Arc::clone(&self.0), None)
    }

    /// Somebody who may read everything, and owns nothing.
    #[must_use]
    pub fn watch(&self) -> Memory {
        Memory { watches: true, ..self.join() }
    }

    /// Gives a slot to a hub, or to nobody. It begins a new term, unless the hub has it already.
    pub fn assign(&self, slot: u16, hub: Option<&Memory>) {
        let owner = hub.map(|hub| hub.life);
        if let Some(slots) = &mut self.0.lock().slots
            && let Some(one) = slots.owners.get_mut(usize::from(slot))
            && one.life != owner
        {
            *one = Owner { life: owner, term: one.term + 1 };
        }
        self.0.news.notify_waiters();
        self.0.changes.values().for_each(Notify::notify_waiters);
    }

    /// All records of a partition, whoever owns it: for tests that look from outside.
    #[must_use]
    pub fn records(&self, place: Place) -> Vec<Stored> {
        self.0.lock().places.get(&place).map(|partition| partition.records.clone()).unwrap_or_default()
    }

    /// How many records of a partition its owner has not taken yet.
    #[must_use]
    pub fn rest(&self, place: Place) -> u64 {
        self.0.lock().places.get(&place).map_or(0, |partition| partition.end() - partition.position)
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cluster")
    }
}

/// Who owns what, and what hubs have told each other.
#[derive(Clone)]
pub(super) struct Slots {
    owners: Vec<Owner>,
    /// Records that other hubs have appended, by slot.
    mails: Vec<u64>,
    facts: BTreeMap<(String, String), Bytes>,
    told: HashMap<String, VecDeque<Bytes>>,
}

#[derive(Clone, Copy, Default)]
struct Owner {
    life: Option<u64>,
    term: Term,
}

impl Slots {
    fn new(slots: u16) -> Self {
        let count = usize::from(slots);
        Self {
            owners: vec![Owner::default(); count],
            mails: vec![0; count],
            facts: BTreeMap::new(),
            told: HashMap::new(),
        }
    }
}

impl Log {
    /// The term in which a life owns a slot.
    pub(super) fn term(&self, life: u64, slot: u16) -> Option<Term> {
        let Some(slots) = &self.slots else { return Some(0) };
        slots.owners.get(usize::from(slot)).filter(|owner| owner.life == Some(life)).map(|owner| owner.term)
    }

    /// Whether a commit touches only what is its hub's, in the terms that it was computed in.
    pub(super) fn admits(&self, life: u64, commit: &Commit) -> Result<(), Error> {
        let state = commit.state.iter().map(|change| change.place.partition);
        let touched = state.chain(commit.positions.iter().map(|(place, _)| place.partition));
        let lost = touched.into_iter().find(|slot| self.term(life, *slot).is_none());
        let over = commit.basis.iter().find(|(slot, term)| self.term(life, *slot) != Some(*term));
        match lost.or(over.map(|(slot, _)| *slot)) {
            Some(slot) => Err(Error::Lost { slot }),
            None => Ok(()),
        }
    }

    /// The offset of one more record for a slot of somebody else.
    pub(super) fn mailed(&mut self, life: u64, slot: u16) -> Option<Offset> {
        if self.term(life, slot).is_some() {
            return None;
        }
        let number = self.slots.as_mut()?.mails.get_mut(usize::from(slot))?;
        *number += 1;
        Some(MAILED | (*number - 1))
    }

    pub(super) fn mails(&self, slot: u16) -> u64 {
        self.slots.as_ref().and_then(|slots| slots.mails.get(usize::from(slot))).copied().unwrap_or_default()
    }

    pub(super) fn share(&mut self, space: &str, key: &str, value: Bytes) {
        match &mut self.slots {
            Some(slots) => drop(slots.facts.entry((space.to_owned(), key.to_owned())).or_insert(value)),
            None => {
                let spaces = self.state.entry(SHARED).or_default();
                let _ = spaces.entry(space.to_owned()).or_default().insert(key.to_owned(), value);
            }
        }
    }

    pub(super) fn facts(&self, space: &str) -> Vec<(String, Bytes)> {
        match &self.slots {
            Some(slots) => {
                let known = slots.facts.iter().filter(|((kind, _), _)| kind == space);
                known.map(|((_, key), value)| (key.clone(), value.clone())).collect()
            }
            None => {
                let known = self.space(SHARED, space).into_iter().flatten();
                known.map(|(key, value)| (key.clone(), value.clone())).collect()
            }
        }
    }

    pub(super) fn tell(&mut self, epoch: &str, bytes: Bytes) {
        if let Some(slots) = &mut self.slots {
            slots.told.entry(epoch.to_owned()).or_default().push_back(bytes);
        }
    }

    pub(super) fn hear(&mut self, epoch: &str) -> Option<Bytes> {
        self.slots.as_mut()?.told.get_mut(epoch)?.pop_front()
    }
}
