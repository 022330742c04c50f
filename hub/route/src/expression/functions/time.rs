//! Instants, dates and durations. Dates are those of Italy.

use hub_core::Span;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};

use super::super::value::{Fault, Val};
use super::Args;

fn italy(time: Timestamp) -> Result<Zoned, Fault> {
    let zone = TimeZone::get("Europe/Rome").map_err(|e| Fault::new(format!("no zone data for Europe/Rome: {e}")))?;
    Ok(time.to_zoned(zone))
}

fn date_of(args: &Args<'_, '_>) -> Result<Date, Fault> {
    let wanted = "a date, an instant or text such as `2026-03-01`";
    let value = args.value(0)?;
    match (value, value.as_text()) {
        (Val::Date(date), _) => Ok(*date),
        (Val::Time(time), _) => italy(*time).map(|zoned| zoned.date()),
        (_, Some(text)) if text.contains('T') => {
            let time: Timestamp = text.parse().map_err(|_| args.unfit(0, wanted))?;
            italy(time).map(|zoned| zoned.date())
        }
        (_, Some(text)) => text.parse().map_err(|_| args.unfit(0, wanted)),
        _ => Err(args.unfit(0, wanted)),
    }
}

pub(super) fn date<'a>(args: &Args<'_, 'a>) -> Result<Val<'a>, Fault> {
    date_of(args).map(Val::Date)
}

pub(super) fn year<'a>(args: &Args<'_, 'a>) -> Result<Val<'a>, Fault> {
    date_of(args).map(|date| Val::Number(date.year().into()))
}

pub(super) fn month<'a>(args: &Args<'_, 'a>) -> Result<Val<'a>, Fault> {
    date_of(args).map(|date| Val::Number(date.month().into()))
}

pub(super) fn day<'a>(args: &Args<'_, 'a>) -> Result<Val<'a>, Fault> {
    date_of(args).map(|date| Val::Number(date.day().into()))
}

pub(super) fn timestamp<'a>(args: &Args<'_, 'a>) -> Result<Val<'a>, Fault> {
    let wanted = "text such as `2026-03-01T10:00:00Z`";
    match (args.value(0)?, args.value(0)?.as_text()) {
        (Val::Time(time), _) => Ok(Val::Time(*time)),
        (_, Some(text)) => text.parse().map(Val::Time).map_err(|_| args.unfit(0, wanted)),
        _ => Err(args.unfit(0, wanted)),
    }
}

pub(super) fn duration<'a>(args: &Args<'_, 'a>) -> Result<Val<'a>, Fault> {
    let span: Span = args.text(0)?.parse().map_err(Fault::new)?;
    SignedDuration::try_from(span.0).map(Val::Span).map_err(|_| args.unfit(0, "a shorter duration"))
}

/// Longest pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 256;

pub(super) fn format<'a>(args: &Args<'_, 'a>) -> Result<Val<'a>, Fault> {
    let pattern = args.text(1)?;
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(args.unfit(1, "a shorter pattern"));
    }
    let broken = |e: jiff::Error| Fault::new(format!("`{pattern}` cannot be used as a pattern: {e}"));
    let text = match args.value(0)? {
        Val::Time(time) => jiff::fmt::strtime::format(pattern, &italy(*time)?).map_err(broken)?,
        _ => jiff::fmt::strtime::format(pattern, date_of(args)?).map_err(broken)?,
    };
    Ok(Val::text(text))
}
