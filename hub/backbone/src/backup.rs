//! Copies of a store that can be put back: the database as it was at one moment, the archive of its journal, every blob
//! that they name, the anchor, and the hashes of all of it.
//!
//! [`make`] works beside a running hub: SQLite writes the copy within one read transaction, so that commits go on and none
//! of them is in it by half. The archive of the journal is copied after that: what was trimmed from the log before is in it,
//! and a segment that is not wholly in the copied log is left out (`archive`). Then blobs: each was durable before the record
//! that names it. `backup.json` is written last; a folder without it is not a backup. `SHA256SUMS` lists every file, so that `sha256sum -c` can check a
//! backup without this program.
//!
//! [`put_back`] marks the restored store: it opens in recovery ([`crate::Embedded::recovery`]).

mod archive;
mod files;
mod names;
mod put_back;
mod sums;

pub use put_back::{PutBack, put_back};

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::embedded::copy;
use crate::{Error, FileBlobs};
use files::{at, read_small, sync_folder, write_through};
use sums::Sums;

/// Version of `backup.json`.
const FORMAT: u32 = 1;
/// What says that a folder is a backup, and a whole one.
const ABOUT: &str = "backup.json";
/// The database in a backup.
const DATABASE: &str = "raccordo.db";
/// The anchor in a backup.
const ANCHOR: &str = "anchor.json";
/// The blobs in a backup.
const BLOBS: &str = "blobs";
/// The archive of the journal in a backup.
const ARCHIVE: &str = "archive";
/// Hashes of all files but `backup.json`.
const SUMS: &str = "SHA256SUMS";

/// Where a store lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lies {
    /// The database file.
    pub database: PathBuf,
    /// The folder of the archive of the journal.
    pub archive: PathBuf,
    /// The folder of the blobs.
    pub blobs: PathBuf,
    /// The anchor, if one is kept.
    pub anchor: Option<PathBuf>,
}

/// What a backup is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    format: u32,
    /// Identity of the store, in base 16.
    pub store: String,
    /// When it was made, as its maker's clock had it.
    pub made: String,
    /// Records in the database, those that were trimmed included.
    pub records: u64,
    /// Sealed segments of the journal.
    pub segments: u64,
    /// Blobs.
    pub blobs: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// SHA-256 of `SHA256SUMS`.
    sums: String,
    /// SHA-256 over everything else in this file.
    digest: String,
}

impl About {
    fn sum(&self) -> String {
        let bare = Self { digest: String::new(), ..self.clone() };
        let bytes = serde_json::to_vec(&bare).expect("invariant: texts and numbers can be written");
        hex::encode(Sha256::digest(bytes))
    }

    fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(ABOUT);
        let bytes =
            read_small(&path).map_err(|e| Error::Io(format!("{e}; a folder without it is not a whole backup")))?;
        let about: Self =
            serde_json::from_slice(&bytes).map_err(|e| Error::Io(format!("{} cannot be read: {e}", path.display())))?;
        match about.format == FORMAT && about.digest == about.sum() {
            true => Ok(about),
            false => Err(Error::Io(format!("{} is not what was written: take another backup", path.display()))),
        }
    }
}

/// Copies a store, which may be open in another process, into a new folder. Blocks; at the end all of it is read again and
/// compared. `base`: an earlier backup on the same disk, whose blobs are linked and not copied. `made`: the present time, for
/// people.
///
/// # Errors
/// [`Error::Io`] if something cannot be read or written or the folder is not empty; [`Error::Corrupt`] if the store or a blob
/// is damaged: then no backup was made.
pub fn make(store: &Lies, to: &Path, base: Option<&Path>, made: &str) -> Result<About, Error> {
    files::empty_folder(to)?;
    let mut sums = Sums::default();
    // before the database: it must not be ahead of it
    if let Some(anchor) = store.anchor.as_deref().filter(|anchor| anchor.exists()) {
        let bytes = read_small(anchor)?;
        write_through(&to.join(ANCHOR), &bytes)?;
        sums.add(ANCHOR, &bytes);
    }
    let database = to.join(DATABASE);
    let copied = copy::database(&store.database, &database)?;
    sums.add_file(to, DATABASE)?;
    let mut names = names::of_database(&copy::reader(&database)?)?;
    let segments = archive::copy(store, to, &copied.ends, &mut names, &mut sums)?;
    let blobs = copy_blobs(store, names, to, base, &mut sums)?;
    sync_folder(to)?;
    let (bytes, text) = (sums.bytes(), sums.text());
    write_through(&to.join(SUMS), text.as_bytes())?;
    let mut about = About {
        format: FORMAT,
        store: copied.store,
        made: made.to_owned(),
        records: copied.records,
        segments,
        blobs,
        bytes,
        sums: hex::encode(Sha256::digest(text)),
        digest: String::new(),
    };
    about.digest = about.sum();
    let text = serde_json::to_vec_pretty(&about).expect("invariant: texts and numbers can be written");
    write_through(&to.join(ABOUT), &text)?;
    sync_folder(to)?;
    verify(to)
}

/// Reads a whole backup and compares it with its hashes.
///
/// # Errors
/// [`Error::Io`] that names the first file that is missing or is not what was written.
pub fn verify(folder: &Path) -> Result<About, Error> {
    let about = About::read(folder)?;
    let text = fs::read(folder.join(SUMS)).map_err(|e| at(&folder.join(SUMS), &e))?;
    if hex::encode(Sha256::digest(&text)) != about.sums {
        return Err(Error::Io(format!("{} is not what was written: take another backup", folder.join(SUMS).display())));
    }
    let sums = Sums::read(&text)?;
    sums.check(folder)?;
    Ok(about)
}

/// Copies every blob that is named, and those that these name.
fn copy_blobs(
    store: &Lies,
    mut todo: Vec<names::Name>,
    to: &Path,
    base: Option<&Path>,
    sums: &mut Sums,
) -> Result<u64, Error> {
    let (mut seen, mut count) = (std::collections::HashSet::new(), 0);
    while let Some(name) = todo.pop() {
        let sha256 = hex::encode(name);
        let bytes = if seen.insert(name) { copy_blob(store, &sha256, to, base)? } else { None };
        let Some(bytes) = bytes else { continue };
        sums.add_known(&relative(&sha256), sha256, bytes.len() as u64);
        names::of_bytes(&bytes, &mut |name| todo.push(name));
        count += 1;
    }
    Ok(count)
}

/// Copies or links one; `None`: most hashes are of bodies that stand in their records, and only those with a file are blobs.
fn copy_blob(store: &Lies, sha256: &str, to: &Path, base: Option<&Path>) -> Result<Option<Vec<u8>>, Error> {
    let target = to.join(relative(sha256));
    if base.is_some_and(|base| files::link(&base.join(relative(sha256)), &target)) {
        return files::read_blob(&target, sha256).map(Some);
    }
    let blobs = FileBlobs::look(&store.blobs);
    let Some(source) = blobs.file_of(sha256) else { return Ok(None) };
    // a hub that runs may move it to the trash, or back, in this moment
    let read = files::read_blob(&source, sha256);
    let moved = || blobs.file_of(sha256).filter(|now| *now != source);
    let bytes = read.or_else(|error| moved().map_or(Err(error), |now| files::read_blob(&now, sha256)))?;
    write_through(&target, &bytes)?;
    Ok(Some(bytes))
}

/// The path of a blob in a backup.
fn relative(sha256: &str) -> String {
    format!("{BLOBS}/{}/{sha256}", &sha256[..2])
}
