//! Where a source stands: per body, from which date its list is read again, and what of that was taken already.
//!
//! An entry may be published later than its date says. So the list is read again from `overlap` before the newest date that
//! was taken, and from before the oldest entry that could not be taken yet. Reading again is harmless, skipping is not.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

use crate::rome;

/// Entries of one body that the durable cursor remembers. What is forgotten is fetched again after a restart, and known to
/// the hub by its message id.
const SEEN_MAX: usize = 20_000;

/// The durable form, by entity code.
pub(crate) type Cursor = BTreeMap<String, Position>;

/// Where the reading of one list stands. Dates are those of SIOPE+, Italian time without zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    /// The list is read from here.
    pub(crate) from: DateTime,
    /// What was taken with a date from there on: key and date.
    pub(crate) seen: BTreeMap<String, DateTime>,
}

/// An entry that was taken.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub(crate) key: String,
    pub(crate) date: Option<DateTime>,
}

impl Position {
    pub(crate) fn start(from: DateTime) -> Self {
        Self { from, seen: BTreeMap::new() }
    }

    pub(crate) fn knows(&self, key: &str) -> bool {
        self.seen.contains_key(key)
    }

    /// The position after some entries were taken. `waiting` is the oldest date among entries that were not; `now` holds
    /// back dates from the future, which would hide everything before them.
    pub(crate) fn after(&self, taken: &[Taken], waiting: Option<DateTime>, now: DateTime, overlap: Duration) -> Self {
        let mut seen = self.seen.clone();
        seen.extend(taken.iter().map(|one| (one.key.clone(), one.date.unwrap_or(now))));
        let newest = taken.iter().filter_map(|one| one.date).map(|date| date.min(now)).max();
        let reached = newest.map(|newest| waiting.map_or(newest, |waiting| waiting.min(newest)));
        let from = reached.map_or(self.from, |reached| rome::before(reached, overlap).max(self.from));
        seen.retain(|_, date| *date >= from);
        Self { from, seen }
    }

    /// The same, with the oldest entries forgotten where there are too many.
    pub(crate) fn durable(&self) -> Self {
        let excess = self.seen.len().saturating_sub(SEEN_MAX);
        if excess == 0 {
            return self.clone();
        }
        let mut by_date: Vec<_> = self.seen.iter().map(|(key, date)| (*date, key.clone())).collect();
        by_date.sort_unstable();
        Self { from: self.from, seen: by_date.into_iter().skip(excess).map(|(date, key)| (key, date)).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(time: &str) -> DateTime {
        format!("2026-03-02T{time}").parse().unwrap()
    }

    fn taken(key: &str, time: &str) -> Taken {
        Taken { key: key.into(), date: Some(at(time)) }
    }

    #[test]
    fn the_list_is_read_again_from_an_hour_before_the_newest() {
        let start = Position::start(at("00:00:00"));
        let next = start.after(&[taken("1", "08:00:00"), taken("2", "10:00:00")], None, at("12:00:00"), HOUR);
        assert_eq!(next.from, at("09:00:00"));
        assert!(next.knows("2") && !next.knows("1"));
        // A late entry with an older date moves nothing back.
        let late = next.after(&[taken("3", "09:30:00")], None, at("12:00:00"), HOUR);
        assert_eq!(late.from, at("09:00:00"));
        assert!(late.knows("2") && late.knows("3"));
    }

    #[test]
    fn an_entry_that_waits_is_not_passed() {
        let start = Position::start(at("00:00:00"));
        let next = start.after(&[taken("2", "10:00:00")], Some(at("05:00:00")), at("12:00:00"), HOUR);
        assert_eq!(next.from, at("04:00:00"));
        assert!(next.knows("2"));
        assert_eq!(start.after(&[], Some(at("05:00:00")), at("12:00:00"), HOUR), start);
    }

    #[test]
    fn a_date_from_the_future_hides_nothing() {
        let next = Position::start(at("00:00:00")).after(&[taken("1", "23:00:00")], None, at("12:00:00"), HOUR);
        assert_eq!(next.from, at("11:00:00"));
        assert!(next.knows("1"));
        let undated = next.after(&[Taken { key: "2".into(), date: None }], None, at("12:00:00"), HOUR);
        assert_eq!((undated.from, undated.knows("2")), (at("11:00:00"), true));
    }

    #[test]
    fn the_durable_form_is_bounded_and_reads_back() {
        let seen = (0..SEEN_MAX + 5).map(|n| (format!("{n:06}"), at("10:00:00")));
        let position = Position { from: at("09:00:00"), seen: seen.collect() };
        let durable = position.durable();
        assert_eq!(durable.seen.len(), SEEN_MAX);
        let cursor = Cursor::from([("UFAAAA".to_string(), durable)]);
        let text = serde_json::to_string(&cursor).unwrap();
        assert_eq!(serde_json::from_str::<Cursor>(&text).unwrap(), cursor);
    }
}
