//! What can go wrong with the ledger.

/// Why the ledger could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// SQLite refused.
    #[error("ledger: {0}")]
    Sql(#[from] rusqlite::Error),
    /// The ledger's own database cannot be reached, or gave no answer in time. It may be back soon.
    #[error("the ledger's database {at} cannot be used: {detail}; payments go on, the ledger follows when it is back")]
    Away {
        /// Which one; no secrets.
        at: String,
        /// What happened.
        detail: String,
    },
    /// The ledger's own database refused a statement.
    #[error("ledger: PostgreSQL: {0}")]
    Refused(String),
    /// A row of the ledger is not what was written there.
    #[error("the ledger has a row that cannot be read: {0}; run `raccordo ledger rebuild`")]
    Unreadable(String),
    /// The ledger was made from another log, or the log was set back to an older state.
    #[error(
        "the ledger has seen journal/{partition} up to offset {seen}, but the log has another record there, or none: {detail}; if the log is the right one, run `raccordo ledger rebuild`"
    )]
    OtherLog {
        /// Partition of the journal.
        partition: u16,
        /// The offset of the next record that the ledger would take.
        seen: u64,
        /// What the log has.
        detail: String,
    },
    /// A newer version of the hub made the tables.
    #[error(
        "the ledger at {at} has tables of shape {found}, this version knows {known}; run the newer version, or give this one a database of its own"
    )]
    Newer {
        /// Where; no secrets.
        at: String,
        /// The shape that is there.
        found: i64,
        /// The shape that this version writes.
        known: i64,
    },
    /// The store around the ledger failed, or is closed.
    #[error("ledger: {0}")]
    Store(String),
    /// A record of the journal is not an event that this version can read.
    #[error("journal/{partition} offset {offset} cannot be read: {detail}; run the version of the hub that wrote it")]
    Record {
        /// Partition of the journal.
        partition: u16,
        /// Position in it.
        offset: u64,
        /// What does not fit.
        detail: String,
    },
    /// Events are missing between what the ledger has seen and what it was given.
    #[error(
        "the ledger has seen journal/{partition} up to offset {seen} but was given {given}; run `raccordo ledger rebuild`"
    )]
    Gap {
        /// Partition of the journal.
        partition: u16,
        /// The offset that should have come.
        seen: u64,
        /// The offset that came.
        given: u64,
    },
    /// A cursor that this ledger did not give.
    #[error("the cursor is not one that this list gave; begin again without a cursor")]
    BadCursor,
    /// A filter that makes no sense.
    #[error("{0}")]
    BadFilter(String),
}

impl From<hub_backbone::Error> for Error {
    fn from(error: hub_backbone::Error) -> Self {
        Self::Store(error.to_string())
    }
}
