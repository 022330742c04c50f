//! The business story that a message belongs to.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// Identity of a case, unique within the hub, for example `UFAAAA/2026/123`.
pub type CaseId = String;

/// A case as a message carries it: which story, of which body, about how much money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// What kind of story it is, for example `mandato`; names its states in `config/cases.yaml`.
    pub kind: String,
    /// The identity; messages with the same id belong to the same case.
    pub id: CaseId,
    /// The entity (health body, hospital) it belongs to; a row of `config/entities.yaml`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity: Option<String>,
    /// The amount, exact; euro.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "rust_decimal::serde::str_option")]
    pub amount: Option<Decimal>,
}

impl Case {
    /// The case of a message whose route names none: the message itself is the story.
    #[must_use]
    pub fn of_message(id: &crate::MessageId) -> Self {
        Self { kind: "message".into(), id: id.to_string(), entity: None, amount: None }
    }
}
