//! The lives of things that wait, as pure functions: what is durable, one event and the moment go in; what has to be
//! durable next, and what the world has to do then, come out.
//!
//! No I/O, no clock, no async runtime, no randomness: what the hub promises about payments is decided here and is checked
//! here, over every short history and over long random ones (`tests/life/`). The loops that carry out the commands are in
//! `hub/runtime`.
//!
//! - [`outbound`]: a message on its way out: attempt, doubt, question, person. Begin reading here.
//! - [`task`]: a decision that people take, with four eyes and the document that they were shown.
//! - [`wait`]: an answer against a deadline.

pub mod outbound;
pub mod task;
pub mod wait;
