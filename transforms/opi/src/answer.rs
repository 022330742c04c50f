//! What SIOPE+ (ACK) and the treasurer bank (receipt, refusal, outcomes of orders) answer.

pub(crate) mod json;
mod tree;

use hub_core::Problem;
use jiff::civil::{Date, DateTime};
use rust_decimal::Decimal;
use transform_xml::{Encodings, Limits};

use crate::codes::is_digits;
use crate::order::fields::read_date;
use crate::words::{Tipo, Word};
use tree::Node;

/// Size that an answer may have. Banks gather the outcomes of many orders in one message.
pub const ANSWER_BYTES_MAX: usize = 5 << 20;
/// Nesting that an answer may have; the deepest of ours has 5, signatures some more.
const DEPTH_MAX: usize = 64;

/// The four answers, told apart by their root element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TipoRisposta {
    /// `messaggio_ack_siope`: SIOPE+ has checked the flow.
    Ack,
    /// `messaggio_ricezione_flusso`: the bank has taken it.
    Ricezione,
    /// `messaggio_rifiuto_flusso`: the bank refuses it.
    Rifiuto,
    /// `messaggi_esito_applicativo`: what became of single orders.
    EsitoApplicativo,
}

/// An answer. Which fields it has depends on its kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Risposta {
    /// Its kind.
    pub tipo: TipoRisposta,
    /// IPA office code of the body.
    pub ente: String,
    /// Budget year of the flow; an ACK may lack it, outcomes carry their own.
    pub esercizio: Option<u16>,
    /// The flow; an ACK may lack it, outcomes carry their own.
    pub identificativo_flusso: Option<String>,
    /// The bank's name for the flow or message.
    pub identificativo_flusso_bt: Option<String>,
    /// `OK`, `WARNING` or `KO`: ACK only. WARNING counts as accepted.
    pub stato_flusso: Option<String>,
    /// Why not.
    pub errori: Vec<Errore>,
    /// What was noticed, though accepted.
    pub avvisi: Vec<Errore>,
    /// Outcomes of orders.
    pub esiti: Vec<Esito>,
}

/// An error or warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errore {
    /// Its code: an open list.
    pub codice: Option<u64>,
    /// Its words.
    pub descrizione: String,
    /// The element it means, perhaps an XPath.
    pub elemento: Option<String>,
    /// The part of the order it means.
    pub progressivo: Option<u64>,
}

/// What became of an order, or of one of its parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Esito {
    /// Payment or collection.
    pub tipo: Tipo,
    /// The flow that held it.
    pub identificativo_flusso: String,
    /// Its budget year.
    pub esercizio: u16,
    /// Its number.
    pub numero: u64,
    /// Its part; `None`: the whole order.
    pub progressivo: Option<u64>,
    /// Its date.
    pub data: Option<Date>,
    /// Euro.
    pub importo: Option<Decimal>,
    /// `PAGATO`, `ACQUISITO`, `NON ACQUISITO` and so on: an open list, so that a new word parks no message.
    pub esito: String,
    /// When, as the bank wrote it: usually Italian time without zone.
    pub data_ora: String,
    /// Why not.
    pub errori: Vec<Errore>,
}

impl TipoRisposta {
    /// The word for it: `ack`, `ricezione`, `rifiuto`, `esito_applicativo`.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Ack => "ack",
            Self::Ricezione => "ricezione",
            Self::Rifiuto => "rifiuto",
            Self::EsitoApplicativo => "esito_applicativo",
        }
    }

    fn of_root(name: &str) -> Option<Self> {
        match name {
            "messaggio_ack_siope" => Some(Self::Ack),
            "messaggio_ricezione_flusso" => Some(Self::Ricezione),
            "messaggio_rifiuto_flusso" => Some(Self::Rifiuto),
            "messaggi_esito_applicativo" => Some(Self::EsitoApplicativo),
            _ => None,
        }
    }
}

/// Reads an answer: at most [`ANSWER_BYTES_MAX`] bytes, UTF-8, ISO-8859-1 or UTF-16, no DOCTYPE. Elements that are not
/// known are passed over, in any namespace; signatures are not judged here.
///
/// # Errors
/// `xml.*` if it is not XML within limits; `opi.risposta` with the element's path if something needed is missing, doubled or
/// malformed, or the root is none of the four.
pub fn read_answer(xml: &[u8]) -> Result<Risposta, Vec<Problem>> {
    let limits =
        Limits { bytes_max: ANSWER_BYTES_MAX, depth_max: DEPTH_MAX, encodings: Encodings::Legacy, ..Limits::default() };
    let text = transform_xml::read(xml, &limits).map_err(|problem| vec![problem])?;
    let root = tree::parse(&text).map_err(|problem| vec![problem])?;
    interpret(&root).map_err(|problem| vec![problem])
}

fn interpret(root: &Node) -> Result<Risposta, Problem> {
    let tipo = TipoRisposta::of_root(&root.name).ok_or_else(|| {
        root.problem("is not an answer of SIOPE+ or of a bank: expected messaggio_ack_siope, messaggio_ricezione_flusso, messaggio_rifiuto_flusso or messaggi_esito_applicativo")
    })?;
    let flow_required = matches!(tipo, TipoRisposta::Ricezione | TipoRisposta::Rifiuto);
    let answer = Risposta {
        tipo,
        ente: root.child("testata_messaggio")?.text("codice_ente")?.to_string(),
        esercizio: number(root, "esercizio", flow_required)?.map(|year| narrow(root, "esercizio", year)).transpose()?,
        identificativo_flusso: text(root, "identificativo_flusso", flow_required)?,
        identificativo_flusso_bt: text(root, "identificativo_flusso_BT", tipo != TipoRisposta::Ack)?,
        stato_flusso: if tipo == TipoRisposta::Ack { Some(state(root)?) } else { None },
        errori: faults(root, "errore", "codice", "")?,
        avvisi: faults(root, "warning", "codice", "")?,
        esiti: if tipo == TipoRisposta::EsitoApplicativo { outcomes(root)? } else { Vec::new() },
    };
    if tipo == TipoRisposta::EsitoApplicativo && answer.esiti.is_empty() {
        return Err(root.problem("has neither esito_mandati nor esito_reversali"));
    }
    Ok(answer)
}

fn state(root: &Node) -> Result<String, Problem> {
    match root.text("stato_flusso")? {
        state @ ("OK" | "KO" | "WARNING") => Ok(state.to_string()),
        _ => Err(root.problem_at("stato_flusso", "is neither OK nor KO nor WARNING")),
    }
}

fn text(node: &Node, name: &str, required: bool) -> Result<Option<String>, Problem> {
    if required { node.text(name).map(|t| Some(t.to_string())) } else { Ok(node.opt_text(name)?.map(str::to_string)) }
}

fn number(node: &Node, name: &str, required: bool) -> Result<Option<u64>, Problem> {
    let Some(text) = text(node, name, required)? else { return Ok(None) };
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let parsed = digits.then(|| text.parse().ok()).flatten();
    parsed.map(Some).ok_or_else(|| node.problem_at(name, "is not a whole number"))
}

fn needed_number(node: &Node, name: &str) -> Result<u64, Problem> {
    number(node, name, true)?.ok_or_else(|| node.problem_at(name, "is missing"))
}

fn narrow(node: &Node, name: &str, year: u64) -> Result<u16, Problem> {
    let known = u16::try_from(year).ok().filter(|year| (1999..=2099).contains(year));
    known.ok_or_else(|| node.problem_at(name, "is not a year from 1999 to 2099"))
}

fn faults(node: &Node, name: &str, code: &str, part: &str) -> Result<Vec<Errore>, Problem> {
    node.children(name).map(|fault| one_fault(fault, code, part)).collect()
}

fn one_fault(node: &Node, code: &str, part: &str) -> Result<Errore, Problem> {
    Ok(Errore {
        codice: number(node, code, false)?,
        descrizione: node.opt_text("descrizione")?.unwrap_or_default().to_string(),
        elemento: text(node, "elemento", false)?,
        progressivo: if part.is_empty() { None } else { number(node, part, false)? },
    })
}

fn outcomes(root: &Node) -> Result<Vec<Esito>, Problem> {
    let each = root.all().filter_map(|node| match node.name.as_str() {
        "esito_mandati" => Some(outcome(node, Tipo::Mandato, "progressivo_beneficiario")),
        "esito_reversali" => Some(outcome(node, Tipo::Reversale, "progressivo_versante")),
        _ => None,
    });
    each.collect()
}

fn outcome(node: &Node, tipo: Tipo, part: &str) -> Result<Esito, Problem> {
    let kind = tipo.text();
    Ok(Esito {
        tipo,
        identificativo_flusso: node.text("identificativo_flusso")?.to_string(),
        esercizio: narrow(node, "esercizio", needed_number(node, "esercizio")?)?,
        numero: needed_number(node, &format!("numero_{kind}"))?,
        progressivo: number(node, part, false)?,
        data: date(node, &format!("data_{kind}"))?,
        importo: amount(node)?,
        esito: node.text("esito_operazione")?.to_string(),
        data_ora: time(node)?,
        errori: faults(node, "lista_errori", "codice_errore", part)?,
    })
}

/// A date; the schema's type also takes a zone behind it, which says nothing about the day.
fn date(node: &Node, name: &str) -> Result<Option<Date>, Problem> {
    let Some(text) = node.opt_text(name)? else { return Ok(None) };
    let day = text.get(..10).and_then(read_date);
    day.map(Some).ok_or_else(|| node.problem_at(name, "is not a date as 2026-11-30"))
}

fn amount(node: &Node) -> Result<Option<Decimal>, Problem> {
    let Some(text) = node.opt_text("importo")? else { return Ok(None) };
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let amount = plain.then(|| Decimal::from_str_exact(text).ok()).flatten().filter(|amount| amount.scale() <= 2);
    amount.map(Some).ok_or_else(|| node.problem_at("importo", "is not an amount with at most two decimals"))
}

/// Kept as written, once it is known to be a time: with seconds, perhaps a fraction, perhaps `Z` or an offset.
fn time(node: &Node) -> Result<String, Problem> {
    let text = node.text("data_ora_esito_operazione")?;
    if is_time(text) {
        return Ok(text.to_string());
    }
    Err(node.problem_at("data_ora_esito_operazione", "is not a time as 2026-11-30T10:00:00"))
}

fn is_time(text: &str) -> bool {
    let Some((day, rest)) = text.split_once('T') else { return false };
    let end = rest.find(['Z', '+', '-']).unwrap_or(rest.len());
    let (clock, zone) = rest.split_at(end);
    // jiff would also take `11` and `1100` for a time of day.
    let clock_good = clock.len() >= 8 && format!("{day}T{clock}").parse::<DateTime>().is_ok();
    clock_good && read_date(day).is_some() && (matches!(zone, "" | "Z") || is_offset(zone))
}

/// `+01:00`: at most 14 hours, as the schema's type has it.
fn is_offset(zone: &str) -> bool {
    let two = |digits: Option<&str>| digits.filter(|d| is_digits(d, 2..=2)).and_then(|d| d.parse::<u8>().ok());
    let colon = zone.len() == 6 && zone.as_bytes()[3] == b':';
    colon && two(zone.get(1..3)).is_some_and(|h| h <= 14) && two(zone.get(4..6)).is_some_and(|m| m < 60)
}
