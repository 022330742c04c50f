//! Signatures against an independent judge (`xmlsec1`), against attackers, and against arbitrary documents.

#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

mod attacks;
mod documents;
mod judges;
mod keys;
mod properties;
mod speed;
mod step;
mod support;
