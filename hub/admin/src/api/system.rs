//! The hub itself: health, routes, alarms.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use hub_ledger::Counts;
use hub_runtime::{Alarm, RouteStatus};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::Caller;
use crate::problem::Problem;
use crate::roles::Act;
use crate::router::App;

/// Most reasons in one answer.
const REASONS_MAX: usize = 50;

/// Whether the hub is ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReadyView {
    /// Whether all routes have been opened and the store works.
    pub ready: bool,
    /// Why not: names only, since this call needs no token.
    pub reasons: Vec<String>,
}

/// The hub at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatusView {
    /// Version of the binary.
    pub version: String,
    /// Whether all routes have been opened and the store works.
    pub ready: bool,
    /// How many routes there are.
    pub routes: usize,
    /// How many of them run.
    pub routes_running: usize,
    /// How many alarms there are.
    pub alarms: usize,
    /// What waits for people, as far as the caller may see.
    pub waiting: Counts,
    /// Who the caller is.
    pub person: String,
    /// Their roles.
    pub roles: Vec<String>,
}

/// A route and how it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RouteView {
    /// Name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Version (hash).
    pub version: String,
    /// Kind of the source.
    pub source: String,
    /// `running`, `waiting` (the source is opened again after an error), `stopped`.
    pub state: String,
    /// The last error of the source.
    pub error: Option<String>,
}

impl From<RouteStatus> for RouteView {
    fn from(route: RouteStatus) -> Self {
        let RouteStatus { name, description, version, source, state, error } = route;
        Self { name, description, version, source, state, error }
    }
}

/// Something an operator should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AlarmView {
    /// Stable name, for example `disk-full`.
    pub name: String,
    /// What it is about.
    pub subject: String,
    /// What happened, what to do.
    pub detail: String,
}

impl From<Alarm> for AlarmView {
    fn from(Alarm { name, subject, detail }: Alarm) -> Self {
        Self { name, subject, detail }
    }
}

/// The process answers.
#[utoipa::path(get, path = "/health/live", tag = "monitoring", security(()), responses(
    (status = 200, description = "It does", body = String, content_type = "text/plain")
))]
pub(crate) async fn live() -> &'static str {
    "live\n"
}

/// The hub takes and delivers messages.
#[utoipa::path(get, path = "/health/ready", tag = "monitoring", security(()), responses(
    (status = 200, description = "It does", body = ReadyView),
    (status = 503, description = "It does not, and why", body = ReadyView),
))]
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Response {
    let operate = &app.state.operate;
    if operate.is_ready() {
        return Json(ReadyView { ready: true, reasons: Vec::new() }).into_response();
    }
    let routes = operate.routes().into_iter().filter(|route| route.state != "running");
    let routes = routes.map(|route| format!("route {} is {}", route.name, route.state));
    let alarms = operate.alarms().into_iter().map(|alarm| format!("alarm {}", alarm.name));
    let mut reasons: Vec<_> = alarms.chain(routes).take(REASONS_MAX).collect();
    if reasons.is_empty() {
        reasons.push("the hub is starting or stopping".into());
    }
    (StatusCode::SERVICE_UNAVAILABLE, Json(ReadyView { ready: false, reasons })).into_response()
}

/// This description.
#[utoipa::path(get, path = "/api/openapi.json", tag = "system", responses(
    (status = 200, description = "OpenAPI 3.1", body = Object)
))]
pub(crate) async fn openapi(Caller(person): Caller) -> Result<Response, Problem> {
    person.may(Act::View)?;
    Ok(([(header::CONTENT_TYPE, "application/json")], crate::OPENAPI).into_response())
}

/// The hub at a glance.
#[utoipa::path(get, path = "/api/v1/status", tag = "system", responses(
    (status = 200, description = "How it is", body = StatusView),
    (status = "4XX", description = "A problem", body = crate::ProblemBody, content_type = "application/problem+json"),
))]
pub(crate) async fn status(State(app): State<Arc<App>>, Caller(person): Caller) -> Result<Json<StatusView>, Problem> {
    person.may(Act::View)?;
    let operate = &app.state.operate;
    let routes = operate.routes();
    Ok(Json(StatusView {
        version: app.state.version.clone(),
        ready: operate.is_ready(),
        routes: routes.len(),
        routes_running: routes.iter().filter(|route| route.state == "running").count(),
        alarms: operate.alarms().len(),
        waiting: app.state.ledger.counts(person.visible()).await?,
        person: person.name.clone(),
        roles: person.role_names(),
    }))
}

/// The routes and how they are.
#[utoipa::path(get, path = "/api/v1/routes", tag = "system", responses(
    (status = 200, description = "All routes", body = Vec<RouteView>),
    (status = "4XX", description = "A problem", body = crate::ProblemBody, content_type = "application/problem+json"),
))]
pub(crate) async fn routes(
    State(app): State<Arc<App>>,
    Caller(person): Caller,
) -> Result<Json<Vec<RouteView>>, Problem> {
    person.may(Act::View)?;
    Ok(Json(app.state.operate.routes().into_iter().map(Into::into).collect()))
}

/// What an operator should look at.
#[utoipa::path(get, path = "/api/v1/alarms", tag = "system", responses(
    (status = 200, description = "All alarms; empty when all is well", body = Vec<AlarmView>),
    (status = "4XX", description = "A problem", body = crate::ProblemBody, content_type = "application/problem+json"),
))]
pub(crate) async fn alarms(
    State(app): State<Arc<App>>,
    Caller(person): Caller,
) -> Result<Json<Vec<AlarmView>>, Problem> {
    person.may(Act::View)?;
    Ok(Json(app.state.operate.alarms().into_iter().map(Into::into).collect()))
}
