//! The ledger as a view of the embedded backbone: rows change in the same transaction as the journal.

use hub_backbone::{Place, Stored, Topic, View, ViewError};
use rusqlite::Connection;

use crate::{Error, JournalRecord, sqlite};

/// Writes the ledger's rows inside the backbone's own transaction. Keeps nothing in memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct LedgerView;

impl LedgerView {
    /// Applies the records of the journal among `records`; others are passed over.
    pub(crate) fn apply_records(conn: &Connection, records: &[(Place, Stored)]) -> Result<(), Error> {
        let journal = records.iter().filter(|(place, _)| place.topic == Topic::JOURNAL);
        let events = journal.map(|(place, record)| JournalRecord {
            partition: place.partition,
            offset: record.offset,
            bytes: &record.bytes,
        });
        sqlite::apply(conn, events)
    }
}

impl View for LedgerView {
    fn prepare(&mut self, conn: &Connection) -> Result<(), ViewError> {
        sqlite::prepare(conn).map_err(Into::into)
    }

    fn apply(&mut self, conn: &Connection, records: &[(Place, Stored)]) -> Result<(), ViewError> {
        Self::apply_records(conn, records).map_err(Into::into)
    }
}

impl From<Error> for ViewError {
    /// SQLite's own errors stay what they are, so that a full disk is waited for and not taken for a refusal.
    fn from(error: Error) -> Self {
        match error {
            Error::Sql(error) => Self::Sql(error),
            other => Self::Refused(other.to_string()),
        }
    }
}
