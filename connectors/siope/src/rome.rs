//! The dates of SIOPE+: `yyyy-MM-dd'T'HH:mm:ss.SSS`, without zone, in Italian time.

use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// An instant as a clock in Rome shows it. The hour that autumn repeats shows twice: whoever compares dates leaves at
/// least that hour of slack.
pub(crate) fn local(at: Timestamp) -> DateTime {
    // The zone data are compiled in; without them UTC is at most two hours early, which only widens what is looked at.
    let zone = TimeZone::get("Europe/Rome").unwrap_or(TimeZone::UTC);
    at.to_zoned(zone).datetime()
}

/// A date in the form of the interface.
pub(crate) fn text(date: DateTime) -> String {
    date.strftime("%Y-%m-%dT%H:%M:%S.%3f").to_string()
}

/// Reads a date of the interface; fractions and a zone behind it are taken as they come.
pub(crate) fn read(text: &str) -> Option<DateTime> {
    match text.parse::<Timestamp>() {
        Ok(instant) => Some(local(instant)),
        Err(_) => text.parse().ok(),
    }
}

/// The date so much earlier, held at the beginning of time.
pub(crate) fn before(date: DateTime, by: Duration) -> DateTime {
    let earlier = SignedDuration::try_from(by).ok().and_then(|by| date.checked_sub(by).ok());
    earlier.unwrap_or(DateTime::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_rome() {
        let summer: Timestamp = "2026-07-01T10:00:00.007Z".parse().unwrap();
        assert_eq!(text(local(summer)), "2026-07-01T12:00:00.007");
        assert_eq!(read("2026-07-01T12:00:00.007"), Some(local(summer)));
        assert_eq!(read("2026-07-01T10:00:00.007Z"), Some(local(summer)));
        assert_eq!(read("2026-07-01T12:00:00").map(text), Some("2026-07-01T12:00:00.000".into()));
        assert_eq!(read("yesterday"), None);
    }

    #[test]
    fn slack_covers_the_hour_that_autumn_repeats() {
        let first: Timestamp = "2026-10-25T00:59:59Z".parse().unwrap();
        let second: Timestamp = "2026-10-25T01:00:00Z".parse().unwrap();
        assert!(local(second) < local(first));
        assert!(before(local(first), Duration::from_secs(3600)) <= local(second));
        assert_eq!(before(DateTime::MIN, Duration::from_secs(1)), DateTime::MIN);
    }
}
