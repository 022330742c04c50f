//! What `check` reports: one mistake, its place, and what to write instead.

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The route cannot run.
    Error,
    /// The route can run, but probably does not do what was meant.
    Warning,
}

/// One mistake in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file, as it was handed in.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column of the first wrong character, from 1, in characters.
    pub column: usize,
    /// Column after the last wrong character of that line; more than `column` unless the line is empty there.
    pub end_column: usize,
    /// How bad it is.
    pub severity: Severity,
    /// Stable name of the rule, for example `unknown-field`.
    pub code: String,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// A word or two for beneath the underlined text; may be empty.
    pub label: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Problem {
    /// Whether the route cannot run.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// Sorting key: file, then place.
    pub(crate) fn key(&self) -> (&str, usize, usize, &str, &str) {
        (&self.file, self.line, self.column, &self.code, &self.message)
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}: {} [{}]", self.file, self.line, self.column, self.message, self.code)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}
