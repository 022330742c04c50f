//! What stands in the backbone's records and keyed state, besides the journal. JSON, with a format version in each record.

use hub_backbone::Place;
use hub_core::journal::{Event, Task};
use hub_core::{Case, Headers, Media, MessageId, Receipt, Value};
use hub_life::outbound::Action;
use hub_life::task::{TaskState, Word};
use hub_life::wait::WaitState;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::admit::Offered;

/// Format version of everything in this module.
const VERSION: u8 = 1;

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    v: u8,
    r: T,
}

/// Writes a record.
pub(crate) fn encode<T: Serialize>(record: &T) -> Vec<u8> {
    serde_json::to_vec(&Versioned { v: VERSION, r: record })
        .expect("invariant: records hold only values that JSON can hold")
}

/// Reads a record that this hub or an older one wrote.
pub(crate) fn decode<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, Error> {
    let read: Versioned<T> =
        serde_json::from_slice(bytes).map_err(|e| Error::Format(format!("{what} cannot be read: {e}")))?;
    if read.v > VERSION {
        return Err(Error::Format(format!(
            "{what} has format {}, this hub knows {VERSION}: use the newer hub",
            read.v
        )));
    }
    Ok(read.r)
}

/// A body inside a record, or where to find it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StoredBody {
    /// Text, inline.
    Text(Media, String),
    /// Other bytes, inline, in base 16.
    Hex(Media, String),
    /// In the blob store, under its SHA-256 (claim check).
    Blob(Media, String),
}

/// A message on its way through its route: it enters `segment` next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Work {
    pub(crate) id: MessageId,
    pub(crate) route: String,
    pub(crate) version: String,
    pub(crate) segment: String,
    /// Operations of the segment that are done already (the judges, at admission).
    #[serde(default)]
    pub(crate) skip: usize,
    /// The message's own time in this segment.
    pub(crate) at: Timestamp,
    pub(crate) lane: String,
    pub(crate) case: Case,
    pub(crate) headers: Headers,
    pub(crate) body: StoredBody,
    /// Names bound by `as`, and `vars`.
    pub(crate) bound: Value,
    /// A blob with what a parent had bound before its split; `bound` lies on top of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) base: Option<String>,
    /// Failures of steps of this segment so far.
    #[serde(default)]
    pub(crate) failures: u32,
    /// The recovery after which it was admitted; empty: none was.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) era: String,
    /// When it was admitted, where an era is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) admitted: Option<Timestamp>,
}

impl Work {
    /// The same message at another segment, with one more name bound.
    pub(crate) fn at_segment(mut self, segment: &str, at: Timestamp, bind: Option<&str>, value: Value) -> Self {
        self.segment = segment.to_string();
        self.at = at;
        self.skip = 0;
        self.failures = 0;
        if let (Some(name), Value::Object(bound)) = (bind, &mut self.bound) {
            let _ = bound.insert(name.to_string(), value);
        }
        self
    }
}

/// A command of a person about something parked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ReleaseCommand {
    /// Who waits for the verdict.
    pub(crate) command: String,
    pub(crate) parked: String,
    pub(crate) action: ActionName,
    pub(crate) by: String,
    pub(crate) entities: Vec<String>,
    pub(crate) note: String,
}

/// A person's word about a recovery.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct RecoveryCommand {
    /// Who waits for the verdict.
    pub(crate) command: String,
    pub(crate) word: RecoveryWord,
    pub(crate) by: String,
    pub(crate) note: String,
}

/// What they say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RecoveryWord {
    /// Messages of this lane may be sent.
    ReleaseLane(String),
    /// It is over.
    End,
}

/// [`Action`], as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ActionName {
    Retry,
    Delivered,
    NotDelivered,
    GiveUp,
}

impl From<Action> for ActionName {
    fn from(action: Action) -> Self {
        match action {
            Action::Retry => Self::Retry,
            Action::Delivered => Self::Delivered,
            Action::NotDelivered => Self::NotDelivered,
            Action::GiveUp => Self::GiveUp,
        }
    }
}

impl From<ActionName> for Action {
    fn from(action: ActionName) -> Self {
        match action {
            ActionName::Retry => Self::Retry,
            ActionName::Delivered => Self::Delivered,
            ActionName::NotDelivered => Self::NotDelivered,
            ActionName::GiveUp => Self::GiveUp,
        }
    }
}

/// A record of the inbox.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum InboxRecord {
    Work(Box<Work>),
    Release(ReleaseCommand),
    /// A message that another hub has judged, for the owner of its keys.
    Offered(Box<Offered>),
    /// The owner of an operation's key has decided about the message that holds this transport key.
    Keyed {
        transport: String,
        message: String,
        keep: bool,
    },
    /// Whether a key of `idempotent` was seen before, asked by the slot of a message that waits for the answer.
    Claim(KeyClaim),
    /// The answer.
    Claimed {
        lane: String,
        note: String,
        again: bool,
    },
}

/// A question about a key of `idempotent` in the middle of a route.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct KeyClaim {
    pub(crate) key: String,
    /// The message that asks, and its case.
    pub(crate) by: String,
    pub(crate) case: String,
    pub(crate) at: Timestamp,
    pub(crate) until: Timestamp,
    /// Who hears the answer: the slot, the lane that waits there, and the name of the note that is left.
    pub(crate) home: Partition,
    pub(crate) lane: String,
    pub(crate) note: String,
}

/// A message that a step could not finish, or that was not admitted: waits for a person.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ParkedWork {
    pub(crate) kind: hub_core::journal::ParkedKind,
    pub(crate) work: Work,
}

/// A record of the outbox.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OutboxRecord {
    Send(Box<Outbound>),
    Witnessed { outgoing: String, receipt: Receipt },
    Release(ReleaseCommand),
    Recovery(RecoveryCommand),
}

/// What does not change about an outbound message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Outbound {
    /// Identity of the send; also the idempotency key.
    pub(crate) id: String,
    /// The message, already pointed at the segment that follows the send.
    pub(crate) work: Work,
    /// The segment that ends with this send: names the sink.
    pub(crate) from: String,
    /// The sink's kind.
    pub(crate) sink: String,
    /// Order of sending.
    pub(crate) lane: String,
    /// Values of the sink's expression fields.
    pub(crate) params: Value,
    /// The name to bind the receipt to.
    pub(crate) bind: Option<String>,
    /// Keys by which an answer through another door proves the delivery.
    pub(crate) witness: Option<(String, Vec<String>)>,
    /// Hash of the bytes.
    pub(crate) sha256: String,
}

/// A place in the backbone, as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Partition(pub(crate) u16);

/// A record of the waits.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WaitRecord {
    /// A message begins to wait; this partition is the wait's home.
    Open(Box<Wait>),
    /// Another key of a wait whose home is elsewhere.
    Alias { name: String, key: String, home: Partition, wait: String },
    /// An answer for a key.
    Answer(Answer),
    /// An answer for a wait whose home is here.
    Forwarded { wait: String, answer: Answer },
    /// The wait that an answer was forwarded to had been answered already: the answer is kept here, at its key.
    Unclaimed(Answer),
    /// A wait is over: another key of it leads nowhere.
    Forget { name: String, key: String, wait: String },
    /// A send whose delivery an answer for this key would prove.
    Witness { name: String, key: String, home: Partition, outgoing: String },
    /// A task for people.
    OpenTask(Box<OpenTask>),
    /// A person's word.
    Word { command: String, task: String, word: Word },
    /// A person's decision about an overdue wait.
    Release(ReleaseCommand),
}

/// An answer that came through some door.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) name: String,
    pub(crate) key: String,
    /// The message that brought it.
    pub(crate) by: String,
    pub(crate) value: Value,
    pub(crate) at: Timestamp,
}

/// A message that waits for an answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Wait {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) keys: Vec<String>,
    /// The message, already pointed at the segment that follows.
    pub(crate) work: Work,
    pub(crate) bind: Option<String>,
    pub(crate) within_ms: u64,
    pub(crate) on_timeout: OnTimeoutName,
    pub(crate) life: WaitState,
    /// The task that was opened when the deadline passed.
    #[serde(default)]
    pub(crate) task: Option<String>,
}

/// What to do when nobody answers in time, as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnTimeoutName {
    Park,
    Task(String),
    Segment(String),
}

/// A task for people, and the message that waits for it (none for tasks that only tell).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct OpenTask {
    pub(crate) task: Task,
    pub(crate) life: TaskState,
    pub(crate) case: Case,
    /// The message, pointed at the segment that follows an approval; `None`: nobody waits.
    pub(crate) work: Option<Work>,
    pub(crate) bind: Option<String>,
    /// Where a rejected message goes on.
    pub(crate) on_reject: Option<String>,
    /// How long people have.
    pub(crate) within_ms: u64,
    /// The overdue wait that the task tells about.
    #[serde(default)]
    pub(crate) about: Option<String>,
    /// Words that counted: person, decision, comment.
    #[serde(default)]
    pub(crate) words: Vec<Value>,
}

/// A record of the cases.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CaseRecord {
    pub(crate) events: Vec<Event>,
}

/// Names the owner of something parked or of a task inside its id, so that a command finds its partition: `i3-…`.
pub(crate) fn owned_id(place: Place, id: &str) -> String {
    format!("{}{}-{id}", &place.topic.0[..1], place.partition)
}

/// The owner's partition and the id inside.
pub(crate) fn owner_of(id: &str) -> Option<(char, u16, &str)> {
    let (owner, inner) = id.split_once('-')?;
    let topic = owner.chars().next()?;
    Some((topic, owner.get(1..)?.parse().ok()?, inner))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hub_backbone::Topic;

    #[test]
    fn a_newer_format_is_refused_with_a_word() {
        let newer = br#"{"v":9,"r":{"events":[]}}"#;
        let error = decode::<CaseRecord>("case record", newer).unwrap_err().to_string();
        assert!(error.contains("format 9"), "{error}");
    }

    #[test]
    fn ids_name_their_owner() {
        let id = owned_id(Place::new(Topic::OUTBOX, 12), "abc-def");
        assert_eq!(owner_of(&id), Some(('o', 12, "abc-def")));
        assert_eq!(owner_of("nonsense"), None);
        assert_eq!(owner_of("é1-x"), None);
    }
}
