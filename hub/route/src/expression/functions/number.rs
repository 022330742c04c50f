//! Exact numbers.

use std::cmp::Ordering;

use rust_decimal::{Decimal, RoundingStrategy};

use super::super::exact;
use super::super::value::{Fault, Val};
use super::Args;

/// The exact decimal in a text: digits, a point, a sign; no exponent, no comma.
pub(super) fn read(text: &str) -> Option<Decimal> {
    hub_core::decimal_of(&hub_core::Value::String(text.to_string()))
}

pub(super) fn decimal<'a>(args: &Args<'_, 'a>) -> Result<Val<'a>, Fault> {
    let value = args.value(0)?;
    match (value, value.as_text()) {
        (Val::Number(n), _) => Ok(Val::Number(*n)),
        (_, Some(text)) => {
            read(text).map(Val::Number).ok_or_else(|| args.unfit(0, "a number, or text such as `1234.50`"))
        }
        _ => Err(args.unfit(0, "a number, or text such as `1234.50`")),
    }
}

pub(super) fn int<'a>(args: &Args<'_, 'a>) -> Result<Val<'a>, Fault> {
    match decimal(args)? {
        Val::Number(n) => Ok(Val::Number(exact::unsigned_zero(n.trunc()))),
        other => Ok(other),
    }
}

pub(super) fn abs<'a>(args: &Args<'_, 'a>) -> Result<Val<'a>, Fault> {
    args.number(0).map(|n| Val::Number(n.abs()))
}

pub(super) fn round<'a>(args: &Args<'_, 'a>) -> Result<Val<'a>, Fault> {
    let (n, places) = (args.number(0)?, args.count(1)?);
    let places = u32::try_from(places).ok().filter(|p| *p <= 28).ok_or_else(|| args.unfit(1, "0 to 28"))?;
    let mut rounded = n.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero);
    rounded.rescale(places);
    Ok(Val::Number(exact::unsigned_zero(rounded)))
}

pub(super) fn sum<'a>(args: &Args<'_, 'a>) -> Result<Val<'a>, Fault> {
    let mut total = Decimal::ZERO;
    for item in args.items(0)? {
        let Val::Number(n) = item else { return Err(args.unfit_item(&item)) };
        total = exact::add(total, n).ok_or_else(|| Fault::new("the sum needs more than 28 digits"))?;
    }
    Ok(Val::Number(total))
}

pub(super) fn max<'a>(args: &Args<'_, 'a>) -> Result<Val<'a>, Fault> {
    best(args, Ordering::is_gt)
}

pub(super) fn min<'a>(args: &Args<'_, 'a>) -> Result<Val<'a>, Fault> {
    best(args, Ordering::is_lt)
}

fn best<'a>(args: &Args<'_, 'a>, better: fn(Ordering) -> bool) -> Result<Val<'a>, Fault> {
    let items = if args.has(1) { args.values.to_vec() } else { args.items(0)? };
    let mut items = items.into_iter();
    let mut best = items.next().ok_or_else(|| args.unfit(0, "a list that is not empty"))?;
    for item in items {
        if better(item.order(&best)?) {
            best = item;
        }
    }
    Ok(best)
}

impl Args<'_, '_> {
    fn unfit_item(&self, item: &Val<'_>) -> Fault {
        let hint = "convert each, for example `sum(body.righe.map(r, decimal(r.importo)))`";
        Fault::new(format!("`{}` needs a list of numbers, one item is {}; {hint}", self.function.name, item.kind()))
    }
}
