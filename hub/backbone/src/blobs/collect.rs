//! Taking blobs away that nothing names any more, by way of a trash folder.
//!
//! What names a blob is not known here: whoever collects finds that out. Here stand the steps, each safe to be cut off by
//! a crash: a blob is in its place or in the trash, and one in the trash that is asked for or put again is back.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use async_trait::async_trait;

use super::{FileBlobs, FileShared, MemoryBlobs, blocking, is_name, sync};
use crate::{Blobs, Error};

/// How many parts a blob store has: the first two digits of the names.
pub const SHARDS: u16 = 256;

/// Name of the trash folder beside the shards.
const TRASH: &str = "trash";

/// A blob store whose blobs can be collected.
#[async_trait]
pub trait Collect: Blobs {
    /// Names in one shard (0 to 255) whose last `put` was before `before`, at most `limit`, in order, beginning after
    /// `after`.
    async fn old(&self, shard: u8, before: SystemTime, after: Option<&str>, limit: usize)
    -> Result<Vec<String>, Error>;

    /// Moves a blob to the trash, unless it was put again at or after `before`. Says whether it did. `now` is when it is
    /// put into the trash.
    async fn discard(&self, sha256: &str, before: SystemTime, now: SystemTime) -> Result<bool, Error>;

    /// Deletes what came into the trash of one shard before `before`. Gives how many, and their size in bytes.
    async fn empty_trash(&self, shard: u8, before: SystemTime) -> Result<(u64, u64), Error>;
}

#[async_trait]
impl Collect for FileBlobs {
    async fn old(
        &self,
        shard: u8,
        before: SystemTime,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, Error> {
        let (shared, after) = (self.shared.clone(), after.map(str::to_owned));
        blocking(move || shared.old(shard, before, after.as_deref(), limit)).await?
    }

    async fn discard(&self, sha256: &str, before: SystemTime, now: SystemTime) -> Result<bool, Error> {
        if !is_name(sha256) {
            return Ok(false);
        }
        let (shared, name) = (self.shared.clone(), sha256.to_owned());
        let io = move |e: std::io::Error| Error::Io(format!("the blob {name} cannot be moved to the trash: {e}"));
        let name = sha256.to_owned();
        blocking(move || shared.discard(&name, before, now)).await?.map_err(io)
    }

    async fn empty_trash(&self, shard: u8, before: SystemTime) -> Result<(u64, u64), Error> {
        let shared = self.shared.clone();
        blocking(move || shared.empty_trash(shard, before)).await?
    }
}

impl FileBlobs {
    /// The names in one shard, in its place and in the trash, for audits. Blocks.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder cannot be read.
    pub fn names(&self, shard: u8) -> Result<Vec<String>, Error> {
        let mut names = names_in(&self.shared.shard(shard))?;
        names.extend(names_in(&self.shared.trash_shard(shard))?);
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// Whether a blob is there, in its place or in the trash. Its content is not read. Blocks.
    #[must_use]
    pub fn has(&self, sha256: &str) -> bool {
        is_name(sha256) && (self.shared.path(sha256).is_file() || self.shared.trash_path(sha256).is_file())
    }

    /// The file of a blob, wherever it is. Blocks.
    #[must_use]
    pub fn file_of(&self, sha256: &str) -> Option<PathBuf> {
        let places = is_name(sha256).then(|| [self.shared.path(sha256), self.shared.trash_path(sha256)])?;
        places.into_iter().find(|path| path.is_file())
    }
}

impl FileShared {
    fn shard(&self, shard: u8) -> PathBuf {
        self.folder.join(format!("{shard:02x}"))
    }

    fn trash_shard(&self, shard: u8) -> PathBuf {
        self.folder.join(TRASH).join(format!("{shard:02x}"))
    }

    fn trash_path(&self, sha256: &str) -> PathBuf {
        self.folder.join(TRASH).join(&sha256[..2]).join(sha256)
    }

    fn old(&self, shard: u8, before: SystemTime, after: Option<&str>, limit: usize) -> Result<Vec<String>, Error> {
        let folder = self.shard(shard);
        let mut names = names_in(&folder)?;
        names.sort();
        names.retain(|name| after.is_none_or(|after| name.as_str() > after));
        let is_old = |name: &String| put_at(&folder.join(name)).is_some_and(|at| at < before);
        Ok(names.into_iter().filter(is_old).take(limit).collect())
    }

    fn discard(&self, sha256: &str, before: SystemTime, now: SystemTime) -> std::io::Result<bool> {
        let (path, trash) = (self.path(sha256), self.trash_path(sha256));
        let folder = trash.parent().unwrap_or(&self.folder);
        if !folder.is_dir() {
            fs::create_dir_all(folder)?;
            sync(&self.folder.join(TRASH))?;
            sync(&self.folder)?;
        }
        // No put gives this blob its name in between.
        let _moves = self.moves();
        if put_at(&path).is_none_or(|at| at >= before) {
            return Ok(false);
        }
        // Its days in the trash begin now. Cut off before the move it has only been renewed.
        File::options().write(true).open(&path)?.set_modified(now)?;
        fs::rename(&path, &trash)?;
        sync(folder)?;
        sync(path.parent().unwrap_or(&self.folder))?;
        Ok(true)
    }

    /// Brings a blob back from the trash; says whether it was there.
    pub(super) fn bring_back(&self, sha256: &str) -> std::io::Result<bool> {
        let (path, trash) = (self.path(sha256), self.trash_path(sha256));
        let _moves = self.moves();
        if path.is_file() {
            return Ok(true);
        }
        match File::options().write(true).open(&trash) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(false),
            other => other?.set_modified(self.now())?,
        }
        fs::rename(&trash, &path)?;
        sync(path.parent().unwrap_or(&self.folder))?;
        tracing::warn!(sha256, "a blob in the trash was asked for and is back");
        Ok(true)
    }

    fn empty_trash(&self, shard: u8, before: SystemTime) -> Result<(u64, u64), Error> {
        let folder = self.trash_shard(shard);
        let (mut count, mut bytes) = (0, 0);
        for name in names_in(&folder)? {
            let path = folder.join(&name);
            let _moves = self.moves();
            let Ok(meta) = fs::metadata(&path) else { continue };
            if meta.modified().is_ok_and(|at| at < before) {
                fs::remove_file(&path).map_err(|e| io("delete", &path, &e))?;
                (count, bytes) = (count + 1, bytes + meta.len());
            }
        }
        Ok((count, bytes))
    }
}

fn put_at(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|meta| meta.modified()).ok()
}

/// The blobs in a folder; one that is not there has none.
fn names_in(folder: &Path) -> Result<Vec<String>, Error> {
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|e| io("read", folder, &e))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(|e| io("read", folder, &e))?.file_name().to_string_lossy().into_owned();
        if is_name(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

fn io(what: &str, path: &Path, error: &std::io::Error) -> Error {
    Error::Io(format!("cannot {what} {} of the blobs: {error}", path.display()))
}

/// Blobs in memory are never old: a simulation that collects keeps them in files.
#[async_trait]
impl Collect for MemoryBlobs {
    async fn old(&self, _: u8, _: SystemTime, _: Option<&str>, _: usize) -> Result<Vec<String>, Error> {
        Ok(Vec::new())
    }
    async fn discard(&self, _: &str, _: SystemTime, _: SystemTime) -> Result<bool, Error> {
        Ok(false)
    }
    async fn empty_trash(&self, _: u8, _: SystemTime) -> Result<(u64, u64), Error> {
        Ok((0, 0))
    }
}
