//! Sums and counts.

use rust_decimal::Decimal;

use super::list::any_of;
use super::{Counts, StatisticsFilter, Visible};
use crate::Error;
use crate::rows::StatisticsRow;
use crate::sql::{Row, Sql, Value};

/// Most rows of statistics in one answer; narrow the months for more.
const ROWS_MAX: usize = 10_000;

/// Statistics by entity, month, kind and state, over all partitions.
pub(crate) fn statistics(sql: &mut dyn Sql, filter: &StatisticsFilter) -> Result<Vec<StatisticsRow>, Error> {
    let mut wheres = vec!["1 = 1".to_string()];
    let mut values: Vec<Value<'_>> = Vec::new();
    if let Some(entities) = filter.visible.narrowed(filter.entity.as_deref()) {
        wheres.push(any_of("entity", entities.len()));
        values.extend(entities.into_iter().map(Value::from));
    }
    let named = [("kind = ?", &filter.kind), ("month >= ?", &filter.from), ("month <= ?", &filter.to)];
    for (condition, value) in named.into_iter().filter_map(|(c, v)| v.as_ref().map(|v| (c, v))) {
        wheres.push(condition.to_string());
        values.push(value.into());
    }
    let asked = format!(
        "SELECT entity, month, kind, state, CAST(sum(count) AS BIGINT), CAST(sum(cents) AS BIGINT),
            CAST(sum(without_amount) AS BIGINT) FROM ledger_statistics WHERE {}
         GROUP BY entity, month, kind, state ORDER BY entity, month, kind, state LIMIT {ROWS_MAX}",
        wheres.join(" AND ")
    );
    sql.rows(&asked, &values, row)
}

fn row(row: &Row) -> Result<StatisticsRow, Error> {
    Ok(StatisticsRow {
        entity: row.text(0)?,
        month: row.text(1)?,
        kind: row.text(2)?,
        state: row.text(3)?,
        count: row.count(4)?,
        amount: Decimal::new(row.int(5)?, 2),
        without_amount: row.count(6)?,
    })
}

/// What waits for people now.
pub(crate) fn counts(sql: &mut dyn Sql, visible: &Visible) -> Result<Counts, Error> {
    Ok(Counts {
        parked: count(sql, "ledger_parked WHERE state = 'open'", visible)?,
        in_doubt: count(sql, "ledger_sends WHERE state = 'in_doubt'", visible)?,
        open_tasks: count(sql, "ledger_tasks WHERE open = 1", visible)?,
    })
}

fn count(sql: &mut dyn Sql, rows: &str, visible: &Visible) -> Result<u64, Error> {
    let (condition, entities) = match visible.narrowed(None) {
        None => (String::new(), Vec::new()),
        Some(entities) => (format!(" AND {}", any_of("entity", entities.len())), entities),
    };
    let values: Vec<Value<'_>> = entities.iter().map(Value::from).collect();
    let asked = format!("SELECT count(*) FROM {rows}{condition}");
    Ok(sql.first(&asked, &values, |row| row.count(0))?.unwrap_or_default())
}
