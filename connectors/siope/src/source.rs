//! The sources `siope.ack`, `siope.esito_flusso` and `siope.esito_applicativo`: what SIOPE+ and the bank publish.

mod download;
mod polled;
mod poller;

use std::time::Duration;

use async_trait::async_trait;
use hub_core::plugin::{ConfigError, OpenCx, OpenError, SourceConfig};
use hub_core::{Source, Span};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::listing::Kind;
use crate::sink::connection;
use poller::{Poller, Settings};

/// The shortest interval of polls.
const EVERY_MIN: Duration = Duration::from_millis(100);
/// Dates carry no zone, and autumn repeats an hour: less overlap than that could skip entries.
const OVERLAP_MIN: Duration = Duration::from_secs(3600);

fn look_back() -> Span {
    Span(Duration::from_secs(3 * 24 * 3600))
}

fn overlap() -> Span {
    Span(OVERLAP_MIN)
}

fn check(every: Option<Span>, overlap: Span) -> Vec<ConfigError> {
    let mut problems = Vec::new();
    if let Some(every) = every.filter(|every| every.0 < EVERY_MIN) {
        problems.push(ConfigError::at("/every", format!("`{every}` is too short; write at least `100ms`")));
    }
    if overlap.0 < OVERLAP_MIN {
        let detail =
            format!("`{overlap}` is too short; write at least `1h`: the dates of SIOPE+ repeat an hour in autumn");
        problems.push(ConfigError::at("/overlap", detail));
    }
    problems
}

/// The three sources differ in what they list; a shared struct would need `flatten`, which breaks numbers.
macro_rules! source {
    ($name:ident, $word:literal, $kind:expr, $($doc:literal)+) => {
        $(#[doc = $doc])+
        ///
        /// Polls the lists of all bodies of the connection, all pages, whether downloaded before or not. Each document
        /// becomes one XML message with the headers `prog` (its number at SIOPE+), `ente`, `kind`, `data` (Italian time),
        /// `location` and `origin`. A download that is no zip or too large becomes a message with the bytes as they came
        /// and the header `siope-problem`, so that a person sees it. A body whose list fails is asked again later and
        /// holds up no other; when all fail, the source counts as unavailable.
        #[derive(Debug, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            /// A name under `connections` in `config/hub.yaml`.
            #[serde(default = "connection")]
            connection: String,
            /// How often to poll. Default: that of the connection.
            every: Option<Span>,
            /// How far back to look at the very first start.
            #[serde(default = "look_back")]
            look_back: Span,
            /// How far before the newest known entry the lists are read again, for entries that are published late; at
            /// least `1h`.
            #[serde(default = "overlap")]
            overlap: Span,
        }

        #[async_trait]
        impl SourceConfig for $name {
            const KIND: &'static str = $word;

            fn check(&self) -> Vec<ConfigError> {
                check(self.every, self.overlap)
            }

            async fn open(&self, cx: &OpenCx) -> Result<Box<dyn Source>, OpenError> {
                let (every, look_back, overlap) = (self.every.map(|every| every.0), self.look_back.0, self.overlap.0);
                let settings = Settings { kind: $kind, every, look_back, overlap };
                Ok(Box::new(Poller::open(cx, &self.connection, settings)?))
            }
        }
    };
}

source!(
    Ack,
    "siope.ack",
    Kind::Ack,
    "Brings the ACKs of SIOPE+ (`messaggio_ack_siope`): whether a flow passed its checks."
);
source!(
    EsitoFlusso,
    "siope.esito_flusso",
    Kind::EsitoFlusso,
    "Brings the bank's answers to flows: `messaggio_ricezione_flusso` (taken) or `messaggio_rifiuto_flusso` (refused)."
);
source!(
    EsitoApplicativo,
    "siope.esito_applicativo",
    Kind::EsitoApplicativo,
    "Brings the bank's outcomes of orders (`messaggi_esito_applicativo`): acquired, paid, not executable and so on."
);
