use rusqlite::{Connection, ErrorCode, Row, TransactionBehavior, params};

use super::schema::{OFFSET_BITS, io};
use crate::chain::{Chain, genesis, value_sum};
use crate::{Error, Offset, Place, Topic};

/// The partitions and the row ids of their heads. A slot is an index into every list of partitions.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) partitions: u16,
    ids: Vec<i64>,
}

/// How far a partition goes: what the anchor says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) place: Place,
    pub(super) next: Offset,
    /// The chain of the last record.
    pub(super) chain: Chain,
}

/// Where a partition begins and ends, and where its consumer stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) next: Offset,
    /// The chain of the last record.
    pub(super) chain: Chain,
    pub(super) first: Offset,
    /// The chain of the record before `first`.
    pub(super) first_chain: Chain,
    pub(super) position: Offset,
}

impl Head {
    fn new(place: Place) -> Self {
        let start = genesis(place);
        Self { next: 0, chain: start, first: 0, first_chain: start, position: 0 }
    }

    /// Checksum: a position that was changed outside would lose or repeat messages.
    fn sum(&self, place: Place) -> i64 {
        let mut bytes = Vec::with_capacity(88);
        bytes.extend_from_slice(&self.chain);
        bytes.extend_from_slice(&self.first_chain);
        for number in [self.next, self.first, self.position] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        value_sum(place, "head", "", &bytes)
    }
}

impl Places {
    /// Makes the heads that are not there yet, and learns the ids of all.
    pub(super) fn load(conn: &mut Connection, partitions: u16) -> Result<Self, Error> {
        let at = |e: rusqlite::Error| io("the heads of the log cannot be read", &e);
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(at)?;
        let places = all(partitions);
        let ids = places.map(|place| place_id(&tx, place)).collect::<rusqlite::Result<_>>().map_err(at)?;
        tx.commit().map_err(at)?;
        Ok(Self { partitions, ids })
    }

    /// The same for a database that is only read.
    pub(super) fn known(conn: &Connection, partitions: u16) -> Result<Self, Error> {
        let at = |e: rusqlite::Error| io("the heads of the log cannot be read", &e);
        let mut query = conn.prepare("SELECT id FROM heads WHERE topic = ?1 AND partition = ?2").map_err(at)?;
        let mut ids = Vec::new();
        for place in all(partitions) {
            ids.push(query.query_row(params![place.topic.0, place.partition], |row| row.get(0)).map_err(at)?);
        }
        Ok(Self { partitions, ids })
    }

    pub(super) fn slot(&self, place: Place) -> Result<usize, Error> {
        let topic = Topic::ALL.iter().position(|topic| *topic == place.topic);
        let slot = topic.map(|topic| topic * usize::from(self.partitions) + usize::from(place.partition));
        slot.filter(|slot| place.partition < self.partitions && *slot < self.ids.len())
            .ok_or_else(|| Error::Io(format!("there is no partition {place}")))
    }

    pub(super) fn id(&self, place: Place) -> Result<i64, Error> {
        self.slot(place).map(|slot| self.ids[slot])
    }

    /// The partitions in the order of slots.
    pub(super) fn all(&self) -> impl Iterator<Item = Place> + use<> {
        all(self.partitions)
    }

    pub(super) fn id_at(&self, slot: usize) -> i64 {
        self.ids[slot]
    }

    fn place_at(&self, slot: usize) -> Place {
        let partitions = usize::from(self.partitions);
        let partition = u16::try_from(slot % partitions).expect("invariant: below the number of partitions, a u16");
        Place::new(Topic::ALL[slot / partitions], partition)
    }

    /// Writes the head of a slot.
    pub(super) fn write(&self, conn: &Connection, slot: usize, head: &Head) -> rusqlite::Result<()> {
        let sql = "UPDATE heads SET next = ?2, chain = ?3, first = ?4, first_chain = ?5, position = ?6, sum = ?7 WHERE id = ?1";
        let changed = conn.prepare_cached(sql)?.execute(params![
            self.ids[slot],
            head.next.cast_signed(),
            head.chain,
            head.first.cast_signed(),
            head.first_chain,
            head.position.cast_signed(),
            head.sum(self.place_at(slot)),
        ])?;
        if changed == 1 { Ok(()) } else { Err(rusqlite::Error::StatementChangedRows(changed)) }
    }

    /// The heads in the order of slots, each compared with the last record of its partition.
    pub(super) fn load_heads(&self, conn: &Connection) -> Result<Vec<Head>, Error> {
        let places = all(self.partitions).zip(&self.ids);
        places.map(|(place, id)| head(conn, place, *id).and_then(|head| check_head(conn, place, *id, head))).collect()
    }
}

fn all(partitions: u16) -> impl Iterator<Item = Place> {
    Topic::ALL.into_iter().flat_map(move |topic| (0..partitions).map(move |partition| Place::new(topic, partition)))
}

fn place_id(conn: &Connection, place: Place) -> rusqlite::Result<i64> {
    let start = Head::new(place);
    let insert = "INSERT OR IGNORE INTO heads VALUES (NULL, ?1, ?2, 0, ?3, 0, ?3, 0, ?4)";
    let values = params![place.topic.0, place.partition, start.chain, start.sum(place)];
    conn.prepare_cached(insert)?.execute(values)?;
    conn.prepare_cached("SELECT id FROM heads WHERE topic = ?1 AND partition = ?2")?
        .query_row(params![place.topic.0, place.partition], |row| row.get(0))
}

/// The head of one partition, as this connection sees it.
pub(super) fn head(conn: &Connection, place: Place, id: i64) -> Result<Head, Error> {
    let sql = "SELECT next, chain, first, first_chain, position, sum FROM heads WHERE id = ?1";
    let found = conn
        .prepare_cached(sql)
        .and_then(|mut query| query.query_row([id], |row| Ok((head_of(row)?, row.get::<_, i64>(5)?))));
    match found {
        Ok((head, sum)) if head.sum(place) == sum => Ok(head),
        Ok((head, _)) => Err(corrupt(place, head.next, "the head of the partition is not what was written".to_owned())),
        Err(e) if is_damage(&e) => Err(corrupt(place, 0, format!("the head of the partition cannot be read: {e}"))),
        Err(e) => Err(io("the store cannot be read", &e)),
    }
}

fn head_of(row: &Row<'_>) -> rusqlite::Result<Head> {
    Ok(Head {
        next: row.get::<_, i64>(0)?.cast_unsigned(),
        chain: row.get(1)?,
        first: row.get::<_, i64>(2)?.cast_unsigned(),
        first_chain: row.get(3)?,
        position: row.get::<_, i64>(4)?.cast_unsigned(),
    })
}

/// A head that does not fit its last record means a damaged file: nothing may be appended to it.
fn check_head(conn: &Connection, place: Place, id: i64, head: Head) -> Result<Head, Error> {
    let query = "SELECT id, chain FROM records WHERE id < ?1 ORDER BY id DESC LIMIT 1";
    let last = conn.query_row(query, [row_id(id + 1, 0)], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Chain>(1)?)));
    let last = match last {
        Ok((last, chain)) if last >= row_id(id, 0) => Some((offset_of(last), chain)),
        Ok(_) | Err(rusqlite::Error::QueryReturnedNoRows) => None,
        Err(e) if !is_damage(&e) => return Err(io("the store cannot be read", &e)),
        Err(e) => return Err(corrupt(place, head.next, format!("the last record cannot be read: {e}"))),
    };
    let expected = match head.first == head.next {
        true => None,
        false => Some((head.next - 1, head.chain)),
    };
    match last == expected {
        true => Ok(head),
        false => Err(corrupt(place, head.next.saturating_sub(1), "the last record is not what was written".to_owned())),
    }
}

/// The row id of a record.
pub(super) fn row_id(place_id: i64, offset: Offset) -> i64 {
    (place_id << OFFSET_BITS) | offset.cast_signed()
}

/// The offset in a row id.
pub(super) fn offset_of(row_id: i64) -> Offset {
    row_id.cast_unsigned() & ((1 << OFFSET_BITS) - 1)
}

pub(super) fn corrupt(place: Place, offset: Offset, detail: String) -> Error {
    Error::Corrupt { place: place.to_string(), offset, detail }
}

/// Whether the file's content is at fault, and not the reading of it.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    match error.sqlite_error_code() {
        Some(code) => matches!(code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase),
        // a value of another type than was written, or a row that is gone
        None => true,
    }
}
