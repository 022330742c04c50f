//! The three lists that are read here, and one page of any of them.

use hub_core::{Value, read_json};
use jiff::civil::DateTime;

use crate::time;

/// The largest page that is read.
pub(crate) const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A kind of answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// SIOPE+'s own answer to a flow.
    Ack,
    /// The bank took or refused a flow.
    EsitoFlusso,
    /// What became of single orders.
    EsitoApplicativo,
}

impl Kind {
    /// Path of the list, below the office.
    pub(crate) fn list(self) -> &'static str {
        match self {
            Self::Ack => "flusso/ack/",
            Self::EsitoFlusso => "flusso/esitoflusso",
            Self::EsitoApplicativo => "esitoapplicativo",
        }
    }

    /// Path of one document, below the office.
    pub(crate) fn document(self, prog: &str) -> String {
        match self {
            Self::Ack => format!("flusso/{prog}/ack"),
            Self::EsitoFlusso => format!("flusso/{prog}/esitoflusso"),
            Self::EsitoApplicativo => format!("esitoapplicativo/{prog}"),
        }
    }

    /// The query parameter of the earliest time.
    pub(crate) fn since(self) -> &'static str {
        match self {
            Self::Ack | Self::EsitoFlusso => "dataProduzioneDa",
            Self::EsitoApplicativo => "dataUploadDa",
        }
    }

    /// The name in ids, headers and logs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ack => "ack",
            Self::EsitoFlusso => "esito_flusso",
            Self::EsitoApplicativo => "esito_applicativo",
        }
    }
}

/// One entry of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    /// `progFlusso` or `progEsitoApplicativo`.
    pub(crate) prog: String,
    /// `dataProduzione` or `dataUpload`, as written; empty if there is none.
    pub(crate) data: String,
    /// Where the document is.
    pub(crate) location: Option<String>,
}

impl Item {
    /// When it came to be.
    pub(crate) fn at(&self) -> Option<DateTime> {
        time::read(&self.data)
    }
}

/// One page of a list.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) pages_total: u64,
    pub(crate) items: Vec<Item>,
    /// Entries that name no document.
    pub(crate) unreadable: usize,
}

/// Reads a page. What is no list is an error, never an empty list.
pub(crate) fn page(json: &[u8]) -> Result<Page, String> {
    let value = read_json(json, PAGE_BYTES_MAX)?;
    let number = |name: &str| value.get(name).and_then(text_of).and_then(|text| text.parse::<u64>().ok());
    let rows = match value.get("risultati") {
        Some(Value::Array(rows)) => rows.as_slice(),
        Some(Value::Null) | None if number("numRisultati") == Some(0) => &[],
        _ => return Err("the answer is no list: it has no `risultati`".into()),
    };
    let pages_total = number("numPagine").ok_or("the answer is no list: it has no `numPagine`")?;
    let items: Vec<_> = rows.iter().filter_map(item).collect();
    let unreadable = rows.len() - items.len();
    Ok(Page { pages_total, items, unreadable })
}

fn item(row: &Value) -> Option<Item> {
    let first = |names: [&str; 2]| names.iter().find_map(|name| row.get(name).and_then(text_of));
    let prog = first(["progFlusso", "progEsitoApplicativo"])?;
    let data = first(["dataProduzione", "dataUpload"]).unwrap_or_default();
    is_prog(&prog).then(|| Item { prog, data, location: row.get("location").and_then(text_of) })
}

/// Whether a text may stand in a path: a number as SIOPE+ gives them.
pub(crate) fn is_prog(text: &str) -> bool {
    !text.is_empty() && text.len() <= 40 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// Numbers and strings alike: the API file says string, known clients read numbers.
pub(crate) fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_with_numbers_and_strings_alike() {
        let json = br#"{"numRisultati":3,"numPagine":"2","risultatiPerPagina":100,"pagina":1,"risultati":[
            {"progFlusso":12,"dataProduzione":"2026-03-02T10:00:00.000","download":false,"location":"/v1/x"},
            {"progEsitoApplicativo":"0013","dataUpload":"2026-03-02T10:00:01.000"},
            {"download":true}, {"progFlusso":"../../etc"}]}"#;
        let page = page(json).unwrap();
        assert_eq!((page.pages_total, page.unreadable), (2, 2));
        assert_eq!(page.items.iter().map(|item| item.prog.as_str()).collect::<Vec<_>>(), ["12", "0013"]);
        assert!(page.items[0].at() < page.items[1].at());
    }

    #[test]
    fn what_is_no_list_is_an_error() {
        for json in ["{}", "[]", "null", "<html/>", r#"{"numPagine":1}"#, r#"{"risultati":[]}"#, r#"{"risultati":{}}"#]
        {
            assert!(page(json.as_bytes()).is_err(), "{json}");
        }
        assert_eq!(page(br#"{"numRisultati":0,"numPagine":0,"risultati":null}"#).unwrap(), Page::default());
    }
}
