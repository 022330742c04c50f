//! CEL behind one module: programs, mappings and what they see.

use hub_core::{Message, Value};
use jiff::Timestamp;

/// A compiled expression.
#[derive(Clone, Debug)]
pub struct Program {
    /// As written.
    pub text: String,
}

/// A tree of expressions that gives a JSON value.
#[derive(Clone, Debug)]
pub enum Mapping {
    /// A leaf.
    Leaf(Program),
}

/// Why an expression gave no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{expression}`: {detail}")]
pub struct EvalError {
    /// The expression as written.
    pub expression: String,
    /// What went wrong.
    pub detail: String,
}

/// What expressions see.
#[derive(Debug)]
pub struct Roots {}

impl Roots {
    /// The roots of a message: `body` (read by its media), `headers`, `case`, `entity`, `vars`, the bound names, `now`.
    pub fn new(_message: &Message, _entity: &Value, _bound: &Value, _now: Timestamp) -> Self {
        Self {}
    }
}

impl Program {
    /// The value for one message.
    ///
    /// # Errors
    /// When a name is missing, types do not fit, or the work is more than is allowed.
    pub fn eval(&self, _roots: &Roots) -> Result<Value, EvalError> {
        Err(EvalError { expression: self.text.clone(), detail: "not yet".into() })
    }
}

impl Mapping {
    /// The value for one message.
    ///
    /// # Errors
    /// The first leaf that has no value.
    pub fn eval(&self, roots: &Roots) -> Result<Value, EvalError> {
        match self {
            Self::Leaf(program) => program.eval(roots),
        }
    }
}
