//! What can go wrong with the ledger.

/// Why the ledger could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// SQLite refused.
    #[error("ledger: {0}")]
    Sql(#[from] rusqlite::Error),
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
