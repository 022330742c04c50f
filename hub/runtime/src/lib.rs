//! The running hub: thin loops around [`hub_life`], one for each partition of each topic.
//!
//! - [`intake`](crate::Hub): a source's `next`, [`admit`], durable append, `settle`.
//! - [`process`]: inbox; runs the compute steps of a segment and commits what they produce.
//! - [`deliver`]: outbox; intent, send, outcome, resolve.
//! - [`recovery`]: an old store that was put back; nothing is sent until a person releases it, lane by lane.
//! - [`wait`]: waits, answers, tasks, deadlines.
//! - [`case`]: judges states and writes the journal.
//! - [`retain`]: what is taken away again: old records, journal segments, keys, blobs.
//! - [`interpret`]: what the operations of a segment do; [`batch`] and [`claim`]: what one commit is made of.
//!
//! Nothing here knows a connector by name. Every loop reads a batch, computes, and commits outputs, state and position
//! together; what must wait becomes keyed state and leaves the prefix.

mod admit;
mod batch;
mod case;
mod claim;
mod clock;
mod commands;
mod deliver;
mod error;
mod figures;
mod flag;
mod hub;
mod intake;
mod interpret;
mod operate;
mod process;
mod recent;
mod record;
mod recovery;
mod retain;
mod routes;
mod seen;
mod tenure;
mod timers;
mod versions;
mod wait;
mod worker;

pub use clock::SystemClock;
pub use error::Error;
pub use figures::{Figures, PartitionFigures, StoreFigures};
pub use hub::{Hub, HubSettings, RuntimeLimits};
pub use operate::{Alarm, Decided, Operate, OperateError, Release, Released, RouteStatus};
pub use recovery::{LaneReport, LaneWord, MessageReport, Recovery, RecoveryReport, Settled, Unclaimed};
pub use retain::{History, Retained, RetentionSettings, blobs_of};
pub use seen::Seen;
pub use versions::Versions;
pub use worker::{READ_BYTES_MAX, READ_RECORDS_MAX};
