use std::path::PathBuf;
use std::time::Duration;

use super::view::View;

/// How to open the embedded store.
#[derive(Debug)]
pub struct EmbeddedSettings {
    /// The database file; it is made if it does not exist. Beside it: `-wal`, `-shm` (SQLite's), `.lock` and
    /// `.mark`.
    pub path: PathBuf,
    /// Partitions of each topic, 1 to 1024. Fixed when the file is made: keys belong to partitions.
    pub partitions: u16,
    /// Writes rows of its own in the same transaction, computed from the journal.
    pub view: Option<Box<dyn View>>,
    /// How large the database file may grow, in bytes. When it is reached, commits wait as on a full disk.
    /// See [`super::Embedded::limit_bytes`].
    pub bytes_max: Option<u64>,
    /// Where to write down how far the log goes, so that an older copy of the file is noticed; best on another disk. `None`:
    /// nowhere, and nothing is compared.
    pub anchor: Option<PathBuf>,
    /// Opens a store that says that it is being moved, which a hub must not; see [`crate::migrate`].
    pub moving: bool,
    /// After how long a commit that found the disk full is tried again: at first, and at most (doubling).
    pub disk_retry: (Duration, Duration),
}

impl EmbeddedSettings {
    /// The usual settings: no view, no anchor, no limit of size, tries again after 250 ms, doubling to 5 s, when the disk is full.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, partitions: u16) -> Self {
        let disk_retry = (Duration::from_millis(250), Duration::from_secs(5));
        Self { path: path.into(), partitions, view: None, bytes_max: None, anchor: None, moving: false, disk_retry }
    }

    /// The same with an anchor at this path.
    #[must_use]
    pub fn with_anchor(mut self, path: impl Into<PathBuf>) -> Self {
        self.anchor = Some(path.into());
        self
    }

    /// The same for moving the store.
    #[must_use]
    pub const fn for_moving(mut self) -> Self {
        self.moving = true;
        self
    }

    /// The same with a view.
    #[must_use]
    pub fn with_view(mut self, view: impl View + 'static) -> Self {
        self.view = Some(Box::new(view));
        self
    }
}
