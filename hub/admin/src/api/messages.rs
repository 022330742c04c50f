//! Admitted messages.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use hub_ledger::rows::MessageRow;
use hub_ledger::{MessageFilter, Page};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{AfterQuery, seen};
use crate::auth::Caller;
use crate::extract::{Params, page};
use crate::problem::Problem;
use crate::roles::Act;
use crate::router::App;

/// Which messages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct MessageQuery {
    /// Taken by this route.
    pub route: Option<String>,
    /// Of this entity.
    pub entity: Option<String>,
    /// Of this case.
    pub case: Option<String>,
    /// `working`, `parked`, `finished`, `dropped`, `given_up`.
    pub state: Option<String>,
    /// `next` of the page before.
    pub cursor: Option<String>,
    /// Rows on a page, 1 to 200.
    pub limit: Option<usize>,
    /// Position that a write returned: the answer has seen it.
    pub after: Option<String>,
}

/// Admitted messages, newest first.
#[utoipa::path(get, path = "/api/v1/messages", tag = "messages", params(MessageQuery), responses(
    (status = 200, description = "A page", body = Page<MessageRow>),
    (status = "4XX", description = "A problem", body = crate::ProblemBody, content_type = "application/problem+json"),
))]
pub(crate) async fn messages(
    State(app): State<Arc<App>>,
    Caller(person): Caller,
    Params(query): Params<MessageQuery>,
) -> Result<Json<Page<MessageRow>>, Problem> {
    person.may(Act::View)?;
    seen(&app, query.after.as_deref()).await?;
    let MessageQuery { route, entity, case, state, cursor, limit, .. } = query;
    let page = page(cursor, limit);
    let filter = MessageFilter { visible: person.visible(), route, entity, case, state, page };
    Ok(Json(app.state.ledger.messages(filter).await?))
}

/// One admitted message.
#[utoipa::path(get, path = "/api/v1/messages/{id}", tag = "messages",
    params(("id" = String, Path, description = "The message"), AfterQuery),
    responses(
        (status = 200, description = "The message", body = MessageRow),
        (status = "4XX", description = "A problem", body = crate::ProblemBody, content_type = "application/problem+json"),
    ))]
pub(crate) async fn message(
    State(app): State<Arc<App>>,
    Caller(person): Caller,
    Path(id): Path<String>,
    Params(query): Params<AfterQuery>,
) -> Result<Json<MessageRow>, Problem> {
    person.may(Act::View)?;
    seen(&app, query.after.as_deref()).await?;
    let row = app.state.ledger.message(&id, person.visible()).await?;
    row.map(Json).ok_or_else(|| Problem::not_found(format!("there is no message {id} that you may see")))
}
