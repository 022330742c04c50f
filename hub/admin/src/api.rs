//! The handlers, one file for each subject.

pub(crate) mod alarms;
pub(crate) mod cases;
pub(crate) mod documents;
pub(crate) mod health;
pub(crate) mod messages;
pub(crate) mod metrics;
pub(crate) mod parked;
pub(crate) mod recovery;
pub(crate) mod statistics;
pub(crate) mod status;
pub(crate) mod tasks;

use axum::Json;
use hub_ledger::Page;

use crate::problem::Problem;

/// What a handler answers with.
pub(crate) type Answer<T> = Result<Json<T>, Problem>;

/// A list that fits one page.
fn whole<T>(items: Vec<T>) -> Json<Page<T>> {
    Json(Page { items, next: None })
}
