//! The `raccordo` command: everything in one binary. A library only so that its end-to-end tests and the demo share the
//! same harness.
//!
//! [`registry`] is the only list of plug-ins; [`app`] puts a hub together from `config/hub.yaml` ([`store`] is its log, [`books`]
//! its ledger); `demo` runs one with its outside world. What needs simulators (`demo`, `bench`, `simulate`) is the default
//! feature of that name; images leave it out.

mod app;
mod audit;
#[cfg(feature = "simulators")]
mod bench;
mod blobs;
mod books;
mod bundle;
mod client;
mod command;
#[cfg(feature = "simulators")]
pub mod demo;
mod evidence;
mod health;
mod keep;
mod migrate;
mod offline;
mod registry;
mod settings;
#[cfg(feature = "simulators")]
mod simulate;
mod status;
mod store;
mod stores;
mod watch;

pub use command::main;
pub use keep::Kept;
