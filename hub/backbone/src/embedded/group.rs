use rusqlite::{CachedStatement, Connection, ErrorCode, OptionalExtension, params};

use super::alarm::AlarmKind;
use super::places::{Head, Places, row_id};
use super::schema::{OFFSET_BITS, io};
use super::view::{View, ViewError};
use crate::chain::{link, value_sum};
use crate::{Change, Commit, Error, Offset, Place, Record, Stored, Topic};

/// Why a transaction could not be done.
#[derive(Debug)]
pub(super) enum Trouble {
    /// One commit is at fault: the others can be done without it.
    Own(Error),
    /// It can be done later, unchanged.
    Wait(AlarmKind, String),
    /// The store cannot be used any more.
    Fatal(Error),
}

/// SQLite's codes for a lack of space outside the write itself: the shared memory file could not grow.
const IOERR_SHMSIZE: i32 = rusqlite::ffi::SQLITE_IOERR_SHMSIZE;

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        let extended = error.sqlite_error().map(|e| e.extended_code);
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Wait(AlarmKind::DiskFull, full(&error)),
            _ if extended == Some(IOERR_SHMSIZE) => Self::Wait(AlarmKind::DiskFull, full(&error)),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                let advice = "commits wait: end the program that holds it (a backup, a SQL shell)";
                Self::Wait(AlarmKind::Busy, format!("another program holds the store ({error}); {advice}"))
            }
            _ => Self::Fatal(io("the store cannot be written; stop the hub and start it again", &error)),
        }
    }
}

impl From<ViewError> for Trouble {
    fn from(error: ViewError) -> Self {
        match error {
            ViewError::Sql(error) if is_of_the_store(&error) => error.into(),
            error => Self::Own(Error::Io(format!("a view refused the commit: {error}"))),
        }
    }
}

/// Whether an error comes from the disk or the file, and not from the statement.
fn is_of_the_store(error: &rusqlite::Error) -> bool {
    use ErrorCode::{
        CannotOpen, DatabaseBusy, DatabaseCorrupt, DatabaseLocked, DiskFull, NotADatabase, OutOfMemory, ReadOnly,
        SystemIoFailure,
    };
    let codes = [
        CannotOpen,
        DatabaseBusy,
        DatabaseCorrupt,
        DatabaseLocked,
        DiskFull,
        NotADatabase,
        OutOfMemory,
        ReadOnly,
        SystemIoFailure,
    ];
    error.sqlite_error_code().is_some_and(|code| codes.contains(&code))
}

fn full(error: &rusqlite::Error) -> String {
    format!("the disk, or the size that the store may have, is full ({error}); commits wait: make room")
}

/// The work of one transaction: commits are applied one after the other, heads are written once at the end.
pub(super) struct Group<'c> {
    conn: &'c Connection,
    places: &'c Places,
    /// The heads as they will be.
    heads: Vec<Head>,
    changed: Vec<bool>,
    insert: CachedStatement<'c>,
    put: CachedStatement<'c>,
    delete: CachedStatement<'c>,
    /// The checksum of what a key had before.
    before: CachedStatement<'c>,
}

impl<'c> Group<'c> {
    pub(super) fn new(conn: &'c Connection, places: &'c Places, heads: &[Head]) -> rusqlite::Result<Self> {
        let put = "INSERT INTO state VALUES (?1, ?2, ?3, ?4, ?5) \
                   ON CONFLICT DO UPDATE SET value = excluded.value, sum = excluded.sum";
        Ok(Self {
            conn,
            places,
            heads: heads.to_vec(),
            changed: vec![false; heads.len()],
            insert: conn.prepare_cached("INSERT INTO records VALUES (?1, ?2, ?3, ?4)")?,
            put: conn.prepare_cached(put)?,
            delete: conn.prepare_cached("DELETE FROM state WHERE place = ?1 AND space = ?2 AND key = ?3")?,
            before: conn.prepare_cached("SELECT sum FROM state WHERE place = ?1 AND space = ?2 AND key = ?3")?,
        })
    }

    /// Applies one commit so that a fault of its own leaves no trace.
    pub(super) fn apply_apart(
        &mut self,
        commit: &Commit,
        view: Option<&mut (dyn View + 'static)>,
    ) -> Result<Result<Vec<Offset>, Error>, Trouble> {
        let before = self.heads.clone();
        self.conn.execute_batch("SAVEPOINT apart")?;
        match self.apply(commit, view) {
            Ok(offsets) => {
                self.conn.execute_batch("RELEASE apart")?;
                Ok(Ok(offsets))
            }
            Err(Trouble::Own(error)) => {
                self.conn.execute_batch("ROLLBACK TO apart; RELEASE apart")?;
                self.heads = before;
                Ok(Err(error))
            }
            Err(other) => Err(other),
        }
    }

    /// Applies one commit; gives the offsets of its outputs.
    pub(super) fn apply(
        &mut self,
        commit: &Commit,
        view: Option<&mut (dyn View + 'static)>,
    ) -> Result<Vec<Offset>, Trouble> {
        let mut journal = Vec::new();
        let mut offsets = Vec::with_capacity(commit.outputs.len());
        for (place, record) in &commit.outputs {
            let stored = self.append(*place, record)?;
            offsets.push(stored.0);
            if view.is_some() && place.topic == Topic::JOURNAL {
                let (offset, chain) = stored;
                let (key, bytes) = (record.key.clone(), record.bytes.clone());
                journal.push((*place, Stored { offset, key, bytes, chain }));
            }
        }
        commit.state.iter().try_for_each(|change| self.change(change))?;
        commit.positions.iter().try_for_each(|(place, next)| self.move_on(*place, *next))?;
        match view {
            Some(view) if !journal.is_empty() => view.apply(self.conn, &journal)?,
            _ => {}
        }
        Ok(offsets)
    }

    /// Writes the heads that changed; gives all.
    pub(super) fn finish(self) -> Result<Vec<Head>, Trouble> {
        for (slot, head) in self.heads.iter().enumerate().filter(|(slot, _)| self.changed[*slot]) {
            self.places.write(self.conn, slot, head)?;
        }
        Ok(self.heads)
    }

    fn append(&mut self, place: Place, record: &Record) -> Result<(Offset, [u8; 32]), Trouble> {
        let slot = self.places.slot(place).map_err(Trouble::Own)?;
        let head = &mut self.heads[slot];
        let offset = head.next;
        if offset >> OFFSET_BITS != 0 {
            return Err(Trouble::Own(Error::Io(format!("partition {place} is full: it has 2^{OFFSET_BITS} records"))));
        }
        let chain = link(&head.chain, offset, &record.key, &record.bytes);
        let id = row_id(self.places.id_at(slot), offset);
        self.insert.execute(params![id, record.key, &record.bytes[..], chain])?;
        (head.next, head.chain) = (offset + 1, chain);
        self.changed[slot] = true;
        Ok((offset, chain))
    }

    fn change(&mut self, change: &Change) -> Result<(), Trouble> {
        let Change { place, space, key, value } = change;
        let slot = self.places.slot(*place).map_err(Trouble::Own)?;
        let id = self.places.id_at(slot);
        let old = self.before.query_row(params![id, space, key], |row| row.get(0)).optional()?;
        let new = value.as_ref().map(|value| value_sum(*place, space, key, value));
        match (value, old) {
            (Some(value), _) => self.put.execute(params![id, space, key, &value[..], new])?,
            (None, Some(_)) => self.delete.execute(params![id, space, key])?,
            (None, None) => return Ok(()),
        };
        self.heads[slot].values.replace(old, new);
        self.changed[slot] = true;
        Ok(())
    }

    fn move_on(&mut self, place: Place, next: Offset) -> Result<(), Trouble> {
        let slot = self.places.slot(place).map_err(Trouble::Own)?;
        if i64::try_from(next).is_err() {
            return Err(Trouble::Own(Error::Io(format!("position {next} of {place} is beyond every log"))));
        }
        if next > self.heads[slot].position {
            self.heads[slot].position = next;
            self.changed[slot] = true;
        }
        Ok(())
    }
}
