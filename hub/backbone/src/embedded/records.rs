use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::places::{Head, Values, corrupt, head, is_damage, offset_of, row_id};
use super::schema::io;
use crate::chain::{Chain, link, value_sum};
use crate::{Error, Offset, Place, Stored};

/// Which records a caller wants.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    pub(super) from: Offset,
    pub(super) records_max: usize,
    pub(super) bytes_max: usize,
}

/// What a partition was found to hold: every link fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The partition.
    pub place: Place,
    /// The first kept record.
    pub first: Offset,
    /// The offset that the next record will get.
    pub end: Offset,
    /// The chain of the last record.
    pub chain: Chain,
}

/// Follows the chain from record to record.
struct Walk {
    place: Place,
    next: Offset,
    chain: Chain,
}

impl Walk {
    fn step(&mut self, row: &Row<'_>) -> Result<Stored, Error> {
        let stored = self.stored(row).map_err(|e| self.damage(format!("the record cannot be read: {e}")))?;
        if stored.offset != self.next {
            return Err(self.damage("the record is missing".to_owned()));
        }
        if link(&self.chain, stored.offset, &stored.key, &stored.bytes) != stored.chain {
            return Err(self.damage("the content does not fit the chain".to_owned()));
        }
        self.next += 1;
        self.chain = stored.chain;
        Ok(stored)
    }

    fn stored(&self, row: &Row<'_>) -> rusqlite::Result<Stored> {
        let offset = offset_of(row.get(0)?);
        let bytes = Bytes::copy_from_slice(row.get_ref(2)?.as_blob()?);
        Ok(Stored { offset, key: row.get(1)?, bytes, chain: row.get(3)? })
    }

    fn damage(&self, detail: String) -> Error {
        corrupt(self.place, self.next, detail)
    }

    /// The end of the walk must be the end that the head of the partition knows.
    fn check_end(&self, head: &Head) -> Result<(), Error> {
        match self.next == head.next && self.chain != head.chain {
            true => Err(corrupt(self.place, self.next - 1, "the last record is not the one written last".to_owned())),
            false => Ok(()),
        }
    }
}

/// Reads records in order, from the first kept one at or after `page.from`; checks every link.
pub(super) fn read(conn: &Connection, place: Place, id: i64, page: Page) -> Result<Vec<Stored>, Error> {
    let head = head(conn, place, id)?;
    let from = page.from.max(head.first);
    if from >= head.next {
        return Ok(Vec::new());
    }
    let mut walk = Walk { place, next: from, chain: chain_before(conn, place, id, &head, from)? };
    let limit = page.records_max.clamp(1, 1 << 20);
    let query = "SELECT id, key, bytes, chain FROM records WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3";
    let mut query = conn.prepare_cached(query).map_err(|e| unreadable(&walk, &e))?;
    let keys = params![row_id(id, from), row_id(id, head.next), i64::try_from(limit).unwrap_or(1)];
    let mut rows = query.query(keys).map_err(|e| unreadable(&walk, &e))?;
    let (mut found, mut bytes) = (Vec::new(), 0usize);
    while found.len() < limit && walk.next < head.next {
        let row = rows.next().map_err(|e| unreadable(&walk, &e))?;
        let row = row.ok_or_else(|| walk.damage("the record is missing".to_owned()))?;
        bytes += content_bytes(row);
        if bytes > page.bytes_max && !found.is_empty() {
            break;
        }
        found.push(walk.step(row)?);
    }
    walk.check_end(&head).map(|()| found)
}

/// Reads all of a partition.
pub(super) fn verify(conn: &Connection, place: Place, id: i64) -> Result<Verified, Error> {
    let head = head(conn, place, id)?;
    check_values(conn, place, id, &head)?;
    let Head { first, next: end, chain, .. } = head;
    let mut from = first;
    while from < end {
        let page = read(conn, place, id, Page { from, records_max: 1_000, bytes_max: 4 << 20 })?;
        from += page.len() as u64;
    }
    Ok(Verified { place, first, end, chain })
}

fn content_bytes(row: &Row<'_>) -> usize {
    row.get_ref(2).ok().and_then(|bytes| bytes.as_blob().ok().map(<[u8]>::len)).unwrap_or(0)
}

/// The chain of the record before `from`.
fn chain_before(conn: &Connection, place: Place, id: i64, head: &Head, from: Offset) -> Result<Chain, Error> {
    if from == head.first {
        return Ok(head.first_chain);
    }
    chain_at(conn, place, id, from - 1)
}

/// The chain of one record.
pub(super) fn chain_at(conn: &Connection, place: Place, id: i64, offset: Offset) -> Result<Chain, Error> {
    let mut query = conn.prepare_cached("SELECT chain FROM records WHERE id = ?1").map_err(|e| read_error(&e))?;
    let found = query.query_row([row_id(id, offset)], |row| row.get(0)).optional();
    match found {
        Ok(Some(chain)) => Ok(chain),
        Ok(None) => Err(corrupt(place, offset, "the record is missing".to_owned())),
        Err(e) if is_damage(&e) => Err(corrupt(place, offset, format!("the record cannot be read: {e}"))),
        Err(e) => Err(read_error(&e)),
    }
}

/// One value of keyed state.
pub(super) fn get(conn: &Connection, place: Place, id: i64, space: &str, key: &str) -> Result<Option<Bytes>, Error> {
    let query = "SELECT value, sum FROM state WHERE place = ?1 AND space = ?2 AND key = ?3";
    let mut query = conn.prepare_cached(query).map_err(|e| read_error(&e))?;
    let found = query.query_row(params![id, space, key], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?)));
    match found.optional() {
        Ok(Some((value, sum))) => checked(place, space, key, value, sum).map(Some),
        Ok(None) => Ok(None),
        Err(e) => Err(unreadable_value(place, space, key, &e)),
    }
}

/// The kinds of keyed state of a partition, each found by one step in the index.
pub(super) fn spaces(conn: &Connection, id: i64) -> Result<Vec<String>, Error> {
    let query = "SELECT min(space) FROM state WHERE place = ?1 AND space > ?2";
    let mut query = conn.prepare_cached(query).map_err(|e| read_error(&e))?;
    let mut found: Vec<String> = Vec::new();
    loop {
        let after = found.last().map_or("", String::as_str);
        match query.query_row(params![id, after], |row| row.get::<_, Option<String>>(0)).map_err(|e| read_error(&e))? {
            Some(space) => found.push(space),
            None => return Ok(found),
        }
    }
}

/// Keyed state in key order.
pub(super) fn scan(
    conn: &Connection,
    place: Place,
    id: i64,
    space: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<(String, Bytes)>, Error> {
    let query = match after {
        Some(_) => {
            "SELECT key, value, sum FROM state WHERE place = ?1 AND space = ?2 AND key > ?3 ORDER BY key LIMIT ?4"
        }
        None => {
            "SELECT key, value, sum FROM state WHERE place = ?1 AND space = ?2 AND ?3 IS NULL ORDER BY key LIMIT ?4"
        }
    };
    let mut query = conn.prepare_cached(query).map_err(|e| read_error(&e))?;
    let keys = params![id, space, after, i64::try_from(limit).unwrap_or(i64::MAX)];
    let near = after.unwrap_or("(the first)");
    let mut rows = query.query(keys).map_err(|e| read_error(&e))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(|e| unreadable_value(place, space, near, &e))? {
        let parts = (|| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, i64>(2)?)))();
        let (key, value, sum) = parts.map_err(|e| unreadable_value(place, space, near, &e))?;
        let value = checked(place, space, &key, value, sum)?;
        found.push((key, value));
    }
    Ok(found)
}

/// All keyed state of a partition must be what its head knows: a value whose row was lost would read as "not there". So would
/// one whose row lies among those of its partition and says that it is another's.
pub(super) fn check_values(conn: &Connection, place: Place, id: i64, head: &Head) -> Result<(), Error> {
    let query = "SELECT space, key, value, sum, place FROM state WHERE place = ?1";
    let at = |e: rusqlite::Error| unreadable_value(place, "any space", "(the first)", &e);
    let mut query = conn.prepare_cached(query).map_err(at)?;
    let mut rows = query.query([id]).map_err(at)?;
    let mut found = Values::default();
    while let Some(row) = rows.next().map_err(at)? {
        let text = |index| row.get_ref(index).and_then(|value| Ok(value.as_str()?));
        let (space, key) = (text(0).map_err(at)?, text(1).map_err(at)?);
        let value = row.get_ref(2).and_then(|value| Ok(value.as_blob()?)).map_err(at)?;
        let (sum, owner) = (row.get(3).map_err(at)?, row.get::<_, i64>(4).map_err(at)?);
        if owner != id || value_sum(place, space, key, value) != sum {
            return Err(changed_value(place, space, key));
        }
        found.replace(None, Some(sum));
    }
    match found == head.values {
        true => Ok(()),
        false => Err(corrupt(place, head.position, lost_value(found, head.values))),
    }
}

fn lost_value(found: Values, written: Values) -> String {
    format!(
        "keyed state has {} values, {} were written: some are lost or not what was written",
        found.count, written.count
    )
}

fn changed_value(place: Place, space: &str, key: &str) -> Error {
    corrupt(place, 0, format!("the value of {space} {key} is not what was written"))
}

fn checked(place: Place, space: &str, key: &str, value: Vec<u8>, sum: i64) -> Result<Bytes, Error> {
    match value_sum(place, space, key, &value) == sum {
        true => Ok(value.into()),
        false => Err(changed_value(place, space, key)),
    }
}

fn unreadable_value(place: Place, space: &str, key: &str, error: &rusqlite::Error) -> Error {
    match is_damage(error) {
        true => corrupt(place, 0, format!("the values of {space} at or after {key} cannot be read: {error}")),
        false => read_error(error),
    }
}

fn unreadable(walk: &Walk, error: &rusqlite::Error) -> Error {
    match is_damage(error) {
        true => walk.damage(format!("the record cannot be read: {error}")),
        false => read_error(error),
    }
}

fn read_error(error: &rusqlite::Error) -> Error {
    io("the store cannot be read", error)
}
