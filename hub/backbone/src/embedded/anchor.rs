//! The anchor: what the store held a moment ago, written down at a second path.
//!
//! A store that is older than its anchor has lost what came after it: a copy was put back, a disk was rolled back, a file was
//! exchanged. Opening compares both (`recovery`). A thread of its own writes the anchor, at most once a second and when the
//! store is closed; it never stops or slows a commit. It holds only what is durable: the anchor is never ahead of its store.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::alarm::AlarmKind;
use super::places::Reach;
use super::shared::Shared;
use crate::Error;

/// Version of the file.
const FORMAT: u32 = 1;
/// How often it is written, at most.
const EVERY: Duration = Duration::from_secs(1);
/// Largest file that is read: 1,024 partitions of 5 topics fit.
const BYTES_MAX: u64 = 2 << 20;

/// What the store held when the anchor was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Anchor {
    format: u32,
    /// Identity of the store, in base 16.
    pub(super) store: String,
    /// The life of the store that wrote it.
    pub(super) epoch: String,
    /// Records of all partitions.
    pub(super) records: u64,
    pub(super) heads: Vec<AnchoredHead>,
    /// SHA-256 over everything else, in base 16.
    digest: String,
}

/// The end of one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AnchoredHead {
    pub(super) place: String,
    pub(super) next: u64,
    /// The chain of the last record, in base 16.
    pub(super) chain: String,
}

impl Anchor {
    fn new(store: &str, epoch: &str, reached: &[Reach]) -> Self {
        let heads = reached.iter().map(|reach| AnchoredHead {
            place: reach.place.to_string(),
            next: reach.next,
            chain: hex::encode(reach.chain),
        });
        let records = reached.iter().map(|reach| reach.next).sum();
        let (store, epoch, digest) = (store.to_owned(), epoch.to_owned(), String::new());
        let mut anchor = Self { format: FORMAT, store, epoch, records, heads: heads.collect(), digest };
        anchor.digest = anchor.sum();
        anchor
    }

    fn sum(&self) -> String {
        let bare = Self { digest: String::new(), ..self.clone() };
        let bytes = serde_json::to_vec(&bare).expect("invariant: texts and numbers can be written");
        hex::encode(Sha256::digest(bytes))
    }

    /// Reads an anchor; `None`: there is none.
    ///
    /// # Errors
    /// In words, if it cannot be read or is not what was written.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, String> {
        let unreadable = |e: &dyn std::fmt::Display| format!("the anchor {} cannot be read: {e}", path.display());
        let file = match File::open(path) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|e| unreadable(&e))?,
        };
        let mut text = Vec::new();
        let _bytes = file.take(BYTES_MAX).read_to_end(&mut text).map_err(|e| unreadable(&e))?;
        let anchor: Self = serde_json::from_slice(&text).map_err(|e| unreadable(&e))?;
        match anchor.format == FORMAT && anchor.digest == anchor.sum() {
            true => Ok(Some(anchor)),
            false => Err(unreadable(&"it is not what was written")),
        }
    }

    /// Writes it so that the old one stands until the new one is durable.
    fn write(&self, path: &Path) -> std::io::Result<()> {
        let bytes = serde_json::to_vec_pretty(self)?;
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        let beside = PathBuf::from(beside);
        let mut file = File::create(&beside)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        File::open(super::schema::folder_of(path))?.sync_all()
    }
}

/// Writes the anchor while the store is open.
#[derive(Debug)]
pub(super) struct Keeper {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Writes the anchor once, and then whenever records were added. What fails is an alarm and is tried again.
    pub(super) fn start(path: PathBuf, store: String, shared: Arc<Shared>) -> Result<Self, Error> {
        let (stop, stopped) = mpsc::channel();
        let mut work = Work { path, store, shared, written: None };
        work.write();
        let thread = std::thread::Builder::new()
            .name("backbone-anchor".to_owned())
            .spawn(move || work.run(&stopped))
            .map_err(|e| Error::Io(format!("the thread of the anchor cannot be started: {e}")))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Keeper {
    /// Writes the last word; the writer has ended before.
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // a panic there leaves an older anchor: that is always allowed
            drop(thread.join());
        }
    }
}

struct Work {
    path: PathBuf,
    store: String,
    shared: Arc<Shared>,
    written: Option<Vec<Reach>>,
}

impl Work {
    fn run(mut self, stopped: &Receiver<()>) {
        while matches!(stopped.recv_timeout(EVERY), Err(RecvTimeoutError::Timeout)) {
            self.write();
        }
        self.write();
    }

    /// Writes what is durable now, if it is news. A store that has failed may belong to somebody else by now.
    fn write(&mut self) {
        let reached = self.shared.reached();
        if self.written.as_ref() == Some(&reached) || self.shared.has_failed() {
            return;
        }
        match Anchor::new(&self.store, &self.shared.epoch, &reached).write(&self.path) {
            Ok(()) => {
                self.written = Some(reached);
                self.shared.alarms.end(AlarmKind::Anchor);
            }
            Err(error) => {
                let path = self.path.display();
                let advice =
                    "work goes on, but an older copy of the store would not be noticed: make the path writable";
                self.shared
                    .alarms
                    .raise(AlarmKind::Anchor, format!("the anchor {path} cannot be written ({error}); {advice}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Place, Topic};

    fn anchor() -> Anchor {
        let reach = Reach { place: Place::new(Topic::INBOX, 0), next: 7, chain: [3; 32] };
        Anchor::new("abc", "e000001-00000001", &[reach])
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("anchor");
        assert_eq!(Anchor::read(&path), Ok(None));
        anchor().write(&path).unwrap();
        assert_eq!(Anchor::read(&path), Ok(Some(anchor())));
    }

    #[test]
    fn whatever_is_changed_in_it_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("anchor");
        anchor().write(&path).unwrap();
        let text = fs::read(&path).unwrap();
        for index in 0..text.len() {
            let mut changed = text.clone();
            changed[index] ^= 1;
            fs::write(&path, &changed).unwrap();
            // white space may change without changing what it says
            assert!(Anchor::read(&path).is_err() || Anchor::read(&path) == Ok(Some(anchor())), "byte {index}");
        }
        fs::write(&path, &text[..text.len() / 2]).unwrap();
        assert!(Anchor::read(&path).unwrap_err().contains("cannot be read"));
    }
}
