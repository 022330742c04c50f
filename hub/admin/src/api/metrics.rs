//! Metrics in Prometheus's text format.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use hub_ledger::Visible;

use crate::Right;
use crate::problem::Problem;
use crate::staff::Person;
use crate::state::Desk;

/// The text format's own type.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the process has counted, and what waits for people now.
#[utoipa::path(get, path = "/metrics", operation_id = "get_metrics", tag = "health", responses(
    (status = 200, description = "Prometheus text", body = String, content_type = "text/plain"),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn metrics(
    State(desk): State<Arc<Desk>>,
    person: Option<Extension<Arc<Person>>>,
) -> Result<impl IntoResponse, Problem> {
    match person {
        Some(Extension(person)) if !desk.metrics_open => person.must(Right::Metrics)?,
        None if !desk.metrics_open => return Err(Problem::unauthorized()),
        _ => {}
    }
    let mut text = desk.metrics.as_ref().map(|handle| handle.render()).unwrap_or_default();
    gauges(&desk, &mut text).await;
    Ok(([(CONTENT_TYPE, TEXT)], text))
}

async fn gauges(desk: &Desk, text: &mut String) {
    // A ledger that cannot be read leaves its gauges out: a monitor tells "absent" from zero.
    match desk.ledger.counts(Visible::All).await {
        Ok(counts) => {
            gauge(text, "raccordo_parked", "Parked messages that wait for a person.", counts.parked);
            gauge(text, "raccordo_in_doubt", "Sends of which nobody knows whether they happened.", counts.in_doubt);
            gauge(text, "raccordo_open_tasks", "Tasks that wait for people.", counts.open_tasks);
        }
        Err(error) => tracing::warn!(%error, "the ledger's gauges are left out"),
    }
    let routes = desk.operate.routes();
    let running = routes.iter().filter(|route| route.state == "running").count();
    gauge(text, "raccordo_routes", "Routes.", routes.len());
    gauge(text, "raccordo_routes_running", "Routes that run.", running);
    gauge(text, "raccordo_alarms", "Things an operator should look at.", desk.operate.alarms().len());
    gauge(
        text,
        "raccordo_ready",
        "1: all routes have been opened and the store works.",
        u8::from(desk.operate.is_ready()),
    );
}

fn gauge(text: &mut String, name: &str, help: &str, value: impl std::fmt::Display) {
    text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n"));
}
