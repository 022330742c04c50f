//! The ledger as a view: what each event changes, that batches and replays do not matter, that lists are complete.

mod events;
mod live_is_rebuilt;
mod lists;
mod projection;
mod store;
