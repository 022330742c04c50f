//! The list of files with their hashes, as `sha256sum` writes and reads it.

use std::fs::File;
use std::io::Read;
use std::path::{Component, Path};

use sha2::{Digest, Sha256};

use super::files::at;
use crate::Error;

/// Bytes that are hashed at once.
const CHUNK: usize = 1 << 20;

#[derive(Debug, Default)]
pub(super) struct Sums {
    /// Hash and path, in the order in which they were added.
    files: Vec<(String, String)>,
    bytes: u64,
}

impl Sums {
    pub(super) fn add(&mut self, path: &str, bytes: &[u8]) {
        self.add_known(path, hex::encode(Sha256::digest(bytes)), bytes.len() as u64);
    }

    pub(super) fn add_known(&mut self, path: &str, sha256: String, bytes: u64) {
        self.files.push((sha256, path.to_owned()));
        self.bytes += bytes;
    }

    pub(super) fn add_file(&mut self, folder: &Path, path: &str) -> Result<(), Error> {
        let (sha256, bytes) = hash(&folder.join(path))?;
        self.add_known(path, sha256, bytes);
        Ok(())
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn text(&self) -> String {
        self.files.iter().map(|(sha256, path)| format!("{sha256}  {path}\n")).collect()
    }

    /// Reads a list whose own hash was checked; paths that lead elsewhere are refused all the same.
    pub(super) fn read(text: &[u8]) -> Result<Self, Error> {
        let wrong = |line: &str| Error::Io(format!("the list of files has a line that makes no sense: {line:?}"));
        let text = std::str::from_utf8(text).map_err(|_| wrong("not text"))?;
        let mut sums = Self::default();
        for line in text.lines() {
            let (sha256, path) = line.split_once("  ").ok_or_else(|| wrong(line))?;
            if !Path::new(path).components().all(|part| matches!(part, Component::Normal(_))) {
                return Err(wrong(line));
            }
            sums.files.push((sha256.to_owned(), path.to_owned()));
        }
        Ok(sums)
    }

    /// The paths below a folder of the backup, without it.
    pub(super) fn below<'s>(&'s self, folder: &'s str) -> impl Iterator<Item = (&'s str, &'s str)> {
        let inside = move |path: &'s str| path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'));
        self.files.iter().filter_map(move |(sha256, path)| inside(path).map(|rest| (sha256.as_str(), rest)))
    }

    /// Compares every file with its hash.
    pub(super) fn check(&self, folder: &Path) -> Result<(), Error> {
        for (sha256, path) in &self.files {
            let file = folder.join(path);
            if hash(&file)?.0 != *sha256 {
                let advice = "keep the backup for those who look into it, and take another one";
                return Err(Error::Io(format!("{} is not what was written: {advice}", file.display())));
            }
        }
        Ok(())
    }
}

/// A file's hash and size.
fn hash(path: &Path) -> Result<(String, u64), Error> {
    let mut file = File::open(path).map_err(|e| at(path, &e))?;
    let (mut sha, mut bytes, mut chunk) = (Sha256::new(), 0, vec![0; CHUNK]);
    loop {
        let read = file.read(&mut chunk).map_err(|e| at(path, &e))?;
        if read == 0 {
            return Ok((hex::encode(sha.finalize()), bytes));
        }
        sha.update(chunk.get(..read).unwrap_or_default());
        bytes += read as u64;
    }
}
