//! One slot: from where the ledger stands to the end of the journal, again and again.

use std::convert::Infallible;
use std::time::Duration;

use hub_backbone::{Offset, Place, Stored, Topic};

use super::{State, journal};
use crate::marks::{self, Mark, Seen, Step};
use crate::{Error, store};

/// How soon to look again while records of `cases` are being judged.
const JUDGED: Duration = Duration::from_millis(5);
/// How soon to look again when nothing has happened: what the log tells may be told a moment before it can be asked for.
const QUIET: Duration = Duration::from_millis(200);

/// What the log has, at one look.
struct Look {
    /// What a ledger shows that has come to the end of the journal.
    seen: Seen,
    /// The end of the journal.
    journal: Offset,
    /// The end of `cases`.
    cases: Offset,
}

/// Mail that is in `cases` and not judged yet: so much mail is seen once everything below this offset is.
type Owed = Option<(u64, Offset)>;

/// Follows until something fails.
pub(super) async fn follow(state: &State, slot: u16) -> Result<Infallible, Error> {
    let mut at = begin(state, slot).await?;
    let mut owed = None;
    loop {
        let look = look(state, slot, at.seen, &mut owed).await?;
        at = catch_up(state, slot, at, &look).await?;
        state.well(slot);
        let _ = state.seen[usize::from(slot)].send_replace(at.seen);
        news(state, slot, &look).await?;
    }
}

/// Where the ledger stands, if it stands in this log.
async fn begin(state: &State, slot: u16) -> Result<Mark, Error> {
    let at = state.store.at().to_owned();
    let mark = store::ask(&*state.store, move |sql| marks::mark(sql, slot, &at)).await?;
    let Some(last) = mark.next.checked_sub(1) else { return Ok(mark) };
    let records = journal::read(&*state.backbone, state.archive.as_ref(), journal_of(slot), last).await?;
    match records.first().filter(|record| record.offset == last) {
        Some(record) if hex::encode(record.chain) == mark.chain => Ok(mark),
        found => {
            let detail = found.map_or("nothing", |_| "another record");
            Err(Error::OtherLog { partition: slot, seen: mark.next, detail: format!("it has {detail} at {last}") })
        }
    }
}

fn journal_of(slot: u16) -> Place {
    Place::new(Topic::JOURNAL, slot)
}

/// What is asked first is smallest: all mail below `mail` stands in `cases` below `cases`, and everything in `cases` that was
/// judged has its events in the journal.
async fn look(state: &State, slot: u16, shown: Seen, owed: &mut Owed) -> Result<Look, Error> {
    let (backbone, place) = (&state.backbone, Place::new(Topic::CASES, slot));
    let mail = backbone.mail_taken(slot).await?;
    let cases = backbone.end(place).await?;
    let (owes, below) = *owed.get_or_insert((mail, cases));
    let judged = backbone.position(place).await?;
    let journal = backbone.end(journal_of(slot)).await?;
    let paid = judged >= below;
    if paid {
        *owed = None;
    }
    let seen = Seen { cases: judged, mail: if paid { owes } else { shown.mail } };
    Ok(Look { seen, journal, cases })
}

/// Applies what stands in the journal; on return the ledger shows what the look has promised.
async fn catch_up(state: &State, slot: u16, mut at: Mark, look: &Look) -> Result<Mark, Error> {
    while at.next < look.journal {
        let records = journal::read(&*state.backbone, state.archive.as_ref(), journal_of(slot), at.next).await?;
        if records.is_empty() {
            return Err(Error::Store(format!("journal/{slot} has no record {} although it is longer", at.next)));
        }
        for some in records.chunks(journal::RECORDS_MAX) {
            let (expected, seen) = (at.next, at.seen);
            at = step(state, slot, at, some.to_vec(), seen).await?;
            if at.next != expected + some.len() as u64 {
                break;
            }
        }
    }
    if at.seen.cases < look.seen.cases || at.seen.mail < look.seen.mail {
        at = step(state, slot, at, Vec::new(), look.seen).await?;
    }
    Ok(at)
}

async fn step(state: &State, slot: u16, from: Mark, records: Vec<Stored>, seen: Seen) -> Result<Mark, Error> {
    let expected = records.last().map_or(from.next, |last| last.offset + 1);
    let step = Step { slot, from, records, seen };
    let stands = store::change(&*state.store, move |sql| marks::advance(sql, &step)).await?;
    if stands.next == expected {
        return Ok(stands);
    }
    // Somebody else was here: another owner, or a rebuild. What stands there now is looked at anew.
    tracing::debug!(target: "ledger", slot, expected, stands = stands.next, "the ledger was moved by somebody else");
    begin(state, slot).await
}

/// Completes when there may be something to do.
async fn news(state: &State, slot: u16, look: &Look) -> Result<(), Error> {
    let pause = if look.seen.cases < look.cases { JUDGED } else { QUIET };
    tokio::select! {
        changed = state.backbone.changed(journal_of(slot), look.journal) => Ok(changed?),
        changed = state.backbone.changed(Place::new(Topic::CASES, slot), look.cases) => Ok(changed?),
        () = tokio::time::sleep(pause) => Ok(()),
    }
}
