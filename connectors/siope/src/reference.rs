//! The few fields of flows and answers by which one finds the other. Bounded, streaming, no entities, no DTD.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::events::Event;

/// Nesting that is read; OPI messages need eight levels, signatures some more.
const DEPTH_MAX: usize = 64;
/// Characters of a field that is kept; the longest (`identificativo_flusso`) has 70.
const FIELD_CHARS_MAX: usize = 256;
/// Flows that one answer may speak of.
const REFERENCES_MAX: usize = 100_000;

/// What a flow says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flow {
    pub(crate) identificativo: String,
    pub(crate) ente: String,
    pub(crate) tramite: String,
    pub(crate) esercizio: String,
}

/// What an answer says about flows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Name of the root element.
    pub(crate) kind: String,
    pub(crate) ente: Option<String>,
    /// `identificativo_flusso` and `esercizio`, where it stands there.
    pub(crate) flows: Vec<(String, Option<String>)>,
    /// `stato_flusso` of an ACK.
    pub(crate) stato: Option<String>,
    /// Error codes of an ACK or of a refusal.
    pub(crate) codici: Vec<String>,
}

impl Answer {
    /// Whether it speaks of this flow. What it leaves out (it may leave out everything but the id) cannot contradict.
    pub(crate) fn is_about(&self, flow: &Flow) -> bool {
        let same_body = self.ente.as_ref().is_none_or(|ente| *ente == flow.ente);
        let same_flow = |(id, year): &(String, Option<String>)| {
            *id == flow.identificativo && year.as_ref().is_none_or(|year| *year == flow.esercizio)
        };
        same_body && self.flows.iter().any(same_flow)
    }

    /// Whether it only says that the id was used before: then another upload of the same flow is the one that counts.
    pub(crate) fn is_only_a_repetition(&self) -> bool {
        self.stato.as_deref() == Some("KO") && !self.codici.is_empty() && self.codici.iter().all(|code| code == "101")
    }
}

/// Reads the heading of a `flusso_ordinativi`.
pub(crate) fn flow(xml: &[u8]) -> Result<Flow, String> {
    let mut found: [Option<String>; 4] = [None, None, None, None];
    let wanted = [
        "flusso_ordinativi/testata_flusso/identificativo_flusso",
        "flusso_ordinativi/testata_flusso/codice_ente",
        "flusso_ordinativi/testata_flusso/codice_tramite_ente",
        "flusso_ordinativi/esercizio",
    ];
    fields(xml, |path, text| {
        let Some(at) = wanted.iter().position(|wanted| *wanted == path) else { return Ok(()) };
        match found[at].replace(text) {
            None => Ok(()),
            Some(_) => Err(format!("`{path}` stands there twice")),
        }
    })?;
    let mut field = |at: usize| found[at].take().ok_or_else(|| format!("`{}` is missing", wanted[at]));
    Ok(Flow { identificativo: field(0)?, ente: field(1)?, tramite: field(2)?, esercizio: field(3)? })
}

/// Reads what an ACK, an outcome of a flow or outcomes of orders say about flows.
pub(crate) fn answer(xml: &[u8]) -> Result<Answer, String> {
    let mut answer = Answer::default();
    fields(xml, |path, text| {
        let (root, rest) = path.split_once('/').unwrap_or((path, ""));
        if answer.kind.is_empty() {
            answer.kind = root.to_string();
        }
        match rest {
            "testata_messaggio/codice_ente" => answer.ente = Some(text),
            "identificativo_flusso"
            | "esito_mandati/identificativo_flusso"
            | "esito_reversali/identificativo_flusso" => {
                answer.flows.push((text, None));
            }
            "esercizio" | "esito_mandati/esercizio" | "esito_reversali/esercizio" => match answer.flows.last_mut() {
                Some(flow) => flow.1 = Some(text),
                None => return Err(format!("`{path}` stands before its identificativo_flusso")),
            },
            "stato_flusso" => answer.stato = Some(text),
            "errore/codice" => answer.codici.push(text),
            _ => {}
        }
        if answer.flows.len() > REFERENCES_MAX { Err("speaks of too many flows".into()) } else { Ok(()) }
    })?;
    answer.flows.sort();
    answer.flows.dedup();
    Ok(answer)
}

/// Hands over the text of each element that holds text, with its path of local names.
fn fields(xml: &[u8], mut each: impl FnMut(&str, String) -> Result<(), String>) -> Result<(), String> {
    let document = readable(xml);
    let mut reader = Reader::from_str(&document);
    let (mut path, mut lengths, mut text) = (String::new(), Vec::new(), String::new());
    let mut roots = 0usize;
    loop {
        match reader.read_event().map_err(|e| format!("not XML: {e}"))? {
            Event::Start(start) => {
                roots += usize::from(lengths.is_empty());
                lengths.push(path.len());
                if !path.is_empty() {
                    path.push('/');
                }
                path.push_str(start.local_name().as_ref());
                text.clear();
            }
            Event::End(_) => {
                let value = text.trim().to_string();
                if !value.is_empty() {
                    each(&path, value)?;
                }
                path.truncate(lengths.pop().unwrap_or_default());
                text.clear();
            }
            Event::Text(piece) => keep(&mut text, piece.as_ref()),
            Event::CData(piece) => keep(&mut text, piece.as_ref()),
            Event::Empty(_) => roots += usize::from(lengths.is_empty()),
            Event::DocType(_) => return Err("has a DOCTYPE, which is not allowed".into()),
            Event::Eof => break,
            _ => {}
        }
        if lengths.len() > DEPTH_MAX {
            return Err(format!("is nested deeper than {DEPTH_MAX} levels"));
        }
    }
    if roots == 1 && lengths.is_empty() { Ok(()) } else { Err("is not one complete XML document".into()) }
}

/// The fields that are looked for are ASCII: what is not UTF-8 is read byte by byte, as ISO-8859-1 and its relatives are.
fn readable(xml: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(xml) {
        Ok(text) => Cow::Borrowed(text.trim_start_matches('\u{feff}')),
        Err(_) => Cow::Owned(xml.iter().copied().map(char::from).collect()),
    }
}

fn keep(text: &mut String, piece: &str) {
    let room = FIELD_CHARS_MAX.saturating_sub(text.len());
    text.extend(piece.chars().take(room));
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOW: &str = "<?xml version='1.0' encoding='ISO-8859-1'?><flusso_ordinativi><testata_flusso>\
        <identificativo_flusso> F-1 </identificativo_flusso><codice_ente>UFAAAA</codice_ente>\
        <codice_tramite_ente>A2A-11111111</codice_tramite_ente></testata_flusso><esercizio>2026</esercizio>\
        <mandato><esercizio>1999</esercizio></mandato></flusso_ordinativi>";

    fn order(flow: &str) -> String {
        format!(
            "<esito_mandati><identificativo_flusso>{flow}</identificativo_flusso><esercizio>2026</esercizio></esito_mandati>"
        )
    }

    #[test]
    fn a_flow_says_who_it_is() {
        let flow = flow(FLOW.as_bytes()).unwrap();
        let latin1 = FLOW.replace("<mandato>", "<mandato><causale>citt\u{1}</causale>").replace('\u{1}', "\u{7f}");
        let mut latin1 = latin1.into_bytes();
        latin1.iter_mut().filter(|b| **b == 0x7f).for_each(|b| *b = 0xe0);
        assert_eq!(super::flow(&latin1).unwrap(), flow);
        assert_eq!((flow.identificativo.as_str(), flow.esercizio.as_str()), ("F-1", "2026"));
        assert_eq!((flow.ente.as_str(), flow.tramite.as_str()), ("UFAAAA", "A2A-11111111"));
    }

    #[test]
    fn other_documents_are_no_flows() {
        for (xml, reason) in [
            ("<a/>".to_string(), "missing"),
            ("<flusso_ordinativi>".to_string(), "complete"),
            ("junk".to_string(), "complete"),
            (format!("<!DOCTYPE a>{FLOW}").replace("<?xml version='1.0' encoding='ISO-8859-1'?>", ""), "DOCTYPE"),
            (FLOW.replace("<mandato>", "<esercizio>2025</esercizio><mandato>"), "twice"),
            ("<a>".repeat(65), "deeper"),
        ] {
            let error = flow(xml.as_bytes()).unwrap_err();
            assert!(error.contains(reason), "{xml}: {error}");
        }
    }

    #[test]
    fn answers_speak_of_flows() {
        let mine = flow(FLOW.as_bytes()).unwrap();
        let ack = |body: &str| answer(format!("<messaggio_ack_siope>{body}</messaggio_ack_siope>").as_bytes()).unwrap();
        let head = "<testata_messaggio><codice_ente>UFAAAA</codice_ente></testata_messaggio>";
        let id = "<identificativo_flusso>F-1</identificativo_flusso>";
        assert!(ack(&format!("{head}{id}<esercizio>2026</esercizio><stato_flusso>OK</stato_flusso>")).is_about(&mine));
        assert!(ack(id).is_about(&mine));
        assert!(!ack(&format!("{head}{id}<esercizio>2025</esercizio>")).is_about(&mine));
        assert!(!ack(&format!("{}{id}", head.replace("UFAAAA", "UFBBBB"))).is_about(&mine));
        assert!(!ack(head).is_about(&mine));
        let error = |code: &str| format!("<errore><codice>{code}</codice><descrizione>d</descrizione></errore>");
        let ko = format!("{id}<stato_flusso>KO</stato_flusso>{}", error("101"));
        assert!(ack(&ko).is_only_a_repetition());
        assert!(!ack(&format!("{ko}{}", error("106"))).is_only_a_repetition());
    }

    #[test]
    fn outcomes_of_orders_speak_of_several_flows() {
        let mine = flow(FLOW.as_bytes()).unwrap();
        let message = |flows: &[&str]| {
            let orders: String = flows.iter().map(|flow| order(flow)).collect();
            answer(format!("<messaggi_esito_applicativo>{orders}</messaggi_esito_applicativo>").as_bytes()).unwrap()
        };
        assert!(message(&["F-0", "F-1", "F-1"]).is_about(&mine));
        assert_eq!(message(&["F-0", "F-1", "F-1"]).flows.len(), 2);
        assert!(!message(&["F-0", "F-11"]).is_about(&mine));
    }
}
