//! SIOPE+'s times: local time of Rome without a zone, milliseconds.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const FORMAT: &str = "%Y-%m-%dT%H:%M:%S%.3f";

/// An instant on the clocks of Rome. Where the clocks are unknown (no zone data), UTC, which is earlier and therefore
/// only widens a search.
pub(crate) fn local(instant: Timestamp) -> DateTime {
    let zone = TimeZone::get("Europe/Rome").unwrap_or(TimeZone::UTC);
    zone.to_datetime(instant)
}

/// As SIOPE+ writes it.
pub(crate) fn text(local: DateTime) -> String {
    local.strftime(FORMAT).to_string()
}

/// Reads what SIOPE+ writes; a zone, if one stands there, is ignored.
pub(crate) fn read(text: &str) -> Option<DateTime> {
    text.parse().ok()
}

/// Earlier by so much.
pub(crate) fn before(local: DateTime, by: Duration) -> DateTime {
    local.checked_sub(by).unwrap_or(DateTime::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_rome() {
        let winter = local("2026-01-15T09:00:00.5Z".parse().unwrap());
        let summer = local("2026-07-15T09:00:00Z".parse().unwrap());
        assert_eq!((text(winter), text(summer)), ("2026-01-15T10:00:00.500".into(), "2026-07-15T11:00:00.000".into()));
        assert_eq!(read("2026-01-15T10:00:00.5"), Some(winter));
        assert_eq!(read("yesterday"), None);
        assert_eq!(text(before(winter, Duration::from_secs(3600))), "2026-01-15T09:00:00.500");
    }
}
