//! The evaluation of a tree: exact, bounded, without side effects.

use std::cell::Cell;
use std::cmp::Ordering;

use hub_core::Value;

use super::arithmetic::arithmetic;
use super::ast::{EachKind, Expr, Node, Operator};
use super::exact;
use super::functions::Args;
use super::value::{Fault, Val};

/// Nodes and items that one evaluation may visit.
const WORK_MAX: u32 = 2_000_000;
/// Longest list that an expression may build or walk.
const ITEMS_MAX: usize = 100_000;
/// Longest text that an expression may build, in bytes.
const TEXT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What names stand for.
pub(crate) trait Lookup<'a> {
    /// The value of a root.
    fn root(&self, name: &str) -> Result<Val<'a>, Fault>;
}

/// Evaluates a tree.
pub(crate) fn eval<'a>(node: &'a Node, roots: &dyn Lookup<'a>) -> Result<Val<'a>, Fault> {
    Machine { roots, work: Cell::new(WORK_MAX) }.eval(node, None)
}

/// Names that loops bind, innermost first.
struct Local<'s, 'a> {
    name: &'s str,
    value: Val<'a>,
    outer: Option<&'s Local<'s, 'a>>,
}

type Locals<'s, 'a> = Option<&'s Local<'s, 'a>>;

struct Machine<'m, 'a> {
    roots: &'m dyn Lookup<'a>,
    work: Cell<u32>,
}

impl<'a> Machine<'_, 'a> {
    fn spend(&self, amount: usize) -> Result<(), Fault> {
        let left = self.work.get().checked_sub(u32::try_from(amount).unwrap_or(u32::MAX));
        self.work.set(left.ok_or_else(|| Fault::new(format!("more than {WORK_MAX} steps of work")))?);
        Ok(())
    }

    fn eval(&self, node: &'a Node, locals: Locals<'_, 'a>) -> Result<Val<'a>, Fault> {
        self.spend(1)?;
        match &node.expr {
            Expr::Null => Ok(Val::Null),
            Expr::Bool(b) => Ok(Val::Bool(*b)),
            Expr::Number(n) => Ok(Val::Number(*n)),
            Expr::Text(text) => Ok(Val::Text(text.into())),
            Expr::Name(name) => self.name(name, locals),
            Expr::Field { of, name, optional } => self.field(of, name, *optional, locals),
            Expr::Index { of, index, optional } => self.index(of, index, *optional, locals),
            Expr::List(items) => self.list(items, locals),
            Expr::Map(entries) => self.map(entries, locals),
            Expr::Not(of) => self.truth(of, locals).map(|b| Val::Bool(!b)),
            Expr::Negate(of) => self.negate(of, locals),
            Expr::And(a, b) => self.logic(a, b, false, locals),
            Expr::Or(a, b) => self.logic(a, b, true, locals),
            Expr::If(condition, a, b) => {
                let branch = if self.truth(condition, locals)? { a } else { b };
                self.eval(branch, locals)
            }
            Expr::Binary(operator, a, b) => {
                let (a, b) = (self.eval(a, locals)?, self.eval(b, locals)?);
                self.binary(*operator, &a, &b)
            }
            Expr::Has(field) => self.has(field, locals),
            Expr::Every(field) => self.every(field, locals),
            Expr::Call { function, args } => {
                let values = args.iter().map(|arg| self.eval(arg, locals)).collect::<Result<Vec<_>, _>>()?;
                self.spend(values.iter().map(weight).sum())?;
                (function.run)(&Args { function, values: &values, nodes: args })
            }
            Expr::Each { kind, list, name, body } => self.each(*kind, (list, name, body), locals),
        }
    }

    fn name(&self, name: &str, locals: Locals<'_, 'a>) -> Result<Val<'a>, Fault> {
        let mut scope = locals;
        while let Some(local) = scope {
            if local.name == name {
                return Ok(local.value.clone());
            }
            scope = local.outer;
        }
        self.roots.root(name)
    }

    fn truth(&self, node: &'a Node, locals: Locals<'_, 'a>) -> Result<bool, Fault> {
        match self.eval(node, locals)? {
            Val::Bool(b) => Ok(b),
            other => Err(Fault::new(format!("`{}` is {}, not true or false", node.path(), other.kind()))),
        }
    }

    /// CEL's logic: an error on one side does not matter where the other side decides.
    fn logic(&self, a: &'a Node, b: &'a Node, decides: bool, locals: Locals<'_, 'a>) -> Result<Val<'a>, Fault> {
        match self.truth(a, locals) {
            Ok(value) if value == decides => Ok(Val::Bool(decides)),
            Ok(_) => self.truth(b, locals).map(Val::Bool),
            Err(fault) => match self.truth(b, locals) {
                Ok(value) if value == decides => Ok(Val::Bool(decides)),
                _ => Err(fault),
            },
        }
    }

    fn negate(&self, of: &'a Node, locals: Locals<'_, 'a>) -> Result<Val<'a>, Fault> {
        match self.eval(of, locals)? {
            Val::Number(n) => Ok(Val::Number(exact::unsigned_zero(-n))),
            Val::Span(span) => Ok(Val::Span(-span)),
            other => Err(Fault::new(format!("`-` needs a number, `{}` is {}", of.path(), other.kind()))),
        }
    }

    fn field(&self, of: &'a Node, name: &str, optional: bool, locals: Locals<'_, 'a>) -> Result<Val<'a>, Fault> {
        let path = || of.path();
        let value = self.eval(of, locals);
        self.spend(value.as_ref().map_or(0, weight) / 8)?;
        if let Ok(Val::Optional(inside)) = value {
            return optional_of(inside.map_or_else(|| Err(Fault::missing("")), |value| value.field(name, &path)));
        }
        match optional {
            true => optional_of(value.and_then(|value| value.field(name, &path))),
            false => value?.field(name, &path),
        }
    }

    fn index(&self, of: &'a Node, index: &'a Node, optional: bool, locals: Locals<'_, 'a>) -> Result<Val<'a>, Fault> {
        let at = self.eval(index, locals)?;
        let value = self.eval(of, locals);
        if let Ok(Val::Optional(inside)) = value {
            return optional_of(inside.map_or_else(|| Err(Fault::missing("")), |value| pick(&value, &at, of)));
        }
        match optional {
            true => optional_of(value.and_then(|value| pick(&value, &at, of))),
            false => pick(&value?, &at, of),
        }
    }

    fn list(&self, items: &'a [Node], locals: Locals<'_, 'a>) -> Result<Val<'a>, Fault> {
        Ok(Val::list(items.iter().map(|item| self.eval(item, locals)).collect::<Result<_, _>>()?))
    }

    fn map(&self, entries: &'a [(Node, Node)], locals: Locals<'_, 'a>) -> Result<Val<'a>, Fault> {
        let mut fields: Vec<(String, Val<'a>)> = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let name = self.eval(key, locals)?;
            let name = name.as_text().ok_or_else(|| Fault::new(format!("a key is {}, not text", name.kind())))?;
            if fields.iter().any(|(known, _)| known == name) {
                return Err(Fault::new(format!("the key `{name}` is there twice")));
            }
            fields.push((name.to_string(), self.eval(value, locals)?));
        }
        Ok(Val::Map(fields.into()))
    }

    fn has(&self, field: &'a Node, locals: Locals<'_, 'a>) -> Result<Val<'a>, Fault> {
        match self.eval(field, locals) {
            Ok(Val::Optional(inside)) => Ok(Val::Bool(inside.is_some())),
            Ok(_) => Ok(Val::Bool(true)),
            Err(fault) if fault.missing => Ok(Val::Bool(false)),
            Err(fault) => self.is_repeated(field, locals).map_or(Err(fault), |()| Ok(Val::Bool(true))),
        }
    }

    /// Whether the field is an element that is there more than once.
    fn is_repeated(&self, field: &'a Node, locals: Locals<'_, 'a>) -> Option<()> {
        match self.repeated(field, locals) {
            Ok(Some(items)) if !items.is_empty() => Some(()),
            _ => None,
        }
    }

    fn repeated(&self, field: &'a Node, locals: Locals<'_, 'a>) -> Result<Option<Vec<Val<'a>>>, Fault> {
        let (of, name) = match &field.expr {
            Expr::Field { of, name, .. } => (of, name.as_str()),
            Expr::Index { of, index, .. } => match &index.expr {
                Expr::Text(name) => (of, name.as_str()),
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        match self.eval(of, locals) {
            Ok(Val::Xml(element)) if !name.starts_with('@') => {
                self.spend(element.children.len() / 8)?;
                Ok(Some(element.named(name).into_iter().map(Val::of_element).collect()))
            }
            Err(fault) if fault.missing => Ok(Some(Vec::new())),
            Err(fault) => Err(fault),
            Ok(_) => Ok(None),
        }
    }

    fn every(&self, field: &'a Node, locals: Locals<'_, 'a>) -> Result<Val<'a>, Fault> {
        if let Some(items) = self.repeated(field, locals)? {
            return Ok(Val::list(items));
        }
        match self.eval(field, locals) {
            Ok(Val::Null) => Ok(Val::list(Vec::new())),
            Ok(value) => Ok(Val::list(value.items().unwrap_or_else(|| vec![value]))),
            Err(fault) if fault.missing => Ok(Val::list(Vec::new())),
            Err(fault) => Err(fault),
        }
    }

    fn binary(&self, operator: Operator, a: &Val<'a>, b: &Val<'a>) -> Result<Val<'a>, Fault> {
        let ordered = |accept: fn(Ordering) -> bool| a.order(b).map(|order| Val::Bool(accept(order)));
        match operator {
            Operator::Equal => self.same(a, b).map(Val::Bool),
            Operator::NotEqual => self.same(a, b).map(|same| Val::Bool(!same)),
            Operator::Less => ordered(Ordering::is_lt),
            Operator::LessEqual => ordered(Ordering::is_le),
            Operator::Greater => ordered(Ordering::is_gt),
            Operator::GreaterEqual => ordered(Ordering::is_ge),
            Operator::In => self.contained(a, b),
            Operator::Add => self.add(a, b),
            _ => arithmetic(operator, a, b),
        }
    }

    fn same(&self, a: &Val<'a>, b: &Val<'a>) -> Result<bool, Fault> {
        self.spend(deep_weight(a).min(deep_weight(b)))?;
        a.same(b)
    }

    fn contained(&self, a: &Val<'a>, b: &Val<'a>) -> Result<Val<'a>, Fault> {
        if let Some(items) = b.items() {
            self.spend(items.len().saturating_mul(1 + deep_weight(a)))?;
            return Ok(Val::Bool(items.iter().any(|item| a.same(item).unwrap_or(false))));
        }
        match (a.as_text(), b) {
            (Some(name), Val::Map(_) | Val::Json(Value::Object(_)) | Val::Xml(_)) => {
                Ok(Val::Bool(b.field_names().iter().any(|field| field == name)))
            }
            _ => Err(Fault::new(format!("`in` needs a list or an object on its right, not {}", b.kind()))),
        }
    }

    fn add(&self, a: &Val<'a>, b: &Val<'a>) -> Result<Val<'a>, Fault> {
        if let (Some(x), Some(y)) = (a.as_text(), b.as_text()) {
            self.spend((x.len() + y.len()) / 64)?;
            if x.len() + y.len() > TEXT_BYTES_MAX {
                return Err(Fault::new(format!("text longer than {TEXT_BYTES_MAX} bytes")));
            }
            return Ok(Val::text(format!("{x}{y}")));
        }
        if let (Some(mut x), Some(y)) = (a.items(), b.items()) {
            self.spend(x.len() + y.len())?;
            x.extend(y);
            return bounded(x.len()).map(|()| Val::list(x));
        }
        arithmetic(Operator::Add, a, b)
    }

    fn each(
        &self,
        kind: EachKind,
        (list, name, body): (&'a Node, &'a str, &'a Node),
        locals: Locals<'_, 'a>,
    ) -> Result<Val<'a>, Fault> {
        let value = self.eval(list, locals)?;
        let items = value.items().ok_or_else(|| {
            let hint = "; an element that may be repeated is read with `all(...)`";
            Fault::new(format!("`{}` is {}, not a list{hint}", list.path(), value.kind()))
        })?;
        bounded(items.len())?;
        let mut loops = Loop::new(kind);
        for item in items {
            let local = Local { name, value: item, outer: locals };
            let result = match kind {
                EachKind::Map => self.eval(body, Some(&local))?,
                _ => Val::Bool(self.truth(body, Some(&local))?),
            };
            if loops.take(local.value, result) {
                break;
            }
        }
        Ok(loops.result())
    }
}

/// What a loop has found so far.
struct Loop<'a> {
    kind: EachKind,
    hits: usize,
    misses: usize,
    kept: Vec<Val<'a>>,
}

impl<'a> Loop<'a> {
    fn new(kind: EachKind) -> Self {
        Self { kind, hits: 0, misses: 0, kept: Vec::new() }
    }

    /// Takes one item and its result; `true` when the outcome is certain.
    fn take(&mut self, item: Val<'a>, result: Val<'a>) -> bool {
        let hit = matches!(result, Val::Bool(true));
        self.hits += usize::from(hit);
        self.misses += usize::from(!hit);
        match self.kind {
            EachKind::Map => self.kept.push(result),
            EachKind::Filter if hit => self.kept.push(item),
            EachKind::All => return !hit,
            EachKind::Exists => return hit,
            EachKind::ExistsOne => return self.hits > 1,
            EachKind::Filter => {}
        }
        false
    }

    fn result(self) -> Val<'a> {
        match self.kind {
            EachKind::Map | EachKind::Filter => Val::list(self.kept),
            EachKind::All => Val::Bool(self.misses == 0),
            EachKind::Exists => Val::Bool(self.hits > 0),
            EachKind::ExistsOne => Val::Bool(self.hits == 1),
        }
    }
}

/// What looking at a value costs a function: its items, or its text by the 64 bytes.
fn weight(value: &Val<'_>) -> usize {
    match value {
        Val::List(items) => items.len(),
        Val::Json(Value::Array(items)) => items.len(),
        Val::Xml(element) => element.children.len(),
        other => other.as_text().map_or(0, |text| text.len() / 64),
    }
}

/// What comparing a value costs: everything below it.
fn deep_weight(value: &Val<'_>) -> usize {
    fn json(value: &Value) -> usize {
        match value {
            Value::Array(items) => 1 + items.iter().map(json).sum::<usize>(),
            Value::Object(fields) => 1 + fields.values().map(json).sum::<usize>(),
            _ => 1,
        }
    }
    match value {
        Val::List(items) => 1 + items.iter().map(deep_weight).sum::<usize>(),
        Val::Map(fields) => 1 + fields.iter().map(|(_, value)| deep_weight(value)).sum::<usize>(),
        Val::Json(value) => json(value),
        Val::Xml(element) => element.weight(),
        other => weight(other),
    }
}

fn bounded(items: usize) -> Result<(), Fault> {
    if items > ITEMS_MAX { Err(Fault::new(format!("a list of more than {ITEMS_MAX} items"))) } else { Ok(()) }
}

fn optional_of(value: Result<Val<'_>, Fault>) -> Result<Val<'_>, Fault> {
    match value {
        Ok(Val::Optional(inside)) => Ok(Val::Optional(inside)),
        Ok(value) => Ok(Val::Optional(Some(Box::new(value)))),
        Err(fault) if fault.missing => Ok(Val::Optional(None)),
        Err(fault) => Err(fault),
    }
}

fn pick<'a>(value: &Val<'a>, at: &Val<'a>, of: &Node) -> Result<Val<'a>, Fault> {
    if let Some(name) = at.as_text() {
        return value.field(name, &|| of.path());
    }
    let index = match at {
        Val::Number(n) => usize::try_from(*n).ok().filter(|index| rust_decimal::Decimal::from(*index) == *n),
        _ => None,
    };
    match (value, index) {
        (Val::List(items), Some(i)) => items.get(i).cloned().ok_or(items.len()),
        (Val::Json(Value::Array(items)), Some(i)) => items.get(i).map(Val::of).ok_or(items.len()),
        (Val::List(_) | Val::Json(Value::Array(_)), None) => {
            return Err(Fault::new(format!("a list is indexed by a number from 0, not by {}", at.kind())));
        }
        _ => return Err(Fault::new(format!("`{}` is {}, it has no index", of.path(), value.kind()))),
    }
    .map_err(|length| Fault::missing(format!("`{}` has {length} items, none at this index", of.path())))
}
