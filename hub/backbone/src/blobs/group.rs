//! Several blobs in one go: first all are written and fsynced, then all get their names, then each folder is fsynced once.
//!
//! Each step of the file system's own journal then serves many blobs; what is durable when is as for a single one.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use hub_failpoint::{Point, at as failpoint};
use tokio::task::spawn_blocking;

use super::{FileShared, sync};

/// Blobs of one group: each holds a file open.
pub(super) const GROUP_MAX: usize = 32;
/// Threads that write one group. The file system serves fsyncs that wait at the same time together.
const THREADS: usize = 4;
/// Blobs for which another thread is not worth its while.
const PART_MIN: usize = 3;

/// A blob that is on the disk under a name of its own.
struct Written {
    /// Its lock keeps another process that cleans up away.
    file: File,
    tmp: PathBuf,
    target: PathBuf,
}

impl Drop for Written {
    fn drop(&mut self) {
        // It is there only if something failed; the next opening removes it otherwise.
        let _gone = fs::remove_file(&self.tmp).is_err();
    }
}

/// Writes a group of blobs, by name; durable on return. After an error some may be there.
pub(super) async fn write(shared: &Arc<FileShared>, blobs: &[(String, Bytes)]) -> std::io::Result<()> {
    let size = blobs.len().div_ceil(THREADS).max(PART_MIN);
    let mut work: Vec<_> = blobs.chunks(size).map(|part| write_part(shared, part.to_vec())).collect();
    let alone = if work.len() == 1 { work.pop() } else { None };
    let work: Vec<_> = work.into_iter().map(spawn_blocking).collect();
    let mut written = Vec::with_capacity(blobs.len());
    for part in work {
        written.extend(part.await.map_err(std::io::Error::other)??);
    }
    let shared = Arc::clone(shared);
    let named = spawn_blocking(move || {
        written.extend(alone.map_or_else(|| Ok(Vec::new()), |write| write())?);
        shared.give_names(&written)
    });
    named.await.map_err(std::io::Error::other)?
}

fn write_part(
    shared: &Arc<FileShared>,
    part: Vec<(String, Bytes)>,
) -> impl FnOnce() -> std::io::Result<Vec<Written>> + Send + 'static {
    let shared = Arc::clone(shared);
    move || part.iter().map(|(name, bytes)| shared.write_tmp(name, bytes)).collect()
}

impl FileShared {
    fn write_tmp(&self, sha256: &str, bytes: &[u8]) -> std::io::Result<Written> {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let tmp = self.folder.join("tmp").join(format!("{sha256}.{}.{count}", std::process::id()));
        let mut written = Written { file: File::create_new(&tmp)?, tmp, target: self.path(sha256) };
        written.file.lock()?;
        written.file.write_all(bytes)?;
        if let Some(clock) = &self.clock {
            written.file.set_modified(clock())?;
        }
        written.file.sync_all()?;
        failpoint(Point::BlobWritten);
        Ok(written)
    }

    fn give_names(&self, written: &[Written]) -> std::io::Result<()> {
        let folders: BTreeSet<_> = written.iter().filter_map(|one| one.target.parent()).collect();
        let missing: Vec<_> = folders.iter().filter(|folder| !folder.is_dir()).collect();
        missing.iter().try_for_each(fs::create_dir_all)?;
        if !missing.is_empty() {
            sync(&self.folder)?;
        }
        for one in written {
            {
                let _moves = self.moves();
                fs::rename(&one.tmp, &one.target)?;
            }
            failpoint(Point::BlobNamed);
        }
        folders.into_iter().try_for_each(sync)?;
        failpoint(Point::BlobDurable);
        Ok(())
    }
}
