//! Content-addressed bytes beside the log: bodies too large for a record, and archived documents.
//!
//! [`FileBlobs`] keeps `ab/abcdef...` in a folder; [`MemoryBlobs`] is for tests. `collect` takes away what nothing names
//! any more.

mod collect;
mod group;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use tracing::error;

use crate::embedded::{Alarm, AlarmKind};
use crate::{Blobs, Error};

pub use collect::{Collect, SHARDS};

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

struct FileShared {
    folder: PathBuf,
    /// What time it is, for the times of blobs; `None`: the operating system's.
    clock: Option<BlobClock>,
    /// Held while a blob gets its name or loses it.
    moves: Mutex<()>,
    /// Tells the temporary files of this process apart.
    count: AtomicU64,
    /// Blobs that wait for room on the disk, and why.
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    blobs: usize,
    why: String,
}

/// Tells the time of a `put`.
pub type BlobClock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

impl std::fmt::Debug for FileShared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileShared").field("folder", &self.folder).finish_non_exhaustive()
    }
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
        Ok(Self::of(folder, None))
    }

    /// The same with a clock of the caller's: blobs are as old as it says (simulations of years).
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn with_clock(folder: impl Into<PathBuf>, clock: BlobClock) -> Result<Self, Error> {
        let folder = Self::open(folder)?.shared.folder.clone();
        Ok(Self::of(folder, Some(clock)))
    }

    /// Blobs that are only looked at: nothing is made or cleaned up.
    #[must_use]
    pub fn look(folder: impl Into<PathBuf>) -> Self {
        Self::of(folder.into(), None)
    }

    fn of(folder: PathBuf, clock: Option<BlobClock>) -> Self {
        let (moves, waiting, count) = (Mutex::default(), Mutex::default(), AtomicU64::new(0));
        let shared = FileShared { folder, clock, moves, count, waiting };
        Self { shared: Arc::new(shared) }
    }

    /// What people must know about now: a full disk on which blobs wait. Empty when all is well.
    #[must_use]
    pub fn alarms(&self) -> Vec<Alarm> {
        let waiting = self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let (folder, Waiting { blobs, why }) = (self.shared.folder.display(), &*waiting);
        let text = format!("the disk of {folder} is full ({why}); {blobs} blobs wait: make room");
        if *blobs > 0 { vec![Alarm { kind: AlarmKind::DiskFull, text }] } else { Vec::new() }
    }

    /// Waits until there is room again for a blob that found none.
    async fn wait_for_room(&self, sha256: &str, bytes: &Bytes, full: std::io::Error) -> std::io::Result<()> {
        error!(error = %full, sha256, "the disk of the blobs is full: waiting until there is room");
        let _waiting = self.shared.waits(&full);
        let mut pause = DISK_RETRY.0;
        loop {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(DISK_RETRY.1);
            match self.write(sha256, bytes).await {
                Err(e) if is_full(&e) => {}
                done => return done,
            }
        }
    }

    fn failed(&self, sha256: &str, error: &std::io::Error) -> Error {
        let path = self.shared.path(sha256);
        Error::Io(format!("the blob {} cannot be written: {error}; is its disk mounted and writable?", path.display()))
    }

    async fn write(&self, sha256: &str, bytes: &Bytes) -> std::io::Result<()> {
        group::write(&self.shared, &[(sha256.to_owned(), bytes.clone())]).await
    }
}

/// Ends the alarm, also when the caller gives up.
struct Waits<'a>(&'a FileShared);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner).blobs -= 1;
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
    fn waits(&self, full: &std::io::Error) -> Waits<'_> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        (waiting.blobs, waiting.why) = (waiting.blobs + 1, full.to_string());
        Waits(self)
    }

    fn path(&self, sha256: &str) -> PathBuf {
        self.folder.join(&sha256[..2]).join(sha256)
    }

    /// Without a clock of the caller's, times are those that the operating system gives to files.
    #[allow(clippy::disallowed_methods)]
    fn now(&self) -> SystemTime {
        self.clock.as_ref().map_or_else(SystemTime::now, |clock| clock())
    }

    fn moves(&self) -> MutexGuard<'_, ()> {
        self.moves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, sha256: &str) -> Result<Option<Bytes>, Error> {
        let path = self.path(sha256);
        let io = |e: std::io::Error| Error::Io(format!("the blob {} cannot be read: {e}", path.display()));
        let file = match File::open(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound && !self.bring_back(sha256).map_err(io)? => return Ok(None),
            Err(e) if e.kind() == ErrorKind::NotFound => File::open(&path).map_err(io)?,
            other => other.map_err(io)?,
        };
        let mut bytes = Vec::new();
        file.take(BLOB_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(io)?;
        match hash(&bytes) == sha256 {
            true => Ok(Some(bytes.into())),
            false => Err(damaged(&path, bytes.len())),
        }
    }
}

#[async_trait]
impl Blobs for FileBlobs {
    /// Waits while the disk is full; [`FileBlobs::alarms`] says so.
    async fn put(&self, bytes: &[u8]) -> Result<String, Error> {
        check_size(bytes.len())?;
        let (sha256, bytes) = (hash(bytes), Bytes::copy_from_slice(bytes));
        let written = match self.write(&sha256, &bytes).await {
            Err(e) if is_full(&e) => self.wait_for_room(&sha256, &bytes, e).await,
            done => done,
        };
        written.map_err(|e| self.failed(&sha256, &e)).map(|()| sha256)
    }

    /// As [`Self::put`], with fewer waits for the disk.
    async fn put_all(&self, blobs: &[Bytes]) -> Result<(), Error> {
        blobs.iter().try_for_each(|bytes| check_size(bytes.len()))?;
        for group in blobs.chunks(group::GROUP_MAX) {
            let named: Vec<_> = group.iter().map(|bytes| (hash(bytes), bytes.clone())).collect();
            match group::write(&self.shared, &named).await {
                // One by one: each waits for room.
                Err(e) if is_full(&e) => {
                    for bytes in group {
                        let _ = self.put(bytes).await?;
                    }
                }
                done => done.map_err(|e| self.failed(&named[0].0, &e))?,
            }
        }
        Ok(())
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

fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
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

fn damaged(path: &Path, bytes: usize) -> Error {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let detail = format!("the {bytes} bytes that were read have another hash");
    Error::Corrupt { file: path.display().to_string(), place: format!("blob {name}"), offset: 0, detail }
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
