//! What a sender is told: verdicts and problems (RFC 9457) as responses.

use bytes::Bytes;
use http_body_util::Full;
use hub_core::{Problem, Span, Value, Verdict};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use serde_json::json;

pub(crate) type Answer = Response<Full<Bytes>>;

/// Problem codes that mean "not even readable", as opposed to "read, and wrong".
const UNREADABLE: [&str; 5] = ["json", "xml", "malformed", "encoding", "empty"];

/// A refusal: status, short name of the kind of problem, title, and what to do.
pub(crate) fn problem(status: StatusCode, kind: &str, title: &str, detail: &str) -> Answer {
    problem_with(status, kind, title, detail, None)
}

fn problem_with(status: StatusCode, kind: &str, title: &str, detail: &str, problems: Option<&[Problem]>) -> Answer {
    let mut body = json!({
        "type": format!("urn:raccordo:problem:{kind}"), "title": title, "status": status.as_u16(), "detail": detail,
    });
    if let Some(problems) = problems {
        body["problems"] = json!(problems);
    }
    response(status, "application/problem+json", &body)
}

fn response(status: StatusCode, content_type: &'static str, body: &Value) -> Answer {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    let _ = response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn with(mut answer: Answer, name: HeaderName, value: &str) -> Answer {
    if let Ok(value) = HeaderValue::from_str(value) {
        let _ = answer.headers_mut().insert(name, value);
    }
    answer
}

/// The answer to a settled message.
pub(crate) fn verdict(verdict: &Verdict) -> Answer {
    match verdict {
        Verdict::Stored { id, case, again } => {
            let body = json!({ "id": id, "case": case, "status": "accepted" });
            let answer = response(StatusCode::ACCEPTED, "application/json", &body);
            let replayed = HeaderName::from_static("idempotent-replayed");
            if *again { with(answer, replayed, "true") } else { answer }
        }
        Verdict::Parked { id } => {
            response(StatusCode::ACCEPTED, "application/json", &json!({ "id": id, "status": "parked" }))
        }
        Verdict::Refused { problems } => refused(problems),
        Verdict::Conflict { detail } => problem(StatusCode::CONFLICT, "conflict", "already taken differently", detail),
        Verdict::Busy { retry_after } => busy(*retry_after, "the hub is full; send the request again later"),
    }
}

fn refused(problems: &[Problem]) -> Answer {
    let unreadable = |code: &str| UNREADABLE.iter().any(|kind| code == *kind || code.starts_with(&format!("{kind}.")));
    match problems {
        [only] if unreadable(&only.code) => {
            let title = "the body cannot be read";
            problem_with(StatusCode::BAD_REQUEST, "malformed", title, &only.detail, Some(problems))
        }
        _ => {
            let detail = match problems {
                [only] => only.to_string(),
                _ => format!("{} things are wrong with the message; see `problems`", problems.len()),
            };
            let title = "the message was not accepted";
            problem_with(StatusCode::UNPROCESSABLE_ENTITY, "invalid", title, &detail, Some(problems))
        }
    }
}

/// Too much at once.
pub(crate) fn busy(retry_after: Span, detail: &str) -> Answer {
    wait(problem(StatusCode::TOO_MANY_REQUESTS, "busy", "too many requests", detail), retry_after)
}

/// Not now.
pub(crate) fn unavailable(retry_after: Span, detail: &str) -> Answer {
    wait(problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "not available", detail), retry_after)
}

/// The request was handed on, but nobody said what became of it.
pub(crate) fn not_known(has_key: bool) -> Answer {
    let detail = if has_key {
        "it is not known whether the message was taken: send it again with the same Idempotency-Key"
    } else {
        "it is not known whether the message was taken: before sending it again look whether it is there, or send an \
         Idempotency-Key next time"
    };
    unavailable(Span(std::time::Duration::from_secs(5)), detail)
}

fn wait(answer: Answer, retry_after: Span) -> Answer {
    // Rounded up: whoever comes a second early is refused again.
    let seconds = retry_after.0.as_millis().div_ceil(1000).max(1);
    with(answer, RETRY_AFTER, &seconds.to_string())
}

/// Nobody knows this sender.
pub(crate) fn unauthorized(detail: &str, scheme: Option<&str>) -> Answer {
    let answer = problem(StatusCode::UNAUTHORIZED, "unauthorized", "credentials are missing or wrong", detail);
    scheme.map_or(answer.clone(), |scheme| with(answer, WWW_AUTHENTICATE, scheme))
}

/// Only POST is understood.
pub(crate) fn method_not_allowed() -> Answer {
    let detail = "this path takes messages by POST only";
    with(problem(StatusCode::METHOD_NOT_ALLOWED, "method", "method not allowed", detail), ALLOW, "POST")
}
