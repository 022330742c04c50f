//! The list of sealed segments: one line each, `CHAIN {json}`, appended and never changed.
//!
//! The chain of a line is the SHA-256 of `PREVIOUS {json}` (the previous chain in hexadecimal, a space, the text), so that
//! `printf '%s %s' "$previous" "$json" | sha256sum` gives it.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::segment::chain_of;
use super::{damaged, io};
use crate::chain::{Chain, genesis_of};
use crate::{Error, Offset, Place};

/// Name of the index in the archive's folder.
pub(crate) const NAME: &str = "index.jsonl";

/// A sealed segment, as the index tells of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// The file, relative to the archive's folder.
    pub file: String,
    /// The partition, for example `journal/3`.
    pub place: String,
    /// Offset of the first record.
    pub first: Offset,
    /// Offset of the last record.
    pub last: Offset,
    /// How many records.
    pub count: u64,
    /// The chain of the record before the first, hexadecimal.
    pub before: String,
    /// The chain of the last record, hexadecimal.
    pub after: String,
    /// SHA-256 of the file, hexadecimal: its seal.
    pub sha256: String,
    /// Size of the file.
    pub bytes: u64,
    /// When it was sealed, for people.
    pub sealed_at: String,
}

impl Segment {
    /// The chain before the first record.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if it is not one.
    pub fn before_chain(&self) -> Result<Chain, Error> {
        chain_of(&self.before).ok_or_else(|| damaged(self, self.first, "the chain before it cannot be read".to_owned()))
    }
}

/// The chain before the first line.
#[must_use]
pub fn genesis() -> String {
    hex::encode(Sha256::digest(b"raccordo archive"))
}

/// The index, read and checked.
#[derive(Debug)]
pub(super) struct Index {
    segments: Vec<Segment>,
    /// The chain of the last line.
    chain: String,
    /// Where each partition's archive ends.
    ends: BTreeMap<String, (Offset, Chain)>,
    /// Length of the file up to the end of its last whole line.
    bytes: u64,
}

impl Index {
    /// Reads the index; what a crash has cut off is removed from it.
    pub(super) fn open(folder: &Path) -> Result<Self, Error> {
        let index = Self::look(folder)?;
        let path = folder.join(NAME);
        let cut = || {
            let file = OpenOptions::new().create(true).append(true).open(&path)?;
            file.set_len(index.bytes)?;
            file.sync_all()?;
            File::open(folder)?.sync_all()
        };
        cut().map_err(|e| io("open", &path, &e))?;
        Ok(index)
    }

    /// Reads the index without changing it.
    pub(super) fn look(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(NAME);
        let text = match fs::read(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => Vec::new(),
            other => other.map_err(|e| io("read", &path, &e))?,
        };
        let mut index = Self { segments: Vec::new(), chain: genesis(), ends: BTreeMap::new(), bytes: 0 };
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            // The last line of a writer that died: nothing was built on it.
            let Some(line) = line.strip_suffix(b"\n") else { break };
            let (segment, chain) = read_line(line, &index.chain).map_err(|detail| index.damage(&detail))?;
            index.add(segment, chain, line.len() as u64 + 1)?;
        }
        Ok(index)
    }

    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    pub(super) fn end(&self, place: Place) -> Option<(Offset, Chain)> {
        self.ends.get(&place.to_string()).copied()
    }

    /// Appends a line, durable on return.
    pub(super) fn append(&mut self, folder: &Path, segment: &Segment) -> Result<(), Error> {
        let path = folder.join(NAME);
        let json = serde_json::to_string(segment).map_err(|e| Error::Io(format!("a segment cannot be named: {e}")))?;
        let chain = chain_line(&self.chain, &json);
        let line = format!("{chain} {json}\n");
        let write = || {
            let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
            // What an earlier try has left behind, for example on a full disk.
            file.set_len(self.bytes)?;
            file.write_all(line.as_bytes())?;
            file.sync_all()
        };
        write().map_err(|e| io("write", &path, &e))?;
        self.add(segment.clone(), chain, line.len() as u64)
    }

    fn add(&mut self, segment: Segment, chain: String, bytes: u64) -> Result<(), Error> {
        let after = chain_of(&segment.after).ok_or_else(|| self.damage("a chain cannot be read"))?;
        let _ = self.ends.insert(segment.place.clone(), (segment.last + 1, after));
        self.segments.push(segment);
        self.chain = chain;
        self.bytes += bytes;
        Ok(())
    }

    /// The segments of each partition must follow each other.
    pub(super) fn judge_order(&self) -> Result<(), Error> {
        let mut ends: BTreeMap<&str, (Offset, &str)> = BTreeMap::new();
        for segment in &self.segments {
            let start = hex::encode(genesis_of(&segment.place));
            let (next, chain) = *ends.get(segment.place.as_str()).unwrap_or(&(0, start.as_str()));
            if segment.first != next || segment.before != chain {
                return Err(damaged(segment, next, "the segment does not follow the one before it".to_owned()));
            }
            let _ = ends.insert(&segment.place, (segment.last + 1, &segment.after));
        }
        Ok(())
    }

    fn damage(&self, detail: &str) -> Error {
        let offset = self.segments.len() as u64;
        let place = format!("archive {NAME}, line {}", offset + 1);
        Error::Corrupt { file: NAME.to_owned(), place, offset, detail: detail.to_owned() }
    }
}

fn chain_line(previous: &str, json: &str) -> String {
    hex::encode(Sha256::digest(format!("{previous} {json}")))
}

fn read_line(line: &[u8], previous: &str) -> Result<(Segment, String), String> {
    let text = std::str::from_utf8(line).map_err(|_| "it is not text".to_owned())?;
    let (chain, json) = text.split_once(' ').ok_or("it has no chain")?;
    if chain != chain_line(previous, json) {
        return Err("it does not fit the line before it".to_owned());
    }
    let segment = serde_json::from_str(json).map_err(|e| format!("it cannot be read: {e}"))?;
    Ok((segment, chain.to_owned()))
}
