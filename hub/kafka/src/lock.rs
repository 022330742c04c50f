//! The lock that proves a life on this machine over.
//!
//! A process holds it for as long as it lives; the kernel frees it. Whoever has it next knows that all lives that were begun
//! under it are over. The id of a lock is bound to the file itself: a copy of the file, on another machine or the same, is
//! another lock.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use hub_backbone::Error;

/// A lock that is held.
#[derive(Debug)]
pub(crate) struct FileLock {
    _file: File,
    id: String,
}

impl FileLock {
    /// Takes the lock; the file is made if it is missing.
    pub(crate) fn take(path: &Path) -> Result<Self, Error> {
        let io = |error: std::io::Error| {
            Error::Io(format!(
                "the lock file {} cannot be used: {error}; its folder must be there, mounted and writable",
                path.display()
            ))
        };
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Fenced(format!(
                    "another process holds the lock file {}: stop it first, or give each hub its own",
                    path.display()
                )));
            }
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        let id = id_of(&mut file).map_err(io)?;
        Ok(Self { _file: file, id })
    }

    /// Names the lock in the records of lives.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }
}

/// The id that stands in the file, if it was made for this very file; otherwise a new one, durably.
fn id_of(file: &mut File) -> std::io::Result<String> {
    let mut text = String::new();
    let _bytes = file.take(200).read_to_string(&mut text).unwrap_or_default();
    let about = file.metadata()?;
    let here = format!("{}:{}", about.dev(), about.ino());
    if let Some((id, made_for)) = text.trim().split_once(' ')
        && made_for == here
        && id.len() == 32
    {
        return Ok(id.to_owned());
    }
    let id = uuid::Uuid::now_v7().simple().to_string();
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{id} {here}")?;
    file.sync_all()?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_one_file_and_one_holder() {
        let folder = std::env::temp_dir().join(format!("raccordo-lock-{}", uuid::Uuid::now_v7().simple()));
        std::fs::create_dir(&folder).expect("a folder");
        let (path, copy) = (folder.join("hub.lock"), folder.join("copy.lock"));
        let first = FileLock::take(&path).expect("it is free");
        assert!(matches!(FileLock::take(&path), Err(Error::Fenced(text)) if text.contains("hub.lock")));
        let id = first.id().to_owned();
        drop(first);
        assert_eq!(FileLock::take(&path).expect("free again").id(), id, "the same lock");
        let _bytes = std::fs::copy(&path, &copy).expect("a copy");
        assert_ne!(FileLock::take(&copy).expect("it is free").id(), id, "a copy is another lock");
        assert!(FileLock::take(&folder.join("no/folder")).is_err_and(|error| error.to_string().contains("mounted")));
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
