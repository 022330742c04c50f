//! Claim checks: what is too large for a record lies in the blob store, and the record names it.

use bytes::Bytes;
use hub_backbone::{Backbone, Blobs, Commit, Place, Topic};
use hub_core::Value;
use hub_core::journal::{Event, What};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Error;
use crate::error::missing_blob;

/// Records and values above this go to the blob store first. A backbone takes records of up to 1 MiB.
const RECORD_MAX: usize = 256 * 1024;
/// The largest event of a journal; the longest texts of a larger one are cut.
pub(crate) const EVENT_MAX: usize = 32 * 1024;
/// Characters that are left of a text which is cut.
const CUT_CHARS: usize = 4000;
/// How a record begins that only names a blob.
const MARK: &[u8] = b"{\"blob\":";

#[derive(Serialize, Deserialize)]
struct Claim {
    blob: String,
}

/// The blob that a record or value only stands for, if it does.
pub(crate) fn claimed(bytes: &[u8]) -> Result<Option<String>, Error> {
    if !bytes.starts_with(MARK) {
        return Ok(None);
    }
    let claim: Claim =
        serde_json::from_slice(bytes).map_err(|e| Error::Format(format!("a claim check cannot be read: {e}")))?;
    Ok(Some(claim.blob))
}

/// A backbone whose records and values may be of any size.
#[derive(Clone, Copy)]
pub(crate) struct Claims<'a> {
    pub(crate) backbone: &'a dyn Backbone,
    pub(crate) blobs: &'a dyn Blobs,
}

impl Claims<'_> {
    /// A value of keyed state, whole.
    pub(crate) async fn get(&self, place: Place, space: &str, key: &str) -> Result<Option<Bytes>, Error> {
        match self.backbone.get(place, space, key).await? {
            Some(bytes) => self.whole(bytes).await.map(Some),
            None => Ok(None),
        }
    }

    /// What a record or value stands for.
    pub(crate) async fn whole(&self, bytes: Bytes) -> Result<Bytes, Error> {
        let Some(name) = claimed(&bytes)? else { return Ok(bytes) };
        let blob = self.blobs.get(&name).await?;
        blob.ok_or_else(|| missing_blob(&name))
    }

    /// Moves what is too large to the blob store. The journal is left as it is: views read it directly, and its events are
    /// [`bounded`].
    pub(crate) async fn check_large(&self, commit: &mut Commit) -> Result<(), Error> {
        for (place, record) in &mut commit.outputs {
            if record.bytes.len() > RECORD_MAX && place.topic != Topic::JOURNAL {
                record.bytes = self.claim(&record.bytes).await?;
            }
        }
        for change in &mut commit.state {
            if let Some(value) = change.value.as_mut().filter(|value| value.len() > RECORD_MAX) {
                *value = self.claim(value).await?;
            }
        }
        Ok(())
    }

    async fn claim(&self, bytes: &[u8]) -> Result<Bytes, Error> {
        let claim = Claim { blob: self.blobs.put(bytes).await? };
        let bytes = serde_json::to_vec(&claim).expect("invariant: a claim is a text, which JSON can hold");
        Ok(bytes.into())
    }
}

/// An event that fits into a journal: long texts that a route, a person or a receiver wrote are cut, and say so.
pub(crate) fn bounded(mut event: Event) -> Event {
    if !has_long_texts(&event.what) || size(&event) <= EVENT_MAX {
        return event;
    }
    match &mut event.what {
        What::Logged { text } => cut(text),
        What::Dropped { reason } => cut(reason),
        What::Received { source, sender, .. } => {
            cut(source);
            cut(sender);
        }
        What::TaskDecided { comment, .. } => cut(comment),
        What::TaskOpened(task) => cut(&mut task.title),
        What::Archived(document) => cut(&mut document.name),
        What::Released { note, .. } => cut(note),
        What::SendSettled { evidence, remote_id, .. } => {
            shorten(evidence);
            cut(remote_id);
        }
        What::Parked(parked) => {
            cut(&mut parked.reason);
            shorten(&mut parked.evidence);
        }
        What::WaitOpened { keys, .. } => {
            keys.truncate(20);
            keys.iter_mut().for_each(cut);
        }
        _ => {}
    }
    event
}

/// Whether there is anything to cut: most events have only names, and need not be measured.
fn has_long_texts(what: &What) -> bool {
    !matches!(what, What::State { .. } | What::Finished | What::SendIntended { .. } | What::WaitAnswered { .. })
}

fn size(event: &Event) -> usize {
    let mut count = Count(0);
    serde_json::to_writer(&mut count, event).map_or(0, |()| count.0)
}

/// Counts what is written, and keeps nothing.
struct Count(usize);

impl std::io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn cut(text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(CUT_CHARS) {
        let length = text.len();
        text.truncate(end);
        text.push_str(&format!(" ... (cut, {length} bytes)"));
    }
}

/// Evidence stays readable: its text is kept from the beginning.
fn shorten(value: &mut Value) {
    let mut text = value.to_string();
    if text.len() > CUT_CHARS {
        cut(&mut text);
        *value = json!({ "cut": text });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hub_core::{Case, MessageId};
    use jiff::Timestamp;

    fn event(what: What) -> Event {
        let case = Case::of_message(&MessageId::from_text("m"));
        let (route, version, segment) = (String::new(), String::new(), String::new());
        Event { v: 1, case, at: Timestamp::UNIX_EPOCH, message: "m".into(), route, version, segment, what }
    }

    #[test]
    fn long_texts_of_an_event_are_cut_and_short_events_are_left_alone() {
        let short = event(What::Logged { text: "è".repeat(100) });
        assert_eq!(bounded(short.clone()), short);
        let long = bounded(event(What::Logged { text: "è".repeat(1_000_000) }));
        assert!(size(&long) < EVENT_MAX, "{}", size(&long));
        assert!(matches!(long.what, What::Logged { text } if text.ends_with("(cut, 2000000 bytes)")));
    }

    #[tokio::test]
    async fn what_is_large_lies_in_the_blob_store_and_comes_back_whole() {
        let (backbone, blobs) = (hub_backbone::Memory::new(1), hub_backbone::MemoryBlobs::default());
        let claims = Claims { backbone: &backbone, blobs: &blobs };
        let place = Place::new(Topic::INBOX, 0);
        let large = vec![b'x'; 3 << 20];
        let mut commit = Commit::new();
        commit.append(place, "k", large.clone());
        commit.put(place, "held", "k", large.clone());
        claims.check_large(&mut commit).await.unwrap();
        let _ = backbone.commit(commit).await.unwrap();
        let stored = backbone.read(place, 0, 1, 1).await.unwrap().remove(0).bytes;
        assert!(stored.len() < 100);
        assert_eq!(claims.whole(stored).await.unwrap(), large);
        assert_eq!(claims.get(place, "held", "k").await.unwrap().unwrap(), large);
    }
}
