//! Pages of lists: newest first, going on behind the last row that was seen, so that new rows neither repeat nor hide any.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Error;

/// The largest page.
pub const PAGE_MAX: usize = 200;

/// Size of a page when none is asked for.
const PAGE_USUAL: usize = 50;

/// Longest cursor that is looked at.
const CURSOR_BYTES_MAX: usize = 2_000;

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Hand it back as `cursor` for the next page; `null`: this is the last.
    pub next: Option<String>,
}

/// Which page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageRequest {
    /// [`Page::next`] of the page before.
    pub cursor: Option<String>,
    /// How many rows; more than [`PAGE_MAX`] is an error, `None` a usual number.
    pub limit: Option<usize>,
}

impl PageRequest {
    pub(crate) fn rows(&self) -> Result<usize, Error> {
        match self.limit {
            None => Ok(PAGE_USUAL),
            Some(rows) if (1..=PAGE_MAX).contains(&rows) => Ok(rows),
            Some(rows) => Err(Error::BadFilter(format!("limit is {rows}; write a number from 1 to {PAGE_MAX}"))),
        }
    }

    /// The last row of the page before.
    pub(crate) fn behind(&self) -> Result<Option<Key>, Error> {
        self.cursor.as_deref().map(|text| Key::read(text).ok_or(Error::BadCursor)).transpose()
    }
}

/// What orders a list: a time, then an id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) at: i64,
    pub(crate) id: String,
}

impl Key {
    fn write(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}:{}", self.at, self.id))
    }

    fn read(text: &str) -> Option<Self> {
        let short = (text.len() <= CURSOR_BYTES_MAX).then_some(text)?;
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(short).ok()?).ok()?;
        let (at, id) = text.split_once(':')?;
        Some(Self { at: at.parse().ok()?, id: id.to_string() })
    }
}

/// Makes a page of rows that were read with one more than asked for.
pub(crate) fn page<T>(mut rows: Vec<T>, limit: usize, key: impl Fn(&T) -> Key) -> Page<T> {
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = if more { rows.last().map(|row| key(row).write()) } else { None };
    Page { items: rows, next }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_was() {
        let key = Key { at: -5, id: "UF:A/2026/1 è".into() };
        assert_eq!(Key::read(&key.write()), Some(key));
        assert_eq!(Key::read("!!"), None);
        assert_eq!(Key::read(&"A".repeat(3_000)), None);
    }

    #[test]
    fn a_page_beyond_the_limit_is_refused() {
        for rows in [0, 201] {
            let request = PageRequest { cursor: None, limit: Some(rows) };
            assert!(matches!(request.rows(), Err(Error::BadFilter(_))));
        }
    }
}
