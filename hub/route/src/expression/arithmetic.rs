//! `+ - * / %` on numbers, instants, dates and durations.

use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;

use super::ast::Operator;
use super::exact;
use super::value::{Fault, Val};

/// The result of an operator on two values that are neither texts nor lists.
pub(super) fn arithmetic<'a>(operator: Operator, a: &Val<'a>, b: &Val<'a>) -> Result<Val<'a>, Fault> {
    match (a, b) {
        (Val::Number(a), Val::Number(b)) => numbers(operator, *a, *b),
        (Val::Time(t), Val::Span(s)) => match operator {
            Operator::Add => time(t.checked_add(*s)),
            Operator::Subtract => time(t.checked_sub(*s)),
            _ => Err(unfit(operator, a, b)),
        },
        (Val::Span(s), Val::Time(t)) if operator == Operator::Add => time(t.checked_add(*s)),
        (Val::Time(a), Val::Time(b)) if operator == Operator::Subtract => Ok(Val::Span(a.duration_since(*b))),
        (Val::Date(d), Val::Span(s)) if matches!(operator, Operator::Add | Operator::Subtract) => {
            let span = if operator == Operator::Add { *s } else { -*s };
            d.checked_add(span).map(Val::Date).map_err(|e| Fault::new(e.to_string()))
        }
        (Val::Span(a), Val::Span(b)) => spans(operator, *a, *b),
        _ => Err(unfit(operator, a, b)),
    }
}

fn numbers<'a>(operator: Operator, a: Decimal, b: Decimal) -> Result<Val<'a>, Fault> {
    let result = match operator {
        Operator::Add => exact::add(a, b),
        Operator::Subtract => exact::add(a, -b),
        Operator::Multiply => exact::multiply(a, b),
        Operator::Divide | Operator::Remainder if b.is_zero() => return Err(Fault::new("division by zero")),
        Operator::Divide => exact::divide(a, b),
        _ => exact::remainder(a, b),
    };
    let sign = operator.sign();
    result.map(Val::Number).ok_or_else(|| Fault::new(format!("the result of `{sign}` needs more than 28 digits")))
}

fn spans<'a>(operator: Operator, a: SignedDuration, b: SignedDuration) -> Result<Val<'a>, Fault> {
    let result = match operator {
        Operator::Add => a.checked_add(b),
        Operator::Subtract => a.checked_sub(b),
        _ => return Err(unfit(operator, &Val::Span(a), &Val::Span(b))),
    };
    result.map(Val::Span).ok_or_else(|| Fault::new("the duration is too long"))
}

fn time<'a>(result: Result<Timestamp, jiff::Error>) -> Result<Val<'a>, Fault> {
    result.map(Val::Time).map_err(|_| Fault::new("the instant is out of range"))
}

fn unfit(operator: Operator, a: &Val<'_>, b: &Val<'_>) -> Fault {
    let hint = match (a, b, operator) {
        (Val::Text(_), Val::Number(_), Operator::Add) | (Val::Number(_), Val::Text(_), Operator::Add) => {
            "; write `string(...)` around the number to join texts, or `decimal(...)` around the text to add"
        }
        (Val::Text(_), _, _) | (_, Val::Text(_), _) => "; write `decimal(...)` around text that holds a number",
        (Val::Null, _, _) | (_, Val::Null, _) => "; a field is null: test it first, for example `x == null ? 0 : x`",
        _ => "",
    };
    Fault::new(format!("`{}` does not fit {} and {}{hint}", operator.sign(), a.kind(), b.kind()))
}
