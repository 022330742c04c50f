//! Tables and indexes. They live in the file of the embedded backbone, so every name begins with `ledger_`.

use rusqlite::{Connection, OptionalExtension};

use crate::Error;

/// Present shape of the tables. A ledger of another shape is dropped and computed again from the journal.
const SHAPE: i64 = 2;

/// How many compiled statements a writing connection keeps: more than the ledger has.
const STATEMENTS_MAX: usize = 64;

/// Every table, with the columns that order it; what [`crate::sqlite::digest`] reads.
pub(crate) const TABLES: [(&str, &str); 11] = [
    ("ledger_cases", "id"),
    ("ledger_events", "case_id, n"),
    ("ledger_messages", "id"),
    ("ledger_documents", "case_id, n"),
    ("ledger_tasks", "id"),
    ("ledger_decisions", "task, n"),
    ("ledger_sends", "outgoing"),
    ("ledger_waits", "id"),
    ("ledger_parked", "id"),
    ("ledger_statistics", "entity, month, kind, state"),
    ("ledger_positions", "partition"),
];

// Times are microseconds since 1970 UTC. `cents` is the amount in cents where that is exact, else null.
const CREATE: &str = "
CREATE TABLE ledger_cases (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, entity TEXT NOT NULL, amount TEXT, cents INTEGER,
    state TEXT NOT NULL, opened_at INTEGER NOT NULL, changed_at INTEGER NOT NULL, last_event TEXT NOT NULL,
    events INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX ledger_cases_at ON ledger_cases (opened_at, id);
CREATE INDEX ledger_cases_entity ON ledger_cases (entity, opened_at, id);
CREATE INDEX ledger_cases_state ON ledger_cases (state, opened_at, id);
CREATE INDEX ledger_cases_entity_state ON ledger_cases (entity, state, opened_at, id);

CREATE TABLE ledger_events (
    case_id TEXT NOT NULL, n INTEGER NOT NULL, at INTEGER NOT NULL, kind TEXT NOT NULL, summary TEXT NOT NULL,
    message TEXT NOT NULL, route TEXT NOT NULL, segment TEXT NOT NULL, detail TEXT NOT NULL,
    PRIMARY KEY (case_id, n)
) WITHOUT ROWID;

CREATE TABLE ledger_messages (
    id TEXT PRIMARY KEY, case_id TEXT NOT NULL, entity TEXT NOT NULL, route TEXT NOT NULL, source TEXT NOT NULL,
    sender TEXT NOT NULL, sha256 TEXT NOT NULL, bytes INTEGER NOT NULL, at INTEGER NOT NULL, state TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX ledger_messages_at ON ledger_messages (at, id);
CREATE INDEX ledger_messages_entity ON ledger_messages (entity, at, id);
CREATE INDEX ledger_messages_case ON ledger_messages (case_id, at, id);

CREATE TABLE ledger_documents (
    case_id TEXT NOT NULL, n INTEGER NOT NULL, class TEXT NOT NULL, name TEXT NOT NULL, sha256 TEXT NOT NULL,
    bytes INTEGER NOT NULL, mime TEXT NOT NULL, at INTEGER NOT NULL, retain_until INTEGER NOT NULL,
    PRIMARY KEY (case_id, n)
) WITHOUT ROWID;
CREATE INDEX ledger_documents_sha256 ON ledger_documents (sha256);

CREATE TABLE ledger_tasks (
    id TEXT PRIMARY KEY, case_id TEXT NOT NULL, entity TEXT NOT NULL, kind TEXT NOT NULL, role TEXT NOT NULL,
    escalated_role TEXT NOT NULL, people INTEGER NOT NULL, approvals INTEGER NOT NULL, title TEXT NOT NULL,
    requester TEXT NOT NULL, sha256 TEXT NOT NULL, mime TEXT NOT NULL, opened_at INTEGER NOT NULL,
    deadline INTEGER NOT NULL, closed_at INTEGER, outcome TEXT NOT NULL, open INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX ledger_tasks_at ON ledger_tasks (opened_at, id);
CREATE INDEX ledger_tasks_open ON ledger_tasks (open, opened_at, id);
CREATE INDEX ledger_tasks_entity ON ledger_tasks (entity, open, opened_at, id);
CREATE INDEX ledger_tasks_deadline ON ledger_tasks (deadline) WHERE open = 1;
CREATE INDEX ledger_tasks_case ON ledger_tasks (case_id, opened_at, id);
CREATE INDEX ledger_tasks_sha256 ON ledger_tasks (sha256);

CREATE TABLE ledger_decisions (
    task TEXT NOT NULL, n INTEGER NOT NULL, person TEXT NOT NULL, decision TEXT NOT NULL, comment TEXT NOT NULL,
    sha256 TEXT NOT NULL, approvals INTEGER NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (task, n)
) WITHOUT ROWID;

CREATE TABLE ledger_sends (
    outgoing TEXT PRIMARY KEY, case_id TEXT NOT NULL, entity TEXT NOT NULL, sink TEXT NOT NULL,
    attempts INTEGER NOT NULL, state TEXT NOT NULL, remote_id TEXT NOT NULL, sha256 TEXT NOT NULL,
    first_at INTEGER NOT NULL, changed_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX ledger_sends_case ON ledger_sends (case_id, first_at, outgoing);
CREATE INDEX ledger_sends_open ON ledger_sends (state, entity) WHERE state IN ('in_doubt', 'sending');

CREATE TABLE ledger_waits (
    id TEXT PRIMARY KEY, case_id TEXT NOT NULL, name TEXT NOT NULL, keys TEXT NOT NULL, opened_at INTEGER NOT NULL,
    deadline INTEGER NOT NULL, state TEXT NOT NULL, by_whom TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX ledger_waits_deadline ON ledger_waits (deadline) WHERE state = 'open';
CREATE INDEX ledger_waits_case ON ledger_waits (case_id, opened_at, id);

CREATE TABLE ledger_parked (
    id TEXT PRIMARY KEY, case_id TEXT NOT NULL, entity TEXT NOT NULL, kind TEXT NOT NULL, reason TEXT NOT NULL,
    evidence TEXT NOT NULL, sha256 TEXT NOT NULL, mime TEXT NOT NULL, message TEXT NOT NULL, route TEXT NOT NULL,
    segment TEXT NOT NULL, since INTEGER NOT NULL, state TEXT NOT NULL, action TEXT NOT NULL, by_whom TEXT NOT NULL,
    note TEXT NOT NULL, released_at INTEGER
) WITHOUT ROWID;
CREATE INDEX ledger_parked_at ON ledger_parked (since, id);
CREATE INDEX ledger_parked_state ON ledger_parked (state, since, id);
CREATE INDEX ledger_parked_entity ON ledger_parked (entity, state, since, id);
CREATE INDEX ledger_parked_case ON ledger_parked (case_id, since, id);
CREATE INDEX ledger_parked_sha256 ON ledger_parked (sha256);

CREATE TABLE ledger_statistics (
    entity TEXT NOT NULL, month TEXT NOT NULL, kind TEXT NOT NULL, state TEXT NOT NULL, count INTEGER NOT NULL,
    cents INTEGER NOT NULL, without_amount INTEGER NOT NULL,
    PRIMARY KEY (entity, month, kind, state)
) WITHOUT ROWID;

CREATE TABLE ledger_positions (partition INTEGER PRIMARY KEY, next INTEGER NOT NULL);
";

/// Makes the tables if they are missing, or makes them again, empty, if they have another shape.
///
/// An empty ledger beside a journal that is not needs [`crate::catch_up`] before events are applied.
pub(crate) fn prepare(conn: &Connection) -> Result<(), Error> {
    conn.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    conn.execute_batch("CREATE TABLE IF NOT EXISTS ledger_shape (shape INTEGER NOT NULL)")?;
    let shape = conn.query_row("SELECT shape FROM ledger_shape", [], |row| row.get::<_, i64>(0)).optional()?;
    if shape != Some(SHAPE) { clear(conn) } else { Ok(()) }
}

/// Drops everything and makes empty tables.
pub(crate) fn clear(conn: &Connection) -> Result<(), Error> {
    conn.execute_batch("CREATE TABLE IF NOT EXISTS ledger_shape (shape INTEGER NOT NULL); DELETE FROM ledger_shape")?;
    for (table, _) in TABLES {
        conn.execute_batch(&format!("DROP TABLE IF EXISTS {table}"))?;
    }
    conn.execute_batch(CREATE)?;
    let _ = conn.execute("INSERT INTO ledger_shape VALUES (?1)", [SHAPE])?;
    Ok(())
}
