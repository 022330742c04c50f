//! Tasks and decisions.

use super::list::{List, Shape, any_of};
use super::{TaskFilter, Visible, read};
use crate::Error;
use crate::page::{Key, PAGE_MAX, Page};
use crate::rows::{DecisionRow, TaskRow};
use crate::sql::{Sql, Value, values};

const SHAPE: Shape<TaskRow> =
    Shape { read: read::task, key: |row| Key { at: row.opened_at.as_microsecond(), id: row.id.clone() } };

/// Tasks, newest first.
pub(crate) fn tasks(sql: &mut dyn Sql, filter: &TaskFilter) -> Result<Page<TaskRow>, Error> {
    let mut list = List::new(read::TASK, "ledger_tasks", "opened_at");
    list.and_if("open = ?", filter.open.map(i64::from));
    list.and_if("case_id = ?", filter.case.clone());
    if let Some(roles) = &filter.roles {
        let twice = roles.iter().chain(roles).cloned().map(Value::from);
        let [role, escalated] = ["role", "escalated_role"].map(|column| any_of(column, roles.len()));
        list.and_all(format!("({role} OR {escalated})"), twice);
    }
    let entities = filter.visible.narrowed(filter.entity.as_deref());
    list.page(sql, entities.as_deref(), &filter.page, &SHAPE)
}

/// One task, if it may be seen.
pub(crate) fn task(sql: &mut dyn Sql, id: &str, visible: &Visible) -> Result<Option<TaskRow>, Error> {
    let asked = format!("SELECT {} FROM ledger_tasks WHERE id = ?1", read::TASK);
    let row = sql.first(&asked, &values![id], read::task)?;
    Ok(row.filter(|row| visible.allows(&row.entity)))
}

/// The decisions about a task, oldest first, at most 200.
pub(crate) fn decisions(sql: &mut dyn Sql, task: &str) -> Result<Vec<DecisionRow>, Error> {
    let asked = format!("SELECT {} FROM ledger_decisions WHERE task = ?1 ORDER BY n LIMIT {PAGE_MAX}", read::DECISION);
    sql.rows(&asked, &values![task], read::decision)
}
