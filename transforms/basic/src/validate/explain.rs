//! What a schema's verdict means to the one who wrote the message: which field, and what to write there.

use hub_core::{Problem, Value};
use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};

/// Values listed in one text.
const LISTED_MAX: usize = 12;
/// Characters of a value that is quoted.
const QUOTED_CHARS_MAX: usize = 60;
/// Nesting of `oneOf` and `anyOf` that is explained.
const FORMS_DEPTH_MAX: usize = 4;

/// The problems that one error stands for; at least one. Code `json-schema`.
pub(super) fn explain(schema: &Value, error: &ValidationError<'_>) -> Vec<Problem> {
    Explainer { schema, depth: 0 }.explain(error)
}

struct Explainer<'a> {
    schema: &'a Value,
    depth: usize,
}

impl Explainer<'_> {
    fn explain(&self, error: &ValidationError<'_>) -> Vec<Problem> {
        let at = error.instance_path().to_string();
        match error.kind() {
            Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
                unexpected.iter().map(|name| self.unknown(error, &at, name)).collect()
            }
            Kind::OneOfNotValid { context } | Kind::AnyOf { context } => self.forms(error, &at, context),
            Kind::Required { property } => {
                let name = property.as_str().unwrap_or_default();
                vec![problem(&child(&at, name), format!("field `{name}` is missing{}", self.hint(error, Some(name))))]
            }
            _ => vec![problem(&at, self.sentence(error))],
        }
    }

    /// A field that the schema does not know.
    fn unknown(&self, error: &ValidationError<'_>, at: &str, name: &str) -> Problem {
        let known: Vec<&str> = self.known_fields(error);
        let advice = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`? "),
            None if known.is_empty() => String::new(),
            None => format!("known are {}; ", listed(known.iter().map(|name| format!("`{name}`")))),
        };
        let advice =
            if advice.ends_with("? ") { format!("{advice}otherwise remove it") } else { format!("{advice}remove it") };
        problem(&child(at, name), format!("field `{}` is not known here: {advice}", short(name)))
    }

    fn known_fields(&self, error: &ValidationError<'_>) -> Vec<&str> {
        let properties = self.around(error).and_then(|schema| schema.get("properties"));
        properties.and_then(Value::as_object).into_iter().flatten().map(|(name, _)| name.as_str()).collect()
    }

    /// The form that the value comes nearest to: none of its discriminating fields (`const`, `enum`, `type` of the value
    /// itself) is wrong, then the fewest problems.
    fn forms(&self, error: &ValidationError<'_>, at: &str, context: &[Vec<ValidationError<'static>>]) -> Vec<Problem> {
        let none =
            || vec![problem(at, format!("fits none of the {} allowed forms{}", context.len(), self.hint(error, None)))];
        if self.depth >= FORMS_DEPTH_MAX {
            return none();
        }
        let best = context.iter().enumerate().min_by_key(|(_, errors)| (other_form(errors), errors.len()));
        let Some((index, errors)) = best.filter(|(_, errors)| !errors.is_empty()) else { return none() };
        let inner = Explainer { schema: self.schema, depth: self.depth + 1 };
        let name = self.form_name(error, index);
        let about = |problem: Problem| Problem { detail: format!("{} ({name})", problem.detail), ..problem };
        errors.iter().flat_map(|error| inner.explain(error)).map(about).collect()
    }

    fn form_name(&self, error: &ValidationError<'_>, index: usize) -> String {
        let forms = self.around(error).and_then(|schema| schema.get("oneOf").or(schema.get("anyOf")));
        let title = forms.and_then(|forms| forms.get(index)).and_then(|form| form.get("title")).and_then(Value::as_str);
        title.map_or_else(
            || format!("in the nearest of the allowed forms, number {}", index + 1),
            |title| format!("in the form `{title}`"),
        )
    }

    /// One sentence for everything else.
    fn sentence(&self, error: &ValidationError<'_>) -> String {
        let value = error.instance().as_ref();
        let hint = self.hint(error, None);
        match error.kind() {
            Kind::Enum { options } => one_of(value, options) + &hint,
            Kind::Constant { expected_value } => {
                format!("{} is not accepted: write {expected_value}{hint}", quoted(value))
            }
            Kind::Pattern { pattern } => {
                format!("{} does not have the right form: it must match `{pattern}`{hint}", quoted(value))
            }
            Kind::Type { kind } => format!("{} is {}: write {}{hint}", quoted(value), kind_of(value), wanted(kind)),
            Kind::Format { format } => format!("{} is not a valid {format}{hint}", quoted(value)),
            Kind::MinLength { limit } => {
                format!("{} is too short: write at least {limit} characters{hint}", quoted(value))
            }
            Kind::MaxLength { limit } => {
                format!("{} is too long: write at most {limit} characters{hint}", quoted(value))
            }
            Kind::Minimum { limit } => format!("{} is too small: write {limit} or more{hint}", quoted(value)),
            Kind::Maximum { limit } => format!("{} is too large: write {limit} or less{hint}", quoted(value)),
            Kind::ExclusiveMinimum { limit } => {
                format!("{} is too small: write more than {limit}{hint}", quoted(value))
            }
            Kind::ExclusiveMaximum { limit } => {
                format!("{} is too large: write less than {limit}{hint}", quoted(value))
            }
            Kind::MultipleOf { multiple_of } => format!("{} is not a multiple of {multiple_of}{hint}", quoted(value)),
            Kind::MinItems { limit } => format!("has too few items: write at least {limit}{hint}"),
            Kind::MaxItems { limit } => format!("has too many items: write at most {limit}{hint}"),
            Kind::OneOfMultipleValid { .. } => {
                format!("fits more than one of the allowed forms: remove what belongs to the others{hint}")
            }
            Kind::UniqueItems => format!("has the same item twice: each must be different{hint}"),
            Kind::FalseSchema => format!("is not allowed here: remove it{hint}"),
            _ => format!("{}{hint}", short(&error.to_string())),
        }
    }

    /// What the schema's author says about the field: its `description`.
    fn hint(&self, error: &ValidationError<'_>, property: Option<&str>) -> String {
        let schema = self.around(error);
        let schema = match property {
            Some(name) => schema.and_then(|schema| schema.get("properties")?.get(name)),
            None => schema,
        };
        let text = schema.and_then(|schema| schema.get("description")).and_then(Value::as_str);
        text.map(|text| format!(" ({})", text.trim_end_matches('.'))).unwrap_or_default()
    }

    /// The schema object in which the keyword stands that failed.
    fn around(&self, error: &ValidationError<'_>) -> Option<&Value> {
        let keyword = error.schema_path().to_string();
        let (object, _) = keyword.rsplit_once('/')?;
        self.schema.pointer(object)
    }
}

fn problem(field: &str, detail: String) -> Problem {
    Problem::at("json-schema", field, detail)
}

/// Whether the value was plainly meant for another form.
fn other_form(errors: &[ValidationError<'_>]) -> usize {
    let discriminating = |error: &&ValidationError<'_>| {
        matches!(error.kind(), Kind::Constant { .. } | Kind::Enum { .. } | Kind::FalseSchema)
    };
    errors.iter().filter(discriminating).count()
}

fn one_of(value: &Value, options: &Value) -> String {
    let options = options.as_array().map(Vec::as_slice).unwrap_or_default();
    let all = listed(options.iter().map(quoted));
    let near = value.as_str().and_then(|text| nearest(text, options.iter().filter_map(Value::as_str)));
    match near {
        Some(near) => format!("{} is not accepted: did you mean \"{near}\"? accepted are {all}", quoted(value)),
        None => format!("{} is not accepted: write one of {all}", quoted(value)),
    }
}

fn listed(values: impl ExactSizeIterator<Item = String>) -> String {
    let more = values.len().saturating_sub(LISTED_MAX);
    let mut text = values.take(LISTED_MAX).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

/// A known name that differs in case or in few letters only.
fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let distance = |other: &str| strsim::damerau_levenshtein(&name.to_lowercase(), &other.to_lowercase());
    let allowed = (name.chars().count() / 3).clamp(1, 4);
    if name.chars().count() > QUOTED_CHARS_MAX {
        return None;
    }
    known
        .map(|other| (distance(other), other))
        .filter(|(far, _)| *far <= allowed)
        .min_by_key(|(far, _)| *far)
        .map(|(_, near)| near)
}

fn child(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

fn short(text: &str) -> String {
    match text.char_indices().nth(QUOTED_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_string(),
    }
}

/// Scalars as JSON, shortened; containers by their kind.
fn quoted(value: &Value) -> String {
    match value {
        Value::Array(_) => "the list".into(),
        Value::Object(_) => "the object".into(),
        Value::String(text) => Value::String(short(text)).to_string(),
        scalar => short(&scalar.to_string()),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn wanted(kind: &TypeKind) -> String {
    let name = |name: &str| match name {
        "string" => "text in quotes",
        "number" => "a number without quotes",
        "integer" => "a whole number without quotes",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "an object",
        _ => "null",
    };
    match kind {
        TypeKind::Single(one) => name(one.as_str()).to_string(),
        TypeKind::Multiple(many) => many.iter().map(|one| name(one.as_str())).collect::<Vec<_>>().join(" or "),
    }
}
