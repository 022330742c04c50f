//! Where the reading of a list stands.

use std::collections::BTreeMap;
use std::time::Duration;

use hub_core::Value;
use jiff::civil::DateTime;
use serde_json::json;

use crate::listing::Item;
use crate::time;

/// Entries remembered for one office; if more come within the overlap, the oldest are read again and recognised by
/// their ids.
const SEEN_MAX: usize = 20_000;

/// Where the reading of one office's list stands. Nobody states an order for these lists, and an entry may appear late, so
/// that each reading begins `overlap` earlier than the newest entry taken, and what was taken is remembered by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// Time of the newest entry that was taken; never past one that was not.
    since: Option<DateTime>,
    /// Number and time, as written, of entries taken at or after the beginning of the next reading.
    seen: BTreeMap<String, String>,
}

impl Place {
    /// From when on the list is read.
    pub(crate) fn from(&self, earliest: DateTime, overlap: Duration) -> DateTime {
        self.since.map_or(earliest, |since| time::before(since, overlap))
    }

    /// Whether an entry is new. The same number with another time is another document.
    pub(crate) fn is_new(&self, item: &Item, from: DateTime) -> bool {
        let old = item.at().is_some_and(|at| at < from);
        !old && self.seen.get(&item.prog) != Some(&item.data)
    }

    /// The place after these entries were taken and these were left.
    pub(crate) fn after(&self, taken: &[Item], left: &[Item], overlap: Duration) -> Self {
        let mut next = self.clone();
        for item in taken {
            let _ = next.seen.insert(item.prog.clone(), item.data.clone());
        }
        let newest = taken.iter().filter_map(Item::at).chain(self.since).max();
        let oldest_left = left.iter().filter_map(Item::at).min();
        next.since = match (newest, oldest_left) {
            (Some(newest), Some(left)) => Some(newest.min(left)),
            (newest, None) => newest,
            // Nothing taken yet: the reading begins where it began.
            (None, Some(_)) => None,
        };
        next.forget(overlap);
        next
    }

    fn forget(&mut self, overlap: Duration) {
        if let Some(since) = self.since {
            let from = time::before(since, overlap);
            self.seen.retain(|_, data| time::read(data).is_none_or(|at| at >= from));
        }
        let excess = self.seen.len().saturating_sub(SEEN_MAX);
        if excess > 0 {
            let mut by_time: Vec<_> = self.seen.iter().map(|(prog, data)| (data.clone(), prog.clone())).collect();
            by_time.sort();
            by_time.into_iter().take(excess).for_each(|(_, prog)| drop(self.seen.remove(&prog)));
        }
    }
}

/// All offices, by name.
pub(crate) type Places = BTreeMap<String, Place>;

/// As it is kept.
pub(crate) fn write(places: &Places) -> Value {
    let place = |place: &Place| json!({ "since": place.since.map(time::text), "seen": place.seen });
    places.iter().map(|(office, at)| (office.clone(), place(at))).collect::<serde_json::Map<_, _>>().into()
}

/// As it was kept.
pub(crate) fn read(cursor: &Value) -> Result<Places, String> {
    if cursor.is_null() {
        return Ok(Places::new());
    }
    let offices = cursor.as_object().ok_or("the cursor is no map of offices")?;
    offices.iter().map(|(office, place)| Ok((office.clone(), read_place(place)?))).collect()
}

fn read_place(value: &Value) -> Result<Place, String> {
    let since = match value.get("since").and_then(Value::as_str) {
        None => None,
        Some(text) => Some(time::read(text).ok_or_else(|| format!("the cursor's `since: {text}` is no time"))?),
    };
    let seen = value.get("seen").and_then(Value::as_object).ok_or("the cursor has no `seen`")?;
    let entry = |(prog, data): (&String, &Value)| Some((prog.clone(), data.as_str()?.to_string()));
    Ok(Place { since, seen: seen.iter().filter_map(entry).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn item(prog: &str, data: &str) -> Item {
        Item { prog: prog.into(), data: format!("2026-03-{data}:00.000"), location: None }
    }

    fn at(data: &str) -> DateTime {
        time::read(&format!("2026-03-{data}:00.000")).unwrap()
    }

    #[test]
    fn reading_begins_a_little_before_the_newest_taken() {
        let start = at("01T00:00");
        let place = Place::default();
        assert_eq!(place.from(start, HOUR), start);
        let place = place.after(&[item("2", "02T10:00"), item("1", "02T08:00")], &[], HOUR);
        let from = place.from(start, HOUR);
        assert_eq!(from, at("02T09:00"));
        assert!(!place.is_new(&item("2", "02T10:00"), from), "taken");
        assert!(!place.is_new(&item("1", "02T08:00"), from), "taken long ago, and forgotten");
        assert!(place.is_new(&item("3", "02T09:30"), from), "appeared late");
        assert!(place.is_new(&item("2", "02T10:01"), from), "same number, another document");
    }

    #[test]
    fn it_never_goes_past_what_was_left() {
        let place = Place::default().after(&[item("2", "02T10:00")], &[item("1", "02T06:00")], HOUR);
        let from = place.from(at("01T00:00"), HOUR);
        assert_eq!(from, at("02T05:00"));
        assert!(place.is_new(&item("1", "02T06:00"), from) && !place.is_new(&item("2", "02T10:00"), from));
        assert_eq!(Place::default().after(&[], &[item("1", "02T06:00")], HOUR), Place::default());
    }

    #[test]
    fn a_place_is_kept_as_json() {
        let place = Place::default().after(&[item("2", "02T10:00")], &[], HOUR);
        let places = Places::from([("A2A-1/UFAAAA".to_string(), place)]);
        assert_eq!(read(&write(&places)).unwrap(), places);
        assert!(read(&json!({ "a": { "since": "x", "seen": {} } })).is_err());
        assert!(read(&json!([])).is_err());
    }
}
