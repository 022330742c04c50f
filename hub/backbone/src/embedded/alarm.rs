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
    /// Another program holds the database: commits wait.
    Busy,
    /// The store can no longer be used: the hub must be started again.
    Failed,
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

    /// Ends the alarms about waiting.
    pub(super) fn writes_again(&self) {
        let mut alarms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = alarms.len();
        alarms.retain(|alarm| alarm.kind == AlarmKind::Failed);
        if alarms.len() < before {
            info!("the backbone writes again");
        }
    }
}
