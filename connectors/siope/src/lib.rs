//! SIOPE+ as a public body sees it: flows of payment orders go up, the platform's and the bank's answers are fetched.
//!
//! Everything is pull: SIOPE+ never calls. Names of the wire (`progFlusso`, `esitoflusso`, `idA2A`) stay Italian.
//!
//! - [`ConnectionSettings`]: `connections.NAME` in `config/hub.yaml`; `connection`: clients, addresses, downloads;
//!   `quiet`: the pause that SIOPE+ asked for; `rome`: its dates without zone.
//! - [`Flusso`] (`to: siope.flusso`): the upload. `fence` keeps an answer that came early from being overtaken by the
//!   rest of the request, `flow` reads who a flow is, `archive` packs it.
//! - `resolve`: what became of an upload that nobody knows about. It finds the flow in what SIOPE+ and the bank published, or
//!   says that it does not know; it never says "not delivered", because nothing in SIOPE+ proves that.
//! - [`Ack`], [`EsitoFlusso`], [`EsitoApplicativo`] (`from: siope.*`): `source` polls the lists, `listing` reads them,
//!   `cursor` remembers what was taken.
//!
//! What this crate does not do: it judges no signature and no content of an answer; routes do (`opi.read`).

mod archive;
mod connection;
mod cursor;
mod entities;
mod fence;
mod flow;
mod listing;
mod quiet;
mod resolve;
mod rome;
mod settings;
mod sink;
mod source;

use hub_core::plugin::{Plugin, SinkDef, SourceDef};

pub use settings::ConnectionSettings;
pub use sink::Flusso;
pub use source::{Ack, EsitoApplicativo, EsitoFlusso};

/// What this crate adds to the hub.
pub const PLUGIN: Plugin = Plugin {
    name: "siope",
    sources: &[SourceDef::of::<Ack>(), SourceDef::of::<EsitoFlusso>(), SourceDef::of::<EsitoApplicativo>()],
    steps: &[],
    sinks: &[SinkDef::of::<Flusso>()],
};
