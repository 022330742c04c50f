//! SIOPE+ as seen by a public body: it takes flows of payment orders and publishes the platform's and the bank's answers.
//!
//! ```text
//! POST zip -> connection (TLS, faults) -> upload (zip, XML, schema) -> ledger: taken, durable -> 201
//!                                                                        |
//!                              engine: after each delay  ACK -> bank's answer -> ACQUISITO -> PAGATO
//!                                                                        |
//! GET lists and zips <- connection <- documents <-----------------------+----> control: /_sim/flows, /_sim/orders
//! ```
//!
//! - `settings`, `certificates`: what a caller hands in. `running`: start and stop.
//! - `connection`, `call`, `answer`: sockets, TLS, the paths of the API, replies. The base may be `/` or `/v1`.
//! - `upload`: the synchronous checks of a POST; `archive`, `document`, `flow`, `schema` read it.
//! - `checks`: the checks behind the ACK. `messages`: writers of ACKs and outcomes.
//! - `world`: the state, as a fold over events. `journal`: those events on disk. `engine`: which event is due next.
//! - `documents`: lists, paging, downloads. `faults`: trouble on demand. `control`: the `/_sim` API.
//!
//! Honest limits. Signatures are not verified, only required at their place. The bank's messages (flow outcome, order
//! outcomes) carry **no signature**: the official schema asks for one, and a placeholder would be worse than none. The
//! list of ACK checks is the public part (101, 106, 109, 112) plus two of our own: 120 (order inserted twice) and 121
//! (change of an unknown order). Cash journals and liquidity lists are always empty. Faults, delays changed at run time
//! and the rate limit's window are forgotten by a restart; everything else is kept when `state_dir` is set.

mod answer;
mod archive;
mod call;
mod certificates;
mod checks;
mod clock;
mod connection;
mod control;
mod document;
mod documents;
mod engine;
mod faults;
mod flow;
mod journal;
mod ledger;
mod messages;
mod running;
mod schema;
mod settings;
mod upload;
mod world;

pub use certificates::{Certificates, certificates};
pub use running::{Error, Result, Running, start};
pub use settings::{Banca, Ente, Limits, RateLimit, Settings, Tls};
