//! Replies of the API.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde_json::Value;

use super::ledger::Rate;

/// Longest reason, in characters.
const REASON_CHARS_MAX: usize = 2000;

/// A whole reply.
pub(crate) type Reply = Response<Full<Bytes>>;

/// An error status with its reason. The real platform defines no error body; here it is plain text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) reason: String,
    pub(crate) retry_after_s: Option<u64>,
}

impl Refusal {
    /// A refusal; a reason that quotes too much of the sender is cut.
    pub(crate) fn new(status: u16, reason: impl Into<String>) -> Self {
        let mut reason: String = reason.into();
        if let Some((end, _)) = reason.char_indices().nth(REASON_CHARS_MAX) {
            reason.truncate(end);
        }
        Self { status, reason, retry_after_s: None }
    }

    /// The same refusal with a `Retry-After`.
    pub(crate) fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after_s: Some(seconds.max(1)), ..self }
    }

    /// As a reply; with the `X-RateLimit-*` headers where the caller's rate is known.
    pub(crate) fn reply(self, rate: Option<Rate>) -> Reply {
        let mut reply = of(self.status, "text/plain; charset=utf-8", self.reason.into_bytes());
        if let Some(seconds) = self.retry_after_s {
            let _ = reply.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        rated(reply, rate.filter(|_| self.status == 429))
    }
}

/// A JSON reply.
pub(crate) fn json(status: u16, body: &Value) -> Reply {
    of(status, "application/json", body.to_string().into_bytes())
}

/// A zip to download.
pub(crate) fn zip(body: Vec<u8>) -> Reply {
    of(200, "application/zip", body)
}

/// Adds the `X-RateLimit-*` headers.
pub(crate) fn rated(mut reply: Reply, rate: Option<Rate>) -> Reply {
    if let Some(rate) = rate {
        let headers = reply.headers_mut();
        let _ = headers.insert("x-ratelimit-limit", rate.limit.into());
        let _ = headers.insert("x-ratelimit-remaining", rate.remaining.into());
        let _ = headers.insert("x-ratelimit-reset", rate.reset_s.into());
    }
    reply
}

fn of(status: u16, content_type: &'static str, body: Vec<u8>) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::from(body)));
    *reply.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let _ = reply.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(content_type));
    reply
}
