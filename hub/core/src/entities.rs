//! The rows of `config/entities.yaml`.

use std::collections::BTreeMap;

use crate::Value;

/// The entities (health bodies) the hub works for: code to row. Expressions see the row of `case.entity` as `entity`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entities(pub BTreeMap<String, Value>);

impl Entities {
    /// The row of one entity.
    #[must_use]
    pub fn get(&self, code: &str) -> Option<&Value> {
        self.0.get(code)
    }

    /// All codes, in order.
    pub fn codes(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}
