//! The connector against the simulator of SIOPE+ (mTLS, schema check, faults), and against a server that says what it is told.

#![allow(clippy::unwrap_used, reason = "a test panics when something is wrong")]

mod doubts;
mod edges;
mod fake;
mod looks;
mod polls;
mod support;
mod uploads;
