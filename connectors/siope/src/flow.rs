//! Who a flow is: the few fields of our own flow by which SIOPE+ and the bank name it in their answers.

use quick_xml::Reader;
use quick_xml::events::Event;

/// What identifies a flow in every answer, and what its address must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FlowId {
    pub(crate) identificativo_flusso: String,
    pub(crate) esercizio: u16,
    pub(crate) codice_ente: String,
    pub(crate) codice_tramite_ente: String,
}

/// Larger flows are not sent. SIOPE+'s own limit is not public; known clients stop at 200 KiB.
const FLOW_BYTES_MAX: usize = 8 << 20;
/// Nesting that is followed; signatures are the deepest part.
const DEPTH_MAX: usize = 64;

const ID: &str = "flusso_ordinativi/testata_flusso/identificativo_flusso";
const YEAR: &str = "flusso_ordinativi/esercizio";
const ENTE: &str = "flusso_ordinativi/testata_flusso/codice_ente";
const TRAMITE: &str = "flusso_ordinativi/testata_flusso/codice_tramite_ente";

/// Reads the header of a `flusso_ordinativi` in UTF-8. Stops behind it: orders are not looked at.
///
/// # Errors
/// What is wrong with it; it cannot be sent so.
pub(crate) fn read(xml: &[u8]) -> Result<FlowId, String> {
    if xml.len() > FLOW_BYTES_MAX {
        return Err(format!("the flow has {} bytes, at most {FLOW_BYTES_MAX} are sent", xml.len()));
    }
    let text = std::str::from_utf8(xml).map_err(|e| format!("the flow is not UTF-8 (byte {})", e.valid_up_to()))?;
    let mut found = Fields::default();
    walk(text.trim_start_matches('\u{feff}'), &mut found)?;
    found.finish()
}

#[derive(Default)]
struct Fields {
    id: String,
    year: String,
    ente: String,
    tramite: String,
}

impl Fields {
    fn slot(&mut self, path: &str) -> Option<&mut String> {
        match path {
            ID => Some(&mut self.id),
            YEAR => Some(&mut self.year),
            ENTE => Some(&mut self.ente),
            TRAMITE => Some(&mut self.tramite),
            _ => None,
        }
    }

    fn complete(&self) -> bool {
        [&self.id, &self.year, &self.ente, &self.tramite].iter().all(|field| !field.is_empty())
    }

    fn finish(self) -> Result<FlowId, String> {
        let needed = |text: String, path: &str| match text.trim() {
            "" => Err(format!("the flow has no {path}")),
            text => Ok(text.to_string()),
        };
        let year = needed(self.year, YEAR)?;
        Ok(FlowId {
            identificativo_flusso: needed(self.id, ID)?,
            esercizio: year.parse().map_err(|_| format!("{YEAR} of the flow is not a year"))?,
            codice_ente: needed(self.ente, ENTE)?,
            codice_tramite_ente: needed(self.tramite, TRAMITE)?,
        })
    }
}

fn walk(text: &str, found: &mut Fields) -> Result<(), String> {
    let mut reader = Reader::from_str(text);
    let mut path: Vec<String> = Vec::new();
    loop {
        match reader.read_event().map_err(|e| format!("the flow is not XML: {e}"))? {
            Event::Start(tag) => {
                path.push(tag.name().as_ref().to_string());
                if path.len() > DEPTH_MAX {
                    return Err(format!("the flow is nested deeper than {DEPTH_MAX} levels"));
                }
            }
            Event::End(_) => {
                let ended = path.join("/");
                let _ = path.pop();
                // `esercizio` stands behind the header: everything is known, or will not be.
                if ended == YEAR && found.complete() || path.is_empty() {
                    return Ok(());
                }
            }
            Event::Text(part) => {
                if let Some(field) = found.slot(&path.join("/")) {
                    field.push_str(&part);
                }
            }
            Event::GeneralRef(_) | Event::CData(_) if found.slot(&path.join("/")).is_some() => {
                return Err(format!("{} of the flow must be plain text", path.join("/")));
            }
            Event::DocType(_) => return Err("the flow has a DOCTYPE, which is not allowed".into()),
            Event::Eof => return Err("the flow ends too early".into()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "<testata_flusso><identificativo_flusso>F-1</identificativo_flusso><codice_ente>UFAAAA</codice_ente>\
        <descrizione_ente>A &amp; B</descrizione_ente><codice_tramite_ente>A2A-00000001</codice_tramite_ente></testata_flusso>";

    fn flow(inside: &str) -> String {
        format!("<?xml version=\"1.0\"?><flusso_ordinativi>{inside}</flusso_ordinativi>")
    }

    #[test]
    fn a_flow_names_itself_with_its_signature_first_or_last() {
        let expected = FlowId {
            identificativo_flusso: "F-1".into(),
            esercizio: 2026,
            codice_ente: "UFAAAA".into(),
            codice_tramite_ente: "A2A-00000001".into(),
        };
        let signature = "<ds:Signature xmlns:ds=\"x\"><esercizio>1999</esercizio><identificativo_flusso>no</identificativo_flusso></ds:Signature>";
        for inside in [
            format!("{HEADER}<esercizio>2026</esercizio><mandato/>"),
            format!("{signature}{HEADER}<esercizio> 2026 </esercizio><mandato/>"),
        ] {
            assert_eq!(read(flow(&inside).as_bytes()), Ok(expected.clone()));
        }
    }

    #[test]
    fn what_cannot_be_named_is_not_sent() {
        let problem = |text: &str| read(text.as_bytes()).unwrap_err();
        assert!(problem(&flow(HEADER)).contains("no flusso_ordinativi/esercizio"));
        assert!(problem(&flow("<esercizio>2026</esercizio>")).contains("identificativo_flusso"));
        assert!(problem("<!DOCTYPE a [<!ENTITY b 'c'>]><flusso_ordinativi/>").contains("DOCTYPE"));
        assert!(problem("{}").contains("too early"));
        assert!(problem(&flow(&HEADER.replace("F-1", "F&#45;1"))).contains("plain text"));
        assert!(problem(&"<a>".repeat(100)).contains("deeper"));
        assert!(read(&[0xff, 0xfe]).unwrap_err().contains("UTF-8"));
        assert!(read(&vec![b' '; FLOW_BYTES_MAX + 1]).unwrap_err().contains("at most"));
    }
}
