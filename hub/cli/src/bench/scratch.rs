//! A folder on the disk that is measured; gone when the bench is over.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::machine::file_system;

/// File systems that keep nothing: an fsync there measures nothing.
const IN_MEMORY: [&str; 2] = ["tmpfs", "ramfs"];

/// The scratch folder of one run.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
    keep: bool,
}

impl Scratch {
    /// Makes a new folder in `dir`, or in a place that suits.
    ///
    /// # Errors
    /// When it cannot be made, or stands on a file system in memory.
    pub(super) fn make(name: &str, dir: Option<&Path>, keep: bool) -> anyhow::Result<Self> {
        let parent = dir.map_or_else(usual_parent, |dir| Ok(dir.to_path_buf()))?;
        std::fs::create_dir_all(&parent).with_context(|| format!("cannot make the folder {}", parent.display()))?;
        let kind = file_system(&parent);
        if IN_MEMORY.contains(&kind.as_str()) {
            bail!("{} stands on {kind}, which keeps nothing: give a folder on a disk with --dir", parent.display());
        }
        let path = std::path::absolute(parent)?.join(format!("bench-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).with_context(|| format!("cannot make the folder {}", path.display()))?;
        Ok(Self { path, keep })
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A new folder in it.
    pub(crate) fn folder(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.path.join(name);
        std::fs::create_dir_all(&path).with_context(|| format!("cannot make the folder {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.keep {
            eprintln!("left behind: {}", self.path.display());
        } else if let Err(error) = std::fs::remove_dir_all(&self.path) {
            eprintln!("cannot remove {}: {error}", self.path.display());
        }
    }
}

fn usual_parent() -> anyhow::Result<PathBuf> {
    let here = std::env::current_dir()?;
    let target = here.join("target");
    let temp = std::env::temp_dir();
    let on_disk = |dir: &Path| dir.is_dir() && !IN_MEMORY.contains(&file_system(dir).as_str());
    Ok([target, temp].into_iter().find(|dir| on_disk(dir)).unwrap_or(here))
}

/// Bytes of all files below a folder.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn bytes_below(folder: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        bytes += if meta.is_dir() { bytes_below(&entry.path())? } else { meta.len() };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scratch_folder_is_new_and_goes_away() {
        let parent = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let scratch = Scratch::make("test", Some(parent.path()), false).unwrap();
        let inner = scratch.folder("inner").unwrap();
        std::fs::write(inner.join("file"), [0; 1000]).unwrap();
        assert_eq!(bytes_below(scratch.path()).unwrap(), 1000);
        drop(scratch);
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_in_memory_is_refused() {
        if file_system(Path::new("/dev/shm")) == "tmpfs" {
            let error = Scratch::make("test", Some(Path::new("/dev/shm")), false).unwrap_err().to_string();
            assert!(error.contains("--dir"), "{error}");
        }
    }
}
