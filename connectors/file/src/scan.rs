//! Looking into a folder: which files are there, and their bytes. Blocking; called from a blocking thread.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::pattern;

/// Files looked at in one scan; the others follow when these are gone.
const SCAN_MAX: usize = 10_000;

/// Endings that writers give to a file they have not finished.
const UNFINISHED: [&str; 2] = [".tmp", ".part"];

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Print {
    pub(crate) bytes: u64,
    modified_ns: i128,
    inode: u64,
}

impl Print {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        let modified_ns = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
        Self { bytes: metadata.len(), modified_ns, inode: metadata.ino() }
    }

    /// The fingerprint of what lies at a path now; symbolic links are not followed.
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        fs::symlink_metadata(path).map(|metadata| Self::of(&metadata))
    }
}

/// The regular files of a folder that fit the pattern, by name. Hidden and unfinished files, symbolic links and
/// subfolders are not seen; a file that vanishes meanwhile is not either.
pub(crate) fn files(folder: &Path, wanted: &str) -> io::Result<Vec<(OsString, Print)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let Ok(entry) = entry else { continue };
        let name = entry.file_name();
        if !is_wanted(&name.to_string_lossy(), wanted) {
            continue;
        }
        // `DirEntry::metadata` does not follow symbolic links.
        match entry.metadata() {
            Ok(metadata) if metadata.is_file() => found.push((name, Print::of(&metadata))),
            _ => {}
        }
        if found.len() >= SCAN_MAX {
            break;
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

fn is_wanted(name: &str, wanted: &str) -> bool {
    let unfinished = name.starts_with('.') || UNFINISHED.iter().any(|ending| name.ends_with(ending));
    !unfinished && pattern::fits(wanted, name)
}

/// Why a file was not read.
#[derive(Debug)]
pub(crate) enum NotRead {
    /// It changed while it was read: somebody is still writing.
    Changed,
    /// It cannot be read.
    Failed(io::Error),
}

/// A file that was to be read, and what came of it.
pub(crate) type ReadFile = (OsString, Print, Result<Vec<u8>, NotRead>);

/// Reads the first files of a list, and takes them off it: at most so many, and the last one is the one that passes so many
/// bytes.
pub(crate) fn read_some(
    folder: &Path,
    files: &mut VecDeque<(OsString, Print)>,
    max: u64,
    (files_max, bytes_max): (usize, u64),
) -> Vec<ReadFile> {
    let (mut done, mut bytes) = (Vec::new(), 0);
    while done.len() < files_max && bytes < bytes_max {
        let Some((name, print)) = files.pop_front() else { break };
        let read = read(&folder.join(&name), print, max);
        bytes += read.as_ref().map_or(0, |read| read.len() as u64);
        done.push((name, print, read));
    }
    done
}

/// Reads at most `max` bytes of a file that still has this fingerprint.
fn read(path: &Path, print: Print, max: u64) -> Result<Vec<u8>, NotRead> {
    let file = File::open(path).map_err(NotRead::Failed)?;
    let now = |file: &File| file.metadata().map(|metadata| Print::of(&metadata)).map_err(NotRead::Failed);
    if now(&file)? != print {
        return Err(NotRead::Changed);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(print.bytes.min(max)).unwrap_or_default());
    (&file).take(max).read_to_end(&mut bytes).map_err(NotRead::Failed)?;
    if now(&file)? == print { Ok(bytes) } else { Err(NotRead::Changed) }
}
