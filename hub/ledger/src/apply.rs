//! From records of the journal to rows.

use std::collections::BTreeMap;

use hub_core::journal::{EVENT_VERSION, Event};

use crate::Error;
use crate::project::{At, project};
use crate::sql::{Sql, values};
use crate::write::carry_out;

/// A record of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalRecord<'a> {
    /// Partition of the journal.
    pub partition: u16,
    /// Position in it.
    pub offset: u64,
    /// The event, as JSON.
    pub bytes: &'a [u8],
}

/// Applies records of the journal, in order within each partition. Records that were applied before are passed over.
pub(crate) fn apply<'a>(sql: &mut dyn Sql, records: impl IntoIterator<Item = JournalRecord<'a>>) -> Result<(), Error> {
    let mut positions = BTreeMap::new();
    for record in records {
        let next = match positions.get(&record.partition) {
            Some(next) => *next,
            None => position(sql, record.partition)?,
        };
        if record.offset > next {
            return Err(Error::Gap { partition: record.partition, seen: next, given: record.offset });
        }
        if record.offset == next {
            apply_one(sql, &record)?;
        }
        let _ = positions.insert(record.partition, next.max(record.offset + 1));
    }
    positions.into_iter().try_for_each(|(partition, next)| set_position(sql, partition, next))
}

fn apply_one(sql: &mut dyn Sql, record: &JournalRecord<'_>) -> Result<(), Error> {
    let event = read_event(record)?;
    for change in project(&event, At { partition: record.partition, offset: record.offset }) {
        carry_out(sql, record.partition, &change)?;
    }
    Ok(())
}

fn read_event(record: &JournalRecord<'_>) -> Result<Event, Error> {
    let unreadable = |detail| Error::Record { partition: record.partition, offset: record.offset, detail };
    let event: Event = serde_json::from_slice(record.bytes).map_err(|e| unreadable(e.to_string()))?;
    if event.v > EVENT_VERSION {
        let detail = format!("event format {}, this version reads up to {EVENT_VERSION}", event.v);
        return Err(unreadable(detail));
    }
    Ok(event)
}

/// The offset of the next record of a partition that the ledger has not seen.
pub(crate) fn position(sql: &mut dyn Sql, partition: u16) -> Result<u64, Error> {
    let asked = "SELECT next FROM ledger_positions WHERE partition = ?1";
    Ok(sql.first(asked, &values![partition], |row| row.count(0))?.unwrap_or(0))
}

fn set_position(sql: &mut dyn Sql, partition: u16, next: u64) -> Result<(), Error> {
    let insert =
        "INSERT INTO ledger_positions VALUES (?1, ?2) ON CONFLICT (partition) DO UPDATE SET next = excluded.next";
    sql.run(insert, &values![partition, next])
}
