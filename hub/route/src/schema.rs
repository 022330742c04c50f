//! The JSON schema of the language (draft 2020-12): the words of the language and the configurations of all plug-ins.
//!
//! One word, one schema: a step is an object with exactly one property (plug-in steps, too), so that an editor says what is
//! wrong with *this* step instead of "not valid under any of the given schemas".

use hub_core::plugin::{Def, Registry};
use serde_json::{Map, Value, json};

use crate::language::{self, ROLES, Shape, StepWord, Ty};

/// The schema of a route file.
#[must_use]
pub fn schema(registry: Registry) -> Value {
    let mut defs = Map::new();
    shared(&mut defs);
    let sources = variants(&mut defs, "source", registry.sources());
    let sinks = variants(&mut defs, "sink", registry.sinks());
    let mut steps: Map<String, Value> = language::STEPS.iter().map(word).collect();
    steps.extend(variants(&mut defs, "step", registry.steps()));
    let mut to = sinks;
    to.extend(properties(&language::TO));
    let lists = json!({
        "type": "array", "items": { "$ref": "#/$defs/Step" }, "minItems": 1, "description": "Steps, in order.",
    });
    let sink = json!({
        "type": "object", "properties": to, "additionalProperties": false, "minProperties": 1, "maxProperties": 2,
        "description": "One sink, and perhaps `as`.",
    });
    let named = [
        ("Source", one_of_words(sources, "Where messages come from: one source.")),
        ("Step", one_of_words(steps, "One step: a word and its fields.")),
        ("Sink", sink),
        ("Steps", lists),
        ("Branches", branches()),
    ];
    defs.extend(named.map(|(name, value)| (name.to_string(), value)));
    let mut root = record(&language::ROUTE);
    if let Some(root) = root.as_object_mut() {
        let _ = root.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
        let _ = root.insert("title".into(), json!("Raccordo route"));
        let _ = root.insert("$defs".into(), Value::Object(defs));
    }
    root
}

/// Types that many fields share.
fn shared(defs: &mut Map<String, Value>) {
    let expression = json!({ "type": ["string", "number", "boolean"], "x-raccordo": "expression", "description": "A CEL expression." });
    let mapping = json!({
        "description": "A tree whose leaves are CEL expressions; `{ each: LIST, as: NAME, map: TREE }` gives one item for each element.",
        "type": ["string", "number", "boolean", "object", "array"],
        "additionalProperties": { "$ref": "#/$defs/Mapping" }, "items": { "$ref": "#/$defs/Mapping" },
    });
    let span = json!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h|d|w|y)$", "description": "A duration such as `30s`, `4h` or `400d`." });
    let name = json!({ "type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$" });
    let bind = json!({ "type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]{0,63}$" });
    let role = json!({ "type": "string", "examples": ROLES });
    for (key, value) in [
        ("Expression", expression),
        ("Mapping", mapping),
        ("Span", span),
        ("Name", name),
        ("Bind", bind),
        ("Role", role),
    ] {
        let _ = defs.insert(key.into(), value);
    }
}

/// The schema of each plug-in of one role, under its own name; gives kind -> reference.
fn variants<T: 'static>(
    defs: &mut Map<String, Value>,
    role: &str,
    plugins: impl Iterator<Item = &'static Def<T>>,
) -> Map<String, Value> {
    let mut out = Map::new();
    for def in plugins {
        let name = format!("{role}.{}", def.kind);
        let mut config = (def.schema)().as_value().clone();
        relocate(&mut config, &format!("#/$defs/{name}"));
        if let Some(config) = config.as_object_mut() {
            let _ = config.remove("$schema");
            let _ = config.remove("title");
            if role == "step" {
                bindable(config);
            }
        }
        let required = config.get("required").and_then(Value::as_array).is_some_and(|required| !required.is_empty());
        let description = config.get("description").cloned();
        let _ = defs.insert(name.clone(), config);
        let mut variant = json!({ "$ref": format!("#/$defs/{name}") });
        if !required {
            variant = json!({ "anyOf": [variant, { "type": "null" }] });
        }
        if let (Some(variant), Some(description)) = (variant.as_object_mut(), description) {
            let _ = variant.insert("description".into(), description);
        }
        let _ = out.insert(def.kind.to_string(), variant);
    }
    out
}

/// References inside a plug-in's schema, seen from the root of ours.
fn relocate(value: &mut Value, base: &str) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(target)) = fields.get_mut("$ref")
                && let Some(rest) = target.strip_prefix('#')
            {
                *target = format!("{base}{rest}");
            }
            fields.values_mut().for_each(|field| relocate(field, base));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| relocate(item, base)),
        _ => {}
    }
}

/// A plug-in step may bind its result: `as` stands among its own fields.
fn bindable(config: &mut Map<String, Value>) {
    let properties = config.entry("properties").or_insert_with(|| json!({}));
    if let Some(properties) = properties.as_object_mut() {
        let bind = json!({ "$ref": "#/$defs/Bind", "description": "The name to bind the result to." });
        let _ = properties.insert("as".into(), bind);
    }
}

fn one_of_words(properties: Map<String, Value>, description: &str) -> Value {
    json!({
        "type": "object", "description": description, "properties": properties,
        "additionalProperties": false, "minProperties": 1, "maxProperties": 1,
    })
}

fn word(word: &StepWord) -> (String, Value) {
    (word.name.to_string(), described(ty(word.ty), word.doc, word.example))
}

fn record(shape: &Shape) -> Value {
    let required: Vec<&str> = shape.fields.iter().filter(|field| field.required).map(|field| field.name).collect();
    let mut out = json!({
        "type": "object", "description": shape.doc, "properties": properties(shape), "additionalProperties": false,
    });
    if let (Some(out), false) = (out.as_object_mut(), required.is_empty()) {
        let _ = out.insert("required".into(), json!(required));
    }
    out
}

fn properties(shape: &Shape) -> Map<String, Value> {
    let field = |field: &language::Field| {
        let example = format!("{}: {}", field.name, field.example);
        (field.name.to_string(), described(ty(field.ty), field.doc, &example))
    };
    shape.fields.iter().map(field).collect()
}

fn described(mut value: Value, doc: &str, example: &str) -> Value {
    if let Some(value) = value.as_object_mut() {
        let _ = value.insert("description".into(), json!(format!("{doc}\n\n`{example}`")));
    }
    value
}

fn ty(ty: Ty) -> Value {
    let reference = |name: &str| json!({ "$ref": format!("#/$defs/{name}") });
    match ty {
        Ty::Text | Ty::State | Ty::CaseKind => json!({ "type": "string" }),
        Ty::Name => reference("Name"),
        Ty::Bind => reference("Bind"),
        Ty::Expr(result) => json!({ "$ref": "#/$defs/Expression", "x-raccordo-result": result }),
        Ty::Exprs(result) => json!({
            "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/Expression", "x-raccordo-result": result },
        }),
        Ty::Mapping => reference("Mapping"),
        Ty::Mappings => json!({ "type": "object", "additionalProperties": { "$ref": "#/$defs/Mapping" } }),
        Ty::Span => reference("Span"),
        Ty::Count(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Ty::Role => reference("Role"),
        Ty::Source => reference("Source"),
        Ty::Sink => reference("Sink"),
        Ty::Steps => reference("Steps"),
        Ty::Branches => reference("Branches"),
        Ty::Record(shape) => record(shape),
        Ty::WordOr(word, shape) => variant(json!({ "const": word }), shape),
        Ty::StateOr(shape) => variant(json!({ "type": "string" }), shape),
    }
}

/// A word, or a mapping: which of both decides the type of what is there.
fn variant(word: Value, shape: &Shape) -> Value {
    json!({ "if": { "type": "object" }, "then": record(shape), "else": word })
}

fn branches() -> Value {
    json!({
        "type": "array", "minItems": 1, "description": "Branches; the first one whose condition is true is taken.",
        "items": {
            "type": "object",
            "if": { "required": ["otherwise"] }, "then": record(&language::OTHERWISE), "else": record(&language::WHEN),
        },
    })
}
