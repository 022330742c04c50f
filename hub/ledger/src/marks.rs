//! How far a ledger in a store of its own has come, slot by slot. The mark moves in the same transaction as the rows, and only
//! from where it was expected: a replay, or a second applier, changes nothing.

use hub_backbone::Stored;

use crate::apply::{JournalRecord, apply, position};
use crate::sql::{Sql, values};
use crate::{Error, schema};

const CREATE: &str = "CREATE TABLE IF NOT EXISTS ledger_marks (
    slot INTEGER PRIMARY KEY, chain TEXT NOT NULL, cases INTEGER NOT NULL, mail INTEGER NOT NULL)";

/// How far the ledger has come in one slot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The offset of the next record of the journal.
    pub(crate) next: u64,
    /// The chain of the record before it, in hexadecimal; empty before the first.
    pub(crate) chain: String,
    /// What it has seen.
    pub(crate) seen: Seen,
}

/// What a ledger shows: the effects of all records of `cases`, and of all mail, below these numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Records of `cases`.
    pub(crate) cases: u64,
    /// Records that other hubs have mailed to the slot.
    pub(crate) mail: u64,
}

/// A step forward: records of one slot's journal, and what the ledger shows once they are applied.
pub(crate) struct Step {
    pub(crate) slot: u16,
    /// Where the ledger must stand.
    pub(crate) from: Mark,
    pub(crate) records: Vec<Stored>,
    pub(crate) seen: Seen,
}

/// Makes the tables if they are missing, and anew if an older version made them in another shape.
pub(crate) fn prepare(sql: &mut dyn Sql, at: &str) -> Result<(), Error> {
    sql.script(sql.dialect().alone())?;
    match schema::shape(sql)? {
        Some(found) if found > schema::SHAPE => {
            return Err(Error::Newer { at: at.to_owned(), found, known: schema::SHAPE });
        }
        Some(schema::SHAPE) => {}
        _ => clear(sql)?,
    }
    sql.script(&sql.dialect().tables(CREATE))
}

/// Drops the ledger and makes empty tables: those who follow the journal begin again.
pub(crate) fn clear(sql: &mut dyn Sql) -> Result<(), Error> {
    sql.script("DROP TABLE IF EXISTS ledger_marks")?;
    schema::clear(sql)?;
    sql.script(&sql.dialect().tables(CREATE))
}

/// Where the ledger stands in a slot.
pub(crate) fn mark(sql: &mut dyn Sql, slot: u16, at: &str) -> Result<Mark, Error> {
    match sql.first("SELECT shape FROM ledger_shape", &[], |row| row.int(0))? {
        Some(schema::SHAPE) => standing(sql, slot, ""),
        found => Err(Error::Newer { at: at.to_owned(), found: found.unwrap_or_default(), known: schema::SHAPE }),
    }
}

/// `held` ends the question that keeps others away from the slot.
fn standing(sql: &mut dyn Sql, slot: u16, held: &str) -> Result<Mark, Error> {
    let asked = format!("SELECT chain, cases, mail FROM ledger_marks WHERE slot = ?1{held}");
    let mark = sql.first(&asked, &values![slot], |row| {
        let seen = Seen { cases: row.count(1)?, mail: row.count(2)? };
        Ok(Mark { next: 0, chain: row.text(0)?, seen })
    })?;
    // Asked after the mark is held: a transaction that held it before has moved both.
    Ok(Mark { next: position(sql, slot)?, ..mark.unwrap_or_default() })
}

/// Takes the step if the ledger stands where the step begins. Gives where it stands then.
///
/// # Errors
/// [`Error::OtherLog`] if the ledger has come as far by another log; and what the database says.
pub(crate) fn advance(sql: &mut dyn Sql, step: &Step) -> Result<Mark, Error> {
    let (slot, from) = (step.slot, &step.from);
    sql.run("INSERT INTO ledger_marks VALUES (?1, '', 0, 0) ON CONFLICT (slot) DO NOTHING", &values![slot])?;
    let held = sql.dialect().for_update();
    let stands = standing(sql, slot, held)?;
    if stands.next != from.next {
        return Ok(stands);
    }
    if stands.chain != from.chain {
        let detail = "the ledger was filled from another log meanwhile".to_owned();
        return Err(Error::OtherLog { partition: slot, seen: stands.next, detail });
    }
    let records = step.records.iter();
    apply(sql, records.map(|r| JournalRecord { partition: slot, offset: r.offset, bytes: &r.bytes }))?;
    let moved = moved(&stands, step);
    let update = "UPDATE ledger_marks SET chain = ?2, cases = ?3, mail = ?4 WHERE slot = ?1";
    sql.run(update, &values![slot, &moved.chain, moved.seen.cases, moved.seen.mail])?;
    Ok(moved)
}

fn moved(stands: &Mark, step: &Step) -> Mark {
    let seen = Seen { cases: stands.seen.cases.max(step.seen.cases), mail: stands.seen.mail.max(step.seen.mail) };
    match step.records.last() {
        Some(last) => Mark { next: last.offset + 1, chain: hex::encode(last.chain), seen },
        None => Mark { seen, ..stands.clone() },
    }
}
