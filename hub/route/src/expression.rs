//! CEL behind one module: programs, mappings and what they see.
//!
//! The language is CEL (<https://cel.dev>): its grammar, operators and macros. The evaluation is ours, because a payment
//! hub needs what a general engine does not promise: every number is an exact decimal that keeps its text (there are no
//! binary floats at all), work is counted and bounded, an error names the field that is missing and what is there
//! instead, every mistake has its place in the text, and the body is read where it lies. The cel crate judges us in the
//! tests: what both can express must give the same value.
//!
//! Where this differs from standard CEL, and why:
//! - One number type, exact: `5 / 2` is `2.5` (whether a message writes `5` or `5.00` must not change a result); float
//!   literals are refused, write `decimal('1.5')`.
//! - Comparing text with a number is an error, not `false`.
//! - `has(a.b.c)` is false when `a.b` is missing, too.

mod arithmetic;
mod ast;
mod compile;
mod eval;
mod exact;
mod functions;
mod lexer;
mod loops;
mod mapping;
mod names;
mod roots;
mod value;
mod xml;

use std::sync::Arc;

use hub_core::Value;

pub(crate) use compile::Mistake;
pub(crate) use names::Use;
pub use roots::Roots;

/// A compiled expression. Cheap to clone, and to evaluate many times.
#[derive(Clone)]
pub struct Program {
    /// As written.
    pub text: String,
    code: Arc<ast::Node>,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Program({})", self.text)
    }
}

/// A tree of expressions that gives a JSON value.
#[derive(Clone, Debug)]
pub enum Mapping {
    /// A leaf.
    Leaf(Program),
    /// An object; the order is kept.
    Object(Vec<(String, Mapping)>),
    /// A list of that many items.
    List(Vec<Mapping>),
    /// One item for each element of a list.
    Each {
        /// The list.
        each: Program,
        /// The name of the element.
        name: String,
        /// What each element gives.
        map: Box<Mapping>,
    },
}

/// Why an expression gave no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{expression}`: {detail}")]
pub struct EvalError {
    /// The expression as written.
    pub expression: String,
    /// What went wrong; names fields and types, never values.
    pub detail: String,
}

impl Program {
    /// Compiles an expression.
    ///
    /// # Errors
    /// What is wrong and where, in words.
    pub fn compile(text: &str) -> Result<Self, EvalError> {
        Self::read(text).map_err(|mistake| {
            let at = text[..mistake.range.start].chars().count() + 1;
            let hint = mistake.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
            EvalError { expression: text.to_string(), detail: format!("{} (at character {at}){hint}", mistake.message) }
        })
    }

    pub(crate) fn read(text: &str) -> Result<Self, Mistake> {
        Ok(Self { text: text.to_string(), code: Arc::new(compile::parse(text)?) })
    }

    /// The names that the expression reads.
    pub(crate) fn uses(&self) -> Vec<Use> {
        names::uses(&self.code)
    }

    /// The names of the roots that the expression reads, each once, sorted.
    #[must_use]
    pub fn roots(&self) -> Vec<String> {
        let mut roots: Vec<String> = self.uses().into_iter().map(|found| found.root).collect();
        roots.sort();
        roots.dedup();
        roots
    }

    /// `Some(true)` or `Some(false)` if the expression is that word.
    pub(crate) fn constant(&self) -> Option<bool> {
        match self.code.expr {
            ast::Expr::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// The value for one message.
    ///
    /// # Errors
    /// When a name is missing, types do not fit, or the work is more than is allowed.
    pub fn eval(&self, roots: &Roots) -> Result<Value, EvalError> {
        let value = eval::eval(&self.code, &roots).and_then(|value| value.to_json());
        value.map_err(|fault| EvalError { expression: self.text.clone(), detail: fault.detail })
    }

    /// The value for one message, which must be true or false.
    ///
    /// # Errors
    /// As [`Program::eval`], and for any other value.
    pub fn eval_bool(&self, roots: &Roots) -> Result<bool, EvalError> {
        match self.eval(roots)? {
            Value::Bool(value) => Ok(value),
            _ => Err(self.unfit("true or false")),
        }
    }

    /// The value for one message as text: numbers keep their digits; empty text, null, lists and objects are errors.
    ///
    /// # Errors
    /// As [`Program::eval`], and for any other value.
    pub fn eval_text(&self, roots: &Roots) -> Result<String, EvalError> {
        match self.eval(roots)? {
            Value::String(text) if !text.is_empty() => Ok(text),
            Value::Number(n) => Ok(n.to_string()),
            Value::String(_) => Err(self.unfit("text that is not empty")),
            _ => Err(self.unfit("text")),
        }
    }

    fn unfit(&self, wanted: &str) -> EvalError {
        EvalError { expression: self.text.clone(), detail: format!("the result is not {wanted}") }
    }
}

impl Mapping {
    /// The value for one message.
    ///
    /// # Errors
    /// The first leaf that has no value.
    pub fn eval(&self, roots: &Roots) -> Result<Value, EvalError> {
        mapping::eval(self, roots)
    }
}

/// The functions that expressions may call: name, usage and meaning, for the manual.
pub fn functions() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    functions::ALL.iter().map(|function| (function.name, function.usage, function.doc))
}
