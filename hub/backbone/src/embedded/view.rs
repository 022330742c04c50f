use std::fmt;

use rusqlite::Connection;

use crate::{Place, Stored};

/// Rows that are computed from the journal and change in the same transaction as the log (the ledger).
///
/// # Contract
/// - `prepare` is called once, at opening, in a transaction of its own.
/// - `apply` is called for each commit that has journal records, with those records in the order of the commit and with
///   their final offsets, inside the transaction that appends them.
/// - The transaction may be rolled back afterwards (full disk, another commit of the group at fault), and `apply` called
///   again with the same records: a view keeps nothing in memory about what it has applied.
/// - It uses tables of its own, never the log's, and neither begins nor ends a transaction.
/// - An error refuses that one commit, whose caller gets it; nothing of that commit is written. Errors of SQLite must be
///   passed on as [`ViewError::Sql`] (with `?`), so that a full disk is waited for and not taken for a refusal.
pub trait View: Send + fmt::Debug {
    /// Makes the tables if they are not there.
    ///
    /// # Errors
    /// The store is not opened.
    fn prepare(&mut self, conn: &Connection) -> Result<(), ViewError>;

    /// Computes rows from journal records.
    ///
    /// # Errors
    /// The commit is refused.
    fn apply(&mut self, conn: &Connection, records: &[(Place, Stored)]) -> Result<(), ViewError>;
}

/// Why a view could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// SQLite's reason.
    #[error("{0}")]
    Sql(#[from] rusqlite::Error),
    /// The view's own reason.
    #[error("{0}")]
    Refused(String),
}

impl From<String> for ViewError {
    fn from(text: String) -> Self {
        Self::Refused(text)
    }
}
