//! Sums and counts.

use rusqlite::types::Value as SqlValue;
use rusqlite::{Connection, Row, params_from_iter};
use rust_decimal::Decimal;

use super::{Counts, StatisticsFilter, Visible};
use crate::Error;
use crate::rows::StatisticsRow;

/// Most rows of statistics in one answer; narrow the months for more.
const ROWS_MAX: usize = 10_000;

/// Statistics by entity, month, kind and state.
pub(crate) fn statistics(conn: &Connection, filter: &StatisticsFilter) -> Result<Vec<StatisticsRow>, Error> {
    let mut wheres = vec!["1".to_string()];
    let mut values: Vec<SqlValue> = Vec::new();
    if let Some(entities) = filter.visible.narrowed(filter.entity.as_deref()) {
        wheres.push(format!("entity IN ({})", vec!["?"; entities.len()].join(", ")));
        values.extend(entities.into_iter().map(SqlValue::from));
    }
    let named = [("kind = ?", &filter.kind), ("month >= ?", &filter.from), ("month <= ?", &filter.to)];
    for (condition, value) in named.into_iter().filter_map(|(c, v)| v.clone().map(|v| (c, v))) {
        wheres.push(condition.to_string());
        values.push(value.into());
    }
    let sql = format!(
        "SELECT entity, month, kind, state, count, cents, without_amount FROM ledger_statistics WHERE {}
         ORDER BY entity, month, kind, state LIMIT {ROWS_MAX}",
        wheres.join(" AND ")
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let rows = statement.query_map(params_from_iter(values), row)?;
    Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?)
}

fn row(row: &Row<'_>) -> rusqlite::Result<StatisticsRow> {
    Ok(StatisticsRow {
        entity: row.get(0)?,
        month: row.get(1)?,
        kind: row.get(2)?,
        state: row.get(3)?,
        count: row.get(4)?,
        amount: Decimal::new(row.get(5)?, 2),
        without_amount: row.get(6)?,
    })
}

/// What waits for people now.
pub(crate) fn counts(conn: &Connection, visible: &Visible) -> Result<Counts, Error> {
    Ok(Counts {
        parked: count(conn, "ledger_parked WHERE state = 'open'", visible)?,
        in_doubt: count(conn, "ledger_sends WHERE state = 'in_doubt'", visible)?,
        open_tasks: count(conn, "ledger_tasks WHERE open = 1", visible)?,
    })
}

fn count(conn: &Connection, rows: &str, visible: &Visible) -> Result<u64, Error> {
    let (condition, values) = match visible.narrowed(None) {
        None => (String::new(), Vec::new()),
        Some(entities) => (format!(" AND entity IN ({})", vec!["?"; entities.len()].join(", ")), entities),
    };
    let sql = format!("SELECT count(*) FROM {rows}{condition}");
    Ok(conn.prepare_cached(&sql)?.query_row(params_from_iter(values), |row| row.get(0))?)
}
