//! What [`crate::backup`] needs of the database: a copy at one moment, and the note in one that was put back.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::lock::FileLock;
use super::places::Places;
use super::records;
use super::recovery::{self, Recovery};
use super::schema::{identity, io, open_reader, random, take_over};
use crate::{Error, Offset};

/// What was copied.
pub(crate) struct Copied {
    pub(crate) store: String,
    pub(crate) records: u64,
    /// Where each partition ends.
    pub(crate) ends: HashMap<String, Offset>,
}

/// Keeps other processes away from a store that is not open.
pub(crate) fn lock(database: &Path) -> Result<impl Drop, Error> {
    Ok(Locked(Some(FileLock::take(database)?)))
}

struct Locked(Option<FileLock>);

impl Drop for Locked {
    fn drop(&mut self) {
        drop(self.0.take());
    }
}

/// A connection that only reads.
pub(crate) fn reader(database: &Path) -> Result<Connection, Error> {
    open_reader(database).map_err(|e| io(&format!("{} cannot be opened for reading", database.display()), &e))
}

/// Copies the database as it is now, while others write; then walks every chain of the copy.
pub(crate) fn database(from: &Path, to: &Path) -> Result<Copied, Error> {
    let name = to.to_str().ok_or_else(|| Error::Io(format!("{} is not UTF-8", to.display())))?;
    let source = reader(from)?;
    let failed = |e: rusqlite::Error| io(&format!("{} cannot be copied to {name}", from.display()), &e);
    // within one read transaction, and without pages that are free
    let _rows = source.execute("VACUUM INTO ?1", [name]).map_err(failed)?;
    std::fs::File::open(to)
        .and_then(|file| file.sync_all())
        .map_err(|e| Error::Io(format!("{name} cannot be made durable: {e}")))?;
    check(to).map_err(|error| error.in_file(to))
}

fn check(copy: &Path) -> Result<Copied, Error> {
    let conn = reader(copy)?;
    let places = Places::read(&conn)?;
    let heads = places.load_heads(&conn)?;
    for (slot, place) in places.all().enumerate() {
        let _verified = records::verify(&conn, place, places.id_at(slot))?;
    }
    let records = heads.iter().map(|head| head.next).sum();
    let ends = places.all().zip(&heads).map(|(place, head)| (place.to_string(), head.next)).collect();
    Ok(Copied { store: identity(&conn)?, records, ends })
}

/// Marks a copy that is about to be put back. It may be one that an older program made.
pub(crate) fn mark_restored(database: &Path, reason: &str) -> Result<(), Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let failed = |e: &rusqlite::Error| io(&format!("{} cannot be marked", database.display()), e);
    let mut conn = Connection::open_with_flags(database, flags).map_err(|e| failed(&e))?;
    conn.pragma_update(None, "synchronous", "full").map_err(|e| failed(&e))?;
    take_over(&mut conn).map_err(|e| failed(&e))?;
    let id = format!("restored-{:016x}", random());
    recovery::keep(&conn, &Recovery { id, reason: reason.to_owned(), gaps: Vec::new() })?;
    conn.close().map_err(|(_, e)| failed(&e))
}
