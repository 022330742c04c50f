//! The lists of SIOPE+: which there are, how they are asked for, what stands in them.

use std::collections::HashSet;

use hub_core::Value;
use jiff::civil::DateTime;
use reqwest::Url;

use crate::connection::{AskError, Connection};
use crate::entities::Entity;
use crate::rome;

/// Pages of one list; more is an error, never silently cut off.
const PAGES_MAX: u64 = 1000;
/// Entries of one list.
const ITEMS_MAX: usize = 200_000;
/// Characters of a number (`progFlusso`); SIOPE+'s own have ten.
const PROG_CHARS_MAX: usize = 40;

/// What is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Ack,
    EsitoFlusso,
    EsitoApplicativo,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Ack, Self::EsitoFlusso, Self::EsitoApplicativo];

    /// Its name in headers, evidence and message ids.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ack => "ack",
            Self::EsitoFlusso => "esito_flusso",
            Self::EsitoApplicativo => "esito_applicativo",
        }
    }

    /// Path of the list. The slash at the end of one of them stands so in the API file.
    fn call(self) -> &'static [&'static str] {
        match self {
            Self::Ack => &["flusso", "ack", ""],
            Self::EsitoFlusso => &["flusso", "esitoflusso"],
            Self::EsitoApplicativo => &["esitoapplicativo"],
        }
    }

    /// Name of the lower bound of the date, as the API file has it.
    fn since(self) -> &'static str {
        match self {
            Self::Ack | Self::EsitoFlusso => "dataProduzioneDa",
            Self::EsitoApplicativo => "dataUploadDa",
        }
    }

    fn document(self, prog: &str) -> Vec<&str> {
        match self {
            Self::Ack => vec!["flusso", prog, "ack"],
            Self::EsitoFlusso => vec!["flusso", prog, "esitoflusso"],
            Self::EsitoApplicativo => vec!["esitoapplicativo", prog],
        }
    }
}

/// One entry of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    /// `progFlusso` or `progEsitoApplicativo`, digits.
    pub(crate) prog: String,
    /// `dataProduzione` or `dataUpload`, if it can be read.
    pub(crate) date: Option<DateTime>,
    /// Where to download it.
    pub(crate) url: Url,
}

impl Item {
    /// What tells it from other entries of the same kind and body. Not the host: SIOPE+ may be reached by several names.
    pub(crate) fn key(&self) -> (&str, &str) {
        (&self.prog, self.url.path())
    }

    /// Oldest first; an entry without date first of all, numbers by their value.
    pub(crate) fn order(&self) -> (Option<DateTime>, usize, String) {
        (self.date, self.prog.len(), self.prog.clone())
    }
}

/// Reads all pages of a list, from a date on, whether downloaded before or not; oldest first.
///
/// # Errors
/// If one page cannot be had or makes no sense: half a list is no list.
pub(crate) async fn list(
    connection: &Connection,
    entity: &Entity,
    kind: Kind,
    from: DateTime,
) -> Result<Vec<Item>, AskError> {
    let (mut items, mut known, mut page) = (Vec::new(), HashSet::new(), 1);
    loop {
        let mut url = connection.url(entity, kind.call());
        let _ =
            url.query_pairs_mut().append_pair(kind.since(), &rome::text(from)).append_pair("pagina", &page.to_string());
        let reply = connection.json(entity, &url).await?;
        let (pages, entries) = read_page(&reply).map_err(|what| wrong(kind, page, &what))?;
        for entry in entries {
            let item = read_item(connection, entity, kind, entry).map_err(|what| wrong(kind, page, &what))?;
            // Entries move between pages while new ones come.
            if known.insert((item.prog.clone(), item.url.path().to_string())) {
                items.push(item);
            }
        }
        if page >= pages {
            break;
        }
        if page >= PAGES_MAX || items.len() > ITEMS_MAX {
            return Err(wrong(kind, page, "the list is longer than can be read, choose a shorter look_back"));
        }
        page += 1;
    }
    items.sort_by_key(Item::order);
    Ok(items)
}

fn wrong(kind: Kind, page: u64, what: &str) -> AskError {
    AskError::broken(format!("list {} page {page}: {what}", kind.name()))
}

/// How many pages there are, and the entries of this one.
fn read_page(page: &Value) -> Result<(u64, &[Value]), String> {
    let pages = whole(&page["numPagine"]).ok_or("`numPagine` is missing or no number")?;
    match &page["risultati"] {
        Value::Array(entries) => Ok((pages, entries)),
        Value::Null if pages == 0 => Ok((0, &[])),
        _ => Err("`risultati` is missing or no array".into()),
    }
}

/// A whole number, written as number or as text: SIOPE+'s clients disagree.
pub(crate) fn whole(value: &Value) -> Option<u64> {
    digits(value).and_then(|text| text.parse().ok())
}

/// The digits of a whole number, written as number or as text.
pub(crate) fn digits(value: &Value) -> Option<String> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_string(),
        _ => return None,
    };
    let plain = !text.is_empty() && text.len() <= PROG_CHARS_MAX && text.bytes().all(|b| b.is_ascii_digit());
    plain.then_some(text)
}

fn read_item(connection: &Connection, entity: &Entity, kind: Kind, entry: &Value) -> Result<Item, String> {
    let names: &[&str] = match kind {
        Kind::EsitoApplicativo => &["progEsitoApplicativo", "progFlusso"],
        _ => &["progFlusso"],
    };
    let prog = names.iter().find_map(|name| digits(&entry[*name]));
    let prog = prog.ok_or_else(|| format!("an entry has no `{}`", names[0]))?;
    let date = ["dataProduzione", "dataUpload"].iter().find_map(|name| rome::read(entry[*name].as_str()?));
    let url = entry["location"].as_str().and_then(|text| connection.location(text));
    let url = url.unwrap_or_else(|| connection.url(entity, &kind.document(&prog)));
    Ok(Item { prog, date, url })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_come_as_numbers_or_text() {
        assert_eq!(digits(&json!(1234567890)), Some("1234567890".into()));
        assert_eq!(digits(&json!("0012")), Some("0012".into()));
        for wrong in [json!(null), json!(""), json!("12a"), json!(1.5), json!(-1), json!("../x"), json!("9".repeat(41))]
        {
            assert_eq!(digits(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_empty_list_is_told_from_an_answer_without_sense() {
        assert_eq!(read_page(&json!({ "numPagine": 0 })).unwrap(), (0, &[][..]));
        assert_eq!(read_page(&json!({ "numPagine": "2", "risultati": [] })).unwrap(), (2, &[][..]));
        for wrong in [json!({}), json!([]), json!({ "numPagine": 1 }), json!({ "risultati": [] })] {
            assert!(read_page(&wrong).is_err(), "{wrong}");
        }
    }
}
