//! Steps that every route may need and that belong to no format.
//!
//! - [`Validate`], in YAML `validate`: judges a message by a JSON Schema or an XSD and says what to write instead.
//!
//! Steps that change the course of a message (`set`, `map`, `choice`, `filter`, `split`) are part of the language itself
//! and live in `hub/route`.

mod validate;

use hub_core::plugin::{Plugin, StepDef};

pub use validate::{PROBLEMS_MAX, Validate};

/// What this crate adds to the hub.
pub const PLUGIN: Plugin = Plugin { name: "basic", sources: &[], steps: &[StepDef::of::<Validate>()], sinks: &[] };
