//! Carries out row changes on a SQLite connection. The caller owns the transaction.

mod differ;
mod kept;
mod write;

use std::collections::BTreeMap;

use hub_core::journal::{EVENT_VERSION, Event};
use jiff::Timestamp;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, params};
use rust_decimal::Decimal;
use sha2::{Digest, Sha256};

use crate::Error;
use crate::project::{At, project};
use crate::schema::{self, TABLES};

pub use differ::first_difference;
pub use kept::{is_needed, is_over};

/// Amounts beyond this (in cents; 100 000 million euro) are kept exactly in their case but stay out of sums, so that a sum
/// of a million of them still fits 64 bits.
const CENTS_MAX: i64 = 10_000_000_000_000;

/// A record of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalRecord<'a> {
    /// Partition of the journal.
    pub partition: u16,
    /// Position in it.
    pub offset: u64,
    /// The event, as JSON.
    pub bytes: &'a [u8],
}

/// Drops the ledger and makes empty tables.
///
/// # Errors
/// If the database refuses.
pub fn clear(conn: &Connection) -> Result<(), Error> {
    schema::clear(conn)
}

/// Makes the tables if they are missing, or empties them if an earlier version of the hub made them in another shape.
///
/// # Errors
/// If the database refuses.
pub fn prepare(conn: &Connection) -> Result<(), Error> {
    schema::prepare(conn)
}

/// Applies records of the journal, in order within each partition. Records that were applied before are passed over.
///
/// # Errors
/// [`Error::Gap`] if records are missing, [`Error::Record`] if one cannot be read; the caller must roll back.
pub fn apply<'a>(conn: &Connection, records: impl IntoIterator<Item = JournalRecord<'a>>) -> Result<(), Error> {
    let mut positions = BTreeMap::new();
    for record in records {
        let next = match positions.get(&record.partition) {
            Some(next) => *next,
            None => position(conn, record.partition)?,
        };
        if record.offset > next {
            return Err(Error::Gap { partition: record.partition, seen: next, given: record.offset });
        }
        if record.offset == next {
            apply_one(conn, &record)?;
        }
        let _ = positions.insert(record.partition, next.max(record.offset + 1));
    }
    positions.into_iter().try_for_each(|(partition, next)| set_position(conn, partition, next))
}

fn apply_one(conn: &Connection, record: &JournalRecord<'_>) -> Result<(), Error> {
    let event = read_event(record)?;
    for change in project(&event, At { partition: record.partition, offset: record.offset }) {
        write::carry_out(conn, &change)?;
    }
    Ok(())
}

fn read_event(record: &JournalRecord<'_>) -> Result<Event, Error> {
    let unreadable = |detail| Error::Record { partition: record.partition, offset: record.offset, detail };
    let event: Event = serde_json::from_slice(record.bytes).map_err(|e| unreadable(e.to_string()))?;
    if event.v > EVENT_VERSION {
        let detail = format!("event format {}, this version reads up to {EVENT_VERSION}", event.v);
        return Err(unreadable(detail));
    }
    Ok(event)
}

/// The offset of the next record of a partition that the ledger has not seen.
///
/// # Errors
/// If the database refuses.
pub fn position(conn: &Connection, partition: u16) -> Result<u64, Error> {
    let mut statement = conn.prepare_cached("SELECT next FROM ledger_positions WHERE partition = ?1")?;
    Ok(statement.query_row([partition], |row| row.get(0)).optional()?.unwrap_or(0))
}

fn set_position(conn: &Connection, partition: u16, next: u64) -> Result<(), Error> {
    let sql = "INSERT INTO ledger_positions VALUES (?1, ?2) ON CONFLICT (partition) DO UPDATE SET next = excluded.next";
    let _ = conn.prepare_cached(sql)?.execute(params![partition, next])?;
    Ok(())
}

/// SHA-256 over all content, in hexadecimal. Equal content gives an equal digest, however it came about.
///
/// # Errors
/// If the database refuses.
pub fn digest(conn: &Connection) -> Result<String, Error> {
    let mut hash = Sha256::new();
    for (table, order) in TABLES {
        hash.update(table.as_bytes());
        digest_table(conn, &mut hash, &format!("SELECT * FROM {table} ORDER BY {order}"))?;
    }
    Ok(hex::encode(hash.finalize()))
}

fn digest_table(conn: &Connection, hash: &mut Sha256, sql: &str) -> Result<(), Error> {
    let mut statement = conn.prepare(sql)?;
    let columns = statement.column_count();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        for column in 0..columns {
            digest_value(hash, row.get_ref(column)?);
        }
    }
    Ok(())
}

fn digest_value(hash: &mut Sha256, value: ValueRef<'_>) {
    let (tag, bytes) = match value {
        ValueRef::Null => (0u8, Vec::new()),
        ValueRef::Integer(n) => (1, n.to_be_bytes().to_vec()),
        ValueRef::Real(n) => (2, n.to_be_bytes().to_vec()),
        ValueRef::Text(text) => (3, text.to_vec()),
        ValueRef::Blob(blob) => (4, blob.to_vec()),
    };
    hash.update([tag]);
    hash.update((bytes.len() as u64).to_be_bytes());
    hash.update(&bytes);
}

/// The amount in cents, if that is exact and can be summed.
pub(crate) fn cents_of(amount: Decimal) -> Option<i64> {
    let cents = amount.normalize().checked_mul(Decimal::ONE_HUNDRED)?;
    let whole = i64::try_from(cents.is_integer().then_some(cents)?).ok()?;
    (whole.abs() <= CENTS_MAX).then_some(whole)
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
