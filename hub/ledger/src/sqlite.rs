//! Carries out row changes on a SQLite connection. The caller owns the transaction.

mod write;

use std::collections::BTreeMap;

use hub_core::journal::{EVENT_VERSION, Event};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, params};
use rust_decimal::Decimal;
use sha2::{Digest, Sha256};

use crate::Error;
use crate::project::{At, project};
use crate::schema::{self, TABLES};

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
