//! The ledger against what the journal gives when it is projected anew.

use hub_backbone::embedded::Session;
use hub_backbone::rusqlite::Connection;
use hub_backbone::{Archive, Error, Place, Topic};
use hub_ledger::JournalRecord;
use hub_ledger::sqlite;

use super::report::Finding;
use super::{Audit, Counts};

/// Records of one page.
const RECORDS_MAX: usize = 1_000;
/// Bytes of one page, about.
const BYTES_MAX: usize = 4 << 20;

/// Why there is no verdict.
enum Stop {
    /// The journal itself is damaged, which its own walk tells.
    Journal,
    /// The ledger cannot be computed or read.
    Ledger(String),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        match error {
            Error::Corrupt { .. } => Self::Journal,
            other => Self::Ledger(other.to_string()),
        }
    }
}

impl From<hub_ledger::Error> for Stop {
    fn from(error: hub_ledger::Error) -> Self {
        Self::Ledger(error.to_string())
    }
}

impl From<hub_backbone::rusqlite::Error> for Stop {
    fn from(error: hub_backbone::rusqlite::Error) -> Self {
        Self::Ledger(error.to_string())
    }
}

impl Audit {
    /// Projects the journal anew into a temporary database, as far as the ledger has come, and compares all rows.
    pub(super) fn ledger(&self) -> Result<(), Error> {
        let session = self.look.session()?;
        let judged = session.at_one_moment(|session, live| {
            // An empty name is SQLite's for a temporary file that is gone with its connection.
            let rebuilt = Connection::open("")?;
            rebuilt.execute_batch("PRAGMA journal_mode = off; PRAGMA synchronous = off")?;
            sqlite::prepare(&rebuilt)?;
            let archive = Archive::look(self.archive.folder())?;
            for partition in 0..self.look.partitions() {
                let until = sqlite::position(live, partition)?;
                self.project(session, &archive, &rebuilt, (Place::new(Topic::JOURNAL, partition), until))?;
            }
            Ok::<_, Stop>(sqlite::first_difference(live, &rebuilt)?)
        });
        let detail = match judged {
            Ok(None) | Err(Stop::Journal) => return Ok(()),
            Ok(Some(detail)) => format!("it is not what the journal says: {detail}"),
            Err(Stop::Ledger(detail)) => detail,
        };
        self.found(Finding::ledger(self.look.path(), detail));
        Ok(())
    }

    fn project(
        &self,
        session: &Session<'_>,
        archive: &Archive,
        rebuilt: &Connection,
        (place, until): (Place, u64),
    ) -> Result<(), Stop> {
        let first = session.bounds(place)?.first;
        let mut next = 0;
        while next < until {
            let mut page = match next < first {
                true => archive.read(place, next)?,
                false => session.read(place, next, RECORDS_MAX, BYTES_MAX)?,
            };
            page.retain(|record| record.offset < until);
            let Some(last) = page.last() else { return Err(Stop::Journal) };
            let records =
                page.iter().map(|r| JournalRecord { partition: place.partition, offset: r.offset, bytes: &r.bytes });
            rebuilt.execute_batch("BEGIN")?;
            sqlite::apply(rebuilt, records)?;
            rebuilt.execute_batch("COMMIT")?;
            Counts::add(&self.counts.events, page.len() as u64);
            next = last.offset + 1;
        }
        Ok(())
    }
}
