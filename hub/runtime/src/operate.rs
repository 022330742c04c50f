//! What people and the admin API may ask of a running hub.

use std::sync::Arc;

use async_trait::async_trait;
use hub_backbone::Blobs;
use hub_life::outbound::Action;
use hub_life::task::{Refusal, Word};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Figures;
use crate::RecoveryReport;

/// Operations on a running hub. Each write is a command record; the owner of the thing judges it, and its verdict comes back.
#[async_trait]
pub trait Operate: Send + Sync {
    /// Says something about a task. The verdict is the owner's.
    async fn decide(&self, task: &str, word: Word) -> Result<Decided, OperateError>;

    /// Decides about a parked message.
    async fn release(&self, release: Release) -> Result<Released, OperateError>;

    /// What is known about the recovery; `None`: the hub is not in one.
    async fn recovery(&self) -> Result<Option<RecoveryReport>, OperateError>;

    /// Lets the messages of a lane be sent: a person says that no other hub runs on a later state of the store, and that what
    /// the receiver does not show was not sent.
    async fn release_lane(&self, lane: &str, by: &str, note: &str) -> Result<Released, OperateError>;

    /// Ends the recovery, when all lanes with messages are released.
    async fn end_recovery(&self, by: &str, note: &str) -> Result<Released, OperateError>;

    /// The routes and how they are.
    fn routes(&self) -> Vec<RouteStatus>;

    /// What an operator should look at.
    fn alarms(&self) -> Vec<Alarm>;

    /// The hub in numbers, now.
    async fn figures(&self) -> Result<Figures, OperateError>;

    /// Whether all routes have been opened and the store works.
    fn is_ready(&self) -> bool;

    /// Waits (at most some seconds) until the views have seen the position that a write returned.
    async fn wait_until_seen(&self, position: &str) -> Result<(), OperateError>;

    /// Documents and large bodies.
    fn blobs(&self) -> Arc<dyn Blobs>;
}

/// The verdict on a person's word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// `None`: it counts. Otherwise why it does not.
    pub refused: Option<Refusal>,
    /// How many people have approved so far.
    pub approvals: u32,
    /// How many are needed.
    pub people: u32,
    /// How the task ended (`approved`, `rejected`, `done`), if it did.
    pub outcome: Option<String>,
    /// Position of the write: hand it to a read as `after=`.
    pub position: String,
}

/// A decision about a parked message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// The parked message ([`hub_core::journal::Parked::id`]).
    pub parked: String,
    /// What to do.
    pub action: Action,
    /// Who says so.
    pub by: String,
    /// The entities they may touch; empty: all.
    pub entities: Vec<String>,
    /// Their words: the proof, or the reason.
    pub note: String,
}

/// The verdict on a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Released {
    /// Whether it was done; `false`: no such parked message, or the action does not fit its kind.
    pub done: bool,
    /// Why not.
    pub reason: String,
    /// Position of the write: hand it to a read as `after=`.
    pub position: String,
}

/// A route and how it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteStatus {
    /// Name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Version (hash).
    pub version: String,
    /// Kind of the source.
    pub source: String,
    /// `running`, `waiting` (the source is opened again after an error), `stopped`.
    pub state: String,
    /// The last error of the source.
    pub error: Option<String>,
    /// When a message was admitted last, in this life of the hub.
    pub last_taken: Option<Timestamp>,
}

/// Something an operator should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// Stable name, for example `disk-full`, `clock`, `source`, `store`.
    pub name: String,
    /// What it is about.
    pub subject: String,
    /// In words: what happened, what to do.
    pub detail: String,
}

/// Why an operation could not be carried out at all.
#[derive(Debug, thiserror::Error)]
pub enum OperateError {
    /// The hub stops, or its store has failed.
    #[error("the hub is not working: {0}")]
    Stopped(String),
    /// The verdict did not come in time; the command is durable and will be judged.
    #[error("no verdict within {0:?}; the command was recorded and will be judged")]
    Late(std::time::Duration),
    /// The ledger has a store of its own, which cannot be asked.
    #[error("{0}")]
    Ledger(String),
    /// The request makes no sense.
    #[error("{0}")]
    Bad(String),
}
