//! The admin API over a real socket, on a real ledger, with a hub that says what the test wants.

#![allow(clippy::unwrap_used)] // helpers of tests may

mod alarms;
mod auth;
mod decide;
mod description;
mod metrics;
mod read;
mod recovery;
mod serve;
mod world;
