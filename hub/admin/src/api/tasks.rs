//! Tasks for people.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use hub_core::journal::Decision;
use hub_ledger::rows::{DecisionRow, TaskRow};
use hub_ledger::{Page, TaskFilter};
use hub_life::task::{Refusal, Word};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{AfterQuery, documents, seen};
use crate::auth::{Caller, Person};
use crate::extract::{JsonBody, Params, page};
use crate::problem::Problem;
use crate::roles::Act;
use crate::router::App;

/// Longest comment, in bytes.
pub(super) const COMMENT_BYTES_MAX: usize = 4_000;

/// Which tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TaskQuery {
    /// Open (`true`) or closed ones; both if absent.
    pub open: Option<bool>,
    /// Only those for the caller's own roles.
    pub mine: Option<bool>,
    /// For this role, escalated ones included.
    pub role: Option<String>,
    /// Of this entity.
    pub entity: Option<String>,
    /// Of this case.
    pub case: Option<String>,
    /// `next` of the page before.
    pub cursor: Option<String>,
    /// Rows on a page, 1 to 200.
    pub limit: Option<usize>,
    /// Position that a write returned: the answer has seen it.
    pub after: Option<String>,
}

/// A task and what people have said about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskView {
    /// The task.
    pub task: TaskRow,
    /// What people have said, oldest first.
    pub decisions: Vec<DecisionRow>,
}

/// What a person says about a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecisionRequest {
    /// `approve`, `reject`, `done`.
    #[schema(value_type = String)]
    pub decision: Decision,
    /// Their words.
    #[serde(default)]
    pub comment: String,
    /// Hash of the document that they were shown.
    pub sha256: String,
}

/// A decision that counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DecisionView {
    /// How many people have approved so far.
    pub approvals: u32,
    /// How many are needed.
    pub people: u32,
    /// How the task ended (`approved`, `rejected`, `done`), if it did.
    pub outcome: Option<String>,
    /// Position of the write: hand it to a read as `after`.
    pub position: String,
}

/// Tasks, newest first.
#[utoipa::path(get, path = "/api/v1/tasks", tag = "tasks", params(TaskQuery), responses(
    (status = 200, description = "A page", body = Page<TaskRow>),
    (status = "4XX", description = "A problem", body = crate::ProblemBody, content_type = "application/problem+json"),
))]
pub(crate) async fn tasks(
    State(app): State<Arc<App>>,
    Caller(person): Caller,
    Params(query): Params<TaskQuery>,
) -> Result<Json<Page<TaskRow>>, Problem> {
    person.may(Act::View)?;
    seen(&app, query.after.as_deref()).await?;
    let roles = roles(&person, &query);
    let TaskQuery { open, entity, case, cursor, limit, .. } = query;
    let filter = TaskFilter { visible: person.visible(), roles, entity, case, open, page: page(cursor, limit) };
    Ok(Json(app.state.ledger.tasks(filter).await?))
}

/// The roles to look for: those asked for, of the caller's own if they want only theirs.
fn roles(person: &Person, query: &TaskQuery) -> Option<Vec<String>> {
    let mine = query.mine.unwrap_or(false).then(|| person.role_names());
    match (mine, &query.role) {
        (None, role) => role.clone().map(|role| vec![role]),
        (Some(mine), None) => Some(mine),
        (Some(mine), Some(role)) => Some(mine.into_iter().filter(|own| own == role).collect()),
    }
}

fn unknown(id: &str) -> Problem {
    Problem::not_found(format!("there is no task {id} that you may see"))
}

/// One task.
#[utoipa::path(get, path = "/api/v1/tasks/{id}", tag = "tasks",
    params(("id" = String, Path, description = "The task"), AfterQuery),
    responses(
        (status = 200, description = "The task and what people have said", body = TaskView),
        (status = "4XX", description = "A problem", body = crate::ProblemBody, content_type = "application/problem+json"),
    ))]
pub(crate) async fn task(
    State(app): State<Arc<App>>,
    Caller(person): Caller,
    Path(id): Path<String>,
    Params(query): Params<AfterQuery>,
) -> Result<Json<TaskView>, Problem> {
    person.may(Act::View)?;
    seen(&app, query.after.as_deref()).await?;
    let (task, decisions) = app.state.ledger.task(&id, person.visible()).await?.ok_or_else(|| unknown(&id))?;
    Ok(Json(TaskView { task, decisions }))
}

/// The document that the task shows.
#[utoipa::path(get, path = "/api/v1/tasks/{id}/document", tag = "tasks",
    params(("id" = String, Path, description = "The task"), AfterQuery),
    responses(
        (status = 200, description = "The bytes, under their own MIME type", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = "4XX", description = "A problem", body = crate::ProblemBody, content_type = "application/problem+json"),
    ))]
pub(crate) async fn task_document(
    State(app): State<Arc<App>>,
    Caller(person): Caller,
    Path(id): Path<String>,
    Params(query): Params<AfterQuery>,
) -> Result<Response, Problem> {
    person.may(Act::View)?;
    seen(&app, query.after.as_deref()).await?;
    let (task, _) = app.state.ledger.task(&id, person.visible()).await?.ok_or_else(|| unknown(&id))?;
    documents::download(&app, &task.sha256, &task.mime, "").await
}

/// Says something about a task. The task's owner judges; the answer is its verdict.
#[utoipa::path(post, path = "/api/v1/tasks/{id}/decision", tag = "tasks", request_body = DecisionRequest,
    params(("id" = String, Path, description = "The task")),
    responses(
        (status = 200, description = "It counts", body = DecisionView),
        (status = 403, description = "It does not: role, entity, or the person asked for the payment themselves", body = crate::ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "There is no such task", body = crate::ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "It does not: closed, said before, another document, or not for this kind of task", body = crate::ProblemBody, content_type = "application/problem+json"),
        (status = 504, description = "It was recorded and will be judged; ask for the task later", body = crate::ProblemBody, content_type = "application/problem+json"),
    ))]
pub(crate) async fn decide(
    State(app): State<Arc<App>>,
    Caller(person): Caller,
    Path(id): Path<String>,
    JsonBody(request): JsonBody<DecisionRequest>,
) -> Result<Json<DecisionView>, Problem> {
    person.may(Act::Decide)?;
    let DecisionRequest { decision, comment, sha256 } = request;
    let (decision, comment) = (decision, bounded("comment", comment)?);
    let (roles, entities) = (person.role_names(), person.entities());
    let word = Word { person: person.name.clone(), roles, entities, decision, comment, sha256 };
    let verdict = app.state.operate.decide(&id, word).await?;
    match verdict.refused {
        Some(refusal) => Err(refused(&id, &person, refusal)),
        None => Ok(Json(DecisionView {
            approvals: verdict.approvals,
            people: verdict.people,
            outcome: verdict.outcome,
            position: verdict.position,
        })),
    }
}

/// Text of a person, within limits.
pub(super) fn bounded(field: &str, text: String) -> Result<String, Problem> {
    if text.len() > COMMENT_BYTES_MAX {
        let detail = format!("`{field}` has {} bytes, at most {COMMENT_BYTES_MAX} are allowed", text.len());
        return Err(Problem::bad_request(detail));
    }
    Ok(text)
}

fn refused(id: &str, person: &Person, refusal: Refusal) -> Problem {
    let name = &person.name;
    match refusal {
        Refusal::Unknown => unknown(id),
        Refusal::WrongRole => Problem::forbidden(format!("none of the roles of {name} may decide task {id}")),
        Refusal::WrongEntity => Problem::forbidden(format!("task {id} belongs to an entity that {name} may not see")),
        Refusal::Requester => {
            Problem::forbidden(format!("{name} asked for this payment; another person has to decide task {id}"))
        }
        Refusal::NotOpen => Problem::conflict("not-open", format!("task {id} is closed, or its deadline has passed")),
        Refusal::SamePerson => {
            Problem::conflict("same-person", format!("{name} has approved task {id} already; another person is needed"))
        }
        Refusal::OtherDocument => Problem::conflict(
            "other-document",
            format!("task {id} shows another document; look at it again and send its sha256"),
        ),
        Refusal::WrongDecision => Problem::conflict(
            "wrong-decision",
            format!("task {id} takes another word: approve or reject for approvals, done for things to do"),
        ),
    }
}
