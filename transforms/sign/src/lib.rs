//! Signatures on XML documents: XAdES baseline B, enveloped, in the form that treasurer banks use on OPI flows.
//!
//! - [`xades`]: making a signature. The document is inserted into, never written anew.
//! - [`verify`](mod@verify): judging signatures of this one profile, strictly; what it returns was read from what was
//!   signed and from nothing else.
//! - [`key`]: keys and certificates: PEM, PKCS#12, and the [`key::Signer`] that a device will implement.
//! - [`SignXades`]: the step `sign.xades`.
//!
//! Canonical XML is made by `bergshamra-c14n`; keys and digests of signatures by `aws-lc-rs`. Trust (chains, trust
//! lists, revocation, time stamps) is not judged here.

pub mod key;
pub mod verify;
pub mod xades;

mod canonical;
mod names;
mod normal;
mod step;

use hub_core::plugin::{Plugin, StepDef};

pub use key::demo_key;
pub use step::SignXades;

/// What this crate adds to the hub.
pub const PLUGIN: Plugin = Plugin { name: "sign", sources: &[], steps: &[StepDef::of::<SignXades>()], sinks: &[] };
