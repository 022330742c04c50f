use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, params};

use super::records::check_values;
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
pub(super) struct Reach {
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
    /// All keyed state of the partition.
    pub(super) values: Values,
}

/// A sum over keyed state: a value that is missing, changed or not ours changes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Values {
    pub(super) count: i64,
    pub(super) sum: i64,
}

impl Values {
    /// A key that had one value now has another; each is known by its checksum.
    pub(super) fn replace(&mut self, old: Option<i64>, new: Option<i64>) {
        self.count += i64::from(new.is_some()) - i64::from(old.is_some());
        self.sum = self.sum.wrapping_sub(old.unwrap_or(0)).wrapping_add(new.unwrap_or(0));
    }
}

impl Head {
    fn new(place: Place) -> Self {
        let start = genesis(place);
        Self { next: 0, chain: start, first: 0, first_chain: start, position: 0, values: Values::default() }
    }

    /// Checksum: a position that was changed outside would lose or repeat messages.
    fn sum(&self, place: Place) -> i64 {
        let mut bytes = Vec::with_capacity(104);
        bytes.extend_from_slice(&self.chain);
        bytes.extend_from_slice(&self.first_chain);
        for number in [self.next, self.first, self.position] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        for number in [self.values.count, self.values.sum] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        value_sum(place, "head", "", &bytes)
    }
}

impl Places {
    /// Makes the heads of a new file.
    pub(super) fn make(conn: &Connection, partitions: u16) -> rusqlite::Result<()> {
        let mut insert = conn.prepare("INSERT INTO heads VALUES (NULL, ?1, ?2, 0, ?3, 0, ?3, 0, 0, 0, ?4)")?;
        for place in all(partitions) {
            let start = Head::new(place);
            let _row = insert.execute(params![place.topic.0, place.partition, start.chain, start.sum(place)])?;
        }
        Ok(())
    }

    /// Learns the ids of all heads. A head that is not found is damage, never a partition that nobody has used.
    pub(super) fn load(conn: &Connection, partitions: u16) -> Result<Self, Error> {
        let ids = all(partitions).map(|place| place_id(conn, place)).collect::<Result<_, _>>()?;
        Ok(Self { partitions, ids })
    }

    /// The ids of a store that is only looked at: its heads are all there, or it is damaged.
    pub(super) fn read(conn: &Connection) -> Result<Self, Error> {
        let at = |e: rusqlite::Error| io("the heads of the log cannot be read", &e);
        let query = "SELECT value FROM meta WHERE name = 'partitions'";
        let partitions = conn.query_row(query, [], |row| row.get::<_, u16>(0)).map_err(at)?;
        let mut query = conn.prepare("SELECT id FROM heads WHERE topic = ?1 AND partition = ?2").map_err(at)?;
        let mut id = |place: Place| {
            let found = query.query_row(params![place.topic.0, place.partition], |row| row.get(0));
            found.map_err(|e| corrupt(place, 0, format!("the head of the partition cannot be read: {e}")))
        };
        let ids = all(partitions).map(&mut id).collect::<Result<_, _>>()?;
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
        let sql = "UPDATE heads SET next = ?2, chain = ?3, first = ?4, first_chain = ?5, position = ?6, \
                   value_count = ?7, value_sum = ?8, sum = ?9 WHERE id = ?1";
        let changed = conn.prepare_cached(sql)?.execute(params![
            self.ids[slot],
            head.next.cast_signed(),
            head.chain,
            head.first.cast_signed(),
            head.first_chain,
            head.position.cast_signed(),
            head.values.count,
            head.values.sum,
            head.sum(self.place_at(slot)),
        ])?;
        if changed == 1 { Ok(()) } else { Err(rusqlite::Error::StatementChangedRows(changed)) }
    }

    /// The heads in the order of slots, each compared with the last record and with the keyed state of its partition.
    pub(super) fn load_heads(&self, conn: &Connection) -> Result<Vec<Head>, Error> {
        let checked = |(place, id): (Place, &i64)| {
            let head = check_head(conn, place, *id, head(conn, place, *id)?)?;
            check_values(conn, place, *id, &head).map(|()| head)
        };
        all(self.partitions).zip(&self.ids).map(checked).collect()
    }

    /// The last record of a partition that has grown.
    pub(super) fn grown(&self, before: &[Head], after: &[Head]) -> Option<(Place, Offset)> {
        let grown = before.iter().zip(after).rposition(|(before, after)| before.next != after.next)?;
        Some((self.place_at(grown), after[grown].next - 1))
    }
}

fn all(partitions: u16) -> impl Iterator<Item = Place> {
    Topic::ALL.into_iter().flat_map(move |topic| (0..partitions).map(move |partition| Place::new(topic, partition)))
}

/// Looks at the rows themselves: a damaged index would hide one.
fn place_id(conn: &Connection, place: Place) -> Result<i64, Error> {
    let sql = "SELECT id FROM heads NOT INDEXED WHERE topic = ?1 AND partition = ?2";
    let found = conn
        .prepare_cached(sql)
        .and_then(|mut query| query.query_row(params![place.topic.0, place.partition], |row| row.get(0)).optional());
    match found {
        Ok(Some(id)) => Ok(id),
        Ok(None) => Err(corrupt(place, 0, "the head of the partition is missing".to_owned())),
        Err(e) => Err(io("the heads of the log cannot be read", &e)),
    }
}

/// The head of one partition, as this connection sees it.
pub(super) fn head(conn: &Connection, place: Place, id: i64) -> Result<Head, Error> {
    let sql = "SELECT next, chain, first, first_chain, position, value_count, value_sum, sum FROM heads WHERE id = ?1";
    let found = conn
        .prepare_cached(sql)
        .and_then(|mut query| query.query_row([id], |row| Ok((head_of(row)?, row.get::<_, i64>(7)?))));
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
        values: Values { count: row.get(5)?, sum: row.get(6)? },
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
    Error::Corrupt { file: String::new(), place: place.to_string(), offset, detail }
}

/// Whether the file's content is at fault, and not the reading of it.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    match error.sqlite_error_code() {
        Some(code) => matches!(code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase),
        // a value of another type than was written, or a row that is gone
        None => true,
    }
}
