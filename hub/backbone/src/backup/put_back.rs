//! Puts a backup back.

use std::fs;
use std::path::{Path, PathBuf};

use super::files::{at, copy_through, move_aside, read_blob, sync_one, write_through};
use super::sums::Sums;
use super::{About, BLOBS, DATABASE, Lies, SUMS, verify};
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
/// backup is not what was written, or if something cannot be written. Until the last step what was there before stays.
pub fn put_back(from: &Path, store: &Lies, replace: bool, now: &str) -> Result<PutBack, Error> {
    let about = verify(from)?;
    let folder = folder_of(&store.database);
    fs::create_dir_all(folder).map_err(|e| at(folder, &e))?;
    let _lock = copy::lock(&store.database)?;
    let parts = [store.database.clone(), beside(&store.database, "-wal"), beside(&store.database, "-shm")];
    if let Some(there) = parts.iter().find(|part| part.exists() && !replace) {
        let advice = "`--replace` moves it aside and keeps it";
        return Err(Error::Io(format!("there is a store already: {}; {advice}", there.display())));
    }
    let blobs_written = blobs(from, store)?;
    let fresh = beside(&store.database, ".restoring");
    copy_through(&from.join(DATABASE), &fresh)?;
    copy::mark_restored(&fresh, &format!("restored from the backup of {}", about.made))?;
    let label: String = now.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let mut moved_to = None;
    // its log before the database: a log without its database is never taken for the log of another one
    for part in parts.iter().rev() {
        let aside = beside(part, &format!(".before-{label}"));
        if move_aside(part, &aside)? && *part == store.database {
            moved_to = Some(aside);
        }
    }
    fs::rename(&fresh, &store.database).map_err(|e| at(&fresh, &e))?;
    sync_one(folder)?;
    Ok(PutBack { about, blobs_written, moved_to })
}

/// Copies the blobs that are missing, or are not what their names say.
fn blobs(from: &Path, store: &Lies) -> Result<u64, Error> {
    let text = fs::read(from.join(SUMS)).map_err(|e| at(&from.join(SUMS), &e))?;
    let mut written = 0;
    for (sha256, path) in Sums::read(&text)?.below(BLOBS) {
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
