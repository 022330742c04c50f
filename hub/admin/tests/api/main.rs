//! The admin API over a real socket, with a ledger in a real file and a hub that is played.

mod documents;
mod door;
mod fixture;
mod hub;
mod openapi;
mod reads;
mod roles;
mod writes;
