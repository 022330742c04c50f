//! The backbone on Apache Kafka. Its contract is [`hub_backbone::Backbone`]; this is how it is kept on a cluster.
//!
//! - **One transaction** holds what commits together: records, keyed state (in a compacted topic beside each log), and the
//!   consumers' positions. One thread (`writer`) makes one transaction (`group`, `transact`) of everything that waits (`work`).
//! - **Slots.** The group of hubs shares out the partitions of one small topic (`member`); with partition n of it goes
//!   partition n of all others. `terms` says which slots are this hub's, `keeper` judges each assignment and reads back
//!   (`restore`, `marks`) what is gained. A transaction carries the membership that its slots were judged by, so that the
//!   coordinator of the group refuses it once they may be another hub's.
//! - **Mail.** What a hub appends to a slot of another stands in the slot's mail until its owner has moved it (`mailroom`).
//! - **Offsets are ours.** Kafka's have gaps, so each record carries its own dense offset and its chain in a header
//!   (`wire`); `index` finds where in Kafka's numbering an offset lies.
//! - **Memory** holds keyed state, where each log ends and its newest records (`partition`); `reader` gets what is older
//!   from the brokers and checks every link (`links`).
//! - **A result is always known**, and marked in the logs (`settled`), before anything else is done: `transact` asks until it
//!   has an answer, and where the cluster, or the library (`positions`), gives none any more, `revive` makes a new producer and
//!   looks into the log.
//! - **Fencing.** Who opens takes the `transactional.id`, and the process that had it before cannot commit any more. That
//!   does not prove that it sends no more: see `epochs`. `fence` ends what dead hubs have left open.
//! - `follow` hears of the lives of other hubs, of `facts` that all know, and of what hubs tell each other.
//! - `moved` is what the store knows about its moving to or from another one.
//! - `versions` lets hubs of two releases work on one log.
//! - `topics` makes and checks the topics, `quarantine` lists records that no hub wrote, `settings` is the manual.
//!
//! Begin reading with `kafka.rs` and `backbone.rs`.

mod backbone;
mod client;
mod epochs;
mod facts;
mod fence;
mod follow;
mod group;
mod index;
mod kafka;
mod keeper;
mod links;
mod lock;
mod mailroom;
mod marks;
mod member;
mod moved;
mod names;
mod partition;
mod positions;
mod quarantine;
mod reader;
mod restore;
mod revive;
mod settings;
mod settled;
mod shared;
mod terms;
mod threads;
mod tokens;
mod topics;
mod transact;
mod versions;
mod wire;
mod work;
mod writer;

pub use kafka::Kafka;
pub use quarantine::Quarantined;
pub use settings::{KafkaSettings, Mechanism, Sasl, Security, Timeouts, Tls, TokenSource};
