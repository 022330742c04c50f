//! The sink `siope.flusso`.

mod opened;
mod resolve;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connector_http::client::Reply;
use hub_core::plugin::{ConfigError, OpenCx, OpenError, SinkConfig};
use hub_core::{
    Attempt, Clock, Entities, Expr, Limits, Outgoing, Receipt, Repeat, Resolution, SendError, Sink, Span, read_json,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::archive;
use crate::call::Api;
use crate::listing::{is_prog, text_of};
use crate::office::Office;
use crate::reference::{self, Flow};
use opened::Opened;

/// Largest answer to an upload that is read as JSON.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Uploads a signed flow (`flusso_ordinativi`) to SIOPE+, as a zip file with one entry.
///
/// 201 is a receipt: taken, not yet judged; the ACK comes later (`siope.ack`). 429 and 503 are not sent and tried again.
/// 400, 401, 404, 406, 413, 415, 422, 460 and 461 are rejections. Everything else, and a connection that breaks after the last
/// byte was handed over, is in doubt.
///
/// SIOPE+ knows no idempotency key, so a doubt is never answered by sending again: ACKs and outcomes since the first
/// attempt are searched for the flow's `identificativo_flusso`. Found means delivered (refused by an ACK, too: it arrived).
/// Not found means not known, as long as it may take; then a person decides. Meanwhile the entity's lane waits.
///
/// Binds `prog_flusso`, `data_upload`, `location` and `identificativo_flusso`; `prog_flusso` is null when a flow was
/// only found among the outcomes of its orders.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FlussoSink {
    /// A name under `connections` in `config/hub.yaml`.
    #[serde(default = "connection")]
    connection: String,
    /// The entity that sends (its IPA code, a row of `config/entities.yaml`), for example `case.entity`.
    #[expect(dead_code, reason = "evaluated by the runtime, which hands over its value in `Outgoing::params`")]
    entity: Expr<String>,
    /// How long after an attempt SIOPE+'s lists are complete.
    #[serde(default = "settles_after")]
    settles_after: Span,
    /// How long a flow in doubt is searched for before a person is asked; longer than an ACK takes.
    #[serde(default = "patience")]
    patience: Span,
    /// Pause between two searches.
    #[serde(default = "ask_every")]
    ask_every: Span,
    /// How much earlier than the first attempt the search begins: the clocks of both sides differ.
    #[serde(default = "slack")]
    slack: Span,
    /// Uploads under way at once, over all entities; for one entity it is always one.
    #[serde(default = "in_flight")]
    in_flight: usize,
}

fn connection() -> String {
    "siope".into()
}
fn settles_after() -> Span {
    Span(Duration::from_secs(120))
}
fn patience() -> Span {
    Span(Duration::from_secs(600))
}
fn ask_every() -> Span {
    Span(Duration::from_secs(5))
}
fn slack() -> Span {
    Span(Duration::from_secs(3600))
}
fn in_flight() -> usize {
    16
}

#[async_trait]
impl SinkConfig for FlussoSink {
    const KIND: &'static str = "siope.flusso";

    fn check(&self) -> Vec<ConfigError> {
        let mut problems = Vec::new();
        if self.in_flight == 0 {
            problems.push(ConfigError::at("/in_flight", "must be at least 1"));
        }
        if self.ask_every.0 < Duration::from_millis(100) {
            problems.push(ConfigError::at("/ask_every", "is too short; write at least `100ms`"));
        }
        problems
    }

    fn repeat(&self) -> Repeat {
        Repeat::Askable
    }

    async fn open(&self, cx: &OpenCx) -> Result<Arc<dyn Sink>, OpenError> {
        let api = Api::open(cx, &self.connection)?;
        let limits = Limits {
            in_flight: self.in_flight,
            attempt: api.timeout,
            doubt_holds_lane: true,
            resolve_every: self.ask_every.0,
            patience: self.patience.0,
        };
        let (settles_after, slack) = (self.settles_after.0, self.slack.0);
        let (clock, entities) = (cx.clock.clone(), cx.entities.clone());
        Ok(Arc::new(Uploader { api, clock, entities, limits, settles_after, slack, opened: Opened::default() }))
    }
}

pub(crate) struct Uploader {
    api: Arc<Api>,
    clock: Arc<dyn Clock>,
    entities: Arc<Entities>,
    limits: Limits,
    settles_after: Duration,
    slack: Duration,
    opened: Opened,
}

#[async_trait]
impl Sink for Uploader {
    async fn send(&self, out: &Outgoing, attempt: &Attempt) -> Result<Receipt, SendError> {
        let (office, flow) = self.addressed(out)?;
        let zip = archive::pack(&out.body.bytes).map_err(|e| rejected("zip", format!("flow cannot be packed: {e}")))?;
        let reply = self.api.upload(&office, &zip, attempt).await?;
        self.judge(&reply, &flow)
    }

    async fn resolve(&self, out: &Outgoing, attempt: &Attempt) -> Result<Resolution, SendError> {
        let (office, flow) = self.addressed(out)?;
        let since = attempt.first_at - self.slack;
        self.search(&office, &flow, since).await
    }

    fn repeat(&self) -> Repeat {
        Repeat::Askable
    }

    fn settles_after(&self) -> Duration {
        self.settles_after
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn lane(&self, out: &Outgoing) -> Option<String> {
        Some(format!("siope/{}", entity(out)))
    }
}

fn entity(out: &Outgoing) -> &str {
    out.params.get("entity").and_then(|value| value.as_str()).unwrap_or_default()
}

fn rejected(code: &str, cause: String) -> SendError {
    SendError::Rejected { code: code.into(), cause: cause.into() }
}

impl Uploader {
    /// On whose behalf, and what; a flow that cannot be found again or belongs to somebody else is not sent.
    fn addressed(&self, out: &Outgoing) -> Result<(Office, Flow), SendError> {
        let office = Office::of(&self.entities, entity(out)).map_err(|e| rejected("entity", e))?;
        let flow =
            reference::flow(&out.body.bytes).map_err(|e| rejected("flow", format!("flow cannot be read: {e}")))?;
        for (field, inside, ours) in
            [("codice_ente", &flow.ente, &office.ente), ("codice_tramite_ente", &flow.tramite, &office.a2a)]
        {
            if inside != ours {
                let detail =
                    format!("flow `{}`: {field} is `{inside}`, but it is sent for `{ours}`", flow.identificativo);
                return Err(rejected("entity", detail));
            }
        }
        Ok((office, flow))
    }

    fn judge(&self, reply: &Reply, flow: &Flow) -> Result<Receipt, SendError> {
        let cause = || format!("flow `{}`: {}", flow.identificativo, reply.reason());
        match reply.status.as_u16() {
            201 => receipt(reply, flow).map_err(|detail| SendError::InDoubt {
                cause: format!("flow `{}` was taken, but the answer cannot be read: {detail}", flow.identificativo)
                    .into(),
            }),
            429 | 503 => {
                Err(SendError::NotSent { retry_after: reply.retry_after(self.clock.now()), cause: cause().into() })
            }
            status @ (400 | 401 | 404 | 406 | 413 | 415 | 422 | 460 | 461) => {
                Err(rejected(&status.to_string(), cause()))
            }
            _ => Err(SendError::InDoubt { cause: cause().into() }),
        }
    }
}

fn receipt(reply: &Reply, flow: &Flow) -> Result<Receipt, String> {
    let body = reply.body.as_ref().map_err(Clone::clone)?;
    let answer = read_json(body, ANSWER_BYTES_MAX)?;
    let text = |name: &str| answer.get(name).and_then(text_of);
    let prog = text("progFlusso").filter(|prog| is_prog(prog)).ok_or("it has no `progFlusso`")?;
    let value = json!({
        "prog_flusso": prog, "data_upload": text("dataUpload"), "location": text("location"),
        "identificativo_flusso": flow.identificativo,
    });
    Ok(Receipt { remote_id: Some(prog), reply: value, raw: Some(body.clone()) })
}
