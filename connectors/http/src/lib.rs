//! HTTP in both directions: a listener whose senders wait for the durable answer, and a sink that knows its crossing point.
//!
//! In: [`ListenerSettings`] (`listeners.NAME` in `config/hub.yaml`) opens a socket that several routes share;
//! [`HttpSource`] (`from: http`) is one path of it. A request becomes a message, and is answered when the runtime has
//! settled it: 202 only after it is durable.
//!
//! Out: [`HttpSink`] (`to: http`) sends the body of a message, through [`ConnectionSettings`] (`connections.NAME`) where
//! certificates or tokens are needed. Service connectors reuse [`client`], [`last_chunk`] and [`tls`], which hold all there is to know
//! about the crossing point, time limits and certificates.

pub mod client;
pub mod last_chunk;
pub mod tls;

mod answer;
mod auth;
mod listener;
mod settings;
mod sink;
mod source;

use hub_core::plugin::{Plugin, SinkDef, SourceDef};

pub use listener::{Listener, address};
pub use settings::{ClientSettings, ConnectionSettings, ListenerSettings, ServerTls};
pub use sink::{HttpSink, Method};
pub use source::{Auth, HttpSource};

/// What this crate adds to the hub.
pub const PLUGIN: Plugin =
    Plugin { name: "http", sources: &[SourceDef::of::<HttpSource>()], steps: &[], sinks: &[SinkDef::of::<HttpSink>()] };
