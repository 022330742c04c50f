//! The `raccordo` command: everything in one binary. A library only so that its end-to-end tests and the demo share the
//! same harness.
//!
//! [`registry`] is the only list of plug-ins; [`app`] puts a hub together from `config/hub.yaml`
//! ([`store`] is its log, [`books`] its ledger); [`demo`] runs one with its
//! outside world.

mod app;
mod audit;
mod bench;
mod books;
mod bundle;
mod client;
mod command;
pub mod demo;
mod evidence;
mod keep;
mod offline;
mod registry;
mod settings;
mod status;
mod store;
mod stores;
mod watch;

pub use command::main;
pub use keep::Kept;
