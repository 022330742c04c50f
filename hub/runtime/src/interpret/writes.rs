//! Operations that write something down: states, documents, answers, keys that were seen.

use std::time::Duration;

use hub_backbone::Topic;
use hub_core::journal::{Document, What};
use hub_core::{Case, Media, Value};
use hub_route::expression::Program;
use hub_route::plan::StateName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Halt, Run, wait_key};
use crate::Error;
use crate::batch::{Batch, event_of};
use crate::hub::Shared;
use crate::record::{Answer, KeyClaim, Partition, StoredBody, WaitRecord};

/// Who used a key of `idempotent` in the middle of a route.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum SeenBy {
    /// The message and its case, when, and until when the key is remembered if the message is over then.
    Term { by: String, case: String, at: Timestamp, until: Timestamp },
    /// The message only: written before keys had a term.
    Message(String),
}

impl SeenBy {
    fn message(&self) -> &str {
        match self {
            Self::Term { by, .. } | Self::Message(by) => by,
        }
    }
}

impl Run<'_> {
    pub(super) fn state(
        &mut self,
        place: &str,
        to: &StateName,
        other: (Option<&Program>, Option<&Program>, Option<&str>),
        batch: &mut Batch<'_>,
    ) -> Result<(), Halt> {
        let to = match to {
            StateName::Fixed(name) => name.clone(),
            StateName::Computed(program) => self.text(place, program)?,
        };
        let mut event =
            event_of(&self.work, self.now, What::State { to, from: String::new(), moved: false, note: String::new() });
        if let Some(id) = other.0 {
            let entity = other.1.map(|entity| self.text(place, entity)).transpose()?;
            let kind = other.2.unwrap_or(&self.work.case.kind).to_string();
            let entity = entity.or_else(|| self.work.case.entity.clone());
            event.case = Case { kind, id: self.key(place, id)?, entity, amount: None };
        }
        batch.event(event);
        Ok(())
    }

    pub(super) async fn archive(
        &mut self,
        class: &str,
        name: Option<String>,
        retain: Duration,
        batch: &mut Batch<'_>,
    ) -> Result<(), Halt> {
        let body = &self.message.body;
        let sha256 = batch.keep(&body.bytes).await?;
        self.stored = Some(StoredBody::Blob(body.media, sha256.clone()));
        let extension = match body.media {
            Media::Json => "json",
            Media::Xml => "xml",
            Media::Text => "txt",
            Media::Bytes => "bin",
        };
        let retain = i64::try_from(retain.as_secs()).unwrap_or(i64::MAX);
        let retain_until =
            Timestamp::from_second(self.now.as_second().saturating_add(retain)).unwrap_or(Timestamp::MAX);
        let document = Document {
            class: class.to_string(),
            name: name.unwrap_or_else(|| format!("{}.{extension}", self.work.id)),
            sha256,
            bytes: body.bytes.len() as u64,
            mime: body.media.mime().to_string(),
            retain_until,
        };
        self.tell(batch, What::Archived(document));
        Ok(())
    }

    pub(super) fn answer(&self, name: &str, key: String, value: Value, batch: &mut Batch<'_>) {
        let place = batch.place(Topic::WAITS, &wait_key(name, &key));
        let by = self.work.id.to_string();
        let answer = Answer { name: name.to_string(), key, by, value, at: self.now };
        batch.wait(place, &self.work.id.to_string(), &WaitRecord::Answer(answer));
    }

    /// Whether a key of the route was seen before; if not, it is now (with this commit).
    pub(super) async fn seen(
        &self,
        place: &str,
        key: String,
        remember: Duration,
        batch: &mut Batch<'_>,
    ) -> Result<bool, Halt> {
        let key = format!("{}\u{1f}{place}\u{1f}{key}", self.work.route);
        let until = self.now.checked_add(remember).unwrap_or(Timestamp::MAX);
        let (by, case) = (self.work.id.to_string(), self.work.case.id.clone());
        let lane = self.work.lane.clone();
        let here = batch.place(Topic::INBOX, &lane);
        let note = format!("{by}\u{1f}{key}");
        if let Some(again) = batch.get::<bool>(here, "claimed", &note).await? {
            batch.delete(here, "claimed", &note);
            return Ok(again);
        }
        let claim = KeyClaim { key, by, case, at: self.now, until, home: Partition(here.partition), lane, note };
        match batch.owns(batch.place(Topic::INBOX, &claim.key).partition) {
            true => Ok(claim_key(self.shared, batch, &claim).await?),
            false => Err(Halt::Elsewhere(Box::new(claim))),
        }
    }
}

/// Whether a key was seen before, in another message; if not, it is now (with this commit). Asked of the key's owner.
pub(crate) async fn claim_key(shared: &Shared, batch: &mut Batch<'_>, claim: &KeyClaim) -> Result<bool, Error> {
    let home = batch.place(Topic::INBOX, &claim.key);
    batch.lock_keys(&shared.keys).await;
    let seen = batch.get::<SeenBy>(home, "seen", &claim.key).await?;
    let again = seen.is_some_and(|seen| seen.message() != claim.by);
    if !again {
        let KeyClaim { by, case, at, until, .. } = claim.clone();
        batch.put(home, "seen", &claim.key, &SeenBy::Term { by, case, at, until });
    }
    Ok(again)
}
