//! Journal records that have left the log: sealed segments in a folder, to be kept for years and read without this program.
//!
//! - A [`Segment`] is one gzip file of JSON lines: a header, then each record with its offset, key, content and chain
//!   (`segment`). The same records always give the same bytes.
//! - `index.jsonl` lists the segments, append-only, each line chained to the one before it and naming the SHA-256 of its
//!   file (`index`). A segment that the index does not name does not exist.
//!
//! [`Archive::seal`] writes a segment and then its line; [`Archive::check`] reads a segment back from the disk. Whoever
//! trims the log does so after `check` has returned, so that a crash between any two steps leaves the records in at least
//! one of the two, and sealing again from [`Archive::end`] goes on where it stopped.

mod index;
mod segment;

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::chain::{Chain, genesis};
use crate::{Error, Offset, Place, Stored, Topic};

pub(crate) use index::NAME as INDEX;
pub use index::{Segment, genesis as index_genesis};
pub use segment::SEGMENT_BYTES_MAX;

use index::Index;

/// Sealed segments of the journal. See the module's comment. Its methods block on the disk.
#[derive(Debug)]
pub struct Archive {
    folder: PathBuf,
    index: Mutex<Index>,
}

impl Archive {
    /// Opens or makes the folder. An index line that a crash has cut off is removed: its segment is sealed again.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder cannot be used, [`Error::Corrupt`] if the index is not what was written.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, Error> {
        let folder = folder.into();
        fs::create_dir_all(&folder).map_err(|e| io("make", &folder, &e))?;
        let index = Index::open(&folder)?;
        Ok(Self { folder, index: Mutex::new(index) })
    }

    /// The archive as it stands now, without writing anything: for audits, which may run beside a hub. A folder that is
    /// not there is an empty archive.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn look(folder: impl Into<PathBuf>) -> Result<Self, Error> {
        let folder = folder.into();
        let index = Index::look(&folder)?;
        Ok(Self { folder, index: Mutex::new(index) })
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// All segments, in the order in which they were sealed.
    #[must_use]
    pub fn segments(&self) -> Vec<Segment> {
        self.index().segments().to_vec()
    }

    /// The segments of one partition, in order.
    #[must_use]
    pub fn of(&self, place: Place) -> Vec<Segment> {
        let name = place.to_string();
        self.index().segments().iter().filter(|segment| segment.place == name).cloned().collect()
    }

    /// The offset after the last sealed record of a partition, and the chain of that record.
    #[must_use]
    pub fn end(&self, place: Place) -> (Offset, Chain) {
        self.index().end(place).unwrap_or_else(|| (0, genesis(place)))
    }

    /// Seals records of one partition: durable on return. They must follow the last sealed one. `at` is the time of
    /// sealing, for people.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if the records do not continue the archive, [`Error::Io`] if something cannot be written: then
    /// nothing counts as sealed.
    pub fn seal(&self, place: Place, records: &[Stored], at: &str) -> Result<Segment, Error> {
        let mut index = self.index();
        let (first, before) = index.end(place).unwrap_or_else(|| (0, genesis(place)));
        let (segment, bytes) = segment::build(place, (first, before), records, at)?;
        let path = self.folder.join(&segment.file);
        self.remove_leftovers(&segment)?;
        segment::write(&self.folder, &path, &bytes).map_err(|e| io("write", &path, &e))?;
        index.append(&self.folder, &segment)?;
        Ok(segment)
    }

    /// Writes the file of a sealed segment again from records that the log still holds: for one that was damaged since.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if the records are not those that were sealed, [`Error::Io`] if the file cannot be written.
    pub fn write_again(&self, place: Place, segment: &Segment, records: &[Stored]) -> Result<(), Error> {
        let before = segment.before_chain()?;
        let (built, bytes) = segment::build(place, (segment.first, before), records, &segment.sealed_at)?;
        if built != *segment {
            return Err(damaged(segment, segment.first, "the log holds other records than were sealed".to_owned()));
        }
        let path = self.folder.join(&segment.file);
        segment::write(&self.folder, &path, &bytes).map_err(|e| io("write", &path, &e))
    }

    /// Copies segments into another, empty folder: each is read back first, and `seen` gets its records. Ends at the first
    /// that `holds` refuses. Gives the copied ones.
    ///
    /// # Errors
    /// As [`Self::check`]; [`Error::Io`] if something cannot be written.
    pub(crate) fn copy_to(
        &self,
        folder: &Path,
        holds: impl Fn(&Segment) -> bool,
        mut seen: impl FnMut(&[Stored]),
    ) -> Result<Vec<Segment>, Error> {
        fs::create_dir_all(folder).map_err(|e| io("make", folder, &e))?;
        let mut index = Index::look(folder)?;
        for segment in self.segments().iter().take_while(|segment| holds(segment)) {
            seen(&self.check(segment)?);
            let (path, to) = (self.folder.join(&segment.file), folder.join(&segment.file));
            let bytes = fs::read(&path).map_err(|e| io("read", &path, &e))?;
            segment::write(folder, &to, &bytes).map_err(|e| io("write", &to, &e))?;
            index.append(folder, segment)?;
        }
        Ok(index.segments().to_vec())
    }

    /// Reads a segment back from the disk: its seal, its header, and every link. Gives its records.
    ///
    /// # Errors
    /// [`Error::Corrupt`] at the first thing that does not fit; [`Error::Io`] if the file cannot be read.
    pub fn check(&self, segment: &Segment) -> Result<Vec<Stored>, Error> {
        segment::read(&self.folder, segment)
    }

    /// Sealed records of a partition from `from` to the end of their segment; empty if none are sealed there. Every link is
    /// checked.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn read(&self, place: Place, from: Offset) -> Result<Vec<Stored>, Error> {
        let name = place.to_string();
        let found =
            self.index().segments().iter().find(|s| s.place == name && (s.first..=s.last).contains(&from)).cloned();
        let Some(segment) = found else { return Ok(Vec::new()) };
        let mut records = self.check(&segment)?;
        records.retain(|record| record.offset >= from);
        Ok(records)
    }

    /// Judges the index on disk: its own chain, that the segments of each partition follow each other, and that no file
    /// beside them is unknown to it. Gives the names of such files: what a crash left before it was sealed.
    ///
    /// # Errors
    /// [`Error::Corrupt`] at the first line that does not fit.
    pub fn judge(&self) -> Result<Vec<String>, Error> {
        let index = Index::look(&self.folder)?;
        index.judge_order()?;
        let known: BTreeMap<&str, ()> = index.segments().iter().map(|segment| (segment.file.as_str(), ())).collect();
        let mut unknown = self.files()?;
        unknown.retain(|file| !known.contains_key(file.as_str()));
        Ok(unknown)
    }

    /// The segment files that are there, relative to the folder.
    fn files(&self) -> Result<Vec<String>, Error> {
        let mut found = Vec::new();
        for folder in list(&self.folder)? {
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if folder.is_dir() && name.starts_with(Topic::JOURNAL.0) {
                let files = list(&folder)?;
                let names = files.iter().filter_map(|file| file.file_name());
                found.extend(names.map(|file| format!("{name}/{}", file.to_string_lossy())));
            }
        }
        found.sort();
        Ok(found)
    }

    /// A crash may have left a file that begins like this one and was never sealed. The log holds its records: they are in
    /// `segment`.
    fn remove_leftovers(&self, segment: &Segment) -> Result<(), Error> {
        let path = self.folder.join(&segment.file);
        let Some(folder) = path.parent().filter(|folder| folder.is_dir()) else { return Ok(()) };
        let begins = segment::name_begins(segment.first);
        let begins_like = |path: &PathBuf| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(&begins));
        for file in list(folder)?.into_iter().filter(begins_like) {
            fs::remove_file(&file).map_err(|e| io("remove", &file, &e))?;
        }
        Ok(())
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|e| io("read", folder, &e))?,
    };
    let paths: std::io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
    paths.map_err(|e| io("read", folder, &e))
}

fn io(what: &str, path: &Path, error: &std::io::Error) -> Error {
    Error::Io(format!("cannot {what} {} of the archive: {error}", path.display()))
}

fn damaged(segment: &Segment, offset: Offset, detail: String) -> Error {
    let place = format!("{} in archive file {}", segment.place, segment.file);
    Error::Corrupt { file: segment.file.clone(), place, offset, detail }
}
