//! Tasks and decisions.

use rusqlite::types::Value as SqlValue;
use rusqlite::{Connection, OptionalExtension};

use super::list::List;
use super::{TaskFilter, Visible, read};
use crate::Error;
use crate::page::{Key, PAGE_MAX, Page};
use crate::rows::{DecisionRow, TaskRow};

/// Tasks, newest first.
pub(crate) fn tasks(conn: &Connection, filter: &TaskFilter) -> Result<Page<TaskRow>, Error> {
    let mut list = List::new(read::TASK, "ledger_tasks", "opened_at");
    list.and_if("open = ?", filter.open.map(i64::from));
    list.and_if("case_id = ?", filter.case.clone());
    if let Some(roles) = &filter.roles {
        let marks = vec!["?"; roles.len()].join(", ");
        let twice = roles.iter().chain(roles).cloned().map(SqlValue::from);
        list.and_all(format!("(role IN ({marks}) OR escalated_role IN ({marks}))"), twice);
    }
    let entities = filter.visible.narrowed(filter.entity.as_deref());
    list.page(conn, entities.as_deref(), &filter.page, read::task, |row| Key {
        at: row.opened_at.as_microsecond(),
        id: row.id.clone(),
    })
}

/// One task, if it may be seen.
pub(crate) fn task(conn: &Connection, id: &str, visible: &Visible) -> Result<Option<TaskRow>, Error> {
    let sql = format!("SELECT {} FROM ledger_tasks WHERE id = ?1", read::TASK);
    let row = conn.prepare_cached(&sql)?.query_row([id], read::task).optional()?;
    Ok(row.filter(|row| visible.allows(&row.entity)))
}

/// The decisions about a task, oldest first, at most 200.
pub(crate) fn decisions(conn: &Connection, task: &str) -> Result<Vec<DecisionRow>, Error> {
    let sql = format!("SELECT {} FROM ledger_decisions WHERE task = ?1 ORDER BY n LIMIT {PAGE_MAX}", read::DECISION);
    let mut statement = conn.prepare_cached(&sql)?;
    let rows = statement.query_map([task], read::decision)?;
    Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?)
}
