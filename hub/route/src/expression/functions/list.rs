//! Lists and optional values.

use super::super::value::{Fault, Val};
use super::Args;

pub(super) fn size<'a>(args: &Args<'_, 'a>) -> Result<Val<'a>, Fault> {
    let value = args.value(0)?;
    let length = match value.as_text() {
        Some(text) => text.chars().count(),
        None => match value {
            Val::List(items) => items.len(),
            Val::Json(hub_core::Value::Array(items)) => items.len(),
            Val::Map(_) | Val::Json(hub_core::Value::Object(_)) | Val::Xml(_) => value.field_names().len(),
            _ => return Err(args.unfit(0, "a list, an object or text")),
        },
    };
    Ok(Val::Number(length.into()))
}

pub(super) fn first<'a>(args: &Args<'_, 'a>) -> Result<Val<'a>, Fault> {
    args.items(0)?.into_iter().next().ok_or_else(|| args.unfit(0, "a list that is not empty"))
}

pub(super) fn last<'a>(args: &Args<'_, 'a>) -> Result<Val<'a>, Fault> {
    args.items(0)?.pop().ok_or_else(|| args.unfit(0, "a list that is not empty"))
}

/// Most items that `distinct` compares with one another when they cannot be hashed as text.
const DISTINCT_MAX: usize = 2000;

pub(super) fn distinct<'a>(args: &Args<'_, 'a>) -> Result<Val<'a>, Fault> {
    let items = args.items(0)?;
    let mut seen = std::collections::HashSet::new();
    if items.iter().all(|item| item.as_text().is_some()) {
        let kept = items.iter().filter(|item| seen.insert(item.as_text())).cloned().collect();
        return Ok(Val::list(kept));
    }
    if items.len() > DISTINCT_MAX {
        return Err(args.unfit(0, "a list of texts, or of at most 2000 other items"));
    }
    let mut kept: Vec<Val<'a>> = Vec::new();
    for item in items {
        if !kept.iter().any(|known| known.same(&item).unwrap_or(false)) {
            kept.push(item);
        }
    }
    Ok(Val::list(kept))
}

pub(super) fn has_value<'a>(args: &Args<'_, 'a>) -> Result<Val<'a>, Fault> {
    match args.value(0)? {
        Val::Optional(inside) => Ok(Val::Bool(inside.is_some())),
        _ => Err(args.unfit(0, "an optional value, read with `.?`")),
    }
}

pub(super) fn value<'a>(args: &Args<'_, 'a>) -> Result<Val<'a>, Fault> {
    match args.value(0)? {
        Val::Optional(Some(inside)) => Ok(inside.as_ref().clone()),
        Val::Optional(None) => Err(Fault::missing("the optional value is not there; use `.orValue(...)`")),
        _ => Err(args.unfit(0, "an optional value, read with `.?`")),
    }
}

pub(super) fn or_value<'a>(args: &Args<'_, 'a>) -> Result<Val<'a>, Fault> {
    match args.value(0)? {
        Val::Optional(Some(inside)) => Ok(inside.as_ref().clone()),
        Val::Optional(None) => args.value(1).cloned(),
        _ => Err(args.unfit(0, "an optional value, read with `.?`")),
    }
}

pub(super) fn or<'a>(args: &Args<'_, 'a>) -> Result<Val<'a>, Fault> {
    match (args.value(0)?, args.value(1)?) {
        (Val::Optional(None), Val::Optional(other)) => Ok(Val::Optional(other.clone())),
        (Val::Optional(some), Val::Optional(_)) => Ok(Val::Optional(some.clone())),
        _ => Err(args.unfit(0, "two optional values, read with `.?`")),
    }
}
