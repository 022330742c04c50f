//! Messages that wait for a person: parked and dead.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use hub_ledger::rows::ParkedRow;
use hub_ledger::{Page, PageRequest, ParkedFilter};
use hub_life::outbound::Action;
use hub_runtime::{Release, Released};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Answer, documents};
use crate::Right;
use crate::ask::{self, After, Id, Params, Which};
use crate::problem::Problem;
use crate::staff::Person;
use crate::state::Desk;

/// Which parked messages.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ParkedQuery {
    /// Of this kind: `refused`, `step`, `rejected`, `not_sent`, `in_doubt`, `wait`.
    kind: Option<String>,
    /// Of this entity.
    entity: Option<String>,
    /// `open` (usual), `closed` (released) or `all`.
    #[serde(default)]
    #[param(inline)]
    state: Which,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Rows of a page, 1 to 200; usually 50.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// Waits until the answer includes this position, which a write returned.
    after: Option<String>,
}

/// What to do with a parked message; the message's `actions` says what fits it.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReleaseAction {
    /// Try again (only what surely had no effect).
    Retry,
    /// It did arrive: go on as if the receipt had come.
    Delivered,
    /// It did not arrive: send the same bytes again.
    NotDelivered,
    /// It shall not be sent.
    GiveUp,
}

impl From<ReleaseAction> for Action {
    fn from(action: ReleaseAction) -> Self {
        match action {
            ReleaseAction::Retry => Self::Retry,
            ReleaseAction::Delivered => Self::Delivered,
            ReleaseAction::NotDelivered => Self::NotDelivered,
            ReleaseAction::GiveUp => Self::GiveUp,
        }
    }
}

/// A decision about a parked message.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReleaseBody {
    /// What to do.
    action: ReleaseAction,
    /// The proof, or the reason: it is written down. 1 to 4000 bytes.
    note: String,
}

/// It was done.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Done {
    /// Always `true`.
    pub(super) done: bool,
    /// Position of the write: hand it to a read as `after`.
    pub(super) position: String,
}

/// Parked messages, newest first; those that still wait unless asked otherwise.
#[utoipa::path(get, path = "/api/v1/parked", operation_id = "list_parked", tag = "parked", params(ParkedQuery), responses(
    (status = 200, description = "A page of parked messages", body = Page<ParkedRow>),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn list(
    State(desk): State<Arc<Desk>>,
    person: Person,
    Params(query): Params<ParkedQuery>,
) -> Answer<Page<ParkedRow>> {
    person.must(Right::View)?;
    desk.seen(query.after.as_deref()).await?;
    let filter = ParkedFilter {
        visible: person.visible(),
        kind: query.kind,
        entity: query.entity,
        open: query.state.open(),
        page: PageRequest { cursor: query.cursor, limit: query.limit },
    };
    Ok(Json(desk.ledger.parked_list(filter).await?))
}

async fn find(desk: &Desk, person: &Person, id: &str) -> Result<ParkedRow, Problem> {
    let found = desk.ledger.parked(id, person.visible()).await?;
    found.ok_or_else(|| Problem::not_found(format!("there is no parked message `{id}` among those that you may see")))
}

/// One parked message with its evidence.
#[utoipa::path(get, path = "/api/v1/parked/{id}", operation_id = "get_parked", tag = "parked",
    params(("id" = String, Path, description = "The parked message's id"), After), responses(
    (status = 200, description = "The parked message", body = ParkedRow),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn show(
    State(desk): State<Arc<Desk>>,
    person: Person,
    Id(id): Id,
    Params(query): Params<After>,
) -> Answer<ParkedRow> {
    person.must(Right::View)?;
    desk.seen(query.after.as_deref()).await?;
    find(&desk, &person, &id).await.map(Json)
}

/// The body of a parked message, byte for byte.
#[utoipa::path(get, path = "/api/v1/parked/{id}/body", operation_id = "download_parked_body", tag = "parked",
    params(("id" = String, Path, description = "The parked message's id"), After), responses(
    (status = 200, description = "The bytes as they were kept, under their own MIME type", content_type = "application/octet-stream"),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn body(
    State(desk): State<Arc<Desk>>,
    person: Person,
    Id(id): Id,
    Params(query): Params<After>,
) -> Result<Response, Problem> {
    person.must(Right::View)?;
    desk.seen(query.after.as_deref()).await?;
    let row = find(&desk, &person, &id).await?;
    documents::bytes(&desk, &row.sha256, &row.mime, &format!("parked-{id}")).await
}

/// Decides about a parked message. Its owner judges; what does not fit is a problem with its reason.
#[utoipa::path(post, path = "/api/v1/parked/{id}/release", operation_id = "release_parked", tag = "parked", request_body = ReleaseBody,
    params(("id" = String, Path, description = "The parked message's id")), responses(
    (status = 200, description = "It was done", body = Done),
    (status = 409, description = "It does not fit, or somebody was faster", body = Problem, content_type = "application/problem+json"),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn release(
    State(desk): State<Arc<Desk>>,
    person: Person,
    Id(id): Id,
    ask::Json(body): ask::Json<ReleaseBody>,
) -> Answer<Done> {
    person.must(Right::Release)?;
    ask::note(&body.note)?;
    let _row = find(&desk, &person, &id).await?;
    let released = carry_out(&desk, &person, &id, body.action, body.note).await?;
    tracing::info!(parked = id, person = person.name, action = ?body.action, done = released.done, released.reason, "release");
    answer(released)
}

/// The owner's verdict on a person's word.
pub(super) fn answer(released: Released) -> Answer<Done> {
    let Released { done, reason, position } = released;
    if done { Ok(Json(Done { done, position })) } else { Err(Problem::conflict("not-released", reason)) }
}

/// On a task of its own: a caller who hangs up must not leave the hub in the middle of a command.
async fn carry_out(
    desk: &Desk,
    person: &Person,
    id: &str,
    action: ReleaseAction,
    note: String,
) -> Result<Released, Problem> {
    let (by, entities) = (person.name.clone(), person.entities());
    let release = Release { parked: id.to_string(), action: action.into(), by, entities, note };
    let operate = desk.operate.clone();
    let done = tokio::spawn(async move { operate.release(release).await });
    Ok(done.await.map_err(|e| Problem::failed("the release was broken off", &e))??)
}
