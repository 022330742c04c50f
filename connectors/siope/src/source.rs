//! The sources `siope.ack`, `siope.esito_flusso` and `siope.esito_applicativo`: three lists, read alike.

mod cursor;
mod round;

use std::time::Duration;

use async_trait::async_trait;
use hub_core::plugin::{ConfigError, OpenCx, OpenError, SourceConfig};
use hub_core::{Source, Span};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::listing::Kind;
use round::Poller;

macro_rules! source {
    ($(#[$doc:meta])* $config:ident, $kind:literal, $list:expr) => {
        $(#[$doc])*
        ///
        /// All entities with a `codice_tramite_ente` are asked. Each document is one message: the body is the XML, the
        /// headers are `kind`, `ente`, `prog`, `data`, `location`. A document is read once, whoever else has downloaded it.
        /// One that cannot be read is parked with the archive as its body, or without one if it cannot be downloaded after
        /// 20 tries.
        #[derive(Debug, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $config {
            /// A name under `connections` in `config/hub.yaml`.
            #[serde(default = "connection")]
            connection: String,
            /// How often the lists are read.
            #[serde(default = "every")]
            every: Span,
            /// How far back the first reading goes.
            #[serde(default = "look_back")]
            look_back: Span,
            /// How much earlier than the newest document each reading begins, for documents that appear late; at least
            /// `1h`, because the clocks of Rome go back once a year.
            #[serde(default = "overlap")]
            overlap: Span,
            /// Pages of one list in one reading.
            #[serde(default = "page_max")]
            page_max: u64,
        }

        #[async_trait]
        impl SourceConfig for $config {
            const KIND: &'static str = $kind;

            fn check(&self) -> Vec<ConfigError> {
                check(self.every, self.overlap, self.page_max)
            }

            async fn open(&self, cx: &OpenCx) -> Result<Box<dyn Source>, OpenError> {
                let pace = Pace {
                    every: self.every.0,
                    look_back: self.look_back.0,
                    overlap: self.overlap.0,
                    page_max: self.page_max,
                };
                Ok(Box::new(Poller::open(cx, $list, &self.connection, pace)?))
            }
        }
    };
}

source!(
    /// Brings the ACKs: SIOPE+'s answers to uploaded flows (`messaggio_ack_siope`).
    AckSource, "siope.ack", Kind::Ack
);
source!(
    /// Brings the bank's answers to flows: taken (`messaggio_ricezione_flusso`) or refused (`messaggio_rifiuto_flusso`).
    EsitoFlussoSource, "siope.esito_flusso", Kind::EsitoFlusso
);
source!(
    /// Brings the outcomes of orders (`messaggi_esito_applicativo`): acquired, paid, refused and so on.
    EsitoApplicativoSource, "siope.esito_applicativo", Kind::EsitoApplicativo
);

/// How often and how far lists are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    every: Duration,
    look_back: Duration,
    overlap: Duration,
    page_max: u64,
}

fn connection() -> String {
    "siope".into()
}
fn every() -> Span {
    Span(Duration::from_secs(30))
}
fn look_back() -> Span {
    Span(Duration::from_secs(3 * 24 * 3600))
}
fn overlap() -> Span {
    Span(Duration::from_secs(2 * 3600))
}
fn page_max() -> u64 {
    1000
}

fn check(every: Span, overlap: Span, page_max: u64) -> Vec<ConfigError> {
    let mut problems = Vec::new();
    if every.0 < Duration::from_millis(100) {
        problems.push(ConfigError::at("/every", "is too short; write at least `100ms`"));
    }
    if overlap.0 < Duration::from_secs(3600) {
        problems.push(ConfigError::at("/overlap", "is too short; write at least `1h`"));
    }
    if page_max == 0 {
        problems.push(ConfigError::at("/page_max", "must be at least 1"));
    }
    problems
}
