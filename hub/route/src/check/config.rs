//! Configurations of plug-ins: judged by their own schema, with positions.

use std::collections::BTreeMap;

use hub_core::Value;
use hub_core::plugin::{Def, Parsed};
use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind as Kind;
use serde_json::json;

use super::reader::{Reader, looks_computed};
use super::scope::Scope;
use crate::expression::Program;
use crate::nearest;
use crate::syntax::{self, Data, Node, Span};

/// A configuration that was read, and its expressions.
pub(crate) struct Config<T> {
    pub(crate) kind: &'static str,
    pub(crate) parsed: Parsed<T>,
    pub(crate) params: Vec<(String, Program)>,
}

/// A schema that knows which of its properties are expressions.
pub(crate) struct PluginSchema {
    schema: Value,
}

impl PluginSchema {
    pub(crate) fn new(schema: &schemars::Schema) -> Self {
        Self { schema: schema.as_value().clone() }
    }

    pub(crate) fn properties(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.schema
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(name, schema)| (name.as_str(), schema))
    }

    pub(crate) fn is_expression(&self, property: &str) -> bool {
        let found = self.properties().find(|(name, _)| *name == property);
        found.is_some_and(|(_, schema)| self.marked(schema, 0))
    }

    fn marked(&self, schema: &Value, depth: usize) -> bool {
        if schema.get("x-raccordo").and_then(Value::as_str) == Some("expression") {
            return true;
        }
        let target = schema
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|path| self.schema.pointer(path.trim_start_matches('#')));
        let variants =
            ["anyOf", "allOf", "oneOf"].into_iter().filter_map(|word| schema.get(word)?.as_array()).flatten();
        depth < 4 && target.into_iter().chain(variants).any(|inner| self.marked(inner, depth + 1))
    }

    /// The properties beside a keyword of the schema, given the keyword's path.
    fn siblings(&self, keyword: &str) -> Vec<&str> {
        let parent = keyword.rsplit_once('/').map_or("", |(parent, _)| parent);
        let properties = self.schema.pointer(parent).and_then(|schema| schema.get("properties")?.as_object());
        properties.into_iter().flatten().map(|(name, _)| name.as_str()).collect()
    }

    /// The name of the section of `config/hub.yaml` that a property names an entry of.
    fn section(&self, property: &str) -> Option<String> {
        let (_, schema) = self.properties().find(|(name, _)| *name == property)?;
        let marked = schema.get("x-raccordo-name").and_then(Value::as_str);
        let by_name = [("connection", "connections"), ("listener", "listeners"), ("key", "keys")];
        let usual = by_name
            .iter()
            .find(|(name, _)| *name == property && !self.is_expression(property))
            .map(|(_, section)| *section);
        marked.or(usual).map(String::from)
    }
}

impl Reader<'_> {
    /// Reads a plug-in's configuration. `without` names keys that the language itself takes.
    pub(crate) fn config<T>(
        &mut self,
        def: &'static Def<T>,
        node: &Node,
        owner: Span,
        without: &[&str],
        scope: &Scope,
    ) -> Option<Config<T>> {
        if !matches!(node.data, Data::Map(_) | Data::Null) {
            self.wrong(node, "a mapping of fields", &format!("{}: {{ }}", def.kind));
            return None;
        }
        let schema = PluginSchema::new(&(def.schema)());
        let before = self.report.problems.len();
        let (value, params) = self.config_value(&schema, node, without, scope);
        self.judge(&schema, &value, node, owner);
        self.check_names(&schema, node);
        if self.report.problems[before..].iter().any(crate::problem::Problem::is_error) {
            return None;
        }
        match (def.parse)(&value) {
            Err(detail) => {
                let span = mentioned(node, &detail).unwrap_or(owner);
                self.report.error(span, "bad-config", detail);
                None
            }
            Ok(parsed) => {
                self.check_parsed(&parsed, node, owner);
                Some(Config { kind: def.kind, parsed, params })
            }
        }
    }

    /// The configuration as JSON, its expressions compiled beside it.
    fn config_value(
        &mut self,
        schema: &PluginSchema,
        node: &Node,
        without: &[&str],
        scope: &Scope,
    ) -> (Value, Vec<(String, Program)>) {
        let mut value = serde_json::Map::new();
        let mut params = Vec::new();
        for (key, field) in node.entries() {
            let Some(name) = key.name.as_deref().filter(|name| !without.contains(name) && !syntax::is_renamed(name))
            else {
                continue;
            };
            let plain = if schema.is_expression(name) {
                let program = self.expr(field, scope, "a value");
                let text = program.as_ref().map_or_else(String::new, |program| program.text.clone());
                params.extend(program.map(|program| (name.to_string(), program)));
                Value::String(text)
            } else {
                self.warn_computed(field, name);
                field.to_json()
            };
            let _ = value.insert(name.to_string(), plain);
        }
        (Value::Object(value), params)
    }

    fn warn_computed(&mut self, field: &Node, name: &str) {
        if field.text().is_some_and(looks_computed) {
            let message = format!("`{name}` is taken literally, but looks like an expression");
            self.report.error(field.span, "expression-in-literal", message).warning().hint("write the value itself");
        }
    }

    fn judge(&mut self, schema: &PluginSchema, value: &Value, node: &Node, owner: Span) {
        let validator = match jsonschema::validator_for(&schema.schema) {
            Ok(validator) => validator,
            Err(e) => {
                self.report.error(owner, "bad-plugin", format!("the plug-in's schema cannot be used: {e}"));
                return;
            }
        };
        let found: Vec<_> = validator.iter_errors(value).collect();
        for error in found {
            self.judged(schema, &error, node, owner);
        }
    }

    fn judged(&mut self, schema: &PluginSchema, error: &ValidationError<'_>, root: &Node, owner: Span) {
        let pointer = error.instance_path().as_str();
        let text = error.to_string();
        let node = root.at(pointer);
        let at = if pointer.is_empty() { owner } else { node.span };
        match error.kind() {
            Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
                let known = schema.siblings(error.schema_path().as_str());
                for name in unexpected {
                    let span = key_span(node, name).unwrap_or(at);
                    self.unknown(span, name, "field", known.iter().copied());
                }
            }
            Kind::Required { property } => {
                let name = property.as_str().unwrap_or_default();
                let example = schema.example(name);
                self.report
                    .error(at, "missing-field", format!("`{name}` is missing"))
                    .hint(format!("write for example `{name}: {example}`"));
            }
            Kind::Type { kind } => {
                let wanted = match kind {
                    jsonschema::error::TypeKind::Single(kind) => kind.to_string(),
                    jsonschema::error::TypeKind::Multiple(_) => "another type".into(),
                };
                let message = format!("{} is wanted, not {}", words(&wanted), node.kind());
                self.report.error(at, "wrong-type", message);
            }
            Kind::Enum { options } => self.not_an_option(node, at, options),
            Kind::Constant { expected_value } => self.not_an_option(node, at, &json!([expected_value.as_ref()])),
            Kind::Pattern { pattern } if pattern.contains("ms|s|m|h") => {
                let detail = node.text().and_then(|text| text.parse::<hub_core::Span>().err());
                self.report.error(at, "bad-duration", detail.unwrap_or(text));
            }
            Kind::Pattern { pattern } if pattern.contains("kB|KiB") => {
                let detail = node.text().and_then(|text| text.parse::<hub_core::Bytesize>().err());
                self.report.error(at, "bad-size", detail.unwrap_or(text));
            }
            Kind::OneOfNotValid { context } | Kind::AnyOf { context } => {
                self.no_variant(schema, context, &text, (root, node), at)
            }
            _ => {
                self.report.error(at, "bad-config", text);
            }
        }
    }

    /// None of several forms fits: says what the allowed words are, or what the form that comes nearest wants.
    fn no_variant(
        &mut self,
        schema: &PluginSchema,
        context: &[Vec<ValidationError<'static>>],
        text: &str,
        (root, node): (&Node, &Node),
        at: Span,
    ) {
        let options: Vec<&Value> = context
            .iter()
            .flatten()
            .filter_map(|error| match error.kind() {
                Kind::Constant { expected_value } => Some(vec![expected_value.as_ref()]),
                Kind::Enum { options } => options.as_array().map(|options| options.iter().collect()),
                _ => None,
            })
            .flatten()
            .collect();
        if !options.is_empty() && node.text().is_some() {
            return self.not_an_option(node, at, &json!(options));
        }
        let of_null = |errors: &&Vec<ValidationError<'static>>| {
            !errors.iter().any(|e| matches!(e.kind(), Kind::Type { kind: jsonschema::error::TypeKind::Single(t) } if t.to_string() == "null"))
        };
        match context.iter().filter(of_null).min_by_key(|errors| errors.len()) {
            Some(errors) if !errors.is_empty() => {
                for error in errors {
                    self.judged(schema, error, root, at);
                }
            }
            _ => {
                self.report.error(at, "bad-config", text);
            }
        }
    }

    fn not_an_option(&mut self, node: &Node, at: Span, options: &Value) {
        let words = |value: &Value| value.as_str().map_or_else(|| value.to_string(), String::from);
        let known: Vec<String> =
            options.as_array().into_iter().flatten().filter(|option| !option.is_null()).map(words).collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        match node.text() {
            Some(text) => self.unknown(at, text, "value", known),
            None => {
                self.report.error(at, "unknown-value", format!("one of these is wanted: {}", known.join(", ")));
            }
        }
    }

    /// Names of `config/hub.yaml`, where the sections are known.
    fn check_names(&mut self, schema: &PluginSchema, node: &Node) {
        for (key, field) in node.entries() {
            let (Some(name), Some(text)) = (key.name.as_deref(), field.text()) else { continue };
            let Some(section) = schema.section(name) else { continue };
            let Some(known) = self.world.names.get(&section) else { continue };
            if !known.contains(text) {
                let hint = nearest::hint(text, &section, known.iter().map(String::as_str));
                let message = format!("config/hub.yaml has no `{section}.{text}`");
                self.report.error(field.span, "unknown-reference", message).hint(hint);
            }
        }
    }

    fn check_parsed<T>(&mut self, parsed: &Parsed<T>, node: &Node, owner: Span) {
        for problem in &parsed.problems {
            let span = if problem.field.is_empty() { owner } else { node.at(&problem.field).span };
            let field = problem.field.trim_start_matches('/');
            let field = if field.is_empty() { String::new() } else { format!("`{field}`: ") };
            self.report.error(span, "bad-config", format!("{field}{}", problem.detail));
        }
        for file in &parsed.files {
            let span = find_text(node, file).unwrap_or(owner);
            self.check_file(file, span);
        }
    }

    fn check_file(&mut self, file: &str, span: Span) {
        let _ = self.files.insert(file.to_string());
        let Some(bytes) = (self.world.read)(file) else {
            let hint = "paths resolve from the configuration's folder";
            self.report.error(span, "missing-file", format!("there is no file `{file}`")).hint(hint);
            return;
        };
        if !file.ends_with(".json") {
            return;
        }
        let mut judged = self.judged.borrow_mut();
        let problem = judged.entry(file.to_string()).or_insert_with(|| schema_problem(file, &bytes));
        if let Some(message) = problem {
            self.report.error(span, "bad-file", message.clone());
        }
    }
}

/// What is wrong with a JSON schema.
fn schema_problem(file: &str, bytes: &[u8]) -> Option<String> {
    match serde_json::from_slice::<Value>(bytes) {
        Err(e) => Some(format!("`{file}` is not JSON: {e}")),
        Ok(schema) => jsonschema::validator_for(&schema).err().map(|e| format!("`{file}` is not a JSON schema: {e}")),
    }
}

impl PluginSchema {
    /// What one could write for a property.
    fn example(&self, name: &str) -> String {
        let schema = self.properties().find(|(property, _)| *property == name).map(|(_, schema)| schema);
        let given = schema.and_then(|schema| schema.get("examples")?.get(0)).cloned();
        let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), String::from);
        let by_type = || match schema.and_then(|schema| schema.get("type")?.as_str()) {
            _ if self.is_expression(name) => "body.campo".to_string(),
            Some("integer" | "number") => "1".into(),
            Some("boolean") => "true".into(),
            _ => "...".into(),
        };
        let description = schema.and_then(|schema| schema.get("description")?.as_str()).unwrap_or_default();
        let described = description.split_once("example `").and_then(|(_, rest)| rest.split('`').next());
        let described = described.filter(|_| given.is_none()).map(String::from);
        described.unwrap_or_else(|| given.map_or_else(by_type, text))
    }
}

fn words(kind: &str) -> &str {
    match kind {
        "string" => "a text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "a mapping of fields",
        other => other,
    }
}

fn key_span(node: &Node, name: &str) -> Option<Span> {
    node.entries().iter().find(|(key, _)| key.name.as_deref() == Some(name)).map(|(key, _)| key.span)
}

/// The field that an error text names in backticks.
fn mentioned(node: &Node, detail: &str) -> Option<Span> {
    let names = detail.split('`').skip(1).step_by(2);
    names.filter_map(|name| node.get(name).map(|field| field.span).or_else(|| key_span(node, name))).next()
}

/// Where a text stands in a configuration.
fn find_text(node: &Node, text: &str) -> Option<Span> {
    if node.text() == Some(text) {
        return Some(node.span);
    }
    let below = node.entries().iter().map(|(_, value)| value).chain(node.items());
    below.filter_map(|node| find_text(node, text)).next()
}

/// Definitions by their names, for look-ups and hints.
pub(crate) fn by_kind<T: 'static>(
    defs: impl Iterator<Item = &'static Def<T>>,
) -> BTreeMap<&'static str, &'static Def<T>> {
    defs.map(|def| (def.kind, def)).collect()
}
