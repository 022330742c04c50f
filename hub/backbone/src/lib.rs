//! The log: what is in it is true. See [`Backbone`] for the contract.

mod api;

pub use api::{
    Backbone, Blobs, Change, Commit, Error, Offset, Place, RECORD_BYTES_MAX, Record, Stored, Topic,
};
