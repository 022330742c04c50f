//! The SIOPE+ simulator over real sockets: what a hub would see, and what the control plane says truly happened.

#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in tests, but cannot see it in their helpers")]

mod checks;
mod faults;
mod happy;
mod official;
mod refusals;
mod restart;
mod support;
mod tls;
