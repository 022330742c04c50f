//! Texts.

use regex::RegexBuilder;

use super::super::value::{Fault, Val};
use super::Args;

/// Longest text that a function gives, in bytes.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// The value as text: numbers with their digits, instants and dates as ISO 8601 writes them.
pub(super) fn string<'a>(args: &Args<'_, 'a>) -> Result<Val<'a>, Fault> {
    let value = args.value(0)?;
    if let Some(text) = value.as_text() {
        return Ok(Val::text(text));
    }
    match value {
        Val::Number(n) => Ok(Val::text(n.to_string())),
        Val::Json(n @ hub_core::Value::Number(_)) => Ok(Val::text(n.to_string())),
        Val::Bool(b) => Ok(Val::text(b.to_string())),
        Val::Time(time) => Ok(Val::text(time.to_string())),
        Val::Date(date) => Ok(Val::text(date.to_string())),
        Val::Span(span) => Ok(Val::text(format!("{}s", span.as_secs()))),
        _ => Err(args.unfit(0, "a number, a text, a date or a truth value")),
    }
}

pub(super) fn bool<'a>(args: &Args<'_, 'a>) -> Result<Val<'a>, Fault> {
    match (args.value(0)?, args.value(0)?.as_text()) {
        (Val::Bool(b), _) => Ok(Val::Bool(*b)),
        (_, Some("true")) => Ok(Val::Bool(true)),
        (_, Some("false")) => Ok(Val::Bool(false)),
        _ => Err(args.unfit(0, "`'true'` or `'false'`")),
    }
}

pub(super) fn upper<'a>(args: &Args<'_, 'a>) -> Result<Val<'a>, Fault> {
    args.text(0).map(|text| Val::text(text.to_uppercase()))
}

pub(super) fn lower<'a>(args: &Args<'_, 'a>) -> Result<Val<'a>, Fault> {
    args.text(0).map(|text| Val::text(text.to_lowercase()))
}

pub(super) fn trim<'a>(args: &Args<'_, 'a>) -> Result<Val<'a>, Fault> {
    args.text(0).map(|text| Val::text(text.trim()))
}

pub(super) fn contains<'a>(args: &Args<'_, 'a>) -> Result<Val<'a>, Fault> {
    Ok(Val::Bool(args.text(0)?.contains(args.text(1)?)))
}

pub(super) fn starts_with<'a>(args: &Args<'_, 'a>) -> Result<Val<'a>, Fault> {
    Ok(Val::Bool(args.text(0)?.starts_with(args.text(1)?)))
}

pub(super) fn ends_with<'a>(args: &Args<'_, 'a>) -> Result<Val<'a>, Fault> {
    Ok(Val::Bool(args.text(0)?.ends_with(args.text(1)?)))
}

pub(super) fn sha256<'a>(args: &Args<'_, 'a>) -> Result<Val<'a>, Fault> {
    args.text(0).map(|text| Val::text(hub_core::sha256_hex(text.as_bytes())))
}

pub(super) fn split<'a>(args: &Args<'_, 'a>) -> Result<Val<'a>, Fault> {
    let (text, separator) = (args.text(0)?, args.text(1)?);
    if separator.is_empty() {
        return Err(args.unfit(1, "a separator that is not empty"));
    }
    Ok(Val::list(text.split(separator).map(Val::text).collect()))
}

pub(super) fn join<'a>(args: &Args<'_, 'a>) -> Result<Val<'a>, Fault> {
    let separator = if args.has(1) { args.text(1)? } else { "" };
    let mut out = String::new();
    for (index, item) in args.items(0)?.iter().enumerate() {
        out.push_str(if index > 0 { separator } else { "" });
        let hint = "convert each, for example `list.map(x, string(x)).join(',')`";
        out.push_str(
            item.as_text()
                .ok_or_else(|| Fault::new(format!("`join` needs texts, one item is {}; {hint}", item.kind())))?,
        );
        limit(out.len())?;
    }
    Ok(Val::text(out))
}

pub(super) fn replace<'a>(args: &Args<'_, 'a>) -> Result<Val<'a>, Fault> {
    let (text, part, other) = (args.text(0)?, args.text(1)?, args.text(2)?);
    if part.is_empty() {
        return Err(args.unfit(1, "a part that is not empty"));
    }
    limit(text.len() + text.matches(part).count().saturating_mul(other.len()))?;
    Ok(Val::text(text.replace(part, other)))
}

pub(super) fn substring<'a>(args: &Args<'_, 'a>) -> Result<Val<'a>, Fault> {
    let (text, from) = (args.text(0)?, args.count(1)?);
    let to = if args.has(2) { args.count(2)? } else { text.chars().count() };
    if from > to || to > text.chars().count() {
        let length = text.chars().count();
        return Err(Fault::new(format!("`substring({from}, {to})` of a text of {length} characters")));
    }
    Ok(Val::text(text.chars().skip(from).take(to - from).collect::<String>()))
}

pub(super) fn pad_left<'a>(args: &Args<'_, 'a>) -> Result<Val<'a>, Fault> {
    let (text, length, fill) = (args.text(0)?, args.count(1)?, args.text(2)?);
    limit(length.saturating_mul(fill.len()))?;
    if fill.chars().count() != 1 {
        return Err(args.unfit(2, "one character"));
    }
    let missing = length.saturating_sub(text.chars().count());
    Ok(Val::text(format!("{}{text}", fill.repeat(missing))))
}

fn limit(bytes: usize) -> Result<(), Fault> {
    if bytes > BYTES_MAX { Err(Fault::new(format!("text longer than {BYTES_MAX} bytes"))) } else { Ok(()) }
}

/// Largest compiled pattern, in bytes.
const PATTERN_MAX: usize = 1 << 20;

/// Linear in the text, no backtracking.
fn found(text: &str, pattern: &str) -> Result<bool, String> {
    let pattern = RegexBuilder::new(pattern).size_limit(PATTERN_MAX).dfa_size_limit(PATTERN_MAX).build();
    pattern.map(|pattern| pattern.is_match(text)).map_err(|e| format!("the pattern cannot be used: {e}"))
}

/// Whether a pattern can be read.
pub(super) fn check_pattern(pattern: &str) -> Result<(), String> {
    found("", pattern).map(|_| ()).map_err(|_| format!("`{pattern}` is not a regular expression"))
}

pub(super) fn matches<'a>(args: &Args<'_, 'a>) -> Result<Val<'a>, Fault> {
    found(args.text(0)?, args.text(1)?).map(Val::Bool).map_err(Fault::new)
}
