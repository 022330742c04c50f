//! Durations and sizes written as people write them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A duration: `500ms`, `30s`, `5m`, `4h`, `400d`, `10y` (a year has 365 days).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(pub Duration);

/// A size: `512B`, `64kB`, `5MiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytesize(pub u64);

const SPANS: [(&str, u64); 7] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("w", 604_800_000),
    ("y", 31_536_000_000),
];
const SIZES: [(&str, u64); 7] = [
    ("B", 1),
    ("kB", 1_000),
    ("KiB", 1_024),
    ("MB", 1_000_000),
    ("MiB", 1_048_576),
    ("GB", 1_000_000_000),
    ("GiB", 1_073_741_824),
];

fn scaled(text: &str, units: &[(&str, u64)], example: &str) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = units.iter().find(|(name, _)| *name == unit.trim()).map(|(_, factor)| *factor);
    let value = number.parse::<u64>().ok().zip(factor).and_then(|(n, factor)| n.checked_mul(factor));
    let known = || units.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    value.ok_or_else(|| format!("`{text}` is not a number and a unit ({}); write for example `{example}`", known()))
}

impl FromStr for Span {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        scaled(text, &SPANS, "30s").map(|ms| Self(Duration::from_millis(ms)))
    }
}

impl FromStr for Bytesize {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        scaled(text, &SIZES, "5MiB").map(Self)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let (unit, factor) =
            *SPANS.iter().rev().find(|(_, factor)| ms % factor == 0 && ms >= *factor).unwrap_or(&SPANS[0]);
        write!(f, "{}{unit}", ms / factor)
    }
}

impl fmt::Display for Bytesize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}B", self.0)
    }
}

macro_rules! as_text {
    ($type:ty, $name:literal, $pattern:literal, $doc:literal) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                schemars::json_schema!({ "type": "string", "pattern": $pattern, "description": $doc })
            }
        }
    };
}

as_text!(Span, "Duration", "^[0-9]+(ms|s|m|h|d|w|y)$", "A duration such as `30s`, `4h` or `400d`.");
as_text!(Bytesize, "Size", "^[0-9]+(B|kB|KiB|MB|MiB|GB|GiB)$", "A size such as `64kB` or `5MiB`.");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_write_durations_and_sizes() {
        assert_eq!("30s".parse::<Span>().unwrap().0, Duration::from_secs(30));
        assert_eq!("400d".parse::<Span>().unwrap().to_string(), "400d");
        assert_eq!("90s".parse::<Span>().unwrap().to_string(), "90s");
        assert_eq!("5MiB".parse::<Bytesize>().unwrap().0, 5 * 1_048_576);
        assert!("30".parse::<Span>().unwrap_err().contains("30s"));
        assert!("s".parse::<Span>().is_err());
        assert!("99999999999999999999y".parse::<Span>().is_err());
    }
}
