//! The ledger on a SQLite connection. The caller owns the transaction.

mod differ;
mod file;

use jiff::Timestamp;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, OptionalExtension, ToSql, params, params_from_iter};

use crate::apply::{self, JournalRecord};
use crate::sql::{Dialect, Row, Sql, Value, unreadable};
use crate::{Error, digest as digests, schema};

pub use differ::first_difference;
pub use file::{FileReader, FileStore};

/// A SQLite connection, spoken to like any database.
pub(crate) struct Lite<'c>(pub(crate) &'c Connection);

impl Sql for Lite<'_> {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn run(&mut self, sql: &str, values: &[Value<'_>]) -> Result<(), Error> {
        let _ = self.0.prepare_cached(sql)?.execute(params_from_iter(values))?;
        Ok(())
    }

    fn script(&mut self, sql: &str) -> Result<(), Error> {
        Ok(self.0.execute_batch(sql)?)
    }

    fn each(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        row: &mut dyn FnMut(Row) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut statement = self.0.prepare_cached(sql)?;
        walk(&mut statement, values, row)
    }
}

fn walk(
    statement: &mut CachedStatement<'_>,
    values: &[Value<'_>],
    row: &mut dyn FnMut(Row) -> Result<(), Error>,
) -> Result<(), Error> {
    let columns = statement.column_count();
    let mut rows = statement.query(params_from_iter(values))?;
    while let Some(found) = rows.next()? {
        row(row_of(found, columns)?)?;
    }
    Ok(())
}

fn row_of(row: &rusqlite::Row<'_>, columns: usize) -> Result<Row, Error> {
    let value = |column| match row.get_ref(column)? {
        ValueRef::Null => Ok(Value::Null),
        ValueRef::Integer(n) => Ok(Value::Int(n)),
        ValueRef::Text(text) => match std::str::from_utf8(text) {
            Ok(text) => Ok(Value::Text(text.to_owned().into())),
            Err(error) => Err(unreadable(column, error)),
        },
        ValueRef::Real(_) | ValueRef::Blob(_) => Err(unreadable(column, "it is neither a number nor a text")),
    };
    (0..columns).map(value).collect::<Result<_, Error>>().map(Row::new)
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(n) => ValueRef::Integer(*n),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

/// How many compiled statements a writing connection keeps: more than the ledger has.
const STATEMENTS_MAX: usize = 64;

/// Drops the ledger and makes empty tables.
///
/// # Errors
/// If the database refuses.
pub fn clear(conn: &Connection) -> Result<(), Error> {
    schema::clear(&mut Lite(conn))
}

/// Makes the tables if they are missing, or empties them if another version of the hub made them in another shape.
///
/// An empty ledger beside a journal that is not needs [`crate::catch_up`] before events are applied.
///
/// # Errors
/// If the database refuses.
pub fn prepare(conn: &Connection) -> Result<(), Error> {
    conn.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    match schema::shape(&mut Lite(conn))? {
        Some(schema::SHAPE) => Ok(()),
        _ => clear(conn),
    }
}

/// Applies records of the journal, in order within each partition. Records that were applied before are passed over.
///
/// # Errors
/// [`Error::Gap`] if records are missing, [`Error::Record`] if one cannot be read; the caller must roll back.
pub fn apply<'a>(conn: &Connection, records: impl IntoIterator<Item = JournalRecord<'a>>) -> Result<(), Error> {
    apply::apply(&mut Lite(conn), records)
}

/// The offset of the next record of a partition that the ledger has not seen.
///
/// # Errors
/// If the database refuses.
pub fn position(conn: &Connection, partition: u16) -> Result<u64, Error> {
    apply::position(&mut Lite(conn), partition)
}

/// SHA-256 over all content, in hexadecimal. Equal content gives an equal digest, however it came about.
///
/// # Errors
/// If the database refuses.
pub fn digest(conn: &Connection) -> Result<String, Error> {
    digests::digest(&mut Lite(conn))
}

/// The offsets of a case's events in its journal partition, in order.
///
/// # Errors
/// If the database refuses.
pub fn offsets_of(conn: &Connection, case: &str) -> Result<Vec<u64>, Error> {
    let mut statement = conn.prepare_cached("SELECT n FROM ledger_events WHERE case_id = ?1 ORDER BY n")?;
    let rows = statement.query_map([case], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The case that a message which caused an event on `route` at `at` has of its own, if it is known: its own as an admitted
/// message, or, for a child of a split, that of the message which was split in the month before.
///
/// # Errors
/// If the database refuses.
pub fn case_of_message(conn: &Connection, message: &str, route: &str, at: Timestamp) -> Result<Option<String>, Error> {
    let mut statement = conn.prepare_cached("SELECT case_id FROM ledger_messages WHERE id = ?1")?;
    if let Some(case) = statement.query_row([message], |row| row.get(0)).optional()? {
        return Ok(Some(case));
    }
    let sql = "SELECT m.case_id FROM ledger_messages m WHERE m.at BETWEEN ?3 AND ?4 AND m.route = ?2
        AND EXISTS (SELECT 1 FROM ledger_events e WHERE e.case_id = m.case_id AND e.message = ?1) ORDER BY m.at DESC LIMIT 1";
    let at = at.as_microsecond();
    let values = params![message, route, at.saturating_sub(SPLIT_WITHIN_US), at];
    Ok(conn.prepare_cached(sql)?.query_row(values, |row| row.get(0)).optional()?)
}

/// How long before its children's events a message that was split was admitted, at most, in microseconds: 31 days.
const SPLIT_WITHIN_US: i64 = 31 * 24 * 3600 * 1_000_000;
