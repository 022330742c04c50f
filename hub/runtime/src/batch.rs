//! One atomic step of a loop: what it reads sees what it has already written.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use hub_backbone::{Commit, Error as LogError, MAILED, Offset, Place, Term, Topic};
use hub_core::journal::{EVENT_VERSION, Event, What};
use hub_core::{Body, Case, Value, sha256_hex};
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::Error;
use crate::claim::{self, Claims};
use crate::record::{CaseRecord, InboxRecord, OutboxRecord, StoredBody, WaitRecord, Work, decode, encode};
use crate::tenure::Tenure;

/// Events of one case that one record takes: each is at most [`claim::EVENT_MAX`] large.
const EVENTS_MAX: usize = 64;

/// Bytes for the blob store that one batch holds back, at most.
const KEPT_MAX: usize = 8 << 20;

/// Bodies above this go to the blob store before their record.
const INLINE_MAX: usize = 16 * 1024;

/// Collects outputs and state changes of one commit.
pub(crate) struct Batch<'a> {
    claims: Claims<'a>,
    commit: Commit,
    overlay: HashMap<(Place, &'static str, String), Option<Bytes>>,
    /// Events, by case partition, so that one record carries those of one step.
    events: Vec<Event>,
    /// The last output of the topic `cases`, for positions that writes return.
    last_case: Option<(Place, usize)>,
    /// Slots that were looked at, and the terms in which: what was read of them counts in no other.
    basis: std::sync::Mutex<BTreeMap<u16, Term>>,
    /// Held from the first look at hub-wide keys until the commit is over, so that two partitions never both find a key
    /// unused. There is one such lock, and a batch takes it at most once: nobody waits in a circle.
    keys: Option<OwnedMutexGuard<()>>,
    /// Bytes for the blob store, by hash.
    kept: BTreeMap<String, Bytes>,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(claims: Claims<'a>) -> Self {
        let (commit, overlay, events) = (Commit::new(), HashMap::new(), Vec::new());
        let basis = std::sync::Mutex::default();
        Self { claims, commit, overlay, events, last_case: None, basis, keys: None, kept: BTreeMap::new() }
    }

    /// The same for a worker, which knows its slot as it was in its term.
    pub(crate) fn of(claims: Claims<'a>, tenure: &Tenure) -> Self {
        let batch = Self::new(claims);
        batch.rely_on(tenure.slot, tenure.term);
        batch
    }

    /// What is in this batch counts only in this term of the slot.
    pub(crate) fn rely_on(&self, slot: u16, term: Term) {
        let mut basis = self.basis.lock().unwrap_or_else(PoisonError::into_inner);
        let _first = basis.entry(slot).or_insert(term);
    }

    /// Whether a slot is this hub's now. If so, what follows is computed for its present term.
    pub(crate) fn owns(&self, slot: u16) -> bool {
        let term = self.claims.backbone.term(slot);
        term.inspect(|term| self.rely_on(slot, *term)).is_some()
    }

    /// Keeps other partitions away from hub-wide keys until this batch is committed or dropped.
    pub(crate) async fn lock_keys(&mut self, lock: &Arc<Mutex<()>>) {
        if self.keys.is_none() {
            self.keys = Some(lock.clone().lock_owned().await);
        }
    }

    /// Keeps bytes in the blob store, together with all others of this batch: they are durable before anything of the
    /// commit is. Gives their SHA-256.
    pub(crate) async fn keep(&mut self, bytes: &Bytes) -> Result<String, Error> {
        let sha256 = sha256_hex(bytes);
        let _ = self.kept.insert(sha256.clone(), bytes.clone());
        if self.kept.values().map(Bytes::len).sum::<usize>() > KEPT_MAX {
            self.keep_now().await?;
        }
        Ok(sha256)
    }

    /// A body as a record holds it; a large one is kept as a blob.
    pub(crate) async fn store_body(&mut self, body: &Body) -> Result<StoredBody, Error> {
        if body.bytes.len() > INLINE_MAX {
            return Ok(StoredBody::Blob(body.media, self.keep(&body.bytes).await?));
        }
        Ok(match std::str::from_utf8(&body.bytes) {
            Ok(text) => StoredBody::Text(body.media, text.to_string()),
            Err(_) => StoredBody::Hex(body.media, hex::encode(&body.bytes)),
        })
    }

    async fn keep_now(&mut self) -> Result<(), Error> {
        let kept: Vec<_> = std::mem::take(&mut self.kept).into_values().collect();
        Ok(self.claims.blobs.put_all(&kept).await?)
    }

    /// The partition that owns a key.
    pub(crate) fn place(&self, topic: Topic, key: &str) -> Place {
        Place::of_key(topic, key, self.claims.backbone.partitions())
    }

    /// A value of keyed state, as this batch has left it.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        place: Place,
        space: &'static str,
        key: &str,
    ) -> Result<Option<T>, Error> {
        let bytes = match self.overlay.get(&(place, space, key.to_string())) {
            Some(changed) => changed.clone(),
            // before the look: a term that ends meanwhile ends the batch
            None if !self.owns(place.partition) => return Err(LogError::Lost { slot: place.partition }.into()),
            None => self.claims.get(place, space, key).await?,
        };
        bytes.map(|bytes| decode(&format!("{place} state {space}/{key}"), &bytes)).transpose()
    }

    pub(crate) fn put<T: Serialize>(&mut self, place: Place, space: &'static str, key: &str, value: &T) {
        let bytes = Bytes::from(encode(value));
        let _ = self.overlay.insert((place, space, key.to_string()), Some(bytes.clone()));
        self.commit.put(place, space, key, bytes);
    }

    pub(crate) fn delete(&mut self, place: Place, space: &'static str, key: &str) {
        let _ = self.overlay.insert((place, space, key.to_string()), None);
        self.commit.delete(place, space, key);
    }

    /// Hands a message to the segment that it points at.
    pub(crate) fn work(&mut self, work: Work) {
        let (place, key) = (self.place(Topic::INBOX, &work.lane), work.id.to_string());
        self.commit.append(place, key, encode(&InboxRecord::Work(Box::new(work))));
    }

    pub(crate) fn inbox(&mut self, slot: u16, key: &str, record: &InboxRecord) {
        self.commit.append(Place::new(Topic::INBOX, slot), key, encode(record));
    }

    pub(crate) fn outbox(&mut self, place: Place, key: &str, record: &OutboxRecord) {
        self.commit.append(place, key, encode(record));
    }

    pub(crate) fn wait(&mut self, place: Place, key: &str, record: &WaitRecord) {
        self.commit.append(place, key, encode(record));
    }

    pub(crate) fn done(&mut self, place: Place, next: Offset) {
        self.commit.done(place, next);
    }

    /// Appends to the journal; only the owner of a case does.
    pub(crate) fn journal(&mut self, partition: u16, event: &Event) {
        self.commit.append(Place::new(Topic::JOURNAL, partition), event.case.id.clone(), encode_event(event));
    }

    /// Sends an event to the owner of its case.
    pub(crate) fn event(&mut self, event: Event) {
        self.events.push(claim::bounded(event));
    }

    /// Sends an event about a message to the owner of its case.
    pub(crate) fn tell(&mut self, work: &Work, at: Timestamp, what: What) {
        self.event(event_of(work, at, what));
    }

    /// Moves collected events into records: one for each run of events of one case, within limits.
    pub(crate) fn flush_events(&mut self) {
        let mut events = std::mem::take(&mut self.events).into_iter().peekable();
        while let Some(first) = events.next() {
            let case = first.case.id.clone();
            let mut run = vec![first];
            while let Some(next) = events.next_if(|next| next.case.id == case && run.len() < EVENTS_MAX) {
                run.push(next);
            }
            let place = self.place(Topic::CASES, &case);
            self.last_case = Some((place, self.commit.outputs.len()));
            self.commit.append(place, case, encode(&CaseRecord { events: run }));
        }
    }

    /// Which output carries the last events so far; see [`Written::position`].
    pub(crate) fn mark(&mut self) -> Option<(Place, usize)> {
        self.flush_events();
        self.last_case
    }

    /// Remembers where the batch stands, so that a message that fails half-way leaves nothing behind.
    pub(crate) fn savepoint(&mut self) -> Savepoint {
        self.flush_events();
        Savepoint { outputs: self.commit.outputs.len(), state: self.commit.state.len(), last_case: self.last_case }
    }

    /// Takes everything since the savepoint back.
    pub(crate) fn rollback(&mut self, to: &Savepoint) {
        self.events.clear();
        self.commit.outputs.truncate(to.outputs);
        self.commit.state.truncate(to.state);
        self.last_case = to.last_case;
        let replay = self.commit.state.iter().map(|c| ((c.place, c.space, c.key.clone()), c.value.clone()));
        self.overlay = replay.collect();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.commit.is_empty() && self.events.is_empty()
    }

    /// Makes everything durable.
    pub(crate) async fn commit(mut self) -> Result<Written, Error> {
        self.flush_events();
        self.keep_now().await?;
        last_words(&mut self.commit);
        self.commit.basis = self.basis.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().collect();
        self.claims.check_large(&mut self.commit).await?;
        let offsets = self.claims.backbone.commit(self.commit).await?;
        Ok(Written(offsets))
    }
}

/// Of several changes of one value only the last is written.
fn last_words(commit: &mut Commit) {
    let mut known = HashSet::with_capacity(commit.state.len());
    let last: Vec<bool> = commit.state.iter().rev().map(|c| known.insert((c.place, c.space, c.key.as_str()))).collect();
    let mut last = last.into_iter().rev();
    commit.state.retain(|_| last.next().unwrap_or(true));
}

/// See [`Batch::savepoint`].
pub(crate) struct Savepoint {
    outputs: usize,
    state: usize,
    last_case: Option<(Place, usize)>,
}

/// The offsets that a commit's outputs got.
pub(crate) struct Written(Vec<Offset>);

impl Written {
    /// The position of a marked output, as the API returns it; empty if nothing was marked.
    pub(crate) fn position(&self, mark: Option<(Place, usize)>) -> String {
        let offset = mark.and_then(|(place, index)| Some((place, *self.0.get(index)?)));
        match offset {
            None => String::new(),
            Some((place, offset)) if offset >= MAILED => format!("mail/{}@{}", place.partition, offset ^ MAILED),
            Some((place, offset)) => format!("{place}@{offset}"),
        }
    }
}

/// Journal events are written without the envelope of other records: they carry their own version.
fn encode_event(event: &Event) -> Vec<u8> {
    serde_json::to_vec(event).expect("invariant: events hold only values that JSON can hold")
}

/// An event about a message.
pub(crate) fn event_of(work: &Work, at: Timestamp, what: What) -> Event {
    Event {
        v: EVENT_VERSION,
        case: work.case.clone(),
        at,
        message: work.id.to_string(),
        route: work.route.clone(),
        version: work.version.clone(),
        segment: work.segment.clone(),
        what,
    }
}

/// An event about a case that no message of it caused.
pub(crate) fn event_about(case: &Case, at: Timestamp, what: What) -> Event {
    Event {
        v: EVENT_VERSION,
        case: case.clone(),
        at,
        message: String::new(),
        route: String::new(),
        version: String::new(),
        segment: String::new(),
        what,
    }
}

/// `null`, as a value.
pub(crate) const NULL: Value = Value::Null;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_change_of_a_value_is_written() {
        let (a, b) = (Place::new(Topic::CASES, 0), Place::new(Topic::CASES, 1));
        let mut commit = Commit::new();
        commit.put(a, "state", "x", "1");
        commit.put(b, "state", "x", "2");
        commit.put(a, "state", "y", "3");
        commit.delete(a, "state", "x");
        commit.put(a, "other", "x", "4");
        commit.put(a, "state", "y", "5");
        last_words(&mut commit);
        let left: Vec<_> = commit.state.iter().map(|c| (c.place, c.space, c.key.as_str(), c.value.clone())).collect();
        let value = |text: &'static str| Some(Bytes::from_static(text.as_bytes()));
        assert_eq!(
            left,
            [
                (b, "state", "x", value("2")),
                (a, "state", "x", None),
                (a, "other", "x", value("4")),
                (a, "state", "y", value("5")),
            ]
        );
    }
}
