//! The log: what is in it is true; everything else is a view. See [`Backbone`] for the contract.
//!
//! Not here: what the records mean (`hub-core`), what is done with them (`hub-runtime`), the rows of the ledger
//! (`hub-ledger`, which comes in through a [`View`]).
//!
//! Begin reading with `api.rs` (the contract), then [`contract`] (the contract as tests, for every implementation), then
//! [`memory`] (the same in the fewest lines) and [`embedded`] (one SQLite file, the default). [`chain`] holds the hashes
//! that make a damaged record visible; [`blobs`] what is too large for a record; [`archive`] what has left the log; [`migrate`] moves a store to another kind of store.

mod api;

pub mod archive;
pub mod backup;
pub mod blobs;
pub mod chain;
pub mod contract;
pub mod embedded;
pub mod memory;
pub mod migrate;
mod movable;

pub use api::{
    Backbone, Blobs, Change, Commit, Error, MAILED, Offset, Place, RECORD_BYTES_MAX, Record, Stored, Term, Terms, Topic,
};
pub use archive::{Archive, Segment};
pub use blobs::{BLOB_BYTES_MAX, Collect, FileBlobs, MemoryBlobs};
pub use embedded::{
    Alarm, AlarmKind, Counts, Embedded, EmbeddedSettings, Gap, Look, Recovery, Verified, View, ViewError,
};
pub use memory::{Cluster, Fault, Memory};
pub use movable::{Life, Movable, Note, Word};

/// The SQLite that the embedded store uses, so that views and queries use the same one.
pub use rusqlite;
