//! The hub itself: how it is, its routes, what an operator should look at.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use hub_ledger::{Counts, Page};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Answer, whole};
use crate::Right;
use crate::problem::Problem;
use crate::staff::Person;
use crate::state::Desk;

/// How the hub is, and who you are to it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Status {
    /// Version of the program.
    version: String,
    /// Whether all routes have been opened and the store works.
    ready: bool,
    /// How many routes there are.
    routes: usize,
    /// How many of them run.
    routes_running: usize,
    /// How many alarms there are.
    alarms: usize,
    /// What waits for people, of your entities.
    counts: Counts,
    /// Who you are.
    you: You,
}

/// The person whose token was shown.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct You {
    /// Name.
    person: String,
    /// Roles.
    roles: Vec<String>,
    /// Entities; `null`: all.
    entities: Option<Vec<String>>,
}

/// A route and how it is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Route {
    /// Name.
    name: String,
    /// What it is for.
    description: String,
    /// Version (hash).
    version: String,
    /// Kind of the source.
    source: String,
    /// `running`, `waiting` (the source is opened again after an error), `stopped`.
    state: String,
    /// The last error of the source.
    error: Option<String>,
}

/// Something an operator should look at.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Alarm {
    /// Stable name, for example `disk-full`.
    name: String,
    /// What it is about.
    subject: String,
    /// What happened, and what to do.
    detail: String,
}

/// How the hub is, and who you are to it.
#[utoipa::path(get, path = "/api/v1/status", operation_id = "get_status", tag = "hub", responses(
    (status = 200, description = "The status", body = Status),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn status(State(desk): State<Arc<Desk>>, person: Person) -> Answer<Status> {
    person.must(Right::View)?;
    let routes = desk.operate.routes();
    let entities = person.entities();
    Ok(Json(Status {
        version: env!("CARGO_PKG_VERSION").into(),
        ready: desk.operate.is_ready(),
        routes: routes.len(),
        routes_running: routes.iter().filter(|route| route.state == "running").count(),
        alarms: desk.operate.alarms().len(),
        counts: desk.ledger.counts(person.visible()).await?,
        you: You {
            roles: person.role_names(),
            person: person.name,
            entities: if entities.is_empty() { None } else { Some(entities) },
        },
    }))
}

/// The routes and how they are.
#[utoipa::path(get, path = "/api/v1/routes", operation_id = "list_routes", tag = "hub", responses(
    (status = 200, description = "All routes", body = Page<Route>),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn routes(State(desk): State<Arc<Desk>>, person: Person) -> Answer<Page<Route>> {
    person.must(Right::View)?;
    let view = |route: hub_runtime::RouteStatus| Route {
        name: route.name,
        description: route.description,
        version: route.version,
        source: route.source,
        state: route.state,
        error: route.error,
    };
    Ok(whole(desk.operate.routes().into_iter().map(view).collect()))
}

/// What an operator should look at.
#[utoipa::path(get, path = "/api/v1/alarms", operation_id = "list_alarms", tag = "hub", responses(
    (status = 200, description = "All alarms", body = Page<Alarm>),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn alarms(State(desk): State<Arc<Desk>>, person: Person) -> Answer<Page<Alarm>> {
    person.must(Right::View)?;
    let view = |alarm: hub_runtime::Alarm| Alarm { name: alarm.name, subject: alarm.subject, detail: alarm.detail };
    Ok(whole(desk.operate.alarms().into_iter().map(view).collect()))
}
