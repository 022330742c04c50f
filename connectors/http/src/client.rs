//! Sending and asking over HTTP with everything bounded, for the sink and for service connectors.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use hub_core::plugin::OpenError;
use hub_core::{Attempt, SendError, Span};
use hub_failpoint::{Point, at as failpoint};
use jiff::Timestamp;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{RequestBuilder, Response, StatusCode};

use crate::last_chunk::{Gate, LastChunk};
use crate::tls::{self, ClientFiles};

/// The longest wish of a receiver that is believed.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3600);
/// Characters of an answer that go into an error.
const REASON_CHARS_MAX: usize = 500;

/// How a client connects.
#[derive(Clone, Debug)]
pub struct Options {
    /// Certificates.
    pub files: ClientFiles,
    /// Limit for establishing a connection, TLS included.
    pub connect_timeout: Duration,
    /// Limit for a whole exchange, answer included.
    pub timeout: Duration,
    /// Whether idle connections are used again. The other side may close an idle one at the very moment it is used; after
    /// the crossing that is a doubt. What must not be repeated takes a fresh connection each time.
    pub reuse: bool,
}

/// A client that follows no redirect, repeats nothing by itself, and uses no proxy of the environment.
///
/// # Errors
/// If certificates cannot be read or do not fit.
pub fn build(options: &Options) -> Result<reqwest::Client, OpenError> {
    let builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        // the last chunk's gate knows HTTP/1.1; another crate's wish for HTTP/2 must not reach this client
        .http1_only()
        .tcp_nodelay(true)
        .user_agent(concat!("raccordo/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(options.connect_timeout)
        .timeout(options.timeout)
        .pool_max_idle_per_host(if options.reuse { 16 } else { 0 });
    let builder = tls::client(builder, &options.files)?;
    builder.build().map_err(|e| OpenError(format!("http client: {}", chain(&e))))
}

/// A receiver's answer, read within limits.
#[derive(Debug)]
pub struct Reply {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// The body, or why it could not be read to its end.
    pub body: Result<Bytes, String>,
}

impl Reply {
    /// What the answer says, shortened for an error text.
    #[must_use]
    pub fn reason(&self) -> String {
        let text = match &self.body {
            Ok(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Err(problem) => format!("(answer unreadable: {problem})"),
        };
        let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(REASON_CHARS_MAX).collect();
        format!("status {}: {}", self.status, plain.trim())
    }

    /// How long the receiver asks us to wait: `Retry-After` in seconds or as a date.
    #[must_use]
    pub fn retry_after(&self, now: Timestamp) -> Option<Span> {
        let text = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        let wish = match text.parse::<u64>() {
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) => until(now, jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?),
        };
        Some(Span(wish.min(RETRY_AFTER_MAX)))
    }
}

fn until(now: Timestamp, then: Timestamp) -> Duration {
    Duration::try_from(then.duration_since(now)).unwrap_or_default()
}

/// Sends a body as one attempt. Its last byte goes out only after [`Attempt::cross`]; an empty body crosses before its
/// headers go out.
///
/// # Errors
/// `NotSent` before the crossing (a connection that was not made, a refusal of the fence), `InDoubt` after it. An answer
/// of any status is no error here; the caller knows what it means.
pub async fn send_once(
    request: RequestBuilder,
    body: &Bytes,
    attempt: &Attempt,
    reply_bytes_max: usize,
) -> Result<Reply, SendError> {
    let (body, gate) = if body.is_empty() {
        attempt.cross()?;
        (reqwest::Body::from(Bytes::new()), None)
    } else {
        let (body, gate) = LastChunk::new(body, attempt.clone());
        (reqwest::Body::wrap(body), Some(gate))
    };
    let answer = request.body(body).send().await;
    // Before anything is judged: the client's task may still hold the body.
    let refusal = gate.as_ref().and_then(Gate::close);
    match answer {
        Ok(response) if response.status().is_success() && !attempt.crossing.crossed() => {
            let cause = format!("status {} came before the request was complete; it proves nothing", response.status());
            Err(SendError::NotSent { retry_after: None, cause: cause.into() })
        }
        Ok(response) => {
            let reply = read(response, reply_bytes_max).await;
            failpoint(Point::HttpAnswered);
            Ok(reply)
        }
        // Where no connection was made, or the other side did not accept our certificate, nothing was taken.
        Err(e) if e.is_connect() || refused_in_handshake(&e) => {
            Err(SendError::NotSent { retry_after: None, cause: chain(&e).into() })
        }
        Err(e) => Err(refusal.unwrap_or_else(|| attempt.failed(chain(&e)))),
    }
}

/// Asks for something without changing anything.
///
/// # Errors
/// A text, when no answer came; an answer of any status is no error here.
pub async fn ask(request: RequestBuilder, reply_bytes_max: usize) -> Result<Reply, String> {
    let response = request.send().await.map_err(|e| chain(&e))?;
    Ok(read(response, reply_bytes_max).await)
}

/// Whether the server has refused our certificate. In TLS 1.3 it does so after we may have sent already, but before it
/// reads any of that: the alert proves that nothing was taken.
fn refused_in_handshake(error: &(dyn Error + 'static)) -> bool {
    use rustls::AlertDescription as Alert;
    let refusals = [
        Alert::BadCertificate,
        Alert::UnsupportedCertificate,
        Alert::CertificateRevoked,
        Alert::CertificateExpired,
        Alert::CertificateUnknown,
        Alert::UnknownCA,
        Alert::AccessDenied,
        Alert::CertificateRequired,
    ];
    let mut links = std::iter::successors(Some(error), |link: &&(dyn Error + 'static)| (*link).source());
    links.any(|link| {
        let inner = link.downcast_ref::<std::io::Error>().and_then(|io| io.get_ref());
        let tls = inner.and_then(|inner| inner.downcast_ref()).or_else(|| link.downcast_ref());
        matches!(tls, Some(rustls::Error::AlertReceived(alert)) if refusals.contains(alert))
    })
}

async fn read(mut response: Response, bytes_max: usize) -> Reply {
    let (status, headers) = (response.status(), response.headers().clone());
    let mut bytes = Vec::new();
    let body = loop {
        match response.chunk().await {
            Ok(None) => break Ok(Bytes::from(bytes)),
            Ok(Some(chunk)) if bytes.len() + chunk.len() > bytes_max => {
                break Err(format!("larger than {bytes_max} bytes"));
            }
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Err(e) => break Err(chain(&e)),
        }
    };
    Reply { status, headers, body }
}

/// An error with all its causes, in one line.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(text: &str) -> Option<Span> {
        let mut headers = HeaderMap::new();
        let _ = headers.insert(RETRY_AFTER, text.parse().unwrap());
        let reply = Reply { status: StatusCode::TOO_MANY_REQUESTS, headers, body: Ok(Bytes::new()) };
        reply.retry_after("2026-03-02T09:00:00Z".parse().unwrap())
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(wish("30").unwrap().to_string(), "30s");
        assert_eq!(wish("Mon, 02 Mar 2026 09:01:30 GMT").unwrap().to_string(), "90s");
        assert_eq!(wish("Mon, 02 Mar 2026 08:00:00 GMT").unwrap().0, Duration::ZERO);
        assert_eq!(wish("99999999999").unwrap().0, RETRY_AFTER_MAX);
        assert_eq!(wish("soon"), None);
    }
}
