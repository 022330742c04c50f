//! The calls, one file for each subject.

pub(crate) mod cases;
pub(crate) mod documents;
pub(crate) mod messages;
pub(crate) mod parked;
pub(crate) mod statistics;
pub(crate) mod system;
pub(crate) mod tasks;

pub use cases::CaseQuery;
pub use messages::MessageQuery;
pub use parked::{ParkedQuery, ReleaseRequest, ReleaseView};
pub use statistics::StatisticsQuery;
pub use system::{AlarmView, ReadyView, RouteView, StatusView};
pub use tasks::{DecisionRequest, DecisionView, TaskQuery, TaskView};

pub(crate) use cases::{case_or_part, cases};
pub(crate) use documents::document;
pub(crate) use messages::{message, messages};
pub(crate) use parked::{parked, parked_body, parked_list, release};
pub(crate) use statistics::statistics;
pub(crate) use system::{alarms, live, openapi, ready, routes, status};
pub(crate) use tasks::{decide, task, task_document, tasks};

use serde::Deserialize;
use utoipa::IntoParams;

use crate::problem::Problem;
use crate::router::App;

/// Longest position that is looked at.
const POSITION_BYTES_MAX: usize = 200;

/// What every read of one thing takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AfterQuery {
    /// Position that a write returned: the answer has seen it.
    pub(crate) after: Option<String>,
}

/// Waits until the views have seen a position.
pub(crate) async fn seen(app: &App, after: Option<&str>) -> Result<(), Problem> {
    match after {
        None => Ok(()),
        Some(position) if position.len() > POSITION_BYTES_MAX => {
            Err(Problem::bad_request("`after` is not a position that a write returned"))
        }
        Some(position) => match app.state.operate.wait_until_seen(position).await {
            Err(hub_runtime::OperateError::Late(_)) => {
                Err(Problem::unavailable(format!("the ledger has not seen position {position} yet; ask again")))
            }
            other => Ok(other?),
        },
    }
}
