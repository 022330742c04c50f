//! `/metrics`: the hub's own counters, and what waits for people.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use hub_ledger::{Counts, Visible};

use crate::auth::Caller;
use crate::problem::Problem;
use crate::roles::Act;
use crate::router::App;

/// Metrics in Prometheus' text format.
#[utoipa::path(get, path = "/metrics", tag = "monitoring", responses(
    (status = 200, description = "Prometheus text format", body = String, content_type = "text/plain"),
    (status = "4XX", description = "A problem", body = crate::ProblemBody, content_type = "application/problem+json"),
))]
pub(crate) async fn metrics(State(app): State<Arc<App>>, caller: Option<Open>) -> Result<Response, Problem> {
    if let (Some(Open(caller)), false) = (caller, app.metrics_open) {
        caller.0.may(Act::Metrics)?;
    }
    let counts = app.state.ledger.counts(Visible::All).await?;
    let own = app.state.metrics.as_ref().map(|handle| handle.render()).unwrap_or_default();
    let text = format!("{own}{}", gauges(counts, app.state.operate.is_ready()));
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

/// The caller, if there is one: without a token only an open `/metrics` comes this far.
pub(crate) struct Open(Caller);

impl<S: Send + Sync> axum::extract::OptionalFromRequestParts<S> for Open {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut axum::http::request::Parts, state: &S) -> Result<Option<Self>, Problem> {
        use axum::extract::FromRequestParts;
        Ok(Caller::from_request_parts(parts, state).await.ok().map(Open))
    }
}

fn gauges(counts: Counts, ready: bool) -> String {
    let gauges = [
        ("raccordo_parked_messages", "messages that wait for a person", counts.parked),
        ("raccordo_sends_in_doubt", "sends of which nobody knows whether they happened", counts.in_doubt),
        ("raccordo_open_tasks", "tasks that wait for people", counts.open_tasks),
        ("raccordo_ready", "1 if all routes are open and the store works", u64::from(ready)),
    ];
    let lines =
        gauges.map(|(name, help, value)| format!("# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n"));
    lines.concat()
}
