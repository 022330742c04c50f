//! Where a source stands: per body, from which date its list is read again, and what of that was taken already.
//!
//! An entry may be published later than its date says. So there are two ways to look. A *deep* look reads the list again
//! from `overlap` before the newest date that was taken, and from before the oldest entry that could not be taken yet;
//! only it moves that beginning on. A *quick* look reads from [`SLACK`] before the newest: what it misses, the next deep
//! one finds. Reading again is harmless, skipping is not.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Unit;
use jiff::civil::{DateTime, DateTimeRound};
use serde::{Deserialize, Serialize};

use crate::rome;

/// How far before the newest entry a quick look begins: entries that come in nearly at once are listed in any order.
const SLACK: Duration = Duration::from_secs(15);

/// Entries of one body that the durable cursor remembers. What is forgotten is fetched again after a restart, and known to
/// the hub by its message id.
const SEEN_MAX: usize = 20_000;

/// The durable form, by entity code.
pub(crate) type Cursor = BTreeMap<String, Position>;

/// Where the reading of one list stands. Dates are those of SIOPE+, Italian time without zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Durable", into = "Durable")]
pub(crate) struct Position {
    /// A deep look begins here.
    pub(crate) from: DateTime,
    /// The newest date that was taken with nothing waiting before it.
    newest: Option<DateTime>,
    /// What was taken with a date from `from` on: key and date. A list that is longer than can be read is an error before
    /// this is.
    seen: BTreeMap<String, DateTime>,
}

/// An entry that was taken.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub(crate) key: String,
    pub(crate) date: Option<DateTime>,
}

/// What one look at a list has brought.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    /// Whether everything from [`Position::from`] on was listed.
    pub(crate) deep: bool,
    pub(crate) taken: Vec<Taken>,
    /// The oldest date among entries that were not taken.
    pub(crate) waiting: Option<DateTime>,
}

impl Progress {
    /// An entry that was not taken. One without date may be of any time: nothing before it may be passed.
    pub(crate) fn waits(&mut self, date: Option<DateTime>) {
        let date = date.unwrap_or(DateTime::MIN);
        self.waiting = Some(self.waiting.map_or(date, |oldest| oldest.min(date)));
    }
}

impl Position {
    pub(crate) fn start(from: DateTime) -> Self {
        Self { from, newest: None, seen: BTreeMap::new() }
    }

    pub(crate) fn knows(&self, key: &str) -> bool {
        self.seen.contains_key(key)
    }

    /// Where a look begins.
    pub(crate) fn begins(&self, deep: bool) -> DateTime {
        let quick = self.newest.filter(|_| !deep).map(|newest| rome::before(newest, SLACK));
        quick.unwrap_or(self.from).max(self.from)
    }

    /// Moves on after a look; says whether anything has changed. `now` holds back dates from the future, which would hide
    /// everything before them.
    pub(crate) fn advance(&mut self, progress: Progress, now: DateTime, overlap: Duration) -> bool {
        let (before, Progress { deep, taken, waiting }) = (self.from, progress);
        let newest = taken.iter().filter_map(|one| one.date).map(|date| date.min(now)).max();
        let reached = newest.map(|newest| waiting.map_or(newest, |waiting| waiting.min(newest)));
        self.newest = self.newest.max(reached);
        let changed = !taken.is_empty();
        self.seen.extend(taken.into_iter().map(|one| (one.key, one.date.unwrap_or(now))));
        if deep {
            self.pass(waiting, overlap);
        }
        changed || self.from != before
    }

    /// After a deep look: what lies `overlap` before the newest, and before all that waits, need not be looked at again.
    fn pass(&mut self, waiting: Option<DateTime>, overlap: Duration) {
        let Some(newest) = self.newest else { return };
        let reached = waiting.map_or(newest, |waiting| waiting.min(newest));
        let from = rome::before(reached, overlap).max(self.from);
        if from != self.from {
            self.seen.retain(|_, date| *date >= from);
        }
        self.from = from;
    }
}

/// A position as it is written: the keys of a minute are one text, since there may be thousands.
#[derive(Serialize, Deserialize)]
struct Durable {
    from: DateTime,
    #[serde(default)]
    newest: Option<DateTime>,
    /// The end of a minute and the keys of that minute; in earlier versions one key and its date.
    seen: BTreeMap<String, String>,
}

impl From<Position> for Durable {
    /// The oldest entries are forgotten where there are too many.
    fn from(Position { from, newest, seen }: Position) -> Self {
        let mut by_date: Vec<_> = seen.into_iter().map(|(key, date)| (date, key)).collect();
        by_date.sort_unstable();
        let excess = by_date.len().saturating_sub(SEEN_MAX);
        let mut minutes = BTreeMap::<String, String>::new();
        for (date, key) in by_date.into_iter().skip(excess) {
            let keys = minutes.entry(end_of_minute(date).to_string()).or_default();
            *keys += if keys.is_empty() { "" } else { " " };
            *keys += &key;
        }
        Self { from, newest, seen: minutes }
    }
}

impl From<Durable> for Position {
    fn from(Durable { from, newest, seen }: Durable) -> Self {
        let mut position = Self { from, newest, seen: BTreeMap::new() };
        for (name, value) in seen {
            match (name.parse::<DateTime>(), value.parse::<DateTime>()) {
                (Ok(minute), _) => position.seen.extend(value.split(' ').map(|key| (key.to_string(), minute))),
                (Err(_), Ok(date)) => drop(position.seen.insert(name, date)),
                // An entry that is not known is fetched again.
                (Err(_), Err(_)) => {}
            }
        }
        position.newest = position.newest.or_else(|| position.seen.values().max().copied());
        position
    }
}

/// Later rather than earlier: a key is forgotten by its date.
fn end_of_minute(date: DateTime) -> DateTime {
    let up = DateTimeRound::new().smallest(Unit::Minute).mode(jiff::RoundMode::Ceil);
    date.round(up).unwrap_or(date)
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

    fn look(position: &Position, deep: bool, taken: &[Taken], waiting: Option<&str>) -> Position {
        let mut next = position.clone();
        let progress = Progress { deep, taken: taken.to_vec(), waiting: waiting.map(at) };
        let _ = next.advance(progress, at("12:00:00"), HOUR);
        next
    }

    fn start() -> Position {
        Position::start(at("00:00:00"))
    }

    #[test]
    fn a_deep_look_begins_an_hour_before_the_newest() {
        let next = look(&start(), true, &[taken("1", "08:00:00"), taken("2", "10:00:00")], None);
        assert_eq!(next.begins(true), at("09:00:00"));
        assert!(next.knows("2") && !next.knows("1"));
        // A late entry with an older date moves nothing back.
        let late = look(&next, true, &[taken("3", "09:30:00")], None);
        assert_eq!(late.begins(true), at("09:00:00"));
        assert!(late.knows("2") && late.knows("3"));
    }

    #[test]
    fn a_quick_look_moves_only_itself_on() {
        let first = look(&start(), true, &[taken("1", "09:00:00")], None);
        assert_eq!((first.begins(true), first.begins(false)), (at("08:00:00"), at("08:59:45")));
        let next = look(&first, false, &[taken("2", "10:30:00")], None);
        assert_eq!((next.begins(true), next.begins(false)), (at("08:00:00"), at("10:29:45")));
        // Only when everything in between was listed again is it left behind; nothing need be new for that.
        let deep = look(&next, true, &[], None);
        assert_eq!((deep.begins(true), deep.begins(false)), (at("09:30:00"), at("10:29:45")));
        assert!(!deep.knows("1") && deep.knows("2"));
        assert_eq!(start().begins(false), start().begins(true));
    }

    #[test]
    fn an_entry_that_waits_is_not_passed() {
        let next = look(&start(), true, &[taken("2", "10:00:00")], Some("05:00:00"));
        assert_eq!((next.begins(true), next.begins(false)), (at("04:00:00"), at("04:59:45")));
        assert!(next.knows("2"));
        assert_eq!(look(&start(), true, &[], Some("05:00:00")), start());
        // Nor is one that a deep look has found late, while quick looks go on without it.
        let late = look(&look(&start(), true, &[taken("1", "10:00:00")], None), true, &[], Some("09:10:00"));
        let quick = look(&late, false, &[taken("2", "11:30:00")], None);
        assert_eq!(quick.begins(true), at("09:00:00"));
        assert_eq!(look(&quick, true, &[], Some("09:10:00")).begins(true), at("09:00:00"));
        assert_eq!(look(&quick, true, &[taken("3", "09:10:00")], None).begins(true), at("10:30:00"));
    }

    #[test]
    fn a_date_from_the_future_hides_nothing() {
        let next = look(&start(), true, &[taken("1", "23:00:00")], None);
        assert_eq!((next.begins(true), next.begins(false)), (at("11:00:00"), at("11:59:45")));
        assert!(next.knows("1"));
        let undated = look(&next, true, &[Taken { key: "2".into(), date: None }], None);
        assert_eq!((undated.begins(true), undated.knows("2")), (at("11:00:00"), true));
    }

    #[test]
    fn the_durable_form_is_bounded_and_reads_back() {
        let seen = (0..SEEN_MAX + 5).map(|n| (format!("{n:06}"), at("10:00:00") + Duration::from_millis(n as u64)));
        let position = Position { from: at("09:00:00"), newest: Some(at("10:00:20")), seen: seen.collect() };
        let cursor = Cursor::from([("UFAAAA".to_string(), position)]);
        let text = serde_json::to_string(&cursor).unwrap();
        assert!(text.len() < SEEN_MAX * 7 + 200, "{}", text.len());
        let back = serde_json::from_str::<Cursor>(&text).unwrap().remove("UFAAAA").unwrap();
        assert_eq!((back.seen.len(), back.knows("000004"), back.knows("000005")), (SEEN_MAX, false, true));
        assert_eq!((back.begins(true), back.begins(false)), (at("09:00:00"), at("10:00:05")));
        assert!(back.seen.values().all(|date| *date == at("10:01:00")));
    }

    #[test]
    fn a_position_of_an_earlier_version_is_read() {
        let text = r#"{"from":"2026-03-02T09:00:00","seen":{"ab12":"2026-03-02T10:00:00"}}"#;
        let old: Position = serde_json::from_str(text).unwrap();
        assert_eq!((old.knows("ab12"), old.begins(true), old.begins(false)), (true, at("09:00:00"), at("09:59:45")));
    }
}
