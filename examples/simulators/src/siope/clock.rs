//! Time: the wall clock, and the zone-less local form in which SIOPE+ writes it.

use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// The wall clock and the zone of Rome.
#[derive(Clone, Debug)]
pub(crate) struct RomeClock {
    zone: TimeZone,
}

impl RomeClock {
    /// A clock, or nothing when the zone data lacks Europe/Rome.
    pub(crate) fn new() -> Option<Self> {
        TimeZone::get("Europe/Rome").ok().map(|zone| Self { zone })
    }

    /// The present instant, cut to the millisecond, which is all that the wire can carry.
    #[expect(clippy::disallowed_methods, reason = "a stand-in of an outside system runs on real time by definition")]
    pub(crate) fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }

    /// Local date and time in Rome.
    pub(crate) fn local(&self, at: Timestamp) -> DateTime {
        at.to_zoned(self.zone.clone()).datetime()
    }

    /// `yyyy-MM-dd'T'HH:mm:ss.SSS`, as in lists and replies.
    pub(crate) fn millis(&self, at: Timestamp) -> String {
        self.local(at).strftime("%Y-%m-%dT%H:%M:%S.%3f").to_string()
    }

    /// `yyyy-MM-dd'T'HH:mm:ss`, as in messages.
    pub(crate) fn seconds(&self, at: Timestamp) -> String {
        self.local(at).strftime("%Y-%m-%dT%H:%M:%S").to_string()
    }

    /// Reads `yyyy-MM-dd'T'HH:mm:ss.SSS` and nothing else.
    pub(crate) fn parse(text: &str) -> Option<DateTime> {
        let shaped = text.len() == 23 && text.as_bytes()[10] == b'T' && text.as_bytes()[19] == b'.';
        shaped.then(|| text.parse().ok()).flatten()
    }
}

/// `at` plus `after`, held at the end of time.
pub(crate) fn later(at: Timestamp, after: Duration) -> Timestamp {
    SignedDuration::try_from(after).ok().and_then(|after| at.checked_add(after).ok()).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rome_is_two_hours_ahead_in_summer_and_one_in_winter() {
        let clock = RomeClock::new().unwrap();
        let summer: Timestamp = "2026-07-01T10:00:00.007Z".parse().unwrap();
        let winter: Timestamp = "2026-12-01T10:00:00Z".parse().unwrap();
        assert_eq!(clock.millis(summer), "2026-07-01T12:00:00.007");
        assert_eq!(clock.millis(winter), "2026-12-01T11:00:00.000");
        assert_eq!(clock.seconds(winter), "2026-12-01T11:00:00");
    }

    #[test]
    fn only_the_official_form_of_a_date_is_read() {
        assert!(RomeClock::parse("2026-07-01T12:00:00.007").is_some());
        for wrong in ["2026-07-01", "2026-07-01T12:00:00", "2026-07-01T12:00:00.007Z", "2026-13-01T12:00:00.007", "è"]
        {
            assert!(RomeClock::parse(wrong).is_none(), "{wrong}");
        }
    }
}
