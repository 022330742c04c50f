//! Whether the store is the one that was written last, or an old one that was put back.
//!
//! What is found stays in the store until a person ends it ([`super::Embedded::end_recovery`]): a restart changes nothing.

use std::collections::HashSet;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use super::anchor::{Anchor, AnchoredHead};
use super::places::{Head, Places};
use super::records::chain_at;
use super::schema::io;
use crate::{Error, Place};

/// Gaps that are listed, at most.
const GAPS_MAX: usize = 100;

/// The store is older than what was seen of it: nothing may be sent until people have looked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// Identity of this finding: what people decided about an earlier one does not count for it.
    pub id: String,
    /// What was found, in words.
    pub reason: String,
    /// What is missing, as far as it is known.
    pub gaps: Vec<Gap>,
}

/// A partition that lacks records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The partition, for example `outbox/3`.
    pub place: String,
    /// The store's next offset.
    pub has: u64,
    /// The next offset that the anchor saw.
    pub anchored: u64,
    /// What does not fit, in words.
    pub detail: String,
}

/// What a comparison has found.
struct Finding {
    reason: String,
    gaps: Vec<Gap>,
}

impl Finding {
    fn because(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), gaps: Vec::new() }
    }
}

/// The store as it was opened.
pub(super) struct Opened<'a> {
    pub(super) conn: &'a Connection,
    pub(super) places: &'a Places,
    pub(super) heads: &'a [Head],
    /// Identity of the store, in base 16.
    pub(super) store: &'a str,
    /// The life that begins.
    pub(super) epoch: &'a str,
    /// The lives that were before.
    pub(super) past: &'a HashSet<String>,
}

/// Judges a store at its opening. A finding is durable on return.
pub(super) fn judge(opened: &Opened<'_>, anchor: Option<&Path>) -> Result<Option<Recovery>, Error> {
    let standing = standing(opened.conn)?;
    let found = anchor.map(|path| compare(opened, path)).transpose()?.flatten();
    let Some(found) = found else { return Ok(standing) };
    let reason = match standing.map(|standing| standing.reason) {
        Some(earlier) if !earlier.contains(&found.reason) => format!("{earlier}; {}", found.reason),
        Some(earlier) => earlier,
        None => found.reason,
    };
    let recovery = Recovery { id: opened.epoch.to_owned(), reason, gaps: found.gaps };
    keep(opened.conn, &recovery)?;
    Ok(Some(recovery))
}

/// The recovery that the store is in.
pub(super) fn standing(conn: &Connection) -> Result<Option<Recovery>, Error> {
    let query = conn.query_row("SELECT value FROM notes WHERE name = 'recovery'", [], |row| row.get::<_, String>(0));
    let text = query.optional().map_err(|e| io("the notes of the store cannot be read", &e))?;
    let read = text.map(|text| serde_json::from_str(&text));
    read.transpose().map_err(|e| Error::Io(format!("the store's note `recovery` cannot be read: {e}")))
}

/// Writes down that the store is in recovery.
pub(super) fn keep(conn: &Connection, recovery: &Recovery) -> Result<(), Error> {
    let text = serde_json::to_string(recovery).expect("invariant: texts and numbers can be written");
    let done = conn.execute("INSERT OR REPLACE INTO notes VALUES ('recovery', ?1)", [text]);
    done.map(drop).map_err(|e| io("the store's note `recovery` cannot be written", &e))
}

/// Writes down that it is over.
pub(super) fn forget(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute("DELETE FROM notes WHERE name = 'recovery'", []).map(drop)
}

fn compare(opened: &Opened<'_>, path: &Path) -> Result<Option<Finding>, Error> {
    let is_empty = opened.heads.iter().all(|head| head.next == 0);
    let anchor = match Anchor::read(path) {
        Err(reason) => return Ok(Some(Finding::because(reason))),
        Ok(None) if is_empty => return Ok(None),
        Ok(None) => {
            let path = path.display();
            return Ok(Some(Finding::because(format!("the store has records, but there is no anchor at {path}"))));
        }
        Ok(Some(anchor)) => anchor,
    };
    if anchor.store != opened.store {
        // an anchor that never saw a record says nothing about any store
        let harmless = is_empty && anchor.records == 0;
        return Ok((!harmless).then(|| of_another(opened, &anchor, path, is_empty)));
    }
    let gaps = gaps(opened, &anchor)?;
    if !gaps.is_empty() {
        let reason = format!("the store is older than its anchor {}, or went another way", path.display());
        return Ok(Some(Finding { reason, gaps }));
    }
    let known = anchor.epoch == opened.epoch || opened.past.contains(&anchor.epoch);
    let reason = || format!("the store does not know the life {} that wrote its anchor: it is a copy", anchor.epoch);
    Ok((!known).then(|| Finding::because(reason())))
}

fn of_another(opened: &Opened<'_>, anchor: &Anchor, path: &Path, is_empty: bool) -> Finding {
    let (path, store, records, this) = (path.display(), &anchor.store, anchor.records, opened.store);
    let advice = if is_empty { "; if this one is new on purpose, `raccordo recover --end`" } else { "" };
    let reason =
        format!("the anchor {path} is of another store ({store} with {records} records, this is {this}){advice}");
    Finding::because(reason)
}

fn gaps(opened: &Opened<'_>, anchor: &Anchor) -> Result<Vec<Gap>, Error> {
    let mut gaps = Vec::new();
    for anchored in &anchor.heads {
        let at = opened.places.all().zip(opened.heads).find(|(place, _)| place.to_string() == anchored.place);
        let gap = match at {
            Some((place, head)) => gap(opened, place, head, anchored)?,
            None => Some((0, "the store has no such partition".to_owned())),
        };
        if let Some((has, detail)) = gap.filter(|_| gaps.len() < GAPS_MAX) {
            gaps.push(Gap { place: anchored.place.clone(), has, anchored: anchored.next, detail });
        }
    }
    Ok(gaps)
}

/// What is missing in one partition: how far the store goes, and what does not fit.
fn gap(
    opened: &Opened<'_>,
    place: Place,
    head: &Head,
    anchored: &AnchoredHead,
) -> Result<Option<(u64, String)>, Error> {
    if head.next < anchored.next {
        let missing = anchored.next - head.next;
        return Ok(Some((head.next, format!("{missing} records that the anchor saw are missing"))));
    }
    let chain = match anchored.next {
        next if next == head.next => head.chain,
        next if next == head.first => head.first_chain,
        // what was trimmed was finished, and can no longer be compared
        next if next < head.first => return Ok(None),
        next => chain_at(opened.conn, place, opened.places.id(place)?, next - 1)?,
    };
    let same = hex::encode(chain) == anchored.chain;
    Ok((!same)
        .then(|| (head.next, format!("record {} is not the one that the anchor saw", anchored.next.saturating_sub(1)))))
}
