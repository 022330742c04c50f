//! Which blobs a database names. Nothing here knows what a record looks like: whatever 64 hexadecimal digits stand in it is
//! taken for a name, so that no kind of record can be forgotten. Too many names cost a look at the disk each.

use rusqlite::Connection;

use crate::Error;

/// Digits of a name.
const DIGITS: usize = 64;

/// A blob's name.
pub(super) type Name = [u8; 32];

/// Every name in records and keyed state.
pub(super) fn of_database(conn: &Connection) -> Result<Vec<Name>, Error> {
    let failed = |e: rusqlite::Error| Error::Io(format!("the copy of the database cannot be read: {e}"));
    let mut names = std::collections::HashSet::new();
    for query in ["SELECT bytes FROM records", "SELECT value FROM state"] {
        let mut statement = conn.prepare(query).map_err(failed)?;
        let mut rows = statement.query([]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let bytes = row.get_ref(0).map_err(failed)?;
            let bytes = bytes.as_blob().map_err(|e| failed(e.into()))?;
            of_bytes(bytes, &mut |name| {
                let _new = names.insert(name);
            });
        }
    }
    Ok(names.into_iter().collect())
}

/// Every name in some bytes: runs of exactly 64 digits.
pub(super) fn of_bytes(bytes: &[u8], found: &mut dyn FnMut(Name)) {
    let is_digit = |b: &u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    for run in bytes.split(|b| !is_digit(b)).filter(|run| run.len() == DIGITS) {
        let mut name = Name::default();
        if hex::decode_to_slice(run, &mut name).is_ok() {
            found(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(text: &str) -> usize {
        let mut count = 0;
        of_bytes(text.as_bytes(), &mut |_| count += 1);
        count
    }

    #[test]
    fn names_are_runs_of_64_digits() {
        let (name, other) = ("0123456789abcdef".repeat(4), "f".repeat(64));
        assert_eq!(count(&format!(r#"{{"blob":"{name}","more":["xml","{other}"]}}"#)), 2);
        assert_eq!(count(&name), 1);
        assert_eq!(count(&format!("{name}0")), 0, "a hexadecimal body is no name");
        assert_eq!(count(&name.to_uppercase()), 0);
        assert_eq!(count(&name[1..]), 0);
    }
}
