//! Trees of expressions.

use hub_core::Value;

use super::eval::{self, Lookup};
use super::value::{Fault, Val};
use super::{EvalError, Mapping, Program, Roots};

/// Most values that a mapping may give.
const VALUES_MAX: usize = 500_000;

/// The roots, and the elements of the lists that are being walked.
struct Walk<'w, 'a> {
    roots: &'a Roots,
    element: Option<(&'w str, Val<'a>)>,
    outer: Option<&'w Walk<'w, 'a>>,
}

impl<'a> Lookup<'a> for Walk<'_, 'a> {
    fn root(&self, name: &str) -> Result<Val<'a>, Fault> {
        match (&self.element, self.outer) {
            (Some((bound, value)), _) if *bound == name => Ok(value.clone()),
            (_, Some(outer)) => outer.root(name),
            _ => self.roots.root(name),
        }
    }
}

pub(super) fn eval(mapping: &Mapping, roots: &Roots) -> Result<Value, EvalError> {
    let mut values = 0;
    tree(mapping, &Walk { roots, element: None, outer: None }, &mut values)
}

fn tree<'a>(mapping: &'a Mapping, walk: &Walk<'_, 'a>, values: &mut usize) -> Result<Value, EvalError> {
    *values += 1;
    match mapping {
        Mapping::Leaf(program) => leaf(program, walk).and_then(|value| value.to_json().map_err(|e| failed(program, e))),
        Mapping::Object(fields) => {
            let field = |(name, field): &'a (String, Mapping)| Ok((name.clone(), tree(field, walk, values)?));
            fields.iter().map(field).collect::<Result<_, EvalError>>().map(Value::Object)
        }
        Mapping::List(items) => {
            items.iter().map(|item| tree(item, walk, values)).collect::<Result<_, _>>().map(Value::Array)
        }
        Mapping::Each { each, name, map } => {
            let list = leaf(each, walk)?;
            let unfit = || Fault::new(format!("`each` needs a list, not {}; use `all(...)` for elements", list.kind()));
            let items = list.items().ok_or_else(|| failed(each, unfit()))?;
            let mut out = Vec::new();
            for item in items {
                if *values > VALUES_MAX {
                    return Err(failed(each, Fault::new(format!("the mapping gives more than {VALUES_MAX} values"))));
                }
                let inner = Walk { roots: walk.roots, element: Some((name, item)), outer: Some(walk) };
                out.push(tree(map, &inner, values)?);
            }
            Ok(Value::Array(out))
        }
    }
}

fn leaf<'a>(program: &'a Program, walk: &Walk<'_, 'a>) -> Result<Val<'a>, EvalError> {
    eval::eval(&program.code, walk).map_err(|fault| failed(program, fault))
}

fn failed(program: &Program, fault: Fault) -> EvalError {
    EvalError { expression: program.text.clone(), detail: fault.detail }
}
