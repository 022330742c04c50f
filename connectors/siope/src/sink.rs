//! The sink `siope.flusso`: uploads a signed flow.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connector_http::client::Reply;
use hub_core::plugin::{OpenCx, OpenError, SinkConfig};
use hub_core::{
    Attempt, Entities, Expr, Limits, Outgoing, Receipt, Repeat, Resolution, SendError, Sink, Value, read_json,
};
use hub_failpoint::{Point, at as failpoint};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::archive;
use crate::connection::Connection;
use crate::entities::{self, Entity};
use crate::fence::Fence;
use crate::flow::{self, FlowId};
use crate::listing::digits;
use crate::resolve;

/// Uploads under way at once, over all bodies; of one body it is always one.
const IN_FLIGHT: usize = 16;
/// Bytes of an answer that are read as JSON.
const JSON_BYTES_MAX: usize = 64 << 10;
/// Uploads a signed flow to SIOPE+, as a zip of one file.
///
/// 201 is delivered: the receipt holds `progFlusso`; the ACK comes later through `siope.ack`. 400, 401, 404, 406, 413, 415,
/// 422, 460 and 461 are rejections; 429 and 503 are not sent, and tried again after `Retry-After`; everything else is in
/// doubt. A flow in doubt is looked for in the lists of SIOPE+ until it is found or a person is asked; meanwhile no other flow
/// of its body goes out.
///
/// Binds `{ prog_flusso, data_upload, location }`; after a doubt `found_in`, `found_at`, `date`, `stato_flusso` and
/// `repetition` say where the flow was found.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Flusso {
    /// A name under `connections` in `config/hub.yaml`.
    #[serde(default = "connection")]
    connection: String,
    /// The body whose flow it is: its code in `config/entities.yaml`, for example `case.entity`.
    #[expect(dead_code, reason = "read by the route language, which hands the value over in `params`")]
    entity: Expr<String>,
}

pub(crate) fn connection() -> String {
    "siope".into()
}

#[async_trait]
impl SinkConfig for Flusso {
    const KIND: &'static str = "siope.flusso";

    fn repeat(&self) -> Repeat {
        Repeat::Askable
    }

    async fn open(&self, cx: &OpenCx) -> Result<Arc<dyn Sink>, OpenError> {
        let connection = Connection::shared(cx, &self.connection)?;
        Ok(Arc::new(Uploader { connection, entities: cx.entities.clone() }))
    }
}

struct Uploader {
    connection: Arc<Connection>,
    entities: Arc<Entities>,
}

#[async_trait]
impl Sink for Uploader {
    async fn send(&self, out: &Outgoing, attempt: &Attempt) -> Result<Receipt, SendError> {
        let (entity, _) = self.prepare(out).map_err(|what| rejected("flow", what))?;
        let zip = archive::pack(&out.body.bytes).map_err(|what| rejected("zip", what))?;
        let fence = Fence::around(attempt);
        let answered = self.connection.upload(&entity, &zip, &fence.inner).await;
        // From here on nothing more goes out, and whether the attempt has crossed is final.
        fence.shut();
        failpoint(Point::SiopeAnswered);
        match answered {
            Ok(reply) => self.judge(&entity, &reply, attempt),
            Err(error) => Err(final_word(error, attempt)),
        }
    }

    async fn resolve(&self, out: &Outgoing, attempt: &Attempt) -> Result<Resolution, SendError> {
        let (entity, flow) = self.prepare(out).map_err(|what| rejected("flow", what))?;
        resolve::resolve(&self.connection, &entity, &flow, attempt).await
    }

    fn repeat(&self) -> Repeat {
        Repeat::Askable
    }

    fn settles_after(&self) -> Duration {
        self.connection.settings.settles_after.0
    }

    fn limits(&self) -> Limits {
        let settings = &self.connection.settings;
        Limits {
            in_flight: IN_FLIGHT,
            attempt: settings.timeout.0,
            doubt_holds_lane: true,
            resolve_every: settings.resolve_every.0,
            patience: settings.patience.0,
        }
    }

    /// One lane for each body: a flow in doubt must not be overtaken.
    fn lane(&self, out: &Outgoing) -> Option<String> {
        Some(format!("siope/{}", code(out)))
    }
}

fn code(out: &Outgoing) -> &str {
    out.params.get("entity").and_then(Value::as_str).unwrap_or_default()
}

fn rejected(code: &str, what: String) -> SendError {
    SendError::Rejected { code: code.into(), cause: what.into() }
}

impl Uploader {
    /// Who sends what. A flow whose header names somebody else would be refused by SIOPE+ (460), and could not be found again.
    fn prepare(&self, out: &Outgoing) -> Result<(Entity, FlowId), String> {
        let only = self.connection.settings.id_a2a.as_deref();
        let entity = entities::find(&self.entities, code(out), only)?;
        let flow = flow::read(&out.body.bytes)?;
        if flow.codice_ente != entity.code || flow.codice_tramite_ente != entity.id_a2a {
            return Err(format!(
                "flow {} is of {} through {}, but it is sent for {} through {}",
                flow.identificativo_flusso, flow.codice_ente, flow.codice_tramite_ente, entity.code, entity.id_a2a
            ));
        }
        Ok((entity, flow))
    }

    fn judge(&self, entity: &Entity, reply: &Reply, attempt: &Attempt) -> Result<Receipt, SendError> {
        let retry_after = self.connection.quiet.hear(&entity.id_a2a, reply);
        let (status, cause) = (reply.status.as_u16(), reply.reason());
        match status {
            201 => receipt(reply).ok_or_else(|| {
                let cause = format!("SIOPE+ took the flow, but its answer cannot be read: {cause}");
                SendError::InDoubt { cause: cause.into() }
            }),
            400 | 401 | 404 | 406 | 413 | 415 | 422 | 460 | 461 => Err(rejected(&status.to_string(), cause)),
            429 | 503 => Err(SendError::NotSent { retry_after, cause: cause.into() }),
            _ => Err(attempt.failed(cause)),
        }
    }
}

/// The error of an exchange, once it is certain whether the attempt has crossed: the client may have judged "not sent" just
/// before it handed over the rest. A server that refuses our certificate (TLS 1.3 tells after our first data) took nothing.
fn final_word(error: SendError, attempt: &Attempt) -> SendError {
    match error {
        SendError::NotSent { cause, .. }
            if attempt.crossing.crossed() && !cause.to_string().contains("received fatal alert") =>
        {
            SendError::InDoubt { cause }
        }
        other => other,
    }
}

fn receipt(reply: &Reply) -> Option<Receipt> {
    let raw = reply.body.as_ref().ok()?;
    let body = read_json(raw, JSON_BYTES_MAX).ok()?;
    let prog = digits(&body["progFlusso"])?;
    let reply = json!({
        "prog_flusso": prog,
        "data_upload": body["dataUpload"].as_str(),
        "location": body["location"].as_str(),
    });
    Some(Receipt { remote_id: Some(prog), reply, raw: Some(raw.clone()) })
}
