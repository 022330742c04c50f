use std::path::{Path, PathBuf};

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension};

use super::places::{Places, head};
use super::records::{self, Page};
use super::schema::{check_version, io, open_reader};
use crate::chain::{Chain, admit_place};
use crate::{Error, Offset, Place, Stored};

/// A store that is only read, in use by a hub or not: no lock, no epoch, nothing written. Its methods block.
#[derive(Debug)]
pub struct Look {
    path: PathBuf,
    places: Places,
}

/// Where a partition begins and ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The first kept record.
    pub first: Offset,
    /// The chain of the record before it.
    pub first_chain: Chain,
    /// The offset that the next record will get.
    pub end: Offset,
    /// The chain of the last record.
    pub chain: Chain,
    /// Where the consumer stands.
    pub position: Offset,
}

/// One connection of a [`Look`]; threads have their own.
#[derive(Debug)]
pub struct Session<'l> {
    look: &'l Look,
    conn: Connection,
}

impl Look {
    /// Looks at a store.
    ///
    /// # Errors
    /// [`Error::Io`] if it is not there, is of another program or of a newer version, or cannot be read.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        let conn = connect(&path)?;
        check_version(&conn, &path)?;
        let places = Places::read(&conn).map_err(|error| error.in_file(&path))?;
        Ok(Self { path, places })
    }

    /// The database file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many partitions each topic has.
    #[must_use]
    pub fn partitions(&self) -> u16 {
        self.places.partitions
    }

    /// A connection.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be opened.
    pub fn session(&self) -> Result<Session<'_>, Error> {
        Ok(Session { look: self, conn: connect(&self.path)? })
    }
}

impl Session<'_> {
    /// Where a partition begins and ends.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if that is not what was written; the same for all that read.
    pub fn bounds(&self, place: Place) -> Result<Bounds, Error> {
        let head = self.named(head(&self.conn, place, self.id(place)?))?;
        let (first, first_chain, end, chain) = (head.first, head.first_chain, head.next, head.chain);
        Ok(Bounds { first, first_chain, end, chain, position: head.position })
    }

    /// Records in order, from the first kept one at or after `from`; checks every link, the one to the record before too.
    ///
    /// # Errors
    /// [`Error::Corrupt`] at the first record that does not fit.
    pub fn read(&self, place: Place, from: Offset, records_max: usize, bytes_max: usize) -> Result<Vec<Stored>, Error> {
        self.named(records::read(&self.conn, place, self.id(place)?, Page { from, records_max, bytes_max }))
    }

    /// The kinds of keyed state that a partition has.
    ///
    /// # Errors
    /// As [`Self::bounds`].
    pub fn spaces(&self, place: Place) -> Result<Vec<String>, Error> {
        self.named(records::spaces(&self.conn, self.id(place)?))
    }

    /// Keyed state in key order, from the first key greater than `after`; each value is compared with its checksum.
    ///
    /// # Errors
    /// [`Error::Corrupt`] at the first value that is not what was written.
    pub fn scan(
        &self,
        place: Place,
        space: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Bytes)>, Error> {
        self.named(records::scan(&self.conn, place, self.id(place)?, space, after, limit))
    }

    /// Runs `f` in one read transaction: everything that it reads, here too, is of one moment. A hub that runs meanwhile
    /// goes on, but its write-ahead log grows until `f` is done.
    ///
    /// # Errors
    /// What `f` gives, or [`Error::Io`].
    pub fn at_one_moment<T, E: From<Error>>(&self, f: impl FnOnce(&Self, &Connection) -> Result<T, E>) -> Result<T, E> {
        let failed = |e: rusqlite::Error| io("the store cannot be read", &e);
        self.conn.execute_batch("BEGIN").map_err(failed)?;
        let result = f(self, &self.conn);
        self.conn.execute_batch("ROLLBACK").map_err(failed)?;
        result
    }

    /// Lets SQLite judge its own pages and indexes; gives its first complaint.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot even be asked.
    pub fn judge_pages(&self) -> Result<Option<String>, Error> {
        let ask = self.conn.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0)).optional();
        match ask {
            Ok(Some(text)) if text == "ok" => Ok(None),
            Ok(text) => Ok(Some(text.unwrap_or_default())),
            Err(e) if super::places::is_damage(&e) => Ok(Some(e.to_string())),
            Err(e) => Err(io("the store cannot be read", &e)),
        }
    }

    /// Errors name the file.
    fn named<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        result.map_err(|error| error.in_file(&self.look.path))
    }

    fn id(&self, place: Place) -> Result<i64, Error> {
        admit_place(place, self.look.places.partitions)?;
        self.look.places.id(place)
    }
}

fn connect(path: &Path) -> Result<Connection, Error> {
    if !path.is_file() {
        return Err(Error::Io(format!(
            "there is no store {}: name the configuration of a hub that has run",
            path.display()
        )));
    }
    open_reader(path).map_err(|e| io(&format!("the store {} cannot be opened for reading", path.display()), &e))
}
