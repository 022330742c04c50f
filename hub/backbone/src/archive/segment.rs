//! One file of sealed records.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use flate2::{Compression, GzBuilder};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::index::Segment;
use super::{damaged, io};
use crate::chain::{Chain, link};
use crate::{Error, Offset, Place, Stored};

/// Present format of segments and of the index.
pub(super) const FORMAT: u8 = 1;
/// Content of one segment, at most, in bytes: it is held in memory while it is sealed and read back.
pub const SEGMENT_BYTES_MAX: usize = 32 << 20;
/// Longest line that is read: the largest record, escaped, with its key.
const LINE_BYTES_MAX: u64 = 16 << 20;

/// The first line.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: u8,
    place: String,
    first: Offset,
    last: Offset,
    count: u64,
    /// The chain of the record before `first`.
    before: String,
    /// The chain of `last`.
    after: String,
}

/// One record: its content stands as text if it is UTF-8, else in base 64.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    offset: Offset,
    key: std::borrow::Cow<'a, str>,
    chain: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<std::borrow::Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

/// How the name of a segment's file begins.
pub(super) fn name_begins(first: Offset) -> String {
    format!("{first:012}-")
}

/// The segment of these records, which follow `from`, and the bytes of its file. Every link is checked.
pub(super) fn build(
    place: Place,
    from: (Offset, Chain),
    records: &[Stored],
    at: &str,
) -> Result<(Segment, Vec<u8>), Error> {
    let (first, before) = from;
    let file = || "what is to be sealed".to_owned();
    let wrong = |offset, detail: &str| Error::Corrupt {
        file: file(),
        place: place.to_string(),
        offset,
        detail: detail.to_owned(),
    };
    let last = records.last().ok_or_else(|| wrong(first, "there is nothing to seal"))?;
    follow(from, records).map_err(|(offset, detail)| wrong(offset, detail))?;
    let header = Header {
        format: FORMAT,
        place: place.to_string(),
        first,
        last: last.offset,
        count: records.len() as u64,
        before: hex::encode(before),
        after: hex::encode(last.chain),
    };
    let bytes = pack(&header, records).map_err(|e| Error::Io(format!("a segment cannot be packed: {e}")))?;
    let segment = Segment {
        file: format!("{}-{:04}/{}{:012}.jsonl.gz", place.topic.0, place.partition, name_begins(first), last.offset),
        place: header.place,
        first,
        last: last.offset,
        count: header.count,
        before: header.before,
        after: header.after,
        sha256: hex::encode(Sha256::digest(&bytes)),
        bytes: bytes.len() as u64,
        sealed_at: at.to_owned(),
    };
    Ok((segment, bytes))
}

/// The first record that does not follow, if there is one.
fn follow((mut next, mut chain): (Offset, Chain), records: &[Stored]) -> Result<(), (Offset, &'static str)> {
    for record in records {
        if record.offset != next {
            return Err((next, "the record is missing"));
        }
        if link(&chain, record.offset, &record.key, &record.bytes) != record.chain {
            return Err((next, "the content does not fit the chain"));
        }
        (next, chain) = (next + 1, record.chain);
    }
    Ok(())
}

fn pack(header: &Header, records: &[Stored]) -> std::io::Result<Vec<u8>> {
    // No time and no name in the gzip header: the same records give the same bytes.
    let mut out = GzBuilder::new().mtime(0).write(Vec::new(), Compression::new(6));
    serde_json::to_writer(&mut out, header)?;
    out.write_all(b"\n")?;
    for record in records {
        let text = std::str::from_utf8(&record.bytes).ok();
        let line = Line {
            offset: record.offset,
            key: record.key.as_str().into(),
            chain: hex::encode(record.chain),
            text: text.map(Into::into),
            base64: text.is_none().then(|| STANDARD.encode(&record.bytes)),
        };
        serde_json::to_writer(&mut out, &line)?;
        out.write_all(b"\n")?;
    }
    out.finish()
}

/// Writes a file so that it is there whole or not at all, and durable.
pub(super) fn write(root: &Path, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(root);
    if !folder.is_dir() {
        fs::create_dir_all(folder)?;
        File::open(root)?.sync_all()?;
    }
    let tmp = root.join("segment.tmp");
    let mut file = File::create(&tmp)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&tmp, path)?;
    File::open(folder)?.sync_all()
}

/// Reads a segment and checks everything in it.
pub(super) fn read(root: &Path, segment: &Segment) -> Result<Vec<Stored>, Error> {
    let path = root.join(&segment.file);
    let wrong = |offset, detail: String| damaged(segment, offset, detail);
    let bytes = match fs::read(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(wrong(segment.first, "the file is missing".to_owned()));
        }
        other => other.map_err(|e| io("read", &path, &e))?,
    };
    let is_sealed = hex::encode(Sha256::digest(&bytes)) == segment.sha256;
    let records = unpack(segment, &bytes).map_err(|(offset, detail)| wrong(offset, detail))?;
    if !is_sealed {
        // Reached when the damage is where it changes nothing that is read, for example in the gzip header.
        return Err(wrong(segment.first, "the file's SHA-256 is not the one in the index".to_owned()));
    }
    Ok(records)
}

type Damage = (Offset, String);

fn unpack(segment: &Segment, bytes: &[u8]) -> Result<Vec<Stored>, Damage> {
    let mut lines = Lines { reader: BufReader::new(MultiGzDecoder::new(bytes)), buffer: Vec::new() };
    let mut next = segment.first;
    let header: Header = lines.next().map_err(|e| (next, format!("the header {e}")))?;
    let stated = Header {
        format: FORMAT,
        place: segment.place.clone(),
        first: segment.first,
        last: segment.last,
        count: segment.count,
        before: segment.before.clone(),
        after: segment.after.clone(),
    };
    if header != stated {
        return Err((next, "the header is not what the index says".to_owned()));
    }
    let mut chain = chain_of(&segment.before).ok_or((next, "the chain before it cannot be read".to_owned()))?;
    let mut records = Vec::new();
    while next <= segment.last {
        let line: Line<'_> = lines.next().map_err(|e| (next, format!("the record {e}")))?;
        let record = stored(line).ok_or((next, "the record cannot be read".to_owned()))?;
        follow((next, chain), std::slice::from_ref(&record)).map_err(|(offset, detail)| (offset, detail.to_owned()))?;
        (next, chain) = (next + 1, record.chain);
        records.push(record);
    }
    match (hex::encode(chain) == segment.after, lines.is_over()) {
        (true, true) => Ok(records),
        (false, _) => Err((segment.last, "the last record is not the one that was sealed".to_owned())),
        (_, false) => Err((segment.last, "there is something after the last record".to_owned())),
    }
}

fn stored(line: Line<'_>) -> Option<Stored> {
    let bytes = match (line.text, line.base64) {
        (Some(text), None) => Bytes::from(text.into_owned()),
        (None, Some(text)) => STANDARD.decode(text).ok()?.into(),
        _ => return None,
    };
    Some(Stored { offset: line.offset, key: line.key.into_owned(), bytes, chain: chain_of(&line.chain)? })
}

/// A chain as it is written in hexadecimal.
pub(super) fn chain_of(text: &str) -> Option<Chain> {
    hex::decode(text).ok()?.try_into().ok()
}

struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    fn next<'de, T: Deserialize<'de>>(&'de mut self) -> Result<T, String> {
        self.buffer.clear();
        let mut limited = self.reader.by_ref().take(LINE_BYTES_MAX);
        let _ = limited.read_until(b'\n', &mut self.buffer).map_err(|e| format!("cannot be read: {e}"))?;
        if self.buffer.is_empty() {
            return Err("is missing".to_owned());
        }
        serde_json::from_slice(&self.buffer).map_err(|e| format!("cannot be read: {e}"))
    }

    fn is_over(&mut self) -> bool {
        self.reader.fill_buf().is_ok_and(<[u8]>::is_empty)
    }
}
