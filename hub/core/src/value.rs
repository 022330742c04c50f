//! Values that expressions see: JSON whose numbers keep their text.

use rust_decimal::Decimal;
use sha2::{Digest, Sha256};

/// A JSON value. Numbers keep the text they were written in, so that money is never a binary float.
pub type Value = serde_json::Value;

/// Nesting that [`read_json`] accepts.
const DEPTH_MAX: usize = 64;

/// Reads JSON text within limits: UTF-8, at most `bytes_max` bytes, at most 64 levels deep, no duplicate key.
///
/// # Errors
/// A text that says what is wrong and where (line and column).
pub fn read_json(bytes: &[u8], bytes_max: usize) -> Result<Value, String> {
    if bytes.len() > bytes_max {
        return Err(format!("body has {} bytes, at most {bytes_max} are allowed", bytes.len()));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|e| format!("body is not UTF-8: byte {} cannot be read", e.valid_up_to()))?;
    check_shape(text)?;
    serde_json::from_str(text).map_err(|e| format!("body is not JSON: {e}"))
}

/// One linear pass before parsing: depth. (Duplicate keys are found while parsing, see [`strict`].)
fn check_shape(text: &str) -> Result<(), String> {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for byte in text.bytes() {
        match (in_string, escaped, byte) {
            (true, true, _) => escaped = false,
            (true, false, b'\\') => escaped = true,
            (_, _, b'"') => in_string = !in_string,
            (false, _, b'[' | b'{') => depth += 1,
            (false, _, b']' | b'}') => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return Err(format!("body is nested deeper than {DEPTH_MAX} levels"));
        }
    }
    strict::no_duplicate_keys(text)
}

/// Refuses a key that stands twice in one object: two readers would see two different orders.
mod strict {
    use std::collections::HashSet;
    use std::fmt;

    use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

    pub(super) fn no_duplicate_keys(text: &str) -> Result<(), String> {
        let mut de = serde_json::Deserializer::from_str(text);
        Walk.deserialize(&mut de).and_then(|()| de.end()).map_err(|e| format!("body is not JSON: {e}"))
    }

    struct Walk;

    impl<'de> DeserializeSeed<'de> for Walk {
        type Value = ();
        fn deserialize<D: Deserializer<'de>>(self, de: D) -> Result<(), D::Error> {
            de.deserialize_any(self)
        }
    }

    impl<'de> Visitor<'de> for Walk {
        type Value = ();
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON value")
        }
        fn visit_unit<E>(self) -> Result<(), E> {
            Ok(())
        }
        fn visit_bool<E>(self, _: bool) -> Result<(), E> {
            Ok(())
        }
        fn visit_i64<E>(self, _: i64) -> Result<(), E> {
            Ok(())
        }
        fn visit_u64<E>(self, _: u64) -> Result<(), E> {
            Ok(())
        }
        fn visit_f64<E>(self, _: f64) -> Result<(), E> {
            Ok(())
        }
        fn visit_str<E>(self, _: &str) -> Result<(), E> {
            Ok(())
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
            while seq.next_element_seed(Walk)?.is_some() {}
            Ok(())
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
            let mut seen = HashSet::new();
            while let Some(key) = map.next_key::<String>()? {
                if seen.contains(&key) {
                    return Err(serde::de::Error::custom(format!("duplicate key `{key}`")));
                }
                let _ = seen.insert(key);
                map.next_value_seed(Walk)?;
            }
            Ok(())
        }
    }
}

/// The exact decimal that a value stands for: a JSON number in plain notation, or a string that holds one.
///
/// Exponents are refused: `1e3` is not how money is written, and two readers may disagree about its digits.
#[must_use]
pub fn decimal_of(value: &Value) -> Option<Decimal> {
    let text = match value {
        Value::Number(n) => n.to_string(),
        Value::String(s) => s.clone(),
        _ => return None,
    };
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b'-');
    plain.then(|| Decimal::from_str_exact(&text).ok()).flatten()
}

/// SHA-256 in hexadecimal.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_text() {
        let value = read_json(br#"{"importo": 1234567890123.10}"#, 100).unwrap();
        assert_eq!(value.to_string(), r#"{"importo":1234567890123.10}"#);
        assert_eq!(decimal_of(&value["importo"]).unwrap().to_string(), "1234567890123.10");
    }

    #[test]
    fn exponents_are_not_money() {
        assert_eq!(decimal_of(&serde_json::from_str("1e3").unwrap()), None);
        assert_eq!(decimal_of(&Value::String("12,5".into())), None);
    }

    #[test]
    fn bad_json_is_refused_with_its_place() {
        assert!(read_json(b"{\"a\":1,\"a\":2}", 100).unwrap_err().contains("duplicate key `a`"));
        assert!(read_json(b"{\"a\":", 100).unwrap_err().contains("line 1"));
        assert!(read_json(&[b'"', 0xff, b'"'], 100).unwrap_err().contains("UTF-8"));
        assert!(read_json("[".repeat(100).as_bytes(), 1000).unwrap_err().contains("deeper"));
        assert!(read_json(b"[1,2,3]", 3).unwrap_err().contains("at most 3"));
    }
}
