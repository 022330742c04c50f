//! Files that are durable when a function returns.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::{BLOB_BYTES_MAX, Error};

/// Largest of the small files.
const SMALL_MAX: u64 = 4 << 20;

pub(super) fn at(path: &Path, error: &std::io::Error) -> Error {
    Error::Io(format!("{}: {error}", path.display()))
}

/// Makes a folder, or takes one that is empty.
pub(super) fn empty_folder(folder: &Path) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(|e| at(folder, &e))?;
    let mut entries = fs::read_dir(folder).map_err(|e| at(folder, &e))?;
    match entries.next() {
        None => Ok(()),
        Some(_) => Err(Error::Io(format!("{} is not empty: each backup has a folder of its own", folder.display()))),
    }
}

pub(super) fn read_small(path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|e| at(path, &e))?;
    let _read = file.take(SMALL_MAX).read_to_end(&mut bytes).map_err(|e| at(path, &e))?;
    Ok(bytes)
}

/// Reads a blob, and checks that it is what its name says.
pub(super) fn read_blob(path: &Path, sha256: &str) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|e| at(path, &e))?;
    let _read = file.take(BLOB_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(|e| at(path, &e))?;
    match hex::encode(Sha256::digest(&bytes)) == sha256 {
        true => Ok(bytes),
        false => {
            let (file, detail) = (path.display().to_string(), format!("its {} bytes have another hash", bytes.len()));
            Err(Error::Corrupt { file, place: format!("blob {sha256}"), offset: 0, detail })
        }
    }
}

/// Writes a file; its folder is made if it is missing.
pub(super) fn write_through(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let write = || {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = File::create(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|e| at(path, &e))
}

/// Gives a file of an earlier backup a second name; `false`: it is not there, or lies on another disk.
pub(super) fn link(from: &Path, to: &Path) -> bool {
    let made = to.parent().is_none_or(|folder| fs::create_dir_all(folder).is_ok());
    made && fs::hard_link(from, to).is_ok()
}

/// Makes the names in a folder durable, and in the folders below.
pub(super) fn sync_folder(folder: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(folder).map_err(|e| at(folder, &e))? {
        let entry = entry.map_err(|e| at(folder, &e))?;
        if entry.file_type().map_err(|e| at(&entry.path(), &e))?.is_dir() {
            sync_folder(&entry.path())?;
        }
    }
    sync_one(folder)
}

/// Makes the names in one folder durable.
pub(super) fn sync_one(folder: &Path) -> Result<(), Error> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|e| at(folder, &e))
}

/// Copies a large file; durable on return.
pub(super) fn copy_through(from: &Path, to: &Path) -> Result<(), Error> {
    let copy = || {
        let _bytes = fs::copy(from, to)?;
        File::open(to)?.sync_all()
    };
    copy().map_err(|e| at(to, &e))
}

/// Renames what is there; says whether it was.
pub(super) fn move_aside(from: &Path, to: &Path) -> Result<bool, Error> {
    match fs::rename(from, to) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(at(from, &e)),
    }
}
