//! Cases.

use std::sync::Arc;

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::response::{IntoResponse, Response};
use hub_ledger::rows::{CaseRow, DocumentRow, EventRow};
use hub_ledger::{CaseDetail, CaseFilter, Page};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{AfterQuery, seen};
use crate::auth::{Caller, Person};
use crate::extract::{Params, decoded, instant, page, raw_tail};
use crate::problem::Problem;
use crate::roles::Act;
use crate::router::App;

/// Which cases.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CaseQuery {
    /// Of this kind, for example `mandato`.
    pub kind: Option<String>,
    /// In this state.
    pub state: Option<String>,
    /// Of this entity.
    pub entity: Option<String>,
    /// With this text in their id.
    pub text: Option<String>,
    /// Opened at or after: `2026-03-01` (in Italy) or `2026-03-01T10:00:00Z`.
    pub from: Option<String>,
    /// Opened before.
    pub to: Option<String>,
    /// Of at least this amount, in euro, for example `100.50`.
    pub amount_min: Option<String>,
    /// Of at most this amount.
    pub amount_max: Option<String>,
    /// `next` of the page before.
    pub cursor: Option<String>,
    /// Rows on a page, 1 to 200.
    pub limit: Option<usize>,
    /// Position that a write returned: the answer has seen it.
    pub after: Option<String>,
}

/// Which events of a case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TimelineQuery {
    /// `next` of the page before.
    cursor: Option<String>,
    /// Rows on a page, 1 to 200.
    limit: Option<usize>,
    /// Position that a write returned: the answer has seen it.
    after: Option<String>,
}

/// Cases, newest first.
#[utoipa::path(get, path = "/api/v1/cases", tag = "cases", params(CaseQuery), responses(
    (status = 200, description = "A page", body = Page<CaseRow>),
    (status = "4XX", description = "A problem", body = crate::ProblemBody, content_type = "application/problem+json"),
))]
pub(crate) async fn cases(
    State(app): State<Arc<App>>,
    Caller(person): Caller,
    Params(query): Params<CaseQuery>,
) -> Result<Json<Page<CaseRow>>, Problem> {
    person.may(Act::View)?;
    seen(&app, query.after.as_deref()).await?;
    Ok(Json(app.state.ledger.cases(filter(&person, query)?).await?))
}

fn filter(person: &Person, query: CaseQuery) -> Result<CaseFilter, Problem> {
    Ok(CaseFilter {
        visible: person.visible(),
        from: instant("from", query.from.as_deref())?,
        to: instant("to", query.to.as_deref())?,
        amount_min: amount("amount_min", query.amount_min)?,
        amount_max: amount("amount_max", query.amount_max)?,
        kind: query.kind,
        state: query.state,
        entity: query.entity,
        text: query.text,
        page: page(query.cursor, query.limit),
    })
}

fn amount<T: std::str::FromStr>(field: &str, text: Option<String>) -> Result<Option<T>, Problem> {
    let wrong = |_| Problem::bad_request(format!("`{field}` is not an amount; write for example 100.50"));
    text.map(|text| text.parse().map_err(wrong)).transpose()
}

/// A part of a case: ids have slashes, and axum allows nothing behind a wildcard.
///
/// The path is looked at as it was sent: in `/cases/A%2F1/timeline` the last part names the list, in `/cases/A%2Ftimeline`
/// it belongs to the id.
pub(crate) async fn case_or_part(
    state: State<Arc<App>>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    timeline_query: Result<Params<TimelineQuery>, Problem>,
    query: Result<Params<AfterQuery>, Problem>,
) -> Result<Response, Problem> {
    let tail = raw_tail(&uri, "/api/v1/cases/");
    if let Some(id) = tail.strip_suffix("/timeline") {
        return Ok(timeline(state, caller, decoded(id)?, timeline_query?).await?.into_response());
    }
    match tail.strip_suffix("/documents") {
        Some(id) => Ok(documents(state, caller, decoded(id)?, query?).await?.into_response()),
        None => Ok(case(state, caller, decoded(tail)?, query?).await?.into_response()),
    }
}

fn unknown(id: &str) -> Problem {
    Problem::not_found(format!("there is no case {id} that you may see"))
}

/// One case with what belongs to it; of each list the first 200.
#[utoipa::path(get, path = "/api/v1/cases/{id}", tag = "cases",
    params(("id" = String, Path, description = "The case; slashes may stand as they are or as %2F"), AfterQuery),
    responses(
        (status = 200, description = "The case", body = CaseDetail),
        (status = "4XX", description = "A problem", body = crate::ProblemBody, content_type = "application/problem+json"),
    ))]
async fn case(
    State(app): State<Arc<App>>,
    Caller(person): Caller,
    id: String,
    Params(query): Params<AfterQuery>,
) -> Result<Json<CaseDetail>, Problem> {
    person.may(Act::View)?;
    seen(&app, query.after.as_deref()).await?;
    app.state.ledger.case(&id, person.visible()).await?.map(Json).ok_or_else(|| unknown(&id))
}

/// The events of a case, oldest first.
#[utoipa::path(get, path = "/api/v1/cases/{id}/timeline", tag = "cases",
    params(("id" = String, Path, description = "The case; slashes may stand as they are or as %2F"), TimelineQuery),
    responses(
        (status = 200, description = "A page", body = Page<EventRow>),
        (status = "4XX", description = "A problem", body = crate::ProblemBody, content_type = "application/problem+json"),
    ))]
async fn timeline(
    State(app): State<Arc<App>>,
    Caller(person): Caller,
    id: String,
    Params(query): Params<TimelineQuery>,
) -> Result<Json<Page<EventRow>>, Problem> {
    person.may(Act::View)?;
    seen(&app, query.after.as_deref()).await?;
    let events = app.state.ledger.timeline(&id, person.visible(), page(query.cursor, query.limit)).await?;
    events.map(Json).ok_or_else(|| unknown(&id))
}

/// The documents of a case.
#[utoipa::path(get, path = "/api/v1/cases/{id}/documents", tag = "cases",
    params(("id" = String, Path, description = "The case; slashes may stand as they are or as %2F"), AfterQuery),
    responses(
        (status = 200, description = "The first 200", body = Vec<DocumentRow>),
        (status = "4XX", description = "A problem", body = crate::ProblemBody, content_type = "application/problem+json"),
    ))]
async fn documents(
    State(app): State<Arc<App>>,
    Caller(person): Caller,
    id: String,
    Params(query): Params<AfterQuery>,
) -> Result<Json<Vec<DocumentRow>>, Problem> {
    person.may(Act::View)?;
    seen(&app, query.after.as_deref()).await?;
    app.state.ledger.documents(&id, person.visible()).await?.map(Json).ok_or_else(|| unknown(&id))
}
