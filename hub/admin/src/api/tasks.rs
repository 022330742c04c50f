//! Tasks: what people are asked, and what they say.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use hub_core::journal::Decision;
use hub_ledger::rows::{DecisionRow, TaskRow};
use hub_ledger::{Page, PageRequest, TaskFilter};
use hub_life::task::{Refusal, Word};
use hub_runtime::Decided;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Answer, documents};
use crate::Right;
use crate::ask::{self, After, Id, Params, Which};
use crate::problem::Problem;
use crate::staff::Person;
use crate::state::Desk;

/// A task for people.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Task {
    /// Identity.
    id: String,
    /// Its case.
    case: String,
    /// The entity of its case; empty if none is known.
    entity: String,
    /// `approve` or `todo`.
    kind: String,
    /// The role that may decide.
    role: String,
    /// The role that may decide too, since the escalation.
    escalated_to: Option<String>,
    /// A line for people.
    title: String,
    /// How many distinct people must approve.
    people: u32,
    /// How many have.
    approvals: u32,
    /// Who has.
    approved_by: Vec<String>,
    /// Everything that was said about it, oldest first.
    decisions: Vec<DecisionRow>,
    /// Who asked for the payment: may not approve it. Empty if unknown.
    requester: String,
    /// Hash of the document that is shown: a decision names it.
    sha256: String,
    /// MIME type of the document.
    mime: String,
    /// Since when it is open.
    #[schema(value_type = String, format = DateTime)]
    opened_at: Timestamp,
    /// Until when.
    #[schema(value_type = String, format = DateTime)]
    deadline: Timestamp,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    closed_at: Option<Timestamp>,
    /// How it ended: `approved`, `rejected`, `done`, `expired`, `withdrawn`.
    outcome: Option<String>,
}

impl Task {
    fn new(row: TaskRow, decisions: Vec<DecisionRow>) -> Self {
        let text = |text: String| if text.is_empty() { None } else { Some(text) };
        let approved = decisions.iter().filter(|said| said.decision == "approve");
        Self {
            approved_by: approved.map(|said| said.person.clone()).collect(),
            decisions,
            escalated_to: text(row.escalated_role),
            outcome: text(row.outcome),
            id: row.id,
            case: row.case,
            entity: row.entity,
            kind: row.kind,
            role: row.role,
            title: row.title,
            people: row.people,
            approvals: row.approvals,
            requester: row.requester,
            sha256: row.sha256,
            mime: row.mime,
            opened_at: row.opened_at,
            deadline: row.deadline,
            closed_at: row.closed_at,
        }
    }
}

/// Which tasks.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TasksQuery {
    /// For these roles, with commas between them; escalated ones included.
    role: Option<String>,
    /// Of this entity.
    entity: Option<String>,
    /// Of this case.
    case: Option<String>,
    /// `open` (usual), `closed` or `all`.
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

/// What a person says about a task.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DecisionBody {
    /// `approve` or `reject` (tasks of kind `approve`), `done` (tasks of kind `todo`).
    #[schema(value_type = String, example = "approve")]
    decision: Decision,
    /// Why; at most 4000 bytes.
    #[serde(default)]
    comment: String,
    /// Hash of the document that was shown.
    sha256: String,
}

/// A word that counts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Verdict {
    /// How many distinct people have approved so far.
    approvals: u32,
    /// How many are needed.
    people: u32,
    /// How the task ended, if it did: `approved`, `rejected`, `done`.
    outcome: Option<String>,
    /// Position of the write: hand it to a read as `after`.
    position: String,
}

/// Tasks, newest first; the open ones unless asked otherwise.
#[utoipa::path(get, path = "/api/v1/tasks", operation_id = "list_tasks", tag = "tasks", params(TasksQuery), responses(
    (status = 200, description = "A page of tasks", body = Page<Task>),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn list(
    State(desk): State<Arc<Desk>>,
    person: Person,
    Params(query): Params<TasksQuery>,
) -> Answer<Page<Task>> {
    person.must(Right::View)?;
    desk.seen(query.after.as_deref()).await?;
    let filter = TaskFilter {
        visible: person.visible(),
        roles: query.role.map(|roles| roles.split(',').map(|role| role.trim().to_string()).collect()),
        entity: query.entity,
        case: query.case,
        open: query.state.open(),
        page: PageRequest { cursor: query.cursor, limit: query.limit },
    };
    let page = desk.ledger.tasks(filter).await?;
    let mut items = Vec::with_capacity(page.items.len());
    for row in page.items {
        items.push(with_decisions(&desk, &person, row).await?);
    }
    Ok(Json(Page { items, next: page.next }))
}

async fn with_decisions(desk: &Desk, person: &Person, row: TaskRow) -> Result<Task, Problem> {
    // An open task without approvals has no decisions: every other word ends it.
    if row.approvals == 0 && row.closed_at.is_none() {
        return Ok(Task::new(row, Vec::new()));
    }
    match desk.ledger.task(&row.id, person.visible()).await? {
        Some((row, decisions)) => Ok(Task::new(row, decisions)),
        None => Ok(Task::new(row, Vec::new())),
    }
}

async fn find(desk: &Desk, person: &Person, id: &str) -> Result<Task, Problem> {
    person.must(Right::View)?;
    let found = desk.ledger.task(id, person.visible()).await?;
    let (row, decisions) = found.ok_or_else(|| unknown(id))?;
    Ok(Task::new(row, decisions))
}

fn unknown(id: &str) -> Problem {
    Problem::not_found(format!("there is no task `{id}` among those that you may see"))
}

/// One task.
#[utoipa::path(get, path = "/api/v1/tasks/{id}", operation_id = "get_task", tag = "tasks",
    params(("id" = String, Path, description = "The task's id"), After), responses(
    (status = 200, description = "The task", body = Task),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn show(
    State(desk): State<Arc<Desk>>,
    person: Person,
    Id(id): Id,
    Params(query): Params<After>,
) -> Answer<Task> {
    desk.seen(query.after.as_deref()).await?;
    find(&desk, &person, &id).await.map(Json)
}

/// The document that a task asks about, byte for byte.
#[utoipa::path(get, path = "/api/v1/tasks/{id}/document", operation_id = "download_task_document", tag = "tasks",
    params(("id" = String, Path, description = "The task's id"), After), responses(
    (status = 200, description = "The bytes as they were kept, under their own MIME type", content_type = "application/octet-stream"),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn document(
    State(desk): State<Arc<Desk>>,
    person: Person,
    Id(id): Id,
    Params(query): Params<After>,
) -> Result<Response, Problem> {
    desk.seen(query.after.as_deref()).await?;
    let task = find(&desk, &person, &id).await?;
    documents::bytes(&desk, &task.sha256, &task.mime, &format!("task-{id}")).await
}

/// Says something about a task. The task's owner judges it; a word that does not count is a problem with its reason.
#[utoipa::path(post, path = "/api/v1/tasks/{id}/decision", operation_id = "decide_task", tag = "tasks", request_body = DecisionBody,
    params(("id" = String, Path, description = "The task's id")), responses(
    (status = 200, description = "It counts", body = Verdict),
    (status = 403, description = "Not this person: their role, their entity, or they asked for it", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "Not now: closed, the same person again, another document", body = Problem, content_type = "application/problem+json"),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn decide(
    State(desk): State<Arc<Desk>>,
    person: Person,
    Id(id): Id,
    ask::Json(body): ask::Json<DecisionBody>,
) -> Answer<Verdict> {
    person.must(Right::Decide)?;
    ask::words("comment", &body.comment)?;
    // What one may not see does not exist, whatever the owner would say.
    let _task = find(&desk, &person, &id).await?;
    let word = Word {
        person: person.name.clone(),
        roles: person.role_names(),
        entities: person.entities(),
        decision: body.decision,
        comment: body.comment,
        sha256: body.sha256,
    };
    let decided = say(&desk, &id, word).await?;
    tracing::info!(task = id, person = person.name, decision = ?body.decision, refused = ?decided.refused, "decision");
    match decided.refused {
        Some(refusal) => Err(refused(refusal, &id)),
        None => {
            let Decided { approvals, people, outcome, position, .. } = decided;
            Ok(Json(Verdict { approvals, people, outcome, position }))
        }
    }
}

/// On a task of its own: a caller who hangs up must not leave the hub in the middle of a command.
async fn say(desk: &Desk, id: &str, word: Word) -> Result<Decided, Problem> {
    let (operate, id) = (desk.operate.clone(), id.to_string());
    let said = tokio::spawn(async move { operate.decide(&id, word).await });
    Ok(said.await.map_err(|e| Problem::failed("the decision was broken off", &e))??)
}

fn refused(refusal: Refusal, id: &str) -> Problem {
    let conflict = |kind: &str, detail: &str| Problem::conflict(kind, detail);
    match refusal {
        Refusal::Unknown => unknown(id),
        Refusal::NotOpen => conflict("not-open", "the task is closed, or its deadline has passed"),
        Refusal::WrongRole => Problem::forbidden("wrong-role", "none of your roles may decide about this task"),
        Refusal::WrongEntity => Problem::forbidden("wrong-entity", "the task belongs to an entity that is not yours"),
        Refusal::Requester => {
            Problem::forbidden("requester", "you asked for this payment yourself; somebody else has to approve it")
        }
        Refusal::SamePerson => conflict("same-person", "you have approved already; another person is needed"),
        Refusal::OtherDocument => {
            conflict("other-document", "the hash is not that of the task's document; look at the document again")
        }
        Refusal::WrongDecision => Problem::new(
            StatusCode::CONFLICT,
            "wrong-decision",
            "it does not count",
            "say `approve` or `reject` to a task of kind `approve`, `done` to one of kind `todo`",
        ),
    }
}
