//! The backbone on Apache Kafka. Its contract is [`hub_backbone::Backbone`]; this is how it is kept on a cluster.
//!
//! - **One transaction** holds what commits together: records, keyed state (in a compacted topic beside each log), and the
//!   consumers' positions. One thread (`writer`) makes one transaction of everything that waits (`transact`).
//! - **Offsets are ours.** Kafka's have gaps, so each record carries its own dense offset and its chain in a header
//!   (`wire`); `index` finds where in Kafka's numbering an offset lies.
//! - **Memory** holds keyed state, where each log ends and its newest records (`partition`); `reader` gets what is older
//!   from the brokers and checks every link (`links`); `restore` reads state back when a hub starts.
//! - **A result is always known** before anything else is done: `transact` asks until it has an answer, and where the cluster
//!   gives none any more, `revive` makes a new producer and looks into the log.
//! - **Fencing.** Who opens takes the `transactional.id`, and the process that had it before cannot commit any more. That
//!   does not prove that it sends no more: see `epochs`.
//! - `topics` makes and checks the topics, `quarantine` lists records that no hub wrote, `settings` is the manual.
//!
//! For now one hub owns all partitions. Begin reading with `kafka.rs`.

mod client;
mod epochs;
mod index;
mod kafka;
mod links;
mod names;
mod partition;
mod quarantine;
mod reader;
mod restore;
mod revive;
mod settings;
mod shared;
mod tokens;
mod topics;
mod transact;
mod wire;
mod writer;

pub use kafka::Kafka;
pub use quarantine::Quarantined;
pub use settings::{KafkaSettings, Mechanism, Sasl, Security, Timeouts, Tls, TokenSource};
