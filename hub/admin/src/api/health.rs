//! Health, for whatever watches the process. Open to all: it names what is wrong, the details need a token.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::Answer;
use crate::problem::Problem;
use crate::state::Desk;

/// All is well.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// `live` or `ready`.
    status: &'static str,
}

/// The process answers.
#[utoipa::path(get, path = "/health/live", operation_id = "get_live", tag = "health", security(()), responses(
    (status = 200, description = "It lives", body = Health),
))]
pub(crate) async fn live() -> Json<Health> {
    Json(Health { status: "live" })
}

/// All routes have been opened and the store works.
#[utoipa::path(get, path = "/health/ready", operation_id = "get_ready", tag = "health", security(()), responses(
    (status = 200, description = "It is ready", body = Health),
    (status = 503, description = "It is not, with reasons", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn ready(State(desk): State<Arc<Desk>>) -> Answer<Health> {
    if desk.operate.is_ready() {
        return Ok(Json(Health { status: "ready" }));
    }
    let alarms = desk.operate.alarms().into_iter().map(|alarm| format!("alarm {}: {}", alarm.name, alarm.subject));
    let waiting = desk.operate.routes().into_iter().filter(|route| route.state != "running");
    let reasons: Vec<_> = alarms.chain(waiting.map(|route| format!("route {}: {}", route.name, route.state))).collect();
    let detail = "the hub is starting or stopping, or something is wrong; /api/v1/alarms and /api/v1/routes say more";
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-ready", "the hub is not ready", detail);
    Err(problem.with_reasons(reasons))
}
