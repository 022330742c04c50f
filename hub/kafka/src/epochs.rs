//! Lives of the hub, as records of a topic of their own.
//!
//! A life begins with a record and ends with one. **Only the end record proves that it is over.** That a newer life has
//! taken the `transactional.id` proves less: the cluster then refuses the old life's commits, but it cannot take back its
//! bytes. A process that was frozen between its last look and its first byte may still send, and a dead one's kernel still
//! sends its buffers (DESIGN.md, "What fences a send"). So a life that was killed stays open until somebody who knows says
//! that it is over: the fencing command, a person, or a lock on the same machine (`lock`).

use std::collections::BTreeMap;

use hub_backbone::{Error, Note};
use serde::{Deserialize, Serialize};

use crate::transact::Outgoing;
use crate::wire;

/// Why a life is over whose hub has ended it itself.
pub(crate) const CLOSED: &str = "closed";

/// The key under which stands what is said about the moving of the store. It is no life, and always said to be over.
pub(crate) const NOTE: &str = "migration";

/// What is said of a life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Said {
    /// The newest version of records that it writes.
    pub(crate) format: u8,
    /// The newest one that it reads; a hub that says nothing reads what it writes.
    #[serde(default)]
    pub(crate) knows: u8,
    /// The hub, by its transactional id.
    pub(crate) hub: String,
    /// Why it is over; `None` while it may run.
    pub(crate) over: Option<String>,
    /// The lock under which it was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lock: Option<String>,
    /// Under the key [`NOTE`]: what is said about the moving of the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) note: Option<Note>,
}

/// All lives that the topic knows.
#[derive(Debug, Default)]
pub(crate) struct Lives {
    said: BTreeMap<String, Said>,
    /// The life that began last, by hub.
    newest: BTreeMap<String, String>,
    /// What is said about the moving of the store.
    note: Option<Note>,
}

impl Lives {
    /// A record of the topic, in order. Says what is wrong with it.
    pub(crate) fn heard(&mut self, epoch: String, value: &[u8]) -> Result<(), String> {
        let said: Said =
            serde_json::from_slice(value).map_err(|error| format!("it says nothing of a life: {error}"))?;
        if epoch == NOTE {
            self.note = said.note;
            return Ok(());
        }
        // what is over stays over
        let over = self.said.get(&epoch).is_some_and(|before| before.over.is_some());
        if said.over.is_none() && !over {
            let _ = self.newest.insert(said.hub.clone(), epoch.clone());
        }
        if !over || said.over.is_some() {
            let _ = self.said.insert(epoch, said);
        }
        Ok(())
    }

    /// A store in which newer records stand is not for a hub that knows only `knows`.
    pub(crate) fn check(&self, knows: u8) -> Result<(), Error> {
        let newer = self.said.iter().find(|(_, said)| said.format > knows);
        newer.map_or(Ok(()), |(epoch, said)| {
            Err(Error::Io(format!(
                "Kafka: hub {} (epoch {epoch}) writes records of version {}, this one knows {knows}: run the newer version, or restore what was before it",
                said.hub, said.format
            )))
        })
    }

    /// What is said about the moving of the store.
    pub(crate) fn note(&self) -> Option<&Note> {
        self.note.as_ref()
    }

    /// All lives, with the hub and why each is over.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &Said)> {
        self.said.iter().map(|(epoch, said)| (epoch.as_str(), said))
    }

    /// The newest version of records that may stand in the store.
    pub(crate) fn format(&self) -> u8 {
        self.said.values().map(|said| said.format).max().unwrap_or(wire::OLDEST)
    }

    /// The newest version that the newest life of a hub reads.
    pub(crate) fn known_by(&self, hub: &str) -> Option<u8> {
        let said = self.said.get(self.newest(hub)?)?;
        Some(said.knows.max(said.format))
    }

    /// The life whose records have this mark.
    pub(crate) fn marked(&self, mark: u64) -> Option<&str> {
        self.said.keys().find(|epoch| wire::mark(epoch) == mark).map(String::as_str)
    }

    pub(crate) fn is_over(&self, epoch: &str) -> bool {
        self.said.get(epoch).is_some_and(|said| said.over.is_some())
    }

    /// The life that holds a hub's name now.
    pub(crate) fn newest(&self, hub: &str) -> Option<&str> {
        self.newest.get(hub).map(String::as_str)
    }

    /// Hubs whose newest life is not known to be over.
    pub(crate) fn open_hubs(&self) -> Vec<&str> {
        let open = self.newest.iter().filter(|(_, epoch)| !self.is_over(epoch));
        open.map(|(hub, _)| hub.as_str()).collect()
    }

    /// Lives that were begun under a lock and are not known to be over.
    pub(crate) fn open_under(&self, lock: &str) -> Vec<String> {
        let open = self.said.iter().filter(|(_, said)| said.over.is_none() && said.lock.as_deref() == Some(lock));
        open.map(|(epoch, _)| epoch.clone()).collect()
    }

    /// What is known of a life.
    pub(crate) fn said(&self, epoch: &str) -> Option<&Said> {
        self.said.get(epoch)
    }

    /// Why a life is over.
    pub(crate) fn ended(&self, epoch: &str) -> Option<&str> {
        self.said.get(epoch)?.over.as_deref()
    }

    pub(crate) fn set_over(&mut self, epoch: &str, why: &str) {
        if let Some(said) = self.said.get_mut(epoch) {
            said.over = Some(why.to_owned());
        }
    }

    pub(crate) fn knows(&self, epoch: &str) -> bool {
        self.said.contains_key(epoch)
    }
}

/// A record that says something of a life.
pub(crate) fn record(topic: String, epoch: &str, said: &Said) -> Result<Outgoing, Error> {
    let value =
        serde_json::to_vec(said).map_err(|error| Error::Io(format!("Kafka: an epoch cannot be written: {error}")))?;
    let key = epoch.to_owned();
    Ok(Outgoing { topic, partition: 0, key, value: Some(value.into()), header: wire::plain_header() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn said(format: u8, over: Option<&str>) -> Bytes {
        let said =
            Said { format, knows: 0, hub: "hub-1".to_owned(), over: over.map(str::to_owned), lock: None, note: None };
        serde_json::to_vec(&said).expect("JSON").into()
    }

    #[test]
    fn only_an_end_record_ends_a_life() {
        let mut lives = Lives::default();
        for (epoch, over) in [("a", None), ("b", None), ("a", Some("closed")), ("a", None)] {
            lives.heard(epoch.to_owned(), &said(1, over)).expect("a life");
        }
        assert!(lives.is_over("a") && !lives.is_over("b") && !lives.is_over("c"));
        assert_eq!((lives.newest("hub-1"), lives.newest("hub-2")), (Some("b"), None));
        assert!(lives.knows("b") && !lives.knows("c"));
        assert!(lives.heard("d".to_owned(), &Bytes::from_static(b"{}")).is_err());
    }

    #[test]
    fn a_newer_format_refuses_the_start() {
        let mut lives = Lives::default();
        lives.heard("a".to_owned(), &said(1, None)).expect("a life");
        assert!(lives.check(1).is_ok());
        assert_eq!((lives.format(), lives.known_by("hub-1"), lives.known_by("hub-2")), (1, Some(1), None));
        lives.heard("b".to_owned(), &said(2, Some("closed"))).expect("a life");
        assert!(lives.check(1).is_err_and(|error| error.to_string().contains("version 2")));
        assert!(lives.check(2).is_ok());
        assert_eq!(lives.marked(wire::mark("b")), Some("b"));
    }
}
