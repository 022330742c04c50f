//! The admin API over a real socket, with a ledger in a real file and a hub that is played.

#![allow(clippy::unwrap_used)] // helpers of tests may

mod documents;
mod door;
mod fixture;
mod hub;
mod openapi;
mod reads;
mod roles;
mod writes;
