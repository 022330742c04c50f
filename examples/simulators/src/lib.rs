//! Stand-ins of the outside systems, for demos, offline work and tests.
//!
//! What it is: each module plays one outside system over real sockets, misbehaves on demand, and keeps the books that
//! the hub is judged by. What it is not: part of the hub. It depends on no crate of ours, so that a mistake in our own
//! readers and writers cannot hide on both sides.
//!
//! - [`siope`]: SIOPE+, the platform that takes flows of payment orders (OPI) and publishes their answers. Begin there.

pub mod siope;
