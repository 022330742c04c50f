//! Answers as the routes see them.

use std::str::FromStr;

use hub_core::Value;
use rust_decimal::Decimal;
use serde_json::{Number, json};

use super::{Errore, Esito, Risposta};
use crate::words::Word;

/// An exact amount as a JSON number that keeps its two decimals.
pub(crate) fn money(amount: Decimal) -> Value {
    let text = format!("{amount:.2}");
    Number::from_str(&text).map_or(Value::String(text), Value::Number)
}

impl Risposta {
    /// The answer as JSON: all fields always there, `null` or empty where the kind has none.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "tipo": self.tipo.text(),
            "ente": self.ente,
            "esercizio": self.esercizio,
            "identificativo_flusso": self.identificativo_flusso,
            "identificativo_flusso_bt": self.identificativo_flusso_bt,
            "stato_flusso": self.stato_flusso,
            "errori": faults(&self.errori),
            "avvisi": faults(&self.avvisi),
            "esiti": self.esiti.iter().map(outcome).collect::<Vec<_>>(),
        })
    }
}

fn faults(faults: &[Errore]) -> Value {
    let one = |fault: &Errore| {
        json!({
            "codice": fault.codice,
            "descrizione": fault.descrizione,
            "elemento": fault.elemento,
            "progressivo": fault.progressivo,
        })
    };
    faults.iter().map(one).collect()
}

fn outcome(outcome: &Esito) -> Value {
    json!({
        "tipo": outcome.tipo.text(),
        "identificativo_flusso": outcome.identificativo_flusso,
        "esercizio": outcome.esercizio,
        "numero": outcome.numero,
        "progressivo": outcome.progressivo,
        "data": outcome.data.map(|date| date.to_string()),
        "importo": outcome.importo.map(money),
        "esito": outcome.esito,
        "data_ora": outcome.data_ora,
        "errori": faults(&outcome.errori),
    })
}
