//! Messages that were admitted.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use hub_ledger::rows::MessageRow;
use hub_ledger::{MessageFilter, Page, PageRequest};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Answer;
use crate::Right;
use crate::ask::{After, Id, Params};
use crate::problem::Problem;
use crate::staff::Person;
use crate::state::Desk;

/// Which messages.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct MessagesQuery {
    /// Taken by this route.
    route: Option<String>,
    /// Of this entity.
    entity: Option<String>,
    /// Of this case.
    case: Option<String>,
    /// In this state: `working`, `parked`, `finished`, `dropped`, `given_up`.
    state: Option<String>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Rows of a page, 1 to 200; usually 50.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// Waits until the answer includes this position, which a write returned.
    after: Option<String>,
}

/// Admitted messages, newest first.
#[utoipa::path(get, path = "/api/v1/messages", operation_id = "list_messages", tag = "messages", params(MessagesQuery), responses(
    (status = 200, description = "A page of messages", body = Page<MessageRow>),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn list(
    State(desk): State<Arc<Desk>>,
    person: Person,
    Params(query): Params<MessagesQuery>,
) -> Answer<Page<MessageRow>> {
    person.must(Right::View)?;
    desk.seen(query.after.as_deref()).await?;
    let filter = MessageFilter {
        visible: person.visible(),
        route: query.route,
        entity: query.entity,
        case: query.case,
        state: query.state,
        page: PageRequest { cursor: query.cursor, limit: query.limit },
    };
    Ok(Json(desk.ledger.messages(filter).await?))
}

/// One admitted message.
#[utoipa::path(get, path = "/api/v1/messages/{id}", operation_id = "get_message", tag = "messages",
    params(("id" = String, Path, description = "The message's id"), After), responses(
    (status = 200, description = "The message", body = MessageRow),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn show(
    State(desk): State<Arc<Desk>>,
    person: Person,
    Id(id): Id,
    Params(query): Params<After>,
) -> Answer<MessageRow> {
    person.must(Right::View)?;
    desk.seen(query.after.as_deref()).await?;
    let found = desk.ledger.message(&id, person.visible()).await?;
    found
        .map(Json)
        .ok_or_else(|| Problem::not_found(format!("there is no message `{id}` among those that you may see")))
}
