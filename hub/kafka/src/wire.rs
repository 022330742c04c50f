//! What our records look like on Kafka, and why a record is not one of ours.
//!
//! Every record has one header, `raccordo`: a byte for the version of the format, then
//! - in a log: the offset (8 bytes) and the chain (32 bytes); since version 2 also a mark of the life that wrote it (8 bytes);
//! - in a state topic: the sum of the value (8 bytes). The record's key is `space NUL key`; no value means deleted;
//! - in the mail of a slot: the topic that it is for (1 byte, its number among [`Topic::ALL`]) and the sum (8 bytes);
//! - in the topics of lives, claims, shared facts and replies: nothing more.
//!
//! Only records of logs have version 2; all others stay readable for every hub, so that one of an older version learns from
//! them that the store is not for it (`versions`).
//!
//! Numbers have their big end first. The hub's own facts about a partition are state of the empty space.

use bytes::Bytes;
use hub_backbone::chain::{Chain, value_sum};
use hub_backbone::{Offset, Place, RECORD_BYTES_MAX, Record, Stored, Topic};
use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, Header, Headers, OwnedHeaders};

/// The version of all records but those of logs, and the oldest of those.
pub(crate) const OLDEST: u8 = 1;
/// The newest version of records of logs. A hub reads all up to this one.
pub(crate) const NEWEST: u8 = 2;
const HEADER: &str = "raccordo";

/// Where the consumer of a partition stands.
pub(crate) const POSITION: &str = "position";
/// Below which offset records are removed, and the chain before it.
pub(crate) const FIRST: &str = "first";
/// Up to where the mail of a slot is in its logs, in Kafka's numbering. It stands at the slot's inbox.
pub(crate) const MAIL: &str = "mail";

/// How records of logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hand {
    /// The version.
    pub(crate) version: u8,
    /// The mark of the life that writes: see [`mark`].
    pub(crate) mark: u64,
}

/// The mark of a life in its records. The same for ever: FNV-1a, 64 bits.
pub(crate) fn mark(epoch: &str) -> u64 {
    epoch.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

pub(crate) fn log_header(hand: Hand, offset: Offset, chain: &Chain) -> Vec<u8> {
    let mut value = Vec::with_capacity(49);
    value.push(hand.version);
    value.extend_from_slice(&offset.to_be_bytes());
    value.extend_from_slice(chain);
    if hand.version > OLDEST {
        value.extend_from_slice(&hand.mark.to_be_bytes());
    }
    value
}

pub(crate) fn state_header(place: Place, space: &str, key: &str, value: Option<&Bytes>) -> Vec<u8> {
    let sum = value_sum(place, space, key, value.map_or(&[][..], |value| value));
    let mut header = vec![OLDEST];
    header.extend_from_slice(&sum.to_be_bytes());
    header
}

/// The header of a record whose value says everything.
pub(crate) fn plain_header() -> Vec<u8> {
    vec![OLDEST]
}

pub(crate) fn mail_header(place: Place, key: &str, bytes: &[u8]) -> Vec<u8> {
    let topic = Topic::ALL.iter().position(|topic| *topic == place.topic).and_then(|at| u8::try_from(at).ok());
    let mut header = vec![OLDEST, topic.unwrap_or(u8::MAX)];
    header.extend_from_slice(&value_sum(place, "mail", key, bytes).to_be_bytes());
    header
}

/// A record that another hub has appended to a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mail {
    /// The log that it belongs to.
    pub(crate) place: Place,
    pub(crate) record: Record,
    /// Where it stands in the slot's mail, in Kafka's numbering.
    pub(crate) number: u64,
}

/// A record of the mail of a slot, or the reason why no hub wrote it.
pub(crate) fn read_mail(message: &BorrowedMessage<'_>) -> Result<Mail, String> {
    let header = own_header(message, OLDEST, 10)?;
    let (topic, sum) = header.split_first().ok_or("its header is damaged")?;
    let topic = Topic::ALL.get(usize::from(*topic)).ok_or("it is for a topic that does not exist")?;
    let place = Place::new(*topic, u16::try_from(message.partition()).map_err(|_| "there is no such slot")?);
    let key = text(message.key().unwrap_or_default())?;
    let bytes = message.payload().unwrap_or_default();
    if bytes.len() > RECORD_BYTES_MAX || sum != value_sum(place, "mail", &key, bytes).to_be_bytes() {
        return Err("its content does not fit its sum".to_owned());
    }
    let record = Record { key, bytes: Bytes::copy_from_slice(bytes) };
    Ok(Mail { place, record, number: u64::try_from(message.offset()).unwrap_or_default() })
}

pub(crate) fn headers(value: &[u8]) -> OwnedHeaders {
    OwnedHeaders::new_with_capacity(1).insert(Header { key: HEADER, value: Some(value) })
}

/// Whether a record has this header.
pub(crate) fn is_header(message: &BorrowedMessage<'_>, value: &[u8]) -> bool {
    let all = message.headers();
    all.is_some_and(|all| all.iter().any(|header| header.key == HEADER && header.value == Some(value)))
}

pub(crate) fn state_key(space: &str, key: &str) -> String {
    format!("{space}\0{key}")
}

/// A record of a log, and the mark of the life that wrote it, if it says so.
#[derive(Debug)]
pub(crate) struct LogRecord {
    pub(crate) stored: Stored,
    pub(crate) mark: Option<u64>,
}

/// A record of a log, or the reason why no hub wrote it. `knows` is the newest version that this hub reads.
pub(crate) fn read_log(message: &BorrowedMessage<'_>, knows: u8) -> Result<LogRecord, String> {
    let newer = version(message)? > OLDEST && knows > OLDEST;
    let header = if newer { own_header(message, NEWEST, 49)? } else { own_header(message, OLDEST, 41)? };
    let damaged = || "its header is damaged".to_owned();
    let (number, rest) = header.split_first_chunk().ok_or_else(damaged)?;
    let (chain, rest) = rest.split_first_chunk::<32>().ok_or_else(damaged)?;
    let mark = rest.first_chunk().map(|mark| u64::from_be_bytes(*mark));
    let key = text(message.key().unwrap_or_default())?;
    let bytes = message.payload().unwrap_or_default();
    if bytes.len() > RECORD_BYTES_MAX {
        return Err(format!("it has {} bytes, at most {RECORD_BYTES_MAX} are allowed", bytes.len()));
    }
    let (offset, bytes) = (Offset::from_be_bytes(*number), Bytes::copy_from_slice(bytes));
    Ok(LogRecord { stored: Stored { offset, key, bytes, chain: *chain }, mark })
}

/// One value of keyed state.
#[derive(Debug)]
pub(crate) struct StateRecord {
    pub(crate) space: String,
    pub(crate) key: String,
    pub(crate) value: Option<Bytes>,
}

/// What is wrong with a record of a state topic.
#[derive(Debug)]
pub(crate) enum Odd {
    /// No hub wrote it.
    Foreign(String),
    /// A hub wrote it, and it is not what was written: to skip it would be to forget.
    Damaged(String),
}

/// A record of a state topic.
pub(crate) fn read_state(place: Place, message: &BorrowedMessage<'_>) -> Result<StateRecord, Odd> {
    let header = own_header(message, OLDEST, 9).map_err(Odd::Foreign)?;
    let key = text(message.key().unwrap_or_default()).map_err(Odd::Foreign)?;
    let (space, key) = key.split_once('\0').ok_or_else(|| Odd::Foreign("its key names no space".to_owned()))?;
    let value = message.payload().map(Bytes::copy_from_slice);
    let sum = value_sum(place, space, key, value.as_ref().map_or(&[][..], |value| value));
    match header == sum.to_be_bytes() {
        true => Ok(StateRecord { space: space.to_owned(), key: key.to_owned(), value }),
        false => Err(Odd::Damaged(format!("the value of {space} {key} does not fit its sum"))),
    }
}

/// A record of a topic whose values say everything: its key and its value.
pub(crate) fn read_plain(message: &BorrowedMessage<'_>) -> Result<(String, Bytes), String> {
    let _version = own_header(message, OLDEST, 1)?;
    let key = text(message.key().unwrap_or_default())?;
    Ok((key, Bytes::copy_from_slice(message.payload().unwrap_or_default())))
}

fn text(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| "its key is no text".to_owned())
}

/// Our header.
fn header<'a>(message: &'a BorrowedMessage<'_>) -> Result<&'a [u8], String> {
    let all = message.headers().ok_or("it has no headers: another program wrote it")?;
    let ours = all.iter().find(|header| header.key == HEADER).and_then(|header| header.value);
    ours.ok_or_else(|| format!("it has no header `{HEADER}`: another program wrote it"))
}

fn version(message: &BorrowedMessage<'_>) -> Result<u8, String> {
    header(message)?.first().copied().ok_or_else(|| "its header is empty".to_owned())
}

/// What stands behind the version in our header, of so many bytes in all.
fn own_header<'a>(message: &'a BorrowedMessage<'_>, wanted: u8, length: usize) -> Result<&'a [u8], String> {
    match header(message)? {
        [version, rest @ ..] if *version == wanted && rest.len() + 1 == length => Ok(rest),
        [version, rest @ ..] if *version == wanted => {
            Err(format!("its header has {} bytes instead of {length}", rest.len() + 1))
        }
        [version, ..] => Err(format!("its format has version {version}, this hub knows {wanted}")),
        [] => Err("its header is empty".to_owned()),
    }
}

/// Where the kept part of a log begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct First {
    pub(crate) offset: Offset,
    /// The chain before it.
    pub(crate) chain: Chain,
    /// In Kafka's numbering, everything before this may be gone.
    pub(crate) at: i64,
}

pub(crate) fn first_value(first: First) -> Bytes {
    [&first.offset.to_be_bytes()[..], &first.at.to_be_bytes(), &first.chain].concat().into()
}

pub(crate) fn read_first(value: &[u8]) -> Option<First> {
    let (offset, rest) = value.split_at_checked(8)?;
    let (at, chain) = rest.split_at_checked(8)?;
    let (offset, at) = (Offset::from_be_bytes(offset.try_into().ok()?), i64::from_be_bytes(at.try_into().ok()?));
    Some(First { offset, chain: chain.try_into().ok()?, at })
}

/// An offset as a value of state.
pub(crate) fn offset_value(offset: Offset) -> Bytes {
    Bytes::copy_from_slice(&offset.to_be_bytes())
}

pub(crate) fn read_position(value: &[u8]) -> Option<Offset> {
    value.try_into().ok().map(Offset::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_come_back_as_they_were() {
        let first = First { offset: 7, chain: [3; 32], at: 9 };
        assert_eq!(read_first(&first_value(first)), Some(first));
        assert_eq!(read_first(b"short"), None);
        assert_eq!(read_position(&9u64.to_be_bytes()), Some(9));
        assert_eq!(read_position(b""), None);
        assert_eq!(log_header(Hand { version: 1, mark: 7 }, 1, &[0; 32]).len(), 41);
        assert_eq!(log_header(Hand { version: 2, mark: 7 }, 1, &[0; 32])[41..], 7u64.to_be_bytes());
    }
}
