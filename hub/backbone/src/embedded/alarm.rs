use std::sync::{Mutex, PoisonError};

use tracing::{error, info};

/// What a person must know about the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// What kind of trouble.
    pub kind: AlarmKind,
    /// What happened and what to do.
    pub text: String,
}

/// Kinds of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlarmKind {
    /// The disk (or the size that the store may have) is full: commits wait.
    DiskFull,
    /// Another program holds the database, or the object store of the blobs is away: commits wait.
    Busy,
    /// The store can no longer be used: the hub must be started again.
    Failed,
    /// The anchor cannot be written: an older copy of the store would not be noticed.
    Anchor,
}

/// The alarms that stand; each kind at most once.
#[derive(Debug, Default)]
pub(super) struct Alarms(Mutex<Vec<Alarm>>);

impl Alarms {
    pub(super) fn list(&self) -> Vec<Alarm> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Raises an alarm; logs it the first time only.
    pub(super) fn raise(&self, kind: AlarmKind, text: String) {
        let mut alarms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if alarms.iter().all(|alarm| alarm.kind != kind) {
            error!(?kind, detail = text, "the backbone raises an alarm");
            alarms.push(Alarm { kind, text });
        }
    }

    /// Ends an alarm, if it stands.
    pub(super) fn end(&self, kind: AlarmKind) {
        let mut alarms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = alarms.len();
        alarms.retain(|alarm| alarm.kind != kind);
        if alarms.len() < before {
            info!(?kind, "an alarm of the backbone is over");
        }
    }

    /// Ends the alarms about waiting.
    pub(super) fn writes_again(&self) {
        let mut alarms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = alarms.len();
        alarms.retain(|alarm| !matches!(alarm.kind, AlarmKind::DiskFull | AlarmKind::Busy));
        if alarms.len() < before {
            info!("the backbone writes again");
        }
    }
}
