//! The OPI module against the repository's own examples, schemas and, where they are there, foreign judges.

#![allow(clippy::unwrap_used, reason = "a test that cannot read its own files has failed")]

mod answers;
mod arbitrary;
mod examples;
mod flows;
mod judges;
mod orders;
mod steps;
mod world;
