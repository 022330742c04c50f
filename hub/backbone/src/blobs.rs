//! Content-addressed bytes beside the log: bodies too large for a record, and archived documents.
//!
//! [`FileBlobs`] keeps `ab/abcdef...` in a folder; [`MemoryBlobs`] is for tests.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use tracing::error;

use crate::{Blobs, Error};

/// The largest blob.
pub const BLOB_BYTES_MAX: usize = 64 << 20;

/// After how long a blob that found the disk full is tried again: at first, and at most.
const DISK_RETRY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// Blobs as files, named by their SHA-256.
///
/// A blob is written to `tmp/`, fsynced, renamed to its place, and its folder fsynced. A `put` of bytes that are already
/// there writes them again: that renews the file's time, and heals a damaged one.
#[derive(Clone, Debug)]
pub struct FileBlobs {
    shared: Arc<FileShared>,
}

#[derive(Debug)]
struct FileShared {
    folder: PathBuf,
    /// Tells the temporary files of this process apart.
    count: AtomicU64,
}

impl FileBlobs {
    /// Opens or makes the folder, and removes what writers that died have left in its `tmp/`.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder cannot be made or written.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, Error> {
        let folder = folder.into();
        let tmp = folder.join("tmp");
        let made = make(&folder, &tmp).and_then(|()| clean(&tmp));
        made.map_err(|e| Error::Io(format!("the blob folder {} cannot be used: {e}", folder.display())))?;
        Ok(Self { shared: Arc::new(FileShared { folder, count: AtomicU64::new(0) }) })
    }
}

/// Makes the folder durable, once.
fn make(folder: &Path, tmp: &Path) -> std::io::Result<()> {
    if tmp.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(tmp)?;
    sync(folder)?;
    folder.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or(Ok(()), sync)
}

impl FileShared {
    fn path(&self, sha256: &str) -> PathBuf {
        self.folder.join(&sha256[..2]).join(sha256)
    }

    fn write(&self, sha256: &str, bytes: &[u8]) -> std::io::Result<()> {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let tmp = self.folder.join("tmp").join(format!("{sha256}.{}.{count}", std::process::id()));
        let target = self.path(sha256);
        let result = self.write_through(&tmp, &target, bytes);
        if result.is_err() {
            // the next opening removes it otherwise
            let _left = fs::remove_file(&tmp).is_err();
        }
        result
    }

    fn write_through(&self, tmp: &Path, target: &Path, bytes: &[u8]) -> std::io::Result<()> {
        let mut file = File::create_new(tmp)?;
        // held until the file has its name, so that another process that cleans up leaves it alone
        file.lock()?;
        file.write_all(bytes)?;
        file.sync_all()?;
        let folder = target.parent().unwrap_or(&self.folder);
        if !folder.is_dir() {
            fs::create_dir_all(folder)?;
            sync(&self.folder)?;
        }
        fs::rename(tmp, target)?;
        sync(folder)
    }

    fn read(&self, sha256: &str) -> Result<Option<Bytes>, Error> {
        let path = self.path(sha256);
        let io = |e: std::io::Error| Error::Io(format!("the blob {} cannot be read: {e}", path.display()));
        let file = match File::open(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            other => other.map_err(io)?,
        };
        let mut bytes = Vec::new();
        file.take(BLOB_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(io)?;
        match hash(&bytes) == sha256 {
            true => Ok(Some(bytes.into())),
            false => Err(damaged(sha256, bytes.len())),
        }
    }
}

#[async_trait]
impl Blobs for FileBlobs {
    /// Waits while the disk is full, and says so in the log; there is no alarm to ask for.
    async fn put(&self, bytes: &[u8]) -> Result<String, Error> {
        check_size(bytes.len())?;
        let (sha256, bytes) = (hash(bytes), Bytes::copy_from_slice(bytes));
        let mut pause = DISK_RETRY.0;
        loop {
            let (shared, name, content) = (Arc::clone(&self.shared), sha256.clone(), bytes.clone());
            match blocking(move || shared.write(&name, &content)).await? {
                Ok(()) => return Ok(sha256),
                Err(e) if matches!(e.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
                    error!(error = %e, sha256, "the disk of the blobs is full: waiting until there is room");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(DISK_RETRY.1);
                }
                Err(e) => return Err(Error::Io(format!("the blob {sha256} cannot be written: {e}"))),
            }
        }
    }

    async fn get(&self, sha256: &str) -> Result<Option<Bytes>, Error> {
        if !is_name(sha256) {
            return Ok(None);
        }
        let (shared, name) = (Arc::clone(&self.shared), sha256.to_owned());
        blocking(move || shared.read(&name)).await?
    }
}

/// Blobs in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryBlobs(Arc<Mutex<HashMap<String, Bytes>>>);

#[async_trait]
impl Blobs for MemoryBlobs {
    async fn put(&self, bytes: &[u8]) -> Result<String, Error> {
        check_size(bytes.len())?;
        let sha256 = hash(bytes);
        let mut blobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        blobs.insert(sha256.clone(), Bytes::copy_from_slice(bytes));
        Ok(sha256)
    }

    async fn get(&self, sha256: &str) -> Result<Option<Bytes>, Error> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).get(sha256).cloned())
    }
}

fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Only names that we give: nothing else may become a path.
fn is_name(sha256: &str) -> bool {
    sha256.len() == 64 && sha256.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn check_size(bytes: usize) -> Result<(), Error> {
    match bytes > BLOB_BYTES_MAX {
        true => {
            Err(Error::TooLarge { key: format!("for the blob store (which has room for {BLOB_BYTES_MAX})"), bytes })
        }
        false => Ok(()),
    }
}

fn damaged(sha256: &str, bytes: usize) -> Error {
    let detail = format!("the {bytes} bytes that were read have another hash");
    Error::Corrupt { place: format!("blob {sha256}"), offset: 0, detail }
}

async fn blocking<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    let work = tokio::task::spawn_blocking(f).await;
    work.map_err(|e| Error::Io(format!("work on the blobs stopped: {e}")))
}

fn sync(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Removes temporary files whose writers are gone: those hold no lock.
fn clean(tmp: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(tmp)? {
        let path = entry?.path();
        let is_free = File::open(&path).is_ok_and(|file| file.try_lock().is_ok());
        if is_free
            && let Err(e) = fs::remove_file(&path)
            && e.kind() != ErrorKind::NotFound
        {
            return Err(e);
        }
    }
    Ok(())
}
