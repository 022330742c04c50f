//! Puts a backup back.

use std::fs;
use std::path::{Path, PathBuf};

use super::files::{at, copy_through, move_aside, read_blob, sync_one, write_through};
use super::sums::Sums;
use super::{About, BLOBS, DATABASE, Lies, SUMS, archive, verify};
use crate::Error;
use crate::embedded::copy;

/// What became of a store that a backup took the place of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutBack {
    /// The backup.
    pub about: About,
    /// Blobs that were missing or damaged.
    pub blobs_written: u64,
    /// Where the database lies that was there before, if one was.
    pub moved_to: Option<PathBuf>,
}

/// Puts a backup into the place of a store that nobody has open. The store opens in recovery then. What was there before is
/// moved aside, and only if `replace` says so; blobs that are there stay. `now`: the present time, for names and for people.
///
/// The anchor stays as it is: the opening compares it, and lists what the backup lacks.
///
/// # Errors
/// [`Error::Fenced`] if a hub has the store open; [`Error::Io`] if there is one and `replace` does not allow it, if the
/// backup is not what was written, or if something cannot be written. Until the last steps what was there before stays.
pub fn put_back(from: &Path, store: &Lies, replace: bool, now: &str) -> Result<PutBack, Error> {
    let about = verify(from)?;
    let folder = folder_of(&store.database);
    fs::create_dir_all(folder).map_err(|e| at(folder, &e))?;
    let _lock = copy::lock(&store.database)?;
    refuse_what_is_there(store, replace)?;
    let text = fs::read(from.join(SUMS)).map_err(|e| at(&from.join(SUMS), &e))?;
    let sums = Sums::read(&text)?;
    let blobs_written = blobs(from, &sums, store)?;
    let archived = beside(&store.archive, ".restoring");
    archive::put_back(from, &sums, &archived)?;
    let fresh = beside(&store.database, ".restoring");
    copy_through(&from.join(DATABASE), &fresh)?;
    copy::mark_restored(&fresh, &format!("restored from the backup of {}", about.made))?;
    let moved_to = exchange(store, &fresh, &archived, now)?;
    Ok(PutBack { about, blobs_written, moved_to })
}

fn refuse_what_is_there(store: &Lies, replace: bool) -> Result<(), Error> {
    let parts = ["", "-wal", "-shm", ".mark"].map(|end| beside(&store.database, end));
    let archive = store.archive.join(crate::archive::INDEX);
    let there = parts.iter().chain([&archive]).find(|part| fs::metadata(part).is_ok_and(|found| found.len() > 0));
    match there.filter(|_| !replace) {
        None => Ok(()),
        Some(there) => {
            let advice = "`--replace` moves it aside and keeps it";
            Err(Error::Io(format!("there is a store already: {}; {advice}", there.display())))
        }
    }
}

/// Moves what is there aside and the new files into its place. The database's log goes first: a log without its database is
/// never taken for the log of another one. The mark goes last: as long as it lies there, a hub that is started by mistake
/// makes no new store and works on no half of the old one.
fn exchange(store: &Lies, fresh: &Path, archived: &Path, now: &str) -> Result<Option<PathBuf>, Error> {
    let label: String = now.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let aside = |part: &Path| {
        let to = beside(part, &format!(".before-{label}"));
        move_aside(part, &to).map(|was_there| was_there.then_some(to))
    };
    let _ = aside(&beside(&store.database, "-shm"))?;
    let _ = aside(&beside(&store.database, "-wal"))?;
    let moved_to = aside(&store.database)?;
    let _ = aside(&store.archive)?;
    fs::rename(archived, &store.archive).map_err(|e| at(archived, &e))?;
    sync_one(folder_of(&store.archive))?;
    let _ = aside(&beside(&store.database, ".mark"))?;
    fs::rename(fresh, &store.database).map_err(|e| at(fresh, &e))?;
    sync_one(folder_of(&store.database))?;
    Ok(moved_to)
}

/// Copies the blobs that are missing, or are not what their names say.
fn blobs(from: &Path, sums: &Sums, store: &Lies) -> Result<u64, Error> {
    let mut written = 0;
    for (sha256, path) in sums.below(BLOBS) {
        let target = store.blobs.join(path);
        if read_blob(&target, sha256).is_ok() {
            continue;
        }
        let bytes = read_blob(&from.join(BLOBS).join(path), sha256)?;
        let fresh = beside(&target, ".restoring");
        write_through(&fresh, &bytes)?;
        fs::rename(&fresh, &target).map_err(|e| at(&target, &e))?;
        sync_one(folder_of(&target))?;
        written += 1;
    }
    Ok(written)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}
