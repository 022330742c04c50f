//! The row of `config/entities.yaml` that a flow's header is made of.

use hub_core::{Problem, Value};

use crate::codes::is_digits;

/// A body, as the flow's header names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ente {
    /// Name of the body in IPA.
    pub denominazione: String,
    /// SIOPE code of the body, 9 to 15 digits.
    pub codice_istat: String,
    /// Fiscal code of the body, 11 to 16 of `[A-Z0-9]`.
    pub codice_fiscale: String,
    /// ABI code of the treasurer bank, 5 digits.
    pub codice_abi_bt: String,
    /// Who talks to SIOPE+ for the body, `A2A-` and 8 digits.
    pub codice_tramite_ente: String,
    /// Who talks to SIOPE+ for the bank, `A2A-` and 8 digits.
    pub codice_tramite_bt: String,
    /// The bank's name for the body.
    pub codice_ente_bt: String,
    /// A reference agreed with the bank.
    pub riferimento: Option<String>,
    /// SIOPE codes that the body may use; `None`: any of the right form.
    pub codici_siope: Option<Vec<String>>,
}

const WHAT_TO_DO: &str = "correct the row in config/entities.yaml";

impl Ente {
    /// Reads a row.
    ///
    /// # Errors
    /// Every field that is missing or malformed, code `opi.entita`, the field as JSON pointer into the row.
    pub fn read(row: &Value) -> Result<Self, Vec<Problem>> {
        if !row.is_object() {
            let detail = "the body of this message has no row in config/entities.yaml; add one, or set `case.entity`";
            return Err(vec![Problem::at("opi.entita", "", detail)]);
        }
        let mut row = Row { row, problems: Vec::new() };
        let ente = Self {
            denominazione: row.text("denominazione", "1 to 140 characters", is_name),
            codice_istat: row.text("codice_istat", "9 to 15 digits", |t| is_digits(t, 9..=15)),
            codice_fiscale: row.text("codice_fiscale", "11 to 16 capitals and digits", is_fiscal),
            codice_abi_bt: row.text("codice_abi_bt", "5 digits", |t| is_digits(t, 5..=5)),
            codice_tramite_ente: row.text("codice_tramite_ente", "`A2A-` and 8 digits", is_a2a),
            codice_tramite_bt: row.text("codice_tramite_bt", "`A2A-` and 8 digits", is_a2a),
            codice_ente_bt: row.text("codice_ente_bt", "1 to 140 characters", is_name),
            riferimento: row.present("riferimento").then(|| row.text("riferimento", "1 to 140 characters", is_name)),
            codici_siope: row.codes(),
        };
        if row.problems.is_empty() { Ok(ente) } else { Err(row.problems) }
    }
}

struct Row<'a> {
    row: &'a Value,
    problems: Vec<Problem>,
}

impl Row<'_> {
    fn present(&self, name: &str) -> bool {
        self.row.get(name).is_some_and(|value| !value.is_null())
    }

    fn text(&mut self, name: &str, wanted: &str, good: fn(&str) -> bool) -> String {
        match self.row.get(name).and_then(Value::as_str) {
            Some(text) if good(text) => text.to_string(),
            _ => {
                let detail = format!("`{name}` must be text in quotes, {wanted}; {WHAT_TO_DO}");
                self.problems.push(Problem::at("opi.entita", format!("/{name}"), detail));
                String::new()
            }
        }
    }

    fn codes(&mut self) -> Option<Vec<String>> {
        if !self.present("codici_siope") {
            return None;
        }
        let list = self.row.get("codici_siope").and_then(Value::as_array);
        let codes: Option<Vec<_>> = list.and_then(|list| list.iter().map(|c| c.as_str().map(str::to_string)).collect());
        if codes.is_none() {
            let detail = format!("`codici_siope` must be a list of codes in quotes; {WHAT_TO_DO}");
            self.problems.push(Problem::at("opi.entita", "/codici_siope", detail));
        }
        codes
    }
}

fn is_name(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().count() <= 140 && !text.chars().any(char::is_control)
}

fn is_fiscal(text: &str) -> bool {
    (11..=16).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

fn is_a2a(text: &str) -> bool {
    text.strip_prefix("A2A-").is_some_and(|digits| is_digits(digits, 8..=8))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row() -> Value {
        json!({ "denominazione": "ASL", "codice_istat": "000700101", "codice_fiscale": "90123450018",
            "codice_abi_bt": "09991", "codice_tramite_ente": "A2A-40000001", "codice_tramite_bt": "A2A-50000001",
            "codice_ente_bt": "1" })
    }

    #[test]
    fn a_row_becomes_a_body() {
        let ente = Ente::read(&row()).unwrap();
        assert_eq!((ente.codice_abi_bt.as_str(), ente.riferimento, ente.codici_siope), ("09991", None, None));
    }

    #[test]
    fn all_faults_of_a_row_are_reported() {
        let mut bad = row();
        bad["codice_abi_bt"] = json!(9991);
        bad["codice_tramite_bt"] = json!("50000001");
        bad["codici_siope"] = json!("2101");
        let fields: Vec<_> = Ente::read(&bad).unwrap_err().into_iter().map(|p| p.field).collect();
        assert_eq!(fields, ["/codice_abi_bt", "/codice_tramite_bt", "/codici_siope"]);
        assert_eq!(Ente::read(&Value::Null).unwrap_err().len(), 1);
    }
}
