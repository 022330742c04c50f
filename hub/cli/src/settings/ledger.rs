//! `ledger:` of `config/hub.yaml`: where the view of the journal stands that people are shown.

use std::path::PathBuf;

use hub_ledger::PostgresSettings;
use serde::Deserialize;

/// A ledger in a store of its own. Without it, the embedded backbone keeps the ledger in its own file, and on Kafka it stands in
/// `ledger.db` beside the other data.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum LedgerSettings {
    /// A SQLite file on this machine: for one hub.
    Sqlite(SqliteSettings),
    /// A PostgreSQL database: for many hubs.
    Postgres(PostgresSettings),
}

/// A SQLite file on this machine.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SqliteSettings {
    /// The file, relative to `data`.
    pub(crate) path: PathBuf,
}
