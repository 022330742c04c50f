//! The mark that a configuration field is an expression.

use std::borrow::Cow;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

/// A field of a plug-in's configuration that holds a CEL expression whose value is a `T`.
///
/// The plug-in never evaluates it. The route language finds the field by the mark in the schema
/// (`"x-raccordo": "expression"`), checks and compiles it; at run time the plug-in receives the values, by field name,
/// in [`crate::Scope::params`] or [`crate::Outgoing::params`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Expr<T> {
    /// The expression as written.
    pub text: String,
    #[serde(skip)]
    marker: PhantomData<fn() -> T>,
}

impl<T: JsonSchema> JsonSchema for Expr<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("Expression_{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let result = T::json_schema(generator);
        schemars::json_schema!({
            "type": ["string", "number", "boolean"], "x-raccordo": "expression", "x-raccordo-result": result,
            "description": "A CEL expression, for example `case.entity` or `body.importo`."
        })
    }
}
