//! OPI 1.7.1: payment and collection orders become flows for SIOPE+, and its answers become values.
//!
//! Pure functions and three steps over them. Nothing here sends, signs or stores. Read in this order:
//!
//! 1. [`Ordine`]: one order (mandato or reversale) as values; [`words`] holds the closed lists of the format.
//! 2. [`check`]: JSON in, orders out, or every problem at once, each with a stable `opi.*` code, a JSON pointer and a
//!    sentence that names the order. The list of codes stands in [`rules`].
//! 3. [`build`]: orders in, the unsigned `flusso_ordinativi` out; [`flow_id`] names it.
//! 4. [`read_answer`]: what SIOPE+ and the treasurer bank answer.
//! 5. [`steps`]: the configuration of `opi.check`, `opi.build` and `opi.read`.
//!
//! Names of the wire format (`mandato`, `beneficiario`, `esito`) stay Italian, as in the standard; everything else is
//! English. Money is `Decimal`, and an amount that is not exact to the cent is a problem, never rounded.

mod answer;
mod codes;
mod entity;
mod flow;
mod order;
pub mod rules;
pub mod steps;
pub mod words;

use hub_core::plugin::{Plugin, StepDef};

pub use answer::{ANSWER_BYTES_MAX, Errore, Esito, Risposta, TipoRisposta, read_answer};
pub use entity::Ente;
pub use flow::{FLOW_BYTES_MAX, build, flow_id};
pub use order::{
    Anagrafica, Analogica, Arconet, AvvisoPagoPa, Beneficiario, Bilancio, Bollo, Classificazione, Cofog, Contenuto,
    Debito, Documento, Fattura, Mandato, MandatoAssociato, Ordine, Parte, Ritenuta, Sospeso, Spese, Versante,
};
pub use rules::{Context, ORDERS_MAX, check};

/// What this crate adds to the hub.
pub const PLUGIN: Plugin = Plugin {
    name: "opi",
    sources: &[],
    steps: &[StepDef::of::<steps::Check>(), StepDef::of::<steps::Build>(), StepDef::of::<steps::Read>()],
    sinks: &[],
};
