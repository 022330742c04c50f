//! Messages that wait for a person: refused, failed, rejected (dead letters), in doubt.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use hub_ledger::rows::ParkedRow;
use hub_ledger::{Page, ParkedFilter};
use hub_life::outbound::Action;
use hub_runtime::Release;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::tasks::bounded;
use super::{AfterQuery, documents, seen};
use crate::auth::{Caller, Person};
use crate::extract::{JsonBody, Params, page};
use crate::problem::Problem;
use crate::roles::Act;
use crate::router::App;

/// Which parked messages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ParkedQuery {
    /// Waiting (`true`) or released ones; both if absent.
    pub open: Option<bool>,
    /// `refused`, `step`, `rejected`, `not_sent`, `in_doubt`, `wait`.
    pub kind: Option<String>,
    /// Of this entity.
    pub entity: Option<String>,
    /// `next` of the page before.
    pub cursor: Option<String>,
    /// Rows on a page, 1 to 200.
    pub limit: Option<usize>,
    /// Position that a write returned: the answer has seen it.
    pub after: Option<String>,
}

/// What a person decides about a parked message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseRequest {
    /// One of the message's `actions`: `retry`, `delivered`, `not_delivered` (sends again), `give_up`.
    pub action: String,
    /// The proof, or the reason: stands in the history of the case.
    pub note: String,
}

/// A release that was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReleaseView {
    /// Position of the write: hand it to a read as `after`.
    pub position: String,
}

/// Parked messages, newest first.
#[utoipa::path(get, path = "/api/v1/parked", tag = "parked", params(ParkedQuery), responses(
    (status = 200, description = "A page", body = Page<ParkedRow>),
    (status = "4XX", description = "A problem", body = crate::ProblemBody, content_type = "application/problem+json"),
))]
pub(crate) async fn parked_list(
    State(app): State<Arc<App>>,
    Caller(person): Caller,
    Params(query): Params<ParkedQuery>,
) -> Result<Json<Page<ParkedRow>>, Problem> {
    person.may(Act::View)?;
    seen(&app, query.after.as_deref()).await?;
    let ParkedQuery { open, kind, entity, cursor, limit, .. } = query;
    let filter = ParkedFilter { visible: person.visible(), kind, entity, open, page: page(cursor, limit) };
    Ok(Json(app.state.ledger.parked_list(filter).await?))
}

/// One parked message, with the evidence.
#[utoipa::path(get, path = "/api/v1/parked/{id}", tag = "parked",
    params(("id" = String, Path, description = "The parked message"), AfterQuery),
    responses(
        (status = 200, description = "The parked message", body = ParkedRow),
        (status = "4XX", description = "A problem", body = crate::ProblemBody, content_type = "application/problem+json"),
    ))]
pub(crate) async fn parked(
    State(app): State<Arc<App>>,
    Caller(person): Caller,
    Path(id): Path<String>,
    Params(query): Params<AfterQuery>,
) -> Result<Json<ParkedRow>, Problem> {
    person.may(Act::View)?;
    seen(&app, query.after.as_deref()).await?;
    Ok(Json(row(&app, &person, &id).await?))
}

/// The body of a parked message.
#[utoipa::path(get, path = "/api/v1/parked/{id}/body", tag = "parked",
    params(("id" = String, Path, description = "The parked message"), AfterQuery),
    responses(
        (status = 200, description = "The bytes, under their own MIME type", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = "4XX", description = "A problem", body = crate::ProblemBody, content_type = "application/problem+json"),
    ))]
pub(crate) async fn parked_body(
    State(app): State<Arc<App>>,
    Caller(person): Caller,
    Path(id): Path<String>,
    Params(query): Params<AfterQuery>,
) -> Result<Response, Problem> {
    person.may(Act::View)?;
    seen(&app, query.after.as_deref()).await?;
    let parked = row(&app, &person, &id).await?;
    documents::download(&app, &parked.sha256, &parked.mime, "").await
}

async fn row(app: &App, person: &Person, id: &str) -> Result<ParkedRow, Problem> {
    let row = app.state.ledger.parked(id, person.visible()).await?;
    row.ok_or_else(|| Problem::not_found(format!("there is no parked message {id} that you may see")))
}

/// Decides about a parked message. Its owner judges; the answer is its verdict.
#[utoipa::path(post, path = "/api/v1/parked/{id}/release", tag = "parked", request_body = ReleaseRequest,
    params(("id" = String, Path, description = "The parked message")),
    responses(
        (status = 200, description = "It was done", body = ReleaseView),
        (status = 404, description = "There is no such parked message", body = crate::ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "It was not done, and why", body = crate::ProblemBody, content_type = "application/problem+json"),
        (status = 504, description = "It was recorded and will be judged; ask for the message later", body = crate::ProblemBody, content_type = "application/problem+json"),
    ))]
pub(crate) async fn release(
    State(app): State<Arc<App>>,
    Caller(person): Caller,
    Path(id): Path<String>,
    JsonBody(request): JsonBody<ReleaseRequest>,
) -> Result<Json<ReleaseView>, Problem> {
    person.may(Act::Release)?;
    let (action, note) = (action(&request.action)?, note(request.note)?);
    let (by, entities) = (person.name.clone(), person.entities());
    let released = app.state.operate.release(Release { parked: id.clone(), action, by, entities, note }).await?;
    if released.done {
        return Ok(Json(ReleaseView { position: released.position }));
    }
    // Unknown and foreign ones look the same to those who may not see them.
    let _ = row(&app, &person, &id).await?;
    Err(Problem::conflict("not-released", released.reason))
}

fn action(name: &str) -> Result<Action, Problem> {
    match name {
        "retry" => Ok(Action::Retry),
        "delivered" => Ok(Action::Delivered),
        "not_delivered" => Ok(Action::NotDelivered),
        "give_up" => Ok(Action::GiveUp),
        _ => Err(Problem::bad_request("`action` must be one of retry, delivered, not_delivered, give_up")),
    }
}

/// A decision about money needs words: they are all that later readers have.
fn note(note: String) -> Result<String, Problem> {
    if note.trim().is_empty() {
        return Err(Problem::bad_request("`note` is empty; write the proof, or the reason"));
    }
    bounded("note", note)
}
