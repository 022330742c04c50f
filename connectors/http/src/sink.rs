//! The sink `http`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hub_core::plugin::{ConfigError, OpenCx, OpenError, SinkConfig};
use hub_core::{
    Attempt, Bytesize, Clock, Limits, Media, Outgoing, Receipt, Repeat, Secret, SendError, Sink, Span, Value, read_json,
};
use reqwest::Url;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::client::{self, Options, Reply};
use crate::settings::{ConnectionSettings, connect_timeout};
use crate::tls::ClientFiles;

/// Sends the body to a URL.
///
/// What an answer means: 2xx is delivered. 429, 503, 408 and 425 are not sent and tried again, after `Retry-After` if it is
/// there (`not_taken_statuses`). 500, 502 and 504 are in doubt, and so is every other 5xx and a connection that breaks
/// after the last byte of the body was handed over (`doubtful_statuses`). All other answers are rejections.
///
/// Repeating: with `method: put` harmless; with `idempotency_header: true` the receiver drops what it knows; otherwise a
/// send in doubt waits for a person.
///
/// Binds the answer if it is JSON, its text if it is text, else null.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpSink {
    /// The URL, `http` or `https`.
    url: String,
    /// The method.
    #[serde(default)]
    method: Method,
    /// A name under `connections` in `config/hub.yaml`: certificates and tokens.
    connection: Option<String>,
    /// The receiver drops a request whose `Idempotency-Key` it knows, and answers it as it did the first time.
    #[serde(default)]
    idempotency_header: bool,
    /// How long a whole exchange may take.
    #[serde(default = "timeout")]
    timeout: Span,
    /// Headers to send; no secrets (those belong to the connection).
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// Statuses after which nobody knows whether the request was taken.
    #[serde(default = "doubtful")]
    doubtful_statuses: Vec<u16>,
    /// Statuses that promise that the request was not taken.
    #[serde(default = "not_taken")]
    not_taken_statuses: Vec<u16>,
    /// `Content-Type` to send. Default: that of the body.
    content_type: Option<String>,
    /// The largest answer that is read.
    #[serde(default = "max_reply")]
    max_reply: Bytesize,
}

/// Methods that send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Adds something.
    #[default]
    Post,
    /// Replaces what the URL names.
    Put,
}

fn timeout() -> Span {
    Span(Duration::from_secs(30))
}
fn doubtful() -> Vec<u16> {
    vec![500, 502, 504]
}
fn not_taken() -> Vec<u16> {
    vec![408, 425, 429, 503]
}
fn max_reply() -> Bytesize {
    Bytesize(64 * 1024)
}

#[async_trait]
impl SinkConfig for HttpSink {
    const KIND: &'static str = "http";

    fn check(&self) -> Vec<ConfigError> {
        let mut problems = Vec::new();
        if let Err(detail) = target(&self.url) {
            problems.push(ConfigError::at("/url", detail));
        }
        if let Err((name, detail)) = headers(&self.headers) {
            problems.push(ConfigError::at(format!("/headers/{name}"), detail));
        }
        if let Some(both) = self.doubtful_statuses.iter().find(|status| self.not_taken_statuses.contains(status)) {
            let detail = format!("{both} stands in `doubtful_statuses` too; it can mean only one thing");
            problems.push(ConfigError::at("/not_taken_statuses", detail));
        }
        problems
    }

    fn repeat(&self) -> Repeat {
        match (self.method, self.idempotency_header) {
            (Method::Put, _) => Repeat::Harmless,
            (Method::Post, true) => Repeat::Keyed,
            (Method::Post, false) => Repeat::Forbidden,
        }
    }

    async fn open(&self, cx: &OpenCx) -> Result<Arc<dyn Sink>, OpenError> {
        let settings = match &self.connection {
            Some(name) => cx.settings::<ConnectionSettings>("connections", name)?,
            None => ConnectionSettings { connect_timeout: connect_timeout(), ..Default::default() },
        };
        let identity = match (&settings.client_cert, &settings.client_key) {
            (Some(cert), Some(key)) => Some((cx.path(cert), cx.path(key))),
            (None, None) => None,
            _ => return Err(OpenError("`client_cert` and `client_key` go together; one is missing".into())),
        };
        let files = ClientFiles { ca: settings.ca.as_ref().map(|ca| cx.path(ca)), identity };
        let reuse = self.repeat() != Repeat::Forbidden;
        let (connect_timeout, timeout) = (settings.connect_timeout.0, self.timeout.0);
        let client = client::build(&Options { files, connect_timeout, timeout, reuse })?;
        let headers =
            headers(&self.headers).map_err(|(name, detail)| OpenError(format!("header `{name}`: {detail}")))?;
        Ok(Arc::new(Sender {
            client,
            clock: cx.clock.clone(),
            url: target(&self.url).map_err(OpenError)?,
            method: self.method,
            bearer: settings.bearer,
            keyed: self.idempotency_header,
            repeat: self.repeat(),
            timeout,
            headers,
            doubtful: self.doubtful_statuses.clone(),
            not_taken: self.not_taken_statuses.clone(),
            content_type: self.content_type.clone(),
            reply_bytes_max: usize::try_from(self.max_reply.0).unwrap_or(usize::MAX),
        }))
    }
}

fn target(url: &str) -> Result<Url, String> {
    let parsed = Url::parse(url).map_err(|e| format!("`{url}` is not a URL: {e}"))?;
    match parsed.scheme() {
        "http" | "https" if parsed.username().is_empty() && parsed.password().is_none() => Ok(parsed),
        "http" | "https" => Err("a URL must not hold a password; use `connection`".into()),
        other => Err(format!("`{other}:` is not HTTP; write `http:` or `https:`")),
    }
}

fn headers(wanted: &BTreeMap<String, String>) -> Result<HeaderMap, (String, String)> {
    let mut headers = HeaderMap::new();
    for (name, value) in wanted {
        let bad = |detail: &str| (name.clone(), detail.to_string());
        let key: HeaderName = name.parse().map_err(|_| bad("is not a header name"))?;
        let value: HeaderValue = value.parse().map_err(|_| bad("has a value that is not plain text"))?;
        let _ = headers.insert(key, value);
    }
    Ok(headers)
}

struct Sender {
    client: reqwest::Client,
    clock: Arc<dyn Clock>,
    url: Url,
    method: Method,
    bearer: Option<Secret<String>>,
    keyed: bool,
    repeat: Repeat,
    timeout: Duration,
    headers: HeaderMap,
    doubtful: Vec<u16>,
    not_taken: Vec<u16>,
    content_type: Option<String>,
    reply_bytes_max: usize,
}

#[async_trait]
impl Sink for Sender {
    async fn send(&self, out: &Outgoing, attempt: &Attempt) -> Result<Receipt, SendError> {
        let request = self.request(out, attempt);
        let reply = client::send_once(request, &out.body.bytes, attempt, self.reply_bytes_max).await?;
        self.judge(&reply)
    }

    fn repeat(&self) -> Repeat {
        self.repeat
    }

    fn limits(&self) -> Limits {
        Limits { attempt: self.timeout, ..Limits::default() }
    }
}

impl Sender {
    fn request(&self, out: &Outgoing, attempt: &Attempt) -> reqwest::RequestBuilder {
        let method = match self.method {
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
        };
        let content_type = self.content_type.as_deref().unwrap_or(out.body.media.mime());
        let mut request = self.client.request(method, self.url.clone()).header(CONTENT_TYPE, content_type);
        request = request.headers(self.headers.clone());
        if self.keyed {
            request = request.header("Idempotency-Key", &attempt.key);
        }
        match &self.bearer {
            Some(bearer) => request.bearer_auth(bearer.expose()),
            None => request,
        }
    }

    fn judge(&self, reply: &Reply) -> Result<Receipt, SendError> {
        let (status, cause) = (reply.status.as_u16(), || reply.reason().into());
        if reply.status.is_success() {
            return Ok(receipt(reply, self.reply_bytes_max));
        }
        if self.not_taken.contains(&status) {
            return Err(SendError::NotSent { retry_after: reply.retry_after(self.clock.now()), cause: cause() });
        }
        if self.doubtful.contains(&status) || reply.status.is_server_error() {
            return Err(SendError::InDoubt { cause: cause() });
        }
        if reply.status.is_redirection() {
            let cause = format!("redirects are not followed; write the final URL ({})", reply.reason());
            return Err(SendError::Rejected { code: status.to_string(), cause: cause.into() });
        }
        Err(SendError::Rejected { code: status.to_string(), cause: cause() })
    }
}

/// A status of 2xx is the proof; an answer whose body cannot be read takes nothing from it.
fn receipt(reply: &Reply, bytes_max: usize) -> Receipt {
    let mime = reply.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let body = reply.body.as_ref().ok().filter(|bytes| !bytes.is_empty());
    let value = body.and_then(|bytes| match Media::of_mime(mime) {
        Media::Json => read_json(bytes, bytes_max).ok(),
        Media::Text => std::str::from_utf8(bytes).ok().map(|text| Value::String(text.into())),
        Media::Xml | Media::Bytes => None,
    });
    let remote_id = reply.headers.get(LOCATION).and_then(|value| value.to_str().ok()).map(String::from);
    Receipt { remote_id, reply: value.unwrap_or(Value::Null), raw: body.cloned() }
}
