//! Tables and indexes. They may live beside other tables (in the file of the embedded backbone, in a database that somebody
//! shares with others), so every name begins with `ledger_`.

use crate::Error;
use crate::sql::{Sql, values};

/// Present shape of the tables. A ledger of another shape is dropped and computed again from the journal.
pub(crate) const SHAPE: i64 = 3;

/// Every table, with the columns that order it; what a digest reads.
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
    ("ledger_statistics", "entity, month, kind, state, partition"),
    ("ledger_positions", "partition"),
];

// Times are microseconds since 1970 UTC. `cents` is the amount in cents where that is exact, else null. Written for SQLite; see
// `Dialect::tables`. Each row belongs to one partition of the journal, so that only one applier writes it.
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
    entity TEXT NOT NULL, month TEXT NOT NULL, kind TEXT NOT NULL, state TEXT NOT NULL, partition INTEGER NOT NULL,
    count INTEGER NOT NULL, cents INTEGER NOT NULL, without_amount INTEGER NOT NULL,
    PRIMARY KEY (entity, month, kind, state, partition)
) WITHOUT ROWID;

CREATE TABLE ledger_positions (partition INTEGER PRIMARY KEY, next INTEGER NOT NULL);
";

/// The shape of the tables that are there; `None`: there are none.
pub(crate) fn shape(sql: &mut dyn Sql) -> Result<Option<i64>, Error> {
    let create = sql.dialect().tables("CREATE TABLE IF NOT EXISTS ledger_shape (shape INTEGER NOT NULL)");
    sql.script(&create)?;
    sql.first("SELECT shape FROM ledger_shape", &[], |row| row.int(0))
}

/// Drops everything and makes empty tables.
pub(crate) fn clear(sql: &mut dyn Sql) -> Result<(), Error> {
    let mut script =
        "CREATE TABLE IF NOT EXISTS ledger_shape (shape INTEGER NOT NULL); DELETE FROM ledger_shape;".to_owned();
    for (table, _) in TABLES {
        script.push_str(&format!("DROP TABLE IF EXISTS {table};"));
    }
    script.push_str(CREATE);
    let script = sql.dialect().tables(&script);
    sql.script(&script)?;
    sql.run("INSERT INTO ledger_shape VALUES (?1)", &values![SHAPE])
}
