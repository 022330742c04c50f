//! Stands before every request: who asks, how long it may take, what every answer carries.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, HeaderName, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::problem::Problem;
use crate::state::Desk;

/// How long one request may take, from its headers to the begin of its answer.
const REQUEST_WITHIN: Duration = Duration::from_secs(30);

/// Lets health through, and everyone who shows a known token.
pub(crate) async fn guard(State(desk): State<Arc<Desk>>, mut request: Request, next: Next) -> Response {
    let person = bearer(request.headers()).and_then(|token| desk.staff.person(token));
    let (method, path) = (request.method().clone(), request.uri().path().to_string());
    let who = person.as_ref().map_or_else(String::new, |person| person.name.clone());
    let response = if person.is_none() && !is_open(&desk, &path) {
        Problem::unauthorized().into_response()
    } else {
        if let Some(person) = person {
            let _ = request.extensions_mut().insert(person);
        }
        tokio::time::timeout(REQUEST_WITHIN, next.run(request))
            .await
            .unwrap_or_else(|_| Problem::late().into_response())
    };
    tracing::debug!(%method, path, person = who, status = response.status().as_u16(), "admin request");
    sealed(response)
}

fn is_open(desk: &Desk, path: &str) -> bool {
    matches!(path, "/health/live" | "/health/ready") || (path == "/metrics" && desk.metrics_open)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let only = values.next().filter(|_| values.next().is_none())?;
    let (scheme, token) = only.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// No answer is kept by a cache, shown as something that it is not, or run by a browser.
fn sealed(mut response: Response) -> Response {
    let fixed: [(HeaderName, &str); 3] = [
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("content-security-policy"), "default-src 'none'; sandbox"),
    ];
    for (name, value) in fixed {
        let _ = response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
