//! Cases and what belongs to them.

use rust_decimal::Decimal;

use super::list::{List, Shape, any_of};
use super::{CaseDetail, CaseFilter, Visible, read};
use crate::Error;
use crate::money::cents_of;
use crate::page::{Key, PAGE_MAX, Page, PageRequest, page};
use crate::rows::{CaseRow, DocumentRow, EventRow};
use crate::sql::{Dialect, Row, Sql, Value, values};

/// Longest text that is looked for in ids.
const TEXT_MAX: usize = 200;

/// Cases, newest first.
pub(crate) fn cases(sql: &mut dyn Sql, filter: &CaseFilter) -> Result<Page<CaseRow>, Error> {
    let entities = filter.visible.narrowed(filter.entity.as_deref());
    let list = list(filter, sql.dialect())?;
    list.page(sql, entities.as_deref(), &filter.page, &SHAPE)
}

const SHAPE: Shape<CaseRow> =
    Shape { read: read::case, key: |row| Key { at: row.opened_at.as_microsecond(), id: row.id.clone() } };

fn list(filter: &CaseFilter, dialect: Dialect) -> Result<List, Error> {
    let mut list = List::new(read::CASE, "ledger_cases", "opened_at");
    list.and_if("state = ?", filter.state.clone());
    list.and_if("kind = ?", filter.kind.clone());
    list.and_if(dialect.id_contains(), text(filter)?);
    list.and_if("opened_at >= ?", filter.from.map(|at| at.as_microsecond()));
    list.and_if("opened_at < ?", filter.to.map(|at| at.as_microsecond()));
    list.and_if("cents >= ?", filter.amount_min.map(cents).transpose()?);
    list.and_if("cents <= ?", filter.amount_max.map(cents).transpose()?);
    Ok(list)
}

fn text(filter: &CaseFilter) -> Result<Option<String>, Error> {
    match &filter.text {
        Some(text) if text.len() > TEXT_MAX => Err(Error::BadFilter(format!(
            "the text to look for has {} bytes, at most {TEXT_MAX} are allowed",
            text.len()
        ))),
        text => Ok(text.clone()),
    }
}

fn cents(amount: Decimal) -> Result<i64, Error> {
    cents_of(amount).ok_or_else(|| {
        Error::BadFilter(format!(
            "{amount} cannot be compared; write an amount with at most two decimals, below 100000000000"
        ))
    })
}

/// One case, if it may be seen.
pub(crate) fn case(sql: &mut dyn Sql, id: &str, visible: &Visible) -> Result<Option<CaseRow>, Error> {
    let asked = format!("SELECT {} FROM ledger_cases WHERE id = ?1", read::CASE);
    let row = sql.first(&asked, &values![id], read::case)?;
    Ok(row.filter(|row| visible.allows(&row.entity)))
}

/// One case with what belongs to it, if it may be seen.
pub(crate) fn case_detail(sql: &mut dyn Sql, id: &str, visible: &Visible) -> Result<Option<CaseDetail>, Error> {
    let Some(case) = case(sql, id, visible)? else { return Ok(None) };
    Ok(Some(CaseDetail {
        case,
        timeline: of_case(sql, (read::EVENT, "ledger_events", "n"), id, read::event)?,
        documents: documents(sql, id)?,
        tasks: of_case(sql, (read::TASK, "ledger_tasks", "opened_at, id"), id, read::task)?,
        sends: of_case(sql, (read::SEND, "ledger_sends", "first_at, outgoing"), id, read::send)?,
        waits: of_case(sql, (read::WAIT, "ledger_waits", "opened_at, id"), id, read::wait)?,
        parked: of_case(sql, (read::PARKED, "ledger_parked", "since, id"), id, read::parked)?,
    }))
}

/// The first rows of a case in a table: columns, table, order.
fn of_case<T>(
    sql: &mut dyn Sql,
    (columns, table, order): (&str, &str, &str),
    case: &str,
    read: fn(&Row) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let asked = format!("SELECT {columns} FROM {table} WHERE case_id = ?1 ORDER BY {order} LIMIT {PAGE_MAX}");
    sql.rows(&asked, &values![case], read)
}

/// The events of a case, oldest first; the cursor goes forward.
pub(crate) fn timeline(sql: &mut dyn Sql, case: &str, request: &PageRequest) -> Result<Page<EventRow>, Error> {
    let (limit, behind) = (request.rows()?, request.behind()?);
    let after = behind.map_or(-1, |key| key.at);
    let asked = format!("SELECT {} FROM ledger_events WHERE case_id = ?1 AND n > ?2 ORDER BY n LIMIT ?3", read::EVENT);
    let rows = sql.rows(&asked, &values![case, after, limit + 1], read::event)?;
    Ok(page(rows, limit, |row| Key { at: i64::try_from(row.n).unwrap_or(i64::MAX), id: String::new() }))
}

/// The documents of a case, oldest first, at most 200.
pub(crate) fn documents(sql: &mut dyn Sql, case: &str) -> Result<Vec<DocumentRow>, Error> {
    of_case(sql, (read::DOCUMENT, "ledger_documents", "n"), case, read::document)
}

/// The document of this hash, if a case names it that may be seen.
pub(crate) fn document(sql: &mut dyn Sql, sha256: &str, visible: &Visible) -> Result<Option<DocumentRow>, Error> {
    let mut values: Vec<Value<'_>> = vec![sha256.into()];
    let condition = match visible {
        Visible::All => "1 = 1".to_owned(),
        Visible::Only(entities) => {
            values.extend(entities.iter().map(Value::from));
            format!("entity <> '' AND {}", any_of("entity", entities.len()))
        }
    };
    let asked = format!(
        "SELECT {} FROM ledger_documents WHERE sha256 = ?
         AND EXISTS (SELECT 1 FROM ledger_cases WHERE ledger_cases.id = case_id AND {condition})
         ORDER BY case_id, n LIMIT 1",
        read::DOCUMENT
    );
    sql.first(&asked, &values, read::document)
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    fn plan_of(filter: &CaseFilter, entity: Option<&str>) -> String {
        let conn = Connection::open_in_memory().unwrap();
        crate::sqlite::prepare(&conn).unwrap();
        let behind = Key { at: 1, id: "x".into() };
        let (sql, values) = list(filter, Dialect::Sqlite).unwrap().sql(entity, Some(&behind), 10);
        let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let rows = statement.query_map(rusqlite::params_from_iter(values), |row| row.get::<_, String>(3)).unwrap();
        rows.map(Result::unwrap).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn lists_come_from_an_index_in_their_order() {
        let all = CaseFilter::of(Visible::All);
        let paid = CaseFilter { state: Some("pagato".into()), ..CaseFilter::of(Visible::All) };
        for (filter, entity, index) in [
            (&all, None, "ledger_cases_at"),
            (&all, Some("UFAAAA"), "ledger_cases_entity "),
            (&paid, None, "ledger_cases_state"),
            (&paid, Some("UFAAAA"), "ledger_cases_entity_state"),
        ] {
            let plan = plan_of(filter, entity);
            assert!(plan.contains(index), "{plan} does not use {index}");
            assert!(!plan.contains("TEMP B-TREE"), "{plan} sorts");
        }
    }
}
