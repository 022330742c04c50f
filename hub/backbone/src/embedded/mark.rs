//! How far the store had come when a caller was last answered, in a small file beside it (`hub.db.mark`).
//!
//! A write-ahead log whose tail was cut off or damaged reads as one that is shorter: SQLite takes it for a crash in the middle
//! of a write, and everything after it would be gone without a word. The mark is written after each transaction has become
//! durable and before its callers are answered. It needs no fsync of its own: it survives the death of the process, and
//! after a power failure it may be older than the store, which says nothing, but never newer.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tracing::warn;

use crate::{Error, Offset, Place};

/// Size of the file: one line of text.
const BYTES: usize = 128;
const FORMAT: &str = "raccordo mark 1";

/// What the mark says when the store is opened.
#[derive(Debug)]
pub(super) struct Marked {
    database: PathBuf,
    path: PathBuf,
    file: File,
    /// Transactions, and the last record that one of them appended. `None`: there was no mark, or it cannot be read.
    said: Option<(u64, Option<(String, Offset)>)>,
}

/// The mark of an open store.
#[derive(Debug)]
pub(super) struct Mark {
    database: PathBuf,
    file: File,
    last: Option<(String, Offset)>,
    /// Device and inode of the database file.
    identity: (u64, u64),
}

impl Marked {
    /// Reads the mark of a database file; refuses to make a new database where there was one.
    pub(super) fn read(database: &Path) -> Result<Self, Error> {
        let path = beside(database, ".mark");
        let io = |e: std::io::Error| Error::Io(format!("the mark {} cannot be used: {e}", path.display()));
        let mut file = File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(io)?;
        let mut text = Vec::with_capacity(BYTES);
        let _bytes = Read::by_ref(&mut file).take(BYTES as u64).read_to_end(&mut text).map_err(io)?;
        let said = parse(&text);
        if said.is_none() && !text.is_empty() {
            warn!(file = %path.display(), "the mark of the store cannot be read; it is written anew");
        }
        let marked = Self { database: database.to_path_buf(), path, file, said };
        marked.refuse_a_new_one()?;
        Ok(marked)
    }

    /// An empty file beside a mark or a write-ahead log is not a new store.
    fn refuse_a_new_one(&self) -> Result<(), Error> {
        let is_empty = |path: &Path| fs::metadata(path).map_or(true, |found| found.len() == 0);
        let (marked, wal) = (self.said.as_ref().is_some_and(|said| said.0 > 0), beside(&self.database, "-wal"));
        if !is_empty(&self.database) || (!marked && is_empty(&wal)) {
            return Ok(());
        }
        let advice = format!(
            "the file is missing or empty, but {} says that it was used; to begin with a new store on purpose, remove what \
             lies beside it",
            if marked { self.path.display() } else { wal.display() }
        );
        Err(self.behind(self.said.as_ref().map_or(0, |said| said.0), &advice))
    }

    /// Compares the mark with what is in the store.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if transactions are missing whose callers were answered.
    pub(super) fn compare(self, transactions: u64) -> Result<Mark, Error> {
        if let Some((marked, _)) = self.said.as_ref().filter(|(marked, _)| *marked > transactions) {
            let detail = format!(
                "the write-ahead log was cut or damaged, or this is an older file; to use an older file on purpose, remove {}",
                self.path.display()
            );
            return Err(self.behind(marked - transactions, &detail));
        }
        let found = fs::metadata(&self.database).map_err(|e| gone(&self.database, &e.to_string()))?;
        let identity = (found.dev(), found.ino());
        let last = self.said.and_then(|(_, last)| last);
        let mut mark = Mark { database: self.database, file: self.file, last, identity };
        mark.advance(transactions, None);
        Ok(mark)
    }

    fn behind(&self, missing: u64, why: &str) -> Error {
        let last = self.said.as_ref().and_then(|(_, last)| last.clone());
        let (place, offset) = last.unwrap_or_else(|| ("log".to_owned(), 0));
        let detail = format!("{missing} acknowledged transactions are missing, this record was their last: {why}");
        Error::Corrupt { file: self.database.display().to_string(), place, offset, detail }
    }
}

impl Mark {
    /// Says that so many transactions are durable, and which record was appended last.
    pub(super) fn advance(&mut self, transactions: u64, last: Option<(Place, Offset)>) {
        if let Some((place, offset)) = last {
            self.last = Some((place.to_string(), offset));
        }
        let (place, offset) = self.last.as_ref().map_or(("-", 0), |(place, offset)| (place.as_str(), *offset));
        let text = format!("{FORMAT} transactions={transactions} last={place}@{offset}");
        let line = format!("{text} sum={} ", sum(&text));
        // An older mark is a weaker one, never a wrong one.
        if let Err(error) = self.file.write_all_at(format!("{line:<width$}\n", width = BYTES - 1).as_bytes(), 0) {
            warn!(%error, file = %self.database.display(), "the mark of the store cannot be written");
        }
    }

    /// The database file must still lie under its name: what is written to one that was removed, or whose disk was taken
    /// away, would be gone with the process.
    pub(super) fn check_place(&self) -> Result<(), Error> {
        match fs::metadata(&self.database) {
            Ok(found) if (found.dev(), found.ino()) == self.identity => Ok(()),
            Ok(_) => Err(gone(&self.database, "another file lies under its name")),
            Err(e) => Err(gone(&self.database, &e.to_string())),
        }
    }
}

fn gone(database: &Path, why: &str) -> Error {
    Error::Io(format!(
        "the store {} is not at its place any more ({why}): nothing more is written; mount its disk or bring the file back, \
         and start the hub again",
        database.display()
    ))
}

fn beside(database: &Path, ending: &str) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

fn sum(text: &str) -> String {
    hex::encode(&Sha256::digest(text)[..8])
}

fn parse(bytes: &[u8]) -> Option<(u64, Option<(String, Offset)>)> {
    let (text, sum_given) = std::str::from_utf8(bytes).ok()?.trim_end().rsplit_once(" sum=")?;
    let words = text.strip_prefix(FORMAT).filter(|_| sum(text) == sum_given)?;
    let (transactions, last) = words.trim().strip_prefix("transactions=")?.split_once(" last=")?;
    let (place, offset) = last.split_once('@')?;
    let last = (place != "-").then(|| Some((place.to_owned(), offset.parse().ok()?)));
    Some((transactions.parse().ok()?, last.flatten()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Topic;

    #[test]
    fn a_mark_reads_back_and_a_flipped_bit_of_it_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("hub.db");
        fs::write(&database, "content").unwrap();
        let mut mark = Marked::read(&database).unwrap().compare(7).unwrap();
        mark.advance(8, Some((Place::new(Topic::INBOX, 1), 17)));
        mark.advance(9, None);
        let said = Some((9, Some(("inbox/1".to_owned(), 17))));
        let path = beside(&database, ".mark");
        let good = fs::read(&path).unwrap();
        assert_eq!((parse(&good), good.len()), (said, BYTES));
        for at in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[at / 8] ^= 1 << (at % 8);
            let read = parse(&bad);
            assert!(read.is_none() || read == parse(&good), "bit {at}");
        }
        let error = Marked::read(&database).unwrap().compare(6).unwrap_err().to_string();
        assert!(error.contains("3 acknowledged") && error.contains("inbox/1 offset 17"), "{error}");
        fs::remove_file(&database).unwrap();
        let error = Marked::read(&database).unwrap_err().to_string();
        assert!(error.contains("missing or empty"), "{error}");
    }
}
