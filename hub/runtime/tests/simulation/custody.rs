//! Nothing lost, nothing doubled: each message that was taken has exactly one place in the store, at each commit, until it has
//! ended. A place is a record that its worker has not passed yet, or a value of keyed state.

use std::collections::{BTreeMap, BTreeSet};

use hub_backbone::{Commit, Offset, Place, Topic};
use hub_core::journal::{Event, What};
use serde::Deserialize;

/// Keyed state that holds a message.
const SPACES: [&str; 6] = ["held", "parked", "outbound", "wait", "task", "expired"];

/// As much of a record or value as tells whose it is.
#[derive(Deserialize)]
struct Read {
    r: Holder,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Holder {
    id: Option<String>,
    work: Option<Work>,
    send: Option<Held>,
    open: Option<Held>,
    open_task: Option<Held>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Held {
    work: Option<Work>,
}

#[derive(Deserialize)]
struct Work {
    id: String,
}

/// The message that a record or value carries.
fn carried(bytes: &[u8], state: bool) -> Option<String> {
    let holder = serde_json::from_slice::<Read>(bytes).ok()?.r;
    let inside = [holder.send, holder.open, holder.open_task].into_iter().flatten().find_map(|held| held.work);
    // A held message is written bare.
    let bare = holder.id.filter(|_| state && holder.work.is_none());
    holder.work.or(inside).map(|work| work.id).or(bare)
}

#[derive(Default)]
pub(crate) struct Custody {
    records: BTreeMap<(Place, Offset), String>,
    state: BTreeMap<(Place, &'static str, String), String>,
    places: BTreeMap<String, i64>,
    ended: BTreeSet<String>,
}

impl Custody {
    /// Follows a commit that is durable.
    pub(crate) fn follow(&mut self, commit: &Commit, offsets: &[Offset], events: &[Event]) -> Result<(), String> {
        let mut touched = BTreeSet::new();
        self.end(events, &mut touched);
        for ((place, record), offset) in commit.outputs.iter().zip(offsets) {
            if [Topic::INBOX, Topic::OUTBOX, Topic::WAITS].contains(&place.topic)
                && let Some(id) = carried(&record.bytes, false)
            {
                self.count(&id, 1, &mut touched);
                let _ = self.records.insert((*place, *offset), id);
            }
        }
        for change in commit.state.iter().filter(|change| SPACES.contains(&change.space)) {
            let key = (change.place, change.space, change.key.clone());
            self.leave_state(&key, &mut touched);
            if let Some(id) = change.value.as_ref().and_then(|value| carried(value, true)) {
                self.count(&id, 1, &mut touched);
                let _ = self.state.insert(key, id);
            }
        }
        for (place, next) in &commit.positions {
            self.pass(*place, *next, &mut touched);
        }
        touched.iter().try_for_each(|id| self.check(id))
    }

    /// The sender was told that the message is taken.
    pub(crate) fn told(&self, id: &str) -> Result<(), String> {
        match self.places.contains_key(id) {
            true => self.check(id),
            false => Err(format!("message {id} is lost: its sender was told \"taken\", and it is nowhere")),
        }
    }

    /// Messages that have not ended.
    pub(crate) fn unfinished(&self) -> impl Iterator<Item = &String> {
        self.places.keys().filter(|id| !self.ended.contains(*id))
    }

    pub(crate) fn has_ended(&self, id: &str) -> bool {
        self.ended.contains(id)
    }

    fn check(&self, id: &str) -> Result<(), String> {
        match (self.places.get(id).copied().unwrap_or_default(), self.ended.contains(id)) {
            (1, false) | (0, true) => Ok(()),
            (0, false) => Err(format!("message {id} is lost: it is nowhere, and has not ended")),
            // What a person gave up stays readable where it was.
            (1, true) => Ok(()),
            (count, _) => Err(format!("message {id} is in {count} places at once")),
        }
    }

    fn end(&mut self, events: &[Event], touched: &mut BTreeSet<String>) {
        for event in events {
            let id = match &event.what {
                What::Finished | What::Dropped { .. } => Some(event.message.clone()),
                What::Released { parked, action, .. } if action == "give_up" => self.given_up(parked),
                _ => None,
            };
            if let Some(id) = id {
                let _ = touched.insert(id.clone());
                let _ = self.ended.insert(id);
            }
        }
    }

    fn given_up(&self, parked: &str) -> Option<String> {
        self.state.iter().find(|((_, _, key), _)| key == parked).map(|(_, id)| id.clone())
    }

    fn pass(&mut self, place: Place, next: Offset, touched: &mut BTreeSet<String>) {
        let passed: Vec<_> = self.records.range((place, 0)..(place, next)).map(|(key, _)| *key).collect();
        for key in passed {
            if let Some(id) = self.records.remove(&key) {
                self.count(&id, -1, touched);
            }
        }
    }

    fn leave_state(&mut self, key: &(Place, &'static str, String), touched: &mut BTreeSet<String>) {
        if let Some(id) = self.state.remove(key) {
            self.count(&id, -1, touched);
        }
    }

    fn count(&mut self, id: &str, by: i64, touched: &mut BTreeSet<String>) {
        *self.places.entry(id.to_string()).or_default() += by;
        let _ = touched.insert(id.to_string());
    }
}
