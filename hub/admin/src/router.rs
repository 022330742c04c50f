//! Which call goes where, and the layers around all of them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hub_ledger::Ledger;
use hub_runtime::Operate;
use metrics_exporter_prometheus::PrometheusHandle;

use crate::auth::{Tokens, authenticate};
use crate::problem::Problem;
use crate::{AdminSettings, api, metrics};

/// Largest body that is read, in bytes: decisions are short.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Longest time that a call may take, downloads' beginning included.
const CALL_MAX: Duration = Duration::from_secs(30);

/// What the admin API shows and drives.
#[derive(Clone)]
pub struct AdminState {
    /// Where reads come from.
    pub ledger: Ledger,
    /// Where writes go.
    pub operate: Arc<dyn Operate>,
    /// The hub's own metrics, if a recorder was installed.
    pub metrics: Option<PrometheusHandle>,
    /// Version of the binary.
    pub version: String,
}

impl fmt::Debug for AdminState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminState").field("version", &self.version).finish_non_exhaustive()
    }
}

/// What handlers share.
pub(crate) struct App {
    pub(crate) state: AdminState,
    pub(crate) tokens: Tokens,
    pub(crate) metrics_open: bool,
}

impl App {
    pub(crate) fn new(settings: &AdminSettings, state: AdminState) -> Self {
        Self { state, tokens: Tokens::new(&settings.tokens), metrics_open: settings.metrics_open }
    }
}

/// The whole API.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/health/live", get(api::live))
        .route("/health/ready", get(api::ready))
        .route("/metrics", get(metrics::metrics))
        .route("/api/openapi.json", get(api::openapi))
        .nest("/api/v1", calls())
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(app.clone(), authenticate))
        .layer(middleware::from_fn(bounded))
        .with_state(app)
}

fn calls() -> Router<Arc<App>> {
    Router::new()
        .route("/status", get(api::status))
        .route("/routes", get(api::routes))
        .route("/alarms", get(api::alarms))
        .route("/messages", get(api::messages))
        .route("/messages/{id}", get(api::message))
        .route("/cases", get(api::cases))
        .route("/cases/{*id}", get(api::case_or_part))
        .route("/documents/{sha256}", get(api::document))
        .route("/tasks", get(api::tasks))
        .route("/tasks/{id}", get(api::task))
        .route("/tasks/{id}/document", get(api::task_document))
        .route("/tasks/{id}/decision", post(api::decide))
        .route("/parked", get(api::parked_list))
        .route("/parked/{id}", get(api::parked))
        .route("/parked/{id}/body", get(api::parked_body))
        .route("/parked/{id}/release", post(api::release))
        .route("/statistics", get(api::statistics))
}

async fn unknown_path(request: Request) -> Problem {
    Problem::not_found(format!("there is no {}; see /api/openapi.json", request.uri().path()))
}

async fn wrong_method(request: Request) -> Problem {
    let detail = format!("{} cannot be done on {}", request.method(), request.uri().path());
    Problem::of_status(StatusCode::METHOD_NOT_ALLOWED, detail)
}

/// Ends calls that take too long, and says to browsers that answers are neither pages nor to be kept.
async fn bounded(request: Request, next: Next) -> Response {
    let late = |_| Problem::unavailable(format!("no answer within {CALL_MAX:?}")).into_response();
    let mut response = tokio::time::timeout(CALL_MAX, next.run(request)).await.unwrap_or_else(late);
    let headers = response.headers_mut();
    let _ = headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let _ = headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let policy = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; sandbox");
    let _ = headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}
