//! A flow of orders, as far as SIOPE+ and the bank look into it.

use std::str::FromStr;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::document::Element;

const SIGNATURE: &str = "{http://www.w3.org/2000/09/xmldsig#}Signature";

/// One uploaded flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Flow {
    pub(crate) header: Header,
    pub(crate) identificativo: String,
    pub(crate) esercizio: String,
    pub(crate) ordini: Vec<Ordine>,
}

/// What every answer repeats of the flow's `testata`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Header {
    pub(crate) abi: String,
    pub(crate) ente: String,
    pub(crate) descrizione: String,
    pub(crate) istat: String,
    pub(crate) codice_fiscale: String,
    pub(crate) tramite_ente: String,
    pub(crate) tramite_bt: String,
    pub(crate) ente_bt: String,
}

/// A payment order or a collection order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Tipo {
    Mandato,
    Reversale,
}

/// What a flow does to an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Operazione {
    Inserimento,
    Variazione,
    Annullo,
    Sostituzione,
}

impl Operazione {
    /// Whether the order comes into being with this operation.
    pub(crate) fn inserts(self) -> bool {
        matches!(self, Self::Inserimento | Self::Sostituzione)
    }
}

/// One order of a flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ordine {
    pub(crate) tipo: Tipo,
    pub(crate) operazione: Operazione,
    pub(crate) numero: u64,
    pub(crate) data: String,
    #[serde(with = "rust_decimal::serde::str")]
    pub(crate) importo: Decimal,
    pub(crate) parti: Vec<Parte>,
}

/// One beneficiary or payer of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Parte {
    pub(crate) progressivo: u64,
    #[serde(with = "rust_decimal::serde::str")]
    pub(crate) importo: Decimal,
    pub(crate) classificazioni: Vec<Classificazione>,
}

/// One SIOPE line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Classificazione {
    pub(crate) codice: String,
    #[serde(with = "rust_decimal::serde::str")]
    pub(crate) importo: Decimal,
}

impl Tipo {
    /// The word of the element names: `mandato`, `reversale`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Mandato => "mandato",
            Self::Reversale => "reversale",
        }
    }

    /// The word for one part of it: `beneficiario`, `versante`.
    pub(crate) fn part(self) -> &'static str {
        match self {
            Self::Mandato => "beneficiario",
            Self::Reversale => "versante",
        }
    }

    fn code(self) -> &'static str {
        match self {
            Self::Mandato => "codice_cgu",
            Self::Reversale => "codice_cge",
        }
    }
}

/// Reads a flow; the error names the element that is missing or wrong.
pub(crate) fn read(root: &Element) -> Result<Flow, String> {
    if root.name != "flusso_ordinativi" {
        return Err(format!("the root element is {:?}, flusso_ordinativi is expected", root.name));
    }
    require_signature(root)?;
    let testata = root.child("testata_flusso").ok_or("testata_flusso is missing")?;
    let ordini = root.children.iter().filter_map(order).collect::<Result<Vec<_>, _>>()?;
    if ordini.is_empty() {
        return Err("the flow holds no order".to_owned());
    }
    let esercizio = digits(root, "esercizio", 4)?;
    Ok(Flow {
        header: header(testata)?,
        identificativo: text(testata, "identificativo_flusso", 70)?,
        esercizio: esercizio.to_string(),
        ordini,
    })
}

/// Signatures stand first or last below the root, never at both ends, and there is at least one.
fn require_signature(root: &Element) -> Result<(), String> {
    let is = |e: &&Element| e.name == SIGNATURE;
    let leading = root.children.iter().take_while(is).count();
    let trailing = root.children.iter().rev().take_while(is).count();
    let all = root.children.iter().filter(is).count();
    match (all, leading == all, trailing == all) {
        (0, ..) => Err("the flow is not signed".to_owned()),
        (_, true, _) | (_, _, true) => Ok(()),
        _ => Err("ds:Signature stands neither first nor last in flusso_ordinativi".to_owned()),
    }
}

fn header(testata: &Element) -> Result<Header, String> {
    Ok(Header {
        abi: text(testata, "codice_ABI_BT", 5)?,
        ente: text(testata, "codice_ente", 6)?,
        descrizione: text(testata, "descrizione_ente", 500)?,
        istat: text(testata, "codice_istat_ente", 15)?,
        codice_fiscale: text(testata, "codice_fiscale_ente", 16)?,
        tramite_ente: text(testata, "codice_tramite_ente", 12)?,
        tramite_bt: text(testata, "codice_tramite_BT", 12)?,
        ente_bt: text(testata, "codice_ente_BT", 100)?,
    })
}

fn order(element: &Element) -> Option<Result<Ordine, String>> {
    match element.name.as_str() {
        "mandato" => Some(read_order(element, Tipo::Mandato)),
        "reversale" => Some(read_order(element, Tipo::Reversale)),
        _ => None,
    }
}

fn read_order(element: &Element, tipo: Tipo) -> Result<Ordine, String> {
    let word = tipo.word();
    let numero = digits(element, &format!("numero_{word}"), 7)?;
    let parts = format!("informazioni_{}", tipo.part());
    let order = || -> Result<Ordine, String> {
        Ok(Ordine {
            tipo,
            operazione: operation(element.value("tipo_operazione").unwrap_or_default())?,
            numero,
            data: text(element, &format!("data_{word}"), 16)?,
            importo: amount(element, &format!("importo_{word}"))?,
            parti: element.all(&parts).map(|p| read_part(p, tipo)).collect::<Result<_, _>>()?,
        })
    };
    order().map_err(|e| format!("{word} {numero}: {e}"))
}

fn operation(word: &str) -> Result<Operazione, String> {
    match word {
        "INSERIMENTO" => Ok(Operazione::Inserimento),
        "VARIAZIONE" => Ok(Operazione::Variazione),
        "ANNULLO" => Ok(Operazione::Annullo),
        "SOSTITUZIONE" => Ok(Operazione::Sostituzione),
        other => Err(format!("tipo_operazione {other:?} is not known")),
    }
}

fn read_part(element: &Element, tipo: Tipo) -> Result<Parte, String> {
    let word = tipo.part();
    Ok(Parte {
        progressivo: digits(element, &format!("progressivo_{word}"), 7)?,
        importo: amount(element, &format!("importo_{word}"))?,
        classificazioni: element.all("classificazione").map(|c| read_line(c, tipo)).collect::<Result<_, _>>()?,
    })
}

fn read_line(element: &Element, tipo: Tipo) -> Result<Classificazione, String> {
    Ok(Classificazione { codice: text(element, tipo.code(), 10)?, importo: amount(element, "importo")? })
}

fn text(parent: &Element, name: &str, chars_max: usize) -> Result<String, String> {
    let value = parent.value(name).filter(|v| !v.is_empty()).ok_or_else(|| format!("{name} is missing"))?;
    if value.chars().count() > chars_max {
        return Err(format!("{name} is longer than {chars_max} characters"));
    }
    Ok(value.to_owned())
}

fn digits(parent: &Element, name: &str, digits_max: usize) -> Result<u64, String> {
    let value = text(parent, name, digits_max)?;
    let plain = value.bytes().all(|b| b.is_ascii_digit());
    let number = if plain { value.parse().ok() } else { None };
    number.filter(|n| *n > 0).ok_or_else(|| format!("{name} {value:?} is not a positive whole number"))
}

/// An exact amount: up to 13 digits, then up to 2 after a point, above zero.
fn amount(parent: &Element, name: &str) -> Result<Decimal, String> {
    let value = text(parent, name, 16)?;
    let (whole, cents) = value.split_once('.').unwrap_or((&value, "0"));
    let plain = |s: &str, max: usize| (1..=max).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_digit());
    let shaped = plain(whole, 13) && plain(cents, 2);
    let amount = if shaped { Decimal::from_str(&value).ok() } else { None };
    amount.filter(|a| *a > Decimal::ZERO).ok_or_else(|| format!("{name} {value:?} is not an amount above zero"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::siope::document::parse;

    const SIGNED: &str = "<d:Signature xmlns:d='http://www.w3.org/2000/09/xmldsig#'/>";

    fn flow(before: &str, amount: &str, after: &str) -> Result<Flow, String> {
        let xml = format!(
            "<flusso_ordinativi>{before}<testata_flusso><codice_ABI_BT>01234</codice_ABI_BT>\
             <identificativo_flusso>F-1</identificativo_flusso><codice_ente>UFAAAA</codice_ente>\
             <descrizione_ente>ASL</descrizione_ente><codice_istat_ente>000123456</codice_istat_ente>\
             <codice_fiscale_ente>12345678901</codice_fiscale_ente>\
             <codice_tramite_ente>A2A-00000001</codice_tramite_ente>\
             <codice_tramite_BT>A2A-00000002</codice_tramite_BT><codice_ente_BT>7</codice_ente_BT></testata_flusso>\
             <esercizio>2026</esercizio><mandato><tipo_operazione>INSERIMENTO</tipo_operazione>\
             <numero_mandato>7</numero_mandato><data_mandato>2026-11-24</data_mandato>\
             <importo_mandato>{amount}</importo_mandato></mandato>{after}</flusso_ordinativi>"
        );
        read(&parse(&xml).unwrap())
    }

    #[test]
    fn a_signature_is_needed_at_one_end() {
        assert_eq!(flow(SIGNED, "1.5", "").unwrap().ordini[0].importo.to_string(), "1.5");
        assert!(flow("", "1.50", &format!("{SIGNED}{SIGNED}")).is_ok());
        assert!(flow("", "1.50", "").unwrap_err().contains("not signed"));
        assert!(flow(SIGNED, "1.50", SIGNED).unwrap_err().contains("neither first nor last"));
    }

    #[test]
    fn amounts_are_exact_or_refused() {
        for wrong in ["0.00", "-1.00", "1.234", "1e3", "1,50", ".5", "5.", "99999999999999.00", "NaN"] {
            let error = flow(SIGNED, wrong, "").unwrap_err();
            assert!(error.contains("mandato 7: importo_mandato"), "{wrong}: {error}");
        }
    }
}
