//! The hub itself: how it is, and its routes.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use hub_ledger::{Attention, Counts, Page};
use hub_runtime::Figures;
use jiff::Timestamp;
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
    /// Whether nothing is sent until people release lane by lane (alarm `recovery`).
    recovery: bool,
    /// What waits for people, of your entities; `null` if the ledger cannot be read.
    counts: Option<Counts>,
    /// What waits for anything, of all entities; `null` if the ledger cannot be read.
    attention: Option<Attention>,
    /// How work flows; `null` if the hub cannot be measured.
    flow: Option<Flow>,
    /// The store and its disk; `null` if the hub does not know.
    store: Option<Store>,
    /// Who you are.
    you: You,
}

/// How work flows.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Flow {
    /// Since when this life of the hub works.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    /// Name of this life.
    epoch: String,
    /// The hub's clock.
    #[schema(value_type = String, format = DateTime)]
    now: Timestamp,
    /// Slots of the log that this hub works on: all of them, unless several hubs share the log. What follows is about these.
    slots: usize,
    /// Messages that wait for a segment of their route, all partitions together.
    backlog: u64,
    /// The same of the fullest partition.
    backlog_largest: u64,
    /// Where senders are answered 429, for one partition.
    backlog_limit: u64,
    /// Messages in lanes whose step is not available.
    held: u64,
    /// Outbound messages without a receipt, all partitions together.
    unsent: u64,
    /// Where senders are answered 429, for one partition.
    unsent_limit: u64,
    /// Since when the oldest of them waits.
    #[schema(value_type = Option<String>, format = DateTime)]
    oldest_unsent: Option<Timestamp>,
    /// When a message was admitted last, in this life.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_taken: Option<Timestamp>,
    /// When a receipt was recorded last, in this life.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_sent: Option<Timestamp>,
    /// Commits a second, of the last seconds.
    commits_per_s: Option<f64>,
}

impl Flow {
    fn of(figures: &Figures, commits_per_s: Option<f64>) -> Self {
        Self {
            since: figures.since,
            epoch: figures.epoch.clone(),
            now: figures.now,
            slots: figures.partitions.len(),
            backlog: figures.total(|p| p.inbox),
            backlog_largest: figures.largest(|p| p.inbox),
            backlog_limit: figures.backlog_max,
            held: figures.total(|p| p.held),
            unsent: figures.total(|p| p.outbox + p.unsent),
            unsent_limit: figures.unsent_max,
            oldest_unsent: figures.oldest_unsent,
            last_taken: figures.last_taken,
            last_sent: figures.last_sent,
            commits_per_s,
        }
    }
}

/// The store and its disk.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Store {
    /// Bytes of the store's files, without blobs.
    bytes: u64,
    /// Bytes that are free on its disk.
    disk_free: Option<u64>,
    /// Commits of this life of the hub.
    commits: u64,
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
    /// When a message was admitted last, in this life of the hub.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_taken: Option<Timestamp>,
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
    let look = desk.watch.fresh().await;
    let store = look.figures.as_ref().and_then(|figures| figures.store.as_ref());
    Ok(Json(Status {
        version: env!("CARGO_PKG_VERSION").into(),
        ready: desk.operate.is_ready(),
        routes: routes.len(),
        routes_running: routes.iter().filter(|route| route.state == "running").count(),
        alarms: look.alarms.len(),
        recovery: look.alarms.iter().any(|standing| standing.alarm.name == "recovery"),
        attention: look.attention,
        flow: look.figures.as_ref().map(|figures| Flow::of(figures, look.commits_per_s)),
        store: store.map(|store| Store { bytes: store.bytes, disk_free: store.disk_free, commits: store.commits }),
        counts: counts(&desk, &person).await,
        you: You {
            roles: person.role_names(),
            person: person.name,
            entities: if entities.is_empty() { None } else { Some(entities) },
        },
    }))
}

/// A ledger that cannot be read is an alarm of its own: the status says all that is known.
async fn counts(desk: &Desk, person: &Person) -> Option<Counts> {
    let counts = desk.ledger.counts(person.visible()).await;
    counts.inspect_err(|error| tracing::warn!(%error, "the status leaves out what waits for people")).ok()
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
        last_taken: route.last_taken,
    };
    Ok(whole(desk.operate.routes().into_iter().map(view).collect()))
}
