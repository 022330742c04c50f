use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, TransactionBehavior};

use super::places::{Places, is_damage};
use crate::Error;

/// Version of the tables below. A file with a higher one is refused.
pub(super) const SCHEMA_VERSION: i64 = 4;
/// The oldest one that is taken over.
const VERSION_MIN: i64 = 2;
/// Marks a file as ours ("RACC").
const APPLICATION_ID: i64 = 0x5241_4343;
/// Size of a page of a new database, in bytes. Rows of cases and messages lie in the order of their ids, which is random:
/// each dirties a page of its own, and every dirty page is written twice. Pages of 16 kB wrote 187 kB for a message of 2 kB,
/// of 8 kB 120 kB, of 4 kB 78 kB.
const PAGE_BYTES: i64 = 4_096;
/// When the write-ahead log is written back into the main file, in pages (32 MiB). Inline: on a thread of its own it never
/// shrank.
const CHECKPOINT_PAGES: i64 = 8_000;
/// Pages that the writer keeps in memory, in KiB; it fills up to this and stays there. What falls out is still in the kernel's
/// cache.
const CACHE_KIB: i64 = 24 * 1024;
/// How long SQLite itself waits for another program that holds the database.
const BUSY: Duration = Duration::from_secs(2);
/// Partitions of a topic, at most.
const PARTITIONS_MAX: u16 = 1_024;

/// Bits of a record's row id that hold its offset; the partition's id stands above.
pub(super) const OFFSET_BITS: u32 = 40;

/// The tables. `heads` has one row for each partition, `records` one for each record: `id = heads.id << 40 | offset`, so that
/// the records of a partition lie side by side and are found without an index. `log` shows them to people.
const TABLES: &str = "
    CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID, STRICT;
    CREATE TABLE epochs(id INTEGER PRIMARY KEY, epoch TEXT NOT NULL UNIQUE, begun INTEGER NOT NULL, ended INTEGER) STRICT;
    CREATE TABLE heads(
        id INTEGER PRIMARY KEY, topic TEXT NOT NULL, partition INTEGER NOT NULL,
        next INTEGER NOT NULL, chain BLOB NOT NULL, first INTEGER NOT NULL, first_chain BLOB NOT NULL,
        position INTEGER NOT NULL, value_count INTEGER NOT NULL, value_sum INTEGER NOT NULL,
        sum INTEGER NOT NULL, UNIQUE(topic, partition)) STRICT;
    CREATE TABLE records(id INTEGER PRIMARY KEY, key TEXT NOT NULL, bytes BLOB NOT NULL, chain BLOB NOT NULL) STRICT;
    CREATE TABLE state(
        place INTEGER NOT NULL, space TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, sum INTEGER NOT NULL,
        PRIMARY KEY(place, space, key)) WITHOUT ROWID, STRICT;
    CREATE VIEW log AS SELECT topic, partition, records.id & ((1 << 40) - 1) AS offset, key, bytes, records.chain
        FROM records JOIN heads ON heads.id = records.id >> 40;
";

/// What version 3 has more: words about the store itself. (A program that does not know them would send in recovery.) One of
/// version 3 does not know that a store can have moved.
const NOTES: &str =
    "CREATE TABLE IF NOT EXISTS notes(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID, STRICT";

/// Opens the write connection; makes the tables in a new file.
pub(super) fn open(path: &Path, partitions: u16) -> Result<(Connection, Places), Error> {
    if partitions == 0 || partitions > PARTITIONS_MAX {
        return Err(Error::Io(format!("a store has 1 to {PARTITIONS_MAX} partitions, not {partitions}")));
    }
    let at = |e: &rusqlite::Error| io(&format!("the store {} cannot be opened", path.display()), e);
    let mut conn = Connection::open(path).map_err(|e| at(&e))?;
    conn.busy_timeout(BUSY).map_err(|e| at(&e))?;
    check_version(&conn, path)?;
    set_up(&conn).map_err(|e| at(&e))?;
    let made = make_tables(&mut conn, partitions).map_err(|e| at(&e))?;
    if made {
        sync_folder(path)?;
    }
    check_partitions(&conn, path, partitions)?;
    let places = Places::load(&conn, partitions)?;
    Ok((conn, places))
}

/// Opens a read-only connection.
pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(BUSY)?;
    conn.set_prepared_statement_cache_capacity(64);
    Ok(conn)
}

fn set_up(conn: &Connection) -> rusqlite::Result<()> {
    conn.set_prepared_statement_cache_capacity(128);
    conn.pragma_update(None, "page_size", PAGE_BYTES)?;
    conn.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get::<_, String>(0))?;
    conn.pragma_update(None, "synchronous", "full")?;
    conn.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    conn.pragma_update(None, "cache_size", -CACHE_KIB)?;
    conn.pragma_update(None, "temp_store", "memory")
}

/// Refuses files that are not ours, and those of a newer program.
pub(super) fn check_version(conn: &Connection, path: &Path) -> Result<(), Error> {
    let read = |name: &str| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let name = path.display();
    let at = |e: rusqlite::Error| io(&format!("the store {name} cannot be read"), &e);
    let (application, version) = (read("application_id").map_err(at)?, read("user_version").map_err(at)?);
    let objects: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(at)?;
    if objects > 0 && application != APPLICATION_ID {
        return Err(Error::Io(format!("{name} is a database of another program: name another file")));
    }
    if version > SCHEMA_VERSION {
        let advice = "start the newer program again";
        return Err(Error::Io(format!(
            "the store {name} has version {version}, this program knows up to {SCHEMA_VERSION}: {advice}"
        )));
    }
    if objects > 0 && version < VERSION_MIN {
        return Err(Error::Io(format!(
            "the store {name} has version {version}, from before the first release; this program begins with \
             {SCHEMA_VERSION}: finish its messages with the older program, then name a new file"
        )));
    }
    Ok(())
}

/// Size of this file's pages, in bytes: an older file keeps its own.
pub(super) fn page_bytes(conn: &Connection) -> rusqlite::Result<u64> {
    conn.pragma_query_value(None, "page_size", |row| row.get::<_, i64>(0)).map(i64::cast_unsigned)
}

/// How many transactions the writer has made since the file was made. See [`super::mark`].
pub(super) fn transactions(conn: &Connection) -> Result<u64, Error> {
    let query = "SELECT value FROM meta WHERE name = 'transactions'";
    let found = conn.query_row(query, [], |row| row.get::<_, i64>(0));
    let what = "the store's count of transactions cannot be read";
    match found {
        Ok(transactions) => Ok(transactions.cast_unsigned()),
        Err(e) if is_damage(&e) => Err(damaged(format!("{what}: {e}"))),
        Err(e) => Err(io(what, &e)),
    }
}

/// Writes the count of transactions, as part of one.
pub(super) fn count_transactions(conn: &Connection, transactions: u64) -> rusqlite::Result<()> {
    let sql = "UPDATE meta SET value = ?1 WHERE name = 'transactions'";
    match conn.prepare_cached(sql)?.execute([transactions.cast_signed()])? {
        1 => Ok(()),
        changed => Err(rusqlite::Error::StatementChangedRows(changed)),
    }
}

/// All tables appear in one transaction, with the version: a file that was cut off while it was made is still a new one. Says
/// whether it has made them. (That the folder of an older file is durable is known: with the write-ahead log that this very
/// file was made through, SQLite has synced it.)
fn make_tables(conn: &mut Connection, partitions: u16) -> rusqlite::Result<bool> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: i64 = tx.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version == 0 {
        tx.execute_batch(TABLES)?;
        tx.execute("INSERT INTO meta VALUES ('partitions', ?1), ('transactions', 0)", [partitions])?;
        Places::make(&tx, partitions)?;
        tx.pragma_update(None, "application_id", APPLICATION_ID)?;
    }
    add_what_is_newer(&tx, version)?;
    tx.commit().map(|()| version == 0)
}

/// Identity of the store, in base 16: a copy has the same, another store another one.
pub(super) fn identity(conn: &Connection) -> Result<String, Error> {
    let query = conn.query_row("SELECT value FROM meta WHERE name = 'store'", [], |row| row.get::<_, i64>(0));
    query.map(|id| format!("{:016x}", id.cast_unsigned())).map_err(|e| io("the store's identity cannot be read", &e))
}

/// A number that no other store or life has: names need no seed.
pub(super) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Brings an older database up to the present version.
pub(super) fn take_over(conn: &mut Connection) -> rusqlite::Result<()> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version = tx.pragma_query_value(None, "user_version", |row| row.get(0))?;
    add_what_is_newer(&tx, version)?;
    tx.commit()
}

fn add_what_is_newer(conn: &Connection, version: i64) -> rusqlite::Result<()> {
    if version < SCHEMA_VERSION {
        conn.execute_batch(NOTES)?;
        add_elsewhere(conn)?;
        let _rows = conn.execute("INSERT OR IGNORE INTO meta VALUES ('store', ?1)", [random().cast_signed()])?;
        conn.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    }
    Ok(())
}

/// What version 4 has more: lives of another store, and whether their ends are proved. (A program that does not know that would
/// repeat what they may still send.)
fn add_elsewhere(conn: &Connection) -> rusqlite::Result<()> {
    let query = "SELECT count(*) FROM pragma_table_info('epochs') WHERE name = 'elsewhere'";
    match conn.query_row(query, [], |row| row.get(0))? {
        0 => conn.execute_batch("ALTER TABLE epochs ADD COLUMN elsewhere INTEGER NOT NULL DEFAULT 0"),
        _ => Ok(()),
    }
}

fn check_partitions(conn: &Connection, path: &Path, partitions: u16) -> Result<(), Error> {
    let query = conn.query_row("SELECT value FROM meta WHERE name = 'partitions'", [], |row| row.get::<_, i64>(0));
    match query.optional().map_err(|e| io("the store's settings cannot be read", &e))? {
        Some(found) if found == i64::from(partitions) => Ok(()),
        Some(found) => Err(Error::Io(format!(
            "the store {} was made with {found} partitions, the settings say {partitions}: \
             write {found}, since keys belong to partitions",
            path.display()
        ))),
        None => Err(Error::Io(format!(
            "the store {} has lost its settings: keep the file, and put no older copy in its place before reading docs/runbook.md, `store`",
            path.display()
        ))),
    }
}

/// The folder in which a file stands.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A new file is durable only when its folder is.
fn sync_folder(path: &Path) -> Result<(), Error> {
    let folder = folder_of(path);
    let synced = std::fs::File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|e| Error::Io(format!("the folder {} cannot be made durable: {e}", folder.display())))
}

/// An error of SQLite, in words; damage that no record or value can be named for is the file's.
pub(super) fn io(what: &str, error: &rusqlite::Error) -> Error {
    use ErrorCode::{CannotOpen, DatabaseCorrupt, NotADatabase, ReadOnly, SystemIoFailure};
    let advice = match error.sqlite_error_code() {
        Some(DatabaseCorrupt | NotADatabase) => {
            return damaged(format!("{what}: {error}"));
        }
        Some(ReadOnly) => "; the disk or the file is read-only: make it writable and start the hub again",
        Some(CannotOpen) => "; look whether its folder is there, is mounted, and belongs to the hub's user",
        Some(SystemIoFailure) => "; the disk fails: look into the system's log before you start the hub again",
        _ => "",
    };
    Error::Io(format!("{what}: {error}{advice}"))
}

/// Damage outside of the partitions.
fn damaged(detail: String) -> Error {
    Error::Corrupt { file: String::new(), place: "store".to_owned(), offset: 0, detail }
}
