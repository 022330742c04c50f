//! Cases: what became of a payment order.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use hub_ledger::rows::{CaseRow, DocumentRow, EventRow};
use hub_ledger::{CaseDetail, CaseFilter, Page, PageRequest};
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Answer, whole};
use crate::Right;
use crate::ask::{After, Params, decoded, params};
use crate::problem::Problem;
use crate::staff::Person;
use crate::state::Desk;

/// Which cases.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CasesQuery {
    /// Of this kind, for example `mandato`.
    kind: Option<String>,
    /// In this state; empty: before the first.
    state: Option<String>,
    /// Of this entity.
    entity: Option<String>,
    /// With this text in their id.
    text: Option<String>,
    /// Opened at or after, RFC 3339.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Opened before, RFC 3339.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// Of at least this amount, in euro, `12.50`.
    #[param(value_type = Option<String>)]
    amount_min: Option<Decimal>,
    /// Of at most this amount, in euro.
    #[param(value_type = Option<String>)]
    amount_max: Option<Decimal>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Rows of a page, 1 to 200; usually 50.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// Waits until the answer includes this position, which a write returned.
    after: Option<String>,
}

/// Which events of a case.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TimelineQuery {
    /// `next` of the page before.
    cursor: Option<String>,
    /// Rows of a page, 1 to 200; usually 50.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// Waits until the answer includes this position, which a write returned.
    after: Option<String>,
}

/// Cases, newest first.
#[utoipa::path(get, path = "/api/v1/cases", operation_id = "list_cases", tag = "cases", params(CasesQuery), responses(
    (status = 200, description = "A page of cases", body = Page<CaseRow>),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn list(
    State(desk): State<Arc<Desk>>,
    person: Person,
    Params(query): Params<CasesQuery>,
) -> Answer<Page<CaseRow>> {
    person.must(Right::View)?;
    desk.seen(query.after.as_deref()).await?;
    let filter = CaseFilter {
        visible: person.visible(),
        kind: query.kind,
        state: query.state,
        entity: query.entity,
        text: query.text,
        from: query.from,
        to: query.to,
        amount_min: query.amount_min,
        amount_max: query.amount_max,
        page: PageRequest { cursor: query.cursor, limit: query.limit },
    };
    Ok(Json(desk.ledger.cases(filter).await?))
}

/// Addresses below a case. Ids hold slashes: `/cases/UFAAAA%2F2026%2F1/timeline` and `/cases/UFAAAA/2026/1/timeline` are
/// the same. (An id that itself ends in `/timeline` or `/documents` needs `%2F`.)
pub(crate) async fn of_case(State(desk): State<Arc<Desk>>, person: Person, uri: Uri) -> Result<Response, Problem> {
    person.must(Right::View)?;
    // still escaped, so that an escaped slash is told from one that ends the id
    let raw = uri.path().split_once("/cases/").map_or("", |(_, rest)| rest);
    let parts = [("/timeline", Part::Timeline), ("/documents", Part::Documents)];
    let named = parts.into_iter().find_map(|(end, part)| Some((raw.strip_suffix(end)?, part)));
    let (raw, part) = named.filter(|(id, _)| !id.is_empty()).unwrap_or((raw, Part::Case));
    let id = decoded(raw)?;
    match part {
        Part::Case => Ok(show(&desk, &person, &id, params(&uri)?).await?.into_response()),
        Part::Timeline => Ok(timeline(&desk, &person, &id, params(&uri)?).await?.into_response()),
        Part::Documents => Ok(documents(&desk, &person, &id, params(&uri)?).await?.into_response()),
    }
}

enum Part {
    Case,
    Timeline,
    Documents,
}

/// One case with what belongs to it; of each list the first 200.
#[utoipa::path(get, path = "/api/v1/cases/{id}", operation_id = "get_case", tag = "cases",
    params(("id" = String, Path, description = "The case's id; write `/` as `%2F`"), After), responses(
    (status = 200, description = "The case", body = CaseDetail),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
async fn show(desk: &Desk, person: &Person, id: &str, query: After) -> Answer<CaseDetail> {
    desk.seen(query.after.as_deref()).await?;
    desk.ledger.case(id, person.visible()).await?.map(Json).ok_or_else(|| unknown(id))
}

/// What happened to a case, oldest first.
#[utoipa::path(get, path = "/api/v1/cases/{id}/timeline", operation_id = "get_case_timeline", tag = "cases",
    params(("id" = String, Path, description = "The case's id; write `/` as `%2F`"), TimelineQuery), responses(
    (status = 200, description = "A page of events", body = Page<EventRow>),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
async fn timeline(desk: &Desk, person: &Person, id: &str, query: TimelineQuery) -> Answer<Page<EventRow>> {
    desk.seen(query.after.as_deref()).await?;
    let page = PageRequest { cursor: query.cursor, limit: query.limit };
    desk.ledger.timeline(id, person.visible(), page).await?.map(Json).ok_or_else(|| unknown(id))
}

/// The documents of a case; their bytes are at `/api/v1/documents/{sha256}`.
#[utoipa::path(get, path = "/api/v1/cases/{id}/documents", operation_id = "list_case_documents", tag = "cases",
    params(("id" = String, Path, description = "The case's id; write `/` as `%2F`"), After), responses(
    (status = 200, description = "The first 200 documents", body = Page<DocumentRow>),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
async fn documents(desk: &Desk, person: &Person, id: &str, query: After) -> Answer<Page<DocumentRow>> {
    desk.seen(query.after.as_deref()).await?;
    desk.ledger.documents(id, person.visible()).await?.map(whole).ok_or_else(|| unknown(id))
}

fn unknown(id: &str) -> Problem {
    Problem::not_found(format!("there is no case `{id}` among those that you may see"))
}
