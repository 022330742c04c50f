//! Every address of the API.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, OriginalUri};
use axum::http::{Method, StatusCode};
use axum::middleware;
use axum::routing::{get, post};
use axum::{Router, response::IntoResponse};

use crate::api::{alarms, cases, documents, health, messages, metrics, parked, recovery, statistics, status, tasks};
use crate::ask::BODY_BYTES_MAX;
use crate::guard::guard;
use crate::openapi;
use crate::problem::Problem;
use crate::state::Desk;

pub(crate) fn router(desk: Arc<Desk>) -> Router {
    let v1 = Router::new()
        .route("/status", get(status::status))
        .route("/routes", get(status::routes))
        .route("/alarms", get(alarms::list))
        .route("/alarms/events", get(alarms::events))
        .route("/messages", get(messages::list))
        .route("/messages/{id}", get(messages::show))
        .route("/cases", get(cases::list))
        .route("/cases/{*rest}", get(cases::of_case))
        .route("/documents/{sha256}", get(documents::download))
        .route("/tasks", get(tasks::list))
        .route("/tasks/{id}", get(tasks::show))
        .route("/tasks/{id}/document", get(tasks::document))
        .route("/tasks/{id}/decision", post(tasks::decide))
        .route("/parked", get(parked::list))
        .route("/parked/{id}", get(parked::show))
        .route("/parked/{id}/body", get(parked::body))
        .route("/parked/{id}/release", post(parked::release))
        .route("/recovery", get(recovery::show))
        .route("/recovery/lanes/{lane}/release", post(recovery::release))
        .route("/recovery/end", post(recovery::end))
        .route("/statistics", get(statistics::statistics));
    Router::new()
        .nest("/api/v1", v1)
        .route("/api/openapi.json", get(openapi::serve))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/metrics", get(metrics::metrics))
        .fallback(nothing_here)
        .method_not_allowed_fallback(not_so)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(desk.clone(), guard))
        .with_state(desk)
}

async fn nothing_here(OriginalUri(uri): OriginalUri) -> Problem {
    Problem::not_found(format!("nothing answers at {}; /api/openapi.json lists what does", uri.path()))
}

async fn not_so(method: Method, OriginalUri(uri): OriginalUri) -> impl IntoResponse {
    let detail = format!("{} does not take {method}; /api/openapi.json says what it takes", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", "not this way", detail)
}
