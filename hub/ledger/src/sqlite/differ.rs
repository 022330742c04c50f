//! Two ledgers, row by row: where they first differ.

use rusqlite::{Connection, Row, Rows};

use crate::Error;
use crate::schema::TABLES;

/// The first row that differs between a ledger and another one (computed from the same journal), in words: table, key and
/// column. `None`: they are the same.
///
/// # Errors
/// If one of them cannot be read.
pub fn first_difference(conn: &Connection, other: &Connection) -> Result<Option<String>, Error> {
    for (table, order) in TABLES {
        let sql = format!("SELECT * FROM {table} ORDER BY {order}");
        let (mut left, mut right) = (conn.prepare(&sql)?, other.prepare(&sql)?);
        let names: Vec<String> = left.column_names().map(ToString::to_string).collect();
        if names.len() != right.column_count() {
            return Ok(Some(format!("{table} has other columns: the ledger is of another version")));
        }
        let keys = order.split(", ").count();
        if let Some(found) = in_table(&names, keys, &mut left.query([])?, &mut right.query([])?)? {
            return Ok(Some(format!("{table} {found}")));
        }
    }
    Ok(None)
}

fn in_table(names: &[String], keys: usize, left: &mut Rows<'_>, right: &mut Rows<'_>) -> Result<Option<String>, Error> {
    loop {
        match (left.next()?, right.next()?) {
            (None, None) => return Ok(None),
            (Some(row), None) => {
                return Ok(Some(format!("has a row that is not in the journal: {}", key(names, keys, row)?)));
            }
            (None, Some(row)) => return Ok(Some(format!("lacks the row {}", key(names, keys, row)?))),
            (Some(row), Some(expected)) => {
                if let Some(column) = differing(names.len(), row, expected)? {
                    return Ok(Some(format!("row {}, column {}", key(names, keys, expected)?, names[column])));
                }
            }
        }
    }
}

fn differing(columns: usize, row: &Row<'_>, expected: &Row<'_>) -> Result<Option<usize>, Error> {
    for column in 0..columns {
        if row.get_ref(column)? != expected.get_ref(column)? {
            return Ok(Some(column));
        }
    }
    Ok(None)
}

/// The key of a row; the tables begin with their key's columns, or it says so itself.
fn key(names: &[String], keys: usize, row: &Row<'_>) -> Result<String, Error> {
    let mut words = Vec::new();
    for (column, name) in names.iter().enumerate().take(keys) {
        let value = match row.get_ref(column)? {
            rusqlite::types::ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
            rusqlite::types::ValueRef::Integer(n) => n.to_string(),
            _ => String::new(),
        };
        words.push(format!("{name} {value}"));
    }
    Ok(words.join(", "))
}
