//! Statistics: how many, how much, by entity and month.

use std::sync::Arc;

use axum::extract::State;
use hub_ledger::rows::StatisticsRow;
use hub_ledger::{Page, StatisticsFilter};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Answer, whole};
use crate::Right;
use crate::ask::Params;
use crate::problem::Problem;
use crate::staff::Person;
use crate::state::Desk;

/// Which statistics.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct StatisticsQuery {
    /// Of this entity.
    entity: Option<String>,
    /// Of this kind of case.
    kind: Option<String>,
    /// From this month on, `2026-01`.
    #[param(pattern = "^[0-9]{4}-[0-9]{2}$")]
    from: Option<String>,
    /// Up to this month, itself included.
    #[param(pattern = "^[0-9]{4}-[0-9]{2}$")]
    to: Option<String>,
    /// Waits until the answer includes this position, which a write returned.
    after: Option<String>,
}

/// How many cases came into which state, and their exact amounts, by entity and month (Europe/Rome).
#[utoipa::path(get, path = "/api/v1/statistics", operation_id = "get_statistics", tag = "statistics", params(StatisticsQuery), responses(
    (status = 200, description = "The rows", body = Page<StatisticsRow>),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn statistics(
    State(desk): State<Arc<Desk>>,
    person: Person,
    Params(query): Params<StatisticsQuery>,
) -> Answer<Page<StatisticsRow>> {
    person.must(Right::View)?;
    desk.seen(query.after.as_deref()).await?;
    let (from, to) = (month("from", query.from)?, month("to", query.to)?);
    let filter = StatisticsFilter { visible: person.visible(), entity: query.entity, kind: query.kind, from, to };
    Ok(whole(desk.ledger.statistics(filter).await?))
}

fn month(field: &str, text: Option<String>) -> Result<Option<String>, Problem> {
    let fits = |text: &str| text.len() == 7 && format!("{text}-01").parse::<jiff::civil::Date>().is_ok();
    match text {
        Some(text) if !fits(&text) => {
            Err(Problem::bad(format!("`{field}` is `{text}`; write a month such as `2026-01`")))
        }
        month => Ok(month),
    }
}
