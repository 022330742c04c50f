//! The ledger as a view: what each event changes, that batches and replays do not matter, that lists are complete.

#![allow(clippy::unwrap_used)] // helpers of tests may

mod applier;
mod databases;
mod events;
mod filled;
mod kept;
mod lists;
mod live_is_rebuilt;
mod projection;
mod store;
