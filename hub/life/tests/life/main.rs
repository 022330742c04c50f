//! What `hub-life` promises, checked in a model of the world.
//!
//! - `world`: a hub that crashes and freezes, a receiver with a hidden truth, bytes on their way, people, late proofs.
//! - `judge`: the invariants, as code.
//! - `explore`: every history of the bounded world, by breadth-first search; `exhaustive` says what is explored.
//! - `mutants`: broken lives, each of which the same search must catch.
//! - `random`: long random histories of an almost unbounded world, and a fair end after each.
//! - `outbound`, `task`, `wait`: examples with exact values, and exhaustive search of the small machines.

mod exhaustive;
mod explore;
mod judge;
mod mutants;
mod outbound;
mod random;
mod task;
mod wait;
mod world;
