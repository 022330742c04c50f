//! What is wrong with a message, in words its sender can act upon.

use serde::{Deserialize, Serialize};

/// The cause below an error.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// One thing that is wrong with a message: which rule, which field, what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Stable name of the rule, for example `opi.importo-mandato` or `json-schema.required`.
    pub code: String,
    /// Where: a path into the message such as `/beneficiari/0/importo`; empty for the message as a whole.
    pub field: String,
    /// What happened and what to do, for a person; names the order where there is one.
    pub detail: String,
}

impl Problem {
    /// A problem at a place.
    pub fn at(code: impl Into<String>, field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { code: code.into(), field: field.into(), detail: detail.into() }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.field.as_str() {
            "" => write!(f, "{} [{}]", self.detail, self.code),
            field => write!(f, "{field}: {} [{}]", self.detail, self.code),
        }
    }
}
