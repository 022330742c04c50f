//! What the tests of connectors share: a clock that is turned by hand, a network that fails where it is told to, and the
//! contracts of [`hub_core::Source`] and [`hub_core::Sink`] as functions that every connector runs against itself.
//!
//! This crate is a development dependency only; its functions panic when a contract is broken, as tests do.
//!
//! - [`ManualClock`]: time stands still until [`ManualClock::advance`]; [`ManualClock::run`] turns it to the next alarm.
//! - [`FaultProxy`]: a TCP proxy on a free port that cuts or stalls a connection after so many bytes.
//! - [`source_contract`], [`check_outcome`], [`cut_everywhere`]: the contracts.
//! - [`certificates`]: an authority, a server and clients, as PEM files.
//! - [`Postgres`]: a PostgreSQL server of a test's own.
//! - [`bench`]: an [`hub_core::plugin::OpenCx`], an attempt and an outgoing message for a test.

pub mod bench;

mod certificates;
mod clock;
mod postgres;
mod proxy;
mod sink_contract;
mod source_contract;

pub use certificates::certificates;
pub use clock::ManualClock;
pub use postgres::Postgres;
pub use proxy::{FaultProxy, Limit};
pub use sink_contract::{Observed, SinkBench, check_outcome, cut_everywhere};
pub use source_contract::{source_contract, stored};
