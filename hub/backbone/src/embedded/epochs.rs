use std::collections::HashSet;

use rusqlite::Connection;

use super::schema::{io, random};
use crate::Error;

/// One life of the store.
#[derive(Debug)]
pub(super) struct Epoch {
    pub(super) id: i64,
    pub(super) name: String,
}

/// Begins a new epoch, durably, and gives the names of all earlier ones: the lock is ours, so they are over. (Lives of another
/// store never had it: of those, only the ones that were proved over count.) The random part
/// keeps the names of a restored backup's lives apart from those that came after the backup.
///
/// The times in the table are SQLite's, for people only.
pub(super) fn begin(conn: &Connection) -> Result<(Epoch, HashSet<String>), Error> {
    let at = |e: rusqlite::Error| io("the epochs of the store cannot be written", &e);
    let past = past(conn).map_err(at)?;
    let last: Option<i64> = conn.query_row("SELECT max(id) FROM epochs", [], |row| row.get(0)).map_err(at)?;
    let id = last.unwrap_or(0) + 1;
    let name = format!("e{id:06}-{:08x}", random() >> 32);
    let insert = "INSERT INTO epochs(id, epoch, begun) VALUES (?1, ?2, unixepoch())";
    conn.execute(insert, (id, &name)).map_err(at)?;
    Ok((Epoch { id, name }, past))
}

fn past(conn: &Connection) -> rusqlite::Result<HashSet<String>> {
    conn.prepare("SELECT epoch FROM epochs WHERE elsewhere = 0")?.query_map([], |row| row.get(0))?.collect()
}

/// The newest epoch in the store: if it is not ours, another process has taken the store in spite of the lock.
pub(super) fn newest(conn: &Connection) -> rusqlite::Result<i64> {
    conn.prepare_cached("SELECT max(id) FROM epochs")?.query_row([], |row| row.get(0))
}

/// Writes down that the epoch ended in order.
pub(super) fn end(conn: &Connection, id: i64) -> rusqlite::Result<usize> {
    conn.execute("UPDATE epochs SET ended = unixepoch() WHERE id = ?1", [id])
}
