//! Folders of files: a drop folder as a source, atomic writes as a sink.
//!
//! - [`DropFolder`] (`from: file`): takes files that nobody writes to any more, and moves them away once they are durable.
//! - [`FileSink`] (`to: file`): writes under a temporary name, then renames; a reader never sees half a file.
//!
//! Not for what arrives over FTP or SFTP from a remote machine: those are connectors of their own.

mod pattern;
mod scan;
mod settle;
mod sink;
mod source;

use hub_core::plugin::{Plugin, SinkDef, SourceDef};

pub use sink::{Existing, FileSink};
pub use source::{DropFolder, Settling};

/// The header that says what is wrong with a file that could not be taken as it is (it was too large). Such a message
/// holds the first bytes only and is to be parked with this reason.
pub const FILE_PROBLEM: &str = "file-problem";

/// What this crate adds to the hub.
pub const PLUGIN: Plugin =
    Plugin { name: "file", sources: &[SourceDef::of::<DropFolder>()], steps: &[], sinks: &[SinkDef::of::<FileSink>()] };
