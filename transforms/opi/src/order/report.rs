//! Collects everything that is wrong with one order.

use std::fmt::Display;

use hub_core::{Problem, Value};

/// Problems that one body reports at most; a sender who gets a hundred has other work to do first.
pub(crate) const PROBLEMS_MAX: usize = 100;
/// Characters of a foreign value that a detail quotes.
const QUOTE_CHARS_MAX: usize = 40;

/// The problems of one order, each beginning with the order's name.
#[derive(Debug)]
pub(crate) struct Report {
    name: String,
    problems: Vec<Problem>,
}

impl Report {
    /// A report about the order that this JSON seems to be.
    pub(crate) fn about(value: &Value) -> Self {
        let part = |field: &str| match value.get(field) {
            Some(Value::String(text)) => quoted(text),
            Some(Value::Number(number)) => quoted(&number.to_string()),
            _ => "?".into(),
        };
        Self::named(format!("{} {}/{}/{}", part("tipo"), part("ente"), part("esercizio"), part("numero")))
    }

    /// A report under a name.
    pub(crate) fn named(name: String) -> Self {
        Self { name, problems: Vec::new() }
    }

    /// Adds a problem at a JSON pointer.
    pub(crate) fn add(&mut self, code: &str, field: impl Into<String>, detail: impl Display) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(Problem::at(code, field, format!("{}: {detail}", self.name)));
        }
    }

    pub(crate) fn problems(&self) -> &[Problem] {
        &self.problems
    }

    pub(crate) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }
}

/// A foreign text as a detail may show it: short, without control characters.
pub(crate) fn quoted(text: &str) -> String {
    let mut shown: String =
        text.chars().take(QUOTE_CHARS_MAX).map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect();
    if text.chars().nth(QUOTE_CHARS_MAX).is_some() {
        shown.push_str("...");
    }
    shown
}
