//! Statistics.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use hub_ledger::StatisticsFilter;
use hub_ledger::rows::StatisticsRow;
use serde::Deserialize;
use utoipa::IntoParams;

use super::seen;
use crate::auth::Caller;
use crate::extract::Params;
use crate::problem::Problem;
use crate::roles::Act;
use crate::router::App;

/// Which statistics.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StatisticsQuery {
    /// Of this entity.
    pub entity: Option<String>,
    /// Of this kind of case.
    pub kind: Option<String>,
    /// From this month on, `2026-01`.
    pub from: Option<String>,
    /// Up to this month, itself included.
    pub to: Option<String>,
    /// Position that a write returned: the answer has seen it.
    pub after: Option<String>,
}

/// How many cases came into which state, by entity and month, and their amounts.
#[utoipa::path(get, path = "/api/v1/statistics", tag = "statistics", params(StatisticsQuery), responses(
    (status = 200, description = "By entity, month, kind and state; at most 10 000 rows", body = Vec<StatisticsRow>),
    (status = "4XX", description = "A problem", body = crate::ProblemBody, content_type = "application/problem+json"),
))]
pub(crate) async fn statistics(
    State(app): State<Arc<App>>,
    Caller(person): Caller,
    Params(query): Params<StatisticsQuery>,
) -> Result<Json<Vec<StatisticsRow>>, Problem> {
    person.may(Act::View)?;
    seen(&app, query.after.as_deref()).await?;
    let (from, to) = (month("from", query.from)?, month("to", query.to)?);
    let filter = StatisticsFilter { visible: person.visible(), entity: query.entity, kind: query.kind, from, to };
    Ok(Json(app.state.ledger.statistics(filter).await?))
}

fn month(field: &str, text: Option<String>) -> Result<Option<String>, Problem> {
    let is_month = |text: &str| format!("{text}-01").parse::<jiff::civil::Date>().is_ok() && text.len() == 7;
    match text {
        Some(text) if !is_month(&text) => {
            Err(Problem::bad_request(format!("`{field}` is not a month; write for example 2026-03")))
        }
        text => Ok(text),
    }
}
