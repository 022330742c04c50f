//! What callers ask of the writer.

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::chain::Chain;
use crate::embedded::shared::Room;
use crate::embedded::view::ViewError;
use crate::{Commit, Error, Offset, Place};

type Ack<T> = oneshot::Sender<Result<T, Error>>;

/// Work in a transaction of its own. It may be called again after a rollback.
pub(in crate::embedded) type Task = Box<dyn FnMut(&Connection) -> Result<(), ViewError> + Send>;

/// What callers ask of the writer.
pub(in crate::embedded) enum Job {
    Commit(CommitJob),
    Trim(TrimJob),
    Task(TaskJob),
    Begin(BeginJob),
}

pub(in crate::embedded) struct CommitJob {
    pub(in crate::embedded) commit: Commit,
    pub(in crate::embedded) bytes: usize,
    pub(in crate::embedded) ack: Ack<Vec<Offset>>,
    pub(in crate::embedded) _room: Room,
}

/// Removes some records; the answer says whether there are more.
pub(in crate::embedded) struct TrimJob {
    pub(in crate::embedded) place: Place,
    pub(in crate::embedded) before: Offset,
    pub(in crate::embedded) ack: Ack<bool>,
    pub(in crate::embedded) _room: Room,
}

pub(in crate::embedded) struct TaskJob {
    pub(in crate::embedded) run: Task,
    pub(in crate::embedded) ack: Ack<()>,
    pub(in crate::embedded) _room: Room,
}

/// Lets an empty log begin behind records of another store.
pub(in crate::embedded) struct BeginJob {
    pub(in crate::embedded) place: Place,
    pub(in crate::embedded) first: Offset,
    pub(in crate::embedded) before: Chain,
    pub(in crate::embedded) ack: Ack<()>,
    pub(in crate::embedded) _room: Room,
}

impl Job {
    /// Tells the caller that it was not done, or that nobody knows.
    pub(super) fn refuse(self, error: Error) {
        // a caller who gave up does not listen
        let _gone = match self {
            Self::Commit(job) => job.ack.send(Err(error)).is_err(),
            Self::Trim(job) => job.ack.send(Err(error)).is_err(),
            Self::Task(job) => job.ack.send(Err(error)).is_err(),
            Self::Begin(job) => job.ack.send(Err(error)).is_err(),
        };
    }
}
