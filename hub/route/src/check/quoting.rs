//! CEL that YAML reads otherwise unless it stands in quotes.

use crate::syntax::{Source, Span};

/// Letters that mean something to YAML at the beginning of a value.
const LEADERS: [char; 13] = ['{', '[', '!', '&', '*', '%', '@', '`', '|', '>', '\'', '"', '#'];

/// The text as a single-quoted YAML value.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The value on a line that YAML could not read, and how to write it, if quotes would help.
pub(crate) fn unquoted(source: &Source, line: usize) -> Option<(Span, String)> {
    let text = source.line(line);
    let (key, value) = split(&text)?;
    let troubled = value.starts_with(LEADERS) || value.contains(": ") || value.contains(" #");
    if !troubled || is_closed(value) || is_flow(value) {
        return None;
    }
    let start = source.line_start(line) + text[..text.len() - value.len()].chars().count();
    let span = Span { start, end: start + value.trim_end().chars().count() };
    Some((span, format!("write `{key}: {}`", quoted(value.trim_end()))))
}

/// The last key of a line and the value behind it: `  - key: value`.
fn split(line: &str) -> Option<(&str, &str)> {
    let body = line.trim_start().trim_start_matches("- ").trim_start();
    let (key, value) = body.split_once(": ")?;
    let plain = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-'));
    (plain && !value.trim().is_empty()).then_some((key, value.trim_start()))
}

/// Whether the value is one quoted text already.
fn is_closed(value: &str) -> bool {
    let value = value.trim_end();
    let quote = value.chars().next().filter(|c| matches!(c, '\'' | '"'));
    quote.is_some_and(|quote| value.len() > 1 && value.ends_with(quote) && !value[1..value.len() - 1].contains(quote))
}

/// Whether the value is a mapping or list in YAML's short form, or begins one.
fn is_flow(value: &str) -> bool {
    let value = value.trim_end();
    value.starts_with('{') && (value.ends_with('}') || value.ends_with(','))
        || value.starts_with('[') && (value.ends_with(']') || value.ends_with(','))
        || value == "{"
        || value == "["
}

/// What YAML took away from an expression as a comment: the ` #...` behind it on its line.
pub(crate) fn comment_after(source: &Source, span: Span) -> Option<String> {
    let rest: String =
        source.chars()[span.end.min(source.chars().len())..].iter().take_while(|c| **c != '\n').collect();
    rest.trim_start().starts_with('#').then(|| rest.trim_end().to_string())
}
