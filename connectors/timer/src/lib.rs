//! The clock as a source: a message every so often, for routes that fetch, sum up or clean up.
//!
//! Begin with [`Timer`], its configuration.

mod source;

use hub_core::plugin::{Plugin, SourceDef};

pub use source::Timer;

/// What this crate adds to the hub.
pub const PLUGIN: Plugin = Plugin { name: "timer", sources: &[SourceDef::of::<Timer>()], steps: &[], sinks: &[] };
