//! One request: judged by what can be seen of it, read within limits, handed on, answered.

#![expect(clippy::result_large_err, reason = "a refusal is the answer itself; boxing it would save nothing")]

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hub_core::{Body, Headers, Incoming, Media, MessageId, Span, TransportKey, header};
use hyper::body::Incoming as Stream;
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HeaderMap};
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode};
use tokio::sync::oneshot;

use super::{Core, Door, Peer, Waiting};
use crate::answer::{self, Answer, problem};
use crate::auth;
use crate::source::Auth;

/// How long a client may take to send a body.
const BODY_WITHIN: Duration = Duration::from_secs(30);
/// How long a client waits for the verdict of the runtime.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Longest `Idempotency-Key`.
const KEY_CHARS_MAX: usize = 255;
/// How much of a refused body is still read, and for how long.
const LEFT_BYTES_MAX: usize = 16 * 1024 * 1024;
const LEFT_WITHIN: Duration = Duration::from_secs(10);
/// What a client is told to wait when the hub is full.
const FULL: Span = Span(Duration::from_secs(1));

/// Takes a request from its headers to its answer.
pub(super) async fn handle(core: &Core, peer: &Peer, request: Request<Stream>) -> Answer {
    let (parts, mut body) = request.into_parts();
    match admitted(core, peer, &parts, &mut body).await {
        Ok(answer) => answer,
        Err(refusal) => {
            swallow(&parts.headers, body);
            refusal
        }
    }
}

/// Reads on what a refused sender still sends, while the refusal goes out. If the connection closed on it instead, most
/// senders would hear of a broken pipe and not of the reason. One that asked whether to send its body has not sent it.
fn swallow(headers: &HeaderMap, mut body: Stream) {
    if headers.contains_key(EXPECT) {
        return;
    }
    let left = async move {
        let mut bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            bytes += frame.data_ref().map_or(0, Bytes::len);
            if bytes > LEFT_BYTES_MAX {
                break;
            }
        }
    };
    drop(tokio::spawn(tokio::time::timeout(LEFT_WITHIN, left)));
}

async fn admitted(core: &Core, peer: &Peer, request: &Parts, body: &mut Stream) -> Result<Answer, Answer> {
    let found = core.doors().get(request.uri.path()).cloned();
    let door = match found {
        None => return Err(problem(StatusCode::NOT_FOUND, "not-found", "not found", "no route takes messages here")),
        Some(None) => return Err(answer::unavailable(FULL, "the route is not running at the moment")),
        Some(Some(door)) => door,
    };
    let sender = sender(core, &door, peer.name.as_deref(), &request.headers)?;
    if request.method != Method::POST {
        return Err(answer::method_not_allowed());
    }
    let media = media(&door, &request.headers)?;
    let key = key(&door, &request.headers)?;
    within(&door, &request.headers)?;
    let full = || answer::busy(FULL, "too many requests are under way; send the request again later");
    let permit = core.permits.take(peer.address).ok_or_else(full)?;
    let bytes = read(&door, body).await?;
    let message = message(&door, &sender, key, &request.headers, Body::new(media, bytes));
    let has_key = message.key.is_some();
    let (reply, verdict) = oneshot::channel();
    // Never waits: the queue holds as many as there are permits.
    door.queue.try_send(Waiting { message, answer: reply, permit }).map_err(|_| full())?;
    tokio::select! {
        verdict = verdict => Ok(verdict.unwrap_or_else(|_| answer::not_known(has_key))),
        () = core.clock.sleep_until(core.clock.now() + ANSWER_WITHIN) => Ok(answer::not_known(has_key)),
    }
}

/// The name of the sender; empty where nobody has to prove a name.
fn sender(core: &Core, door: &Door, peer_name: Option<&str>, headers: &HeaderMap) -> Result<String, Answer> {
    let client = match (auth::identify(&core.clients, door.auth, headers, peer_name), door.auth) {
        (_, Auth::None) => return Ok(String::new()),
        (Some(client), _) => client,
        (None, Auth::Mtls) => {
            let detail = "this path asks for a client certificate that the listener knows";
            return Err(answer::unauthorized(detail, None));
        }
        (None, Auth::ApiKey) => {
            let detail = "send a known key as `Authorization: Bearer KEY` or `X-Api-Key: KEY`";
            return Err(answer::unauthorized(detail, Some("Bearer")));
        }
    };
    if !client.is_allowed(&door.allow) {
        let detail = format!("client `{}` may not send to this path", client.name);
        return Err(problem(StatusCode::FORBIDDEN, "forbidden", "not allowed here", &detail));
    }
    Ok(client.name.clone())
}

fn media(door: &Door, headers: &HeaderMap) -> Result<Media, Answer> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mime = text(CONTENT_TYPE);
    let essence = mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let encoding = text(CONTENT_ENCODING);
    let title = "unsupported content";
    if !door.accept.contains(&essence) {
        let detail = format!("`Content-Type` must be one of {}", door.accept.join(", "));
        return Err(problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", title, &detail));
    }
    if !encoding.is_empty() && !encoding.eq_ignore_ascii_case("identity") {
        let detail = "compressed bodies are not taken; send it without `Content-Encoding`";
        return Err(problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", title, detail));
    }
    Ok(Media::of_mime(&essence))
}

fn key(door: &Door, headers: &HeaderMap) -> Result<Option<String>, Answer> {
    let bad = |detail: &str| Err(problem(StatusCode::BAD_REQUEST, "idempotency-key", "wrong Idempotency-Key", detail));
    let mut keys = headers.get_all("idempotency-key").iter();
    let Some(key) = keys.next() else {
        return if door.require_key { bad("this path asks for an `Idempotency-Key` header") } else { Ok(None) };
    };
    let key = key.to_str().unwrap_or_default();
    let fits = !key.is_empty() && key.len() <= KEY_CHARS_MAX && key.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    if !fits || keys.next().is_some() {
        return bad("send one `Idempotency-Key` of 1 to 255 visible ASCII characters");
    }
    Ok(Some(key.to_string()))
}

fn too_large(door: &Door) -> Answer {
    let detail = format!("at most {} bytes are taken here", door.bytes_max);
    problem(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "the body is too large", &detail)
}

/// Refuses a body by its announced length, before a byte of it is read.
fn within(door: &Door, headers: &HeaderMap) -> Result<(), Answer> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > door.bytes_max) { Err(too_large(door)) } else { Ok(()) }
}

async fn read(door: &Door, body: &mut Stream) -> Result<Bytes, Answer> {
    let bytes_max = usize::try_from(door.bytes_max).unwrap_or(usize::MAX);
    let title = "the body did not arrive";
    match tokio::time::timeout(BODY_WITHIN, Limited::new(body, bytes_max).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(e)) if e.is::<LengthLimitError>() => Err(too_large(door)),
        Ok(Err(_)) => {
            Err(problem(StatusCode::BAD_REQUEST, "body", title, "the body broke off; send the request again"))
        }
        Err(_) => Err(problem(StatusCode::REQUEST_TIMEOUT, "body", title, "the body took too long; send it again")),
    }
}

fn message(door: &Door, sender: &str, key: Option<String>, sent: &HeaderMap, body: Body) -> Incoming {
    // Without a key a repetition cannot be told from a second message: the id only has to be unique then.
    let mark = key.clone().unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
    let kind = if key.is_some() { "http" } else { "http-unkeyed" };
    let id = MessageId::derive(&[kind, &door.route, sender, &mark]);
    let mut headers = Headers::new();
    let kept = door.keep_headers.iter().map(String::as_str).chain(["content-type"]);
    for name in kept {
        if let Some(value) = sent.get(name).and_then(|value| value.to_str().ok()) {
            let _ = headers.insert(name.into(), value.into());
        }
    }
    let _ = headers.insert(header::ORIGIN.into(), door.path.clone());
    if !sender.is_empty() {
        let _ = headers.insert(header::SENDER.into(), sender.into());
    }
    if let Some(key) = &key {
        let _ = headers.insert(header::KEY.into(), key.clone());
    }
    let key = key.map(|key| TransportKey { sender: sender.into(), key });
    Incoming { id, key, headers, body, answerable: true }
}
