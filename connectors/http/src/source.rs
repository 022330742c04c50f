//! The source `http`: one path of a listener.

use std::sync::Arc;

use async_trait::async_trait;
use hub_core::plugin::{ConfigError, OpenCx, OpenError, SourceConfig};
use hub_core::{Bytesize, Intake, Source, SourceError, Verdict};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot};

use crate::answer;
use crate::listener::{Door, Listener, Permit, Registration, Waiting};

/// Messages of one batch.
const BATCH_MAX: usize = 256;

/// Takes messages that are sent by POST to a path.
///
/// A sender is answered when its message is durable: 202 with `{"id", "case", "status": "accepted"}`. Other answers are
/// problems after RFC 9457: 400 unreadable, 401 unknown sender, 403 not this path, 409 conflict, 413 too large, 415 wrong
/// type, 422 wrong content with all `problems`, 429 full (`Retry-After`), 503 not known whether taken (`Retry-After`).
///
/// A sender that repeats a request must send the same `Idempotency-Key` (1 to 255 visible ASCII characters): it gets the
/// first answer again, with `Idempotent-Replayed: true`. Without the header a repetition is another message, which only
/// the route's business identity (`idempotent`) recognises.
///
/// Headers: `sender` (the client's name), `origin` (the path), `idempotency-key`, `content-type`, and those named in
/// `keep_headers`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpSource {
    /// The path, for example `/ingest/mandati`.
    path: String,
    /// A name under `listeners` in `config/hub.yaml`.
    #[serde(default = "listener")]
    listener: String,
    /// How senders prove who they are.
    auth: Auth,
    /// Names or roles of the clients that may use the path; empty: all that the listener knows.
    #[serde(default)]
    allow: Vec<String>,
    /// The largest body; never more than the listener's `max_body`.
    max: Option<Bytesize>,
    /// Refuse requests without an `Idempotency-Key`.
    #[serde(default)]
    require_key: bool,
    /// Content types that are taken.
    #[serde(default = "accept")]
    accept: Vec<String>,
    /// Request headers that become headers of the message, in lower case.
    #[serde(default)]
    keep_headers: Vec<String>,
}

/// How senders prove who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// By a client certificate whose common name the listener knows.
    Mtls,
    /// By `Authorization: Bearer KEY` or `X-Api-Key: KEY`.
    ApiKey,
    /// Not at all; only on a listener that is bound to the loopback interface.
    None,
}

fn listener() -> String {
    "default".into()
}
fn accept() -> Vec<String> {
    ["application/json", "application/xml", "text/xml"].map(String::from).to_vec()
}

#[async_trait]
impl SourceConfig for HttpSource {
    const KIND: &'static str = "http";
    const EVERYWHERE: bool = true;

    fn check(&self) -> Vec<ConfigError> {
        let mut problems = Vec::new();
        let plain = |c: char| c.is_ascii_alphanumeric() || "/-_.~".contains(c);
        if !self.path.starts_with('/')
            || self.path.len() < 2
            || self.path.ends_with('/')
            || !self.path.chars().all(plain)
        {
            let detail = "must begin with `/`, not end with it, and hold letters, digits and `-_.~/` only, \
                          for example `/ingest/mandati`";
            problems.push(ConfigError::at("/path", detail));
        }
        if self.auth == Auth::None && !self.allow.is_empty() {
            problems.push(ConfigError::at("/allow", "needs `auth: mtls` or `auth: api_key`"));
        }
        if self.accept.is_empty() {
            problems.push(ConfigError::at("/accept", "is empty: no request could be taken"));
        }
        problems
    }

    async fn open(&self, cx: &OpenCx) -> Result<Box<dyn Source>, OpenError> {
        let listener = Listener::open(cx, &self.listener)?;
        let (queue, requests) = mpsc::channel(listener.in_flight());
        let door = Door {
            route: cx.route.clone(),
            path: self.path.clone(),
            auth: self.auth,
            allow: self.allow.clone(),
            bytes_max: self.max.map_or(u64::MAX, |max| max.0).min(listener.bytes_max()),
            require_key: self.require_key,
            accept: self.accept.iter().map(|mime| mime.to_ascii_lowercase()).collect(),
            keep_headers: self.keep_headers.iter().map(|name| name.to_ascii_lowercase()).collect(),
            queue,
        };
        let registration = Registration::new(&listener, Arc::new(door))?;
        Ok(Box::new(Requests { requests, answering: Vec::new(), _registration: registration }))
    }
}

struct Requests {
    requests: mpsc::Receiver<Waiting>,
    /// Whoever waits for an answer to the last batch; the permits go back when it is settled.
    answering: Vec<(oneshot::Sender<answer::Answer>, Permit)>,
    _registration: Registration,
}

#[async_trait]
impl Source for Requests {
    async fn next(&mut self) -> Result<Option<Intake>, SourceError> {
        self.answering.clear();
        // The only await: dropping this future before it ends loses nothing.
        let Some(first) = self.requests.recv().await else { return Ok(None) };
        let mut intake = Intake::default();
        let mut next = Some(first);
        while let Some(waiting) = next.take() {
            intake.messages.push(waiting.message);
            self.answering.push((waiting.answer, waiting.permit));
            if intake.messages.len() < BATCH_MAX {
                next = self.requests.try_recv().ok();
            }
        }
        Ok(Some(intake))
    }

    async fn settle(&mut self, verdicts: Vec<Verdict>) -> Result<(), SourceError> {
        for ((waiting, _permit), verdict) in self.answering.drain(..).zip(verdicts) {
            // A sender that has gone away hears the verdict when it repeats its request.
            drop(waiting.send(answer::verdict(&verdict)));
        }
        Ok(())
    }
}
