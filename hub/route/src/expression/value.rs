//! Values while an expression is evaluated: borrowed from the message where possible.

use std::borrow::Cow;
use std::rc::Rc;

use hub_core::{Value, decimal_of};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;

use super::xml::Element;

#[derive(Clone, Debug)]
pub(crate) enum Val<'a> {
    Null,
    Bool(bool),
    Number(Decimal),
    Text(Cow<'a, str>),
    Time(Timestamp),
    Date(Date),
    Span(SignedDuration),
    List(Rc<Vec<Val<'a>>>),
    Map(Rc<Vec<(String, Val<'a>)>>),
    /// An array or an object of the message, or a number that is not an exact decimal (`1e400`).
    Json(&'a Value),
    /// An element with attributes or children; others are [`Val::Text`].
    Xml(&'a Element),
    Optional(Option<Box<Val<'a>>>),
}

/// Why there is no value. `missing`: a field is not there, which `has` and `.?` forgive.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) missing: bool,
    pub(crate) detail: String,
}

impl Fault {
    pub(crate) fn new(detail: impl Into<String>) -> Self {
        Self { missing: false, detail: detail.into() }
    }

    pub(crate) fn missing(detail: impl Into<String>) -> Self {
        Self { missing: true, detail: detail.into() }
    }
}

impl<'a> Val<'a> {
    pub(crate) fn of(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(b) => Self::Bool(*b),
            Value::String(text) => Self::Text(Cow::Borrowed(text)),
            Value::Number(_) => decimal_of(value).map_or(Self::Json(value), Self::Number),
            Value::Array(_) | Value::Object(_) => Self::Json(value),
        }
    }

    pub(crate) fn of_element(element: &'a Element) -> Self {
        if element.is_text() { Self::Text(Cow::Borrowed(&element.text)) } else { Self::Xml(element) }
    }

    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(Cow::Owned(text.into()))
    }

    pub(crate) fn list(items: Vec<Val<'a>>) -> Self {
        Self::List(Rc::new(items))
    }

    /// The type in words, with its article.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "text",
            Self::Time(_) => "an instant",
            Self::Date(_) => "a date",
            Self::Span(_) => "a duration",
            Self::List(_) => "a list",
            Self::Map(_) => "an object",
            Self::Json(Value::Array(_)) => "a list",
            Self::Json(Value::Number(_)) => "a number that is not an exact decimal",
            Self::Json(_) => "an object",
            Self::Xml(_) => "an element",
            Self::Optional(_) => "an optional value (use `.orValue(...)`)",
        }
    }

    /// The value as text, if it is text: an element's own text counts.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Xml(element) if element.children.is_empty() => Some(&element.text),
            _ => None,
        }
    }

    /// The items, if it is a list.
    pub(crate) fn items(&self) -> Option<Vec<Val<'a>>> {
        match self {
            Self::List(items) => Some(items.as_ref().clone()),
            Self::Json(Value::Array(items)) => Some(items.iter().map(Val::of).collect()),
            _ => None,
        }
    }

    /// Names of the fields, for messages; never values.
    pub(crate) fn field_names(&self) -> Vec<String> {
        match self {
            Self::Map(entries) => entries.iter().map(|(name, _)| name.clone()).collect(),
            Self::Json(Value::Object(fields)) => fields.keys().cloned().collect(),
            Self::Xml(element) => element.field_names(),
            _ => Vec::new(),
        }
    }

    /// One field.
    pub(crate) fn field(&self, name: &str, path: &dyn Fn() -> String) -> Result<Val<'a>, Fault> {
        let found = match self {
            Self::Map(entries) => entries.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone()),
            Self::Json(Value::Object(fields)) => fields.get(name).map(Val::of),
            Self::Xml(element) => element.field(name, path)?,
            Self::Null => return Err(Fault::missing(format!("`{}` is null, it has no field `{name}`", path()))),
            other => {
                return Err(Fault::new(format!("`{}` is {}, it has no field `{name}`", path(), other.kind())));
            }
        };
        found.ok_or_else(|| self.no_field(name, &path()))
    }

    fn no_field(&self, name: &str, path: &str) -> Fault {
        let mut names = self.field_names();
        let more = if names.len() > 12 { ", ..." } else { "" };
        names.truncate(12);
        let there = if names.is_empty() { "it is empty".into() } else { format!("it has: {}{more}", names.join(", ")) };
        Fault::missing(format!("`{path}` has no field `{name}`; {there}"))
    }

    /// Whether both are the same. Comparing text with a number is an error: it is nearly always a forgotten
    /// `decimal(...)`, and would be silently false.
    pub(crate) fn same(&self, other: &Val<'a>) -> Result<bool, Fault> {
        if matches!(self, Self::Null) || matches!(other, Self::Null) {
            return Ok(matches!((self, other), (Self::Null, Self::Null)));
        }
        if let (Some(a), Some(b)) = (self.as_text(), other.as_text()) {
            return Ok(a == b);
        }
        if let (Some(a), Some(b)) = (self.items(), other.items()) {
            return same_items(&a, &b);
        }
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => Ok(a == b),
            (Self::Number(a), Self::Number(b)) => Ok(a == b),
            (Self::Json(Value::Number(a)), Self::Json(Value::Number(b))) => Ok(a == b),
            (Self::Time(a), Self::Time(b)) => Ok(a == b),
            (Self::Date(a), Self::Date(b)) => Ok(a == b),
            (Self::Span(a), Self::Span(b)) => Ok(a == b),
            (Self::Optional(a), Self::Optional(b)) => match (a, b) {
                (Some(a), Some(b)) => a.same(b),
                (a, b) => Ok(a.is_none() && b.is_none()),
            },
            (a, b) if a.is_object() && b.is_object() => Ok(a.to_json()? == b.to_json()?),
            (a, b) => Err(mismatch("compared", a, b)),
        }
    }

    fn is_object(&self) -> bool {
        matches!(self, Self::Map(_) | Self::Json(Value::Object(_)) | Self::Xml(_))
    }

    /// The order of both.
    pub(crate) fn order(&self, other: &Val<'a>) -> Result<std::cmp::Ordering, Fault> {
        if let (Some(a), Some(b)) = (self.as_text(), other.as_text()) {
            return Ok(a.cmp(b));
        }
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => Ok(a.cmp(b)),
            (Self::Number(a), Self::Number(b)) => Ok(a.cmp(b)),
            (Self::Time(a), Self::Time(b)) => Ok(a.cmp(b)),
            (Self::Date(a), Self::Date(b)) => Ok(a.cmp(b)),
            (Self::Span(a), Self::Span(b)) => Ok(a.cmp(b)),
            (a, b) => Err(mismatch("ordered", a, b)),
        }
    }

    /// The value as JSON; numbers keep their text.
    pub(crate) fn to_json(&self) -> Result<Value, Fault> {
        Ok(match self {
            Self::Null => Value::Null,
            Self::Bool(b) => Value::Bool(*b),
            Self::Number(n) => number(*n)?,
            Self::Text(text) => Value::String(text.to_string()),
            Self::Time(time) => Value::String(time.to_string()),
            Self::Date(date) => Value::String(date.to_string()),
            Self::Span(span) => Value::String(format!("{}s", span.as_secs())),
            Self::List(items) => Value::Array(items.iter().map(Val::to_json).collect::<Result<_, _>>()?),
            Self::Map(entries) => {
                let fields = entries.iter().map(|(name, value)| Ok((name.clone(), value.to_json()?)));
                Value::Object(fields.collect::<Result<_, Fault>>()?)
            }
            Self::Json(value) => (*value).clone(),
            Self::Xml(element) => element.to_json(),
            Self::Optional(Some(value)) => value.to_json()?,
            Self::Optional(None) => Value::Null,
        })
    }
}

fn same_items<'a>(a: &[Val<'a>], b: &[Val<'a>]) -> Result<bool, Fault> {
    if a.len() != b.len() {
        return Ok(false);
    }
    for (a, b) in a.iter().zip(b) {
        if !a.same(b)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn mismatch(verb: &str, a: &Val<'_>, b: &Val<'_>) -> Fault {
    let hint = match (a, b) {
        (Val::Number(_), Val::Text(_)) | (Val::Text(_), Val::Number(_)) => {
            "; write `decimal(...)` around the text, or `string(...)` around the number"
        }
        _ => "",
    };
    Fault::new(format!("{} and {} cannot be {verb}{hint}", a.kind(), b.kind()))
}

/// A JSON number with exactly the digits of the decimal.
pub(crate) fn number(n: Decimal) -> Result<Value, Fault> {
    let text = n.to_string();
    serde_json::from_str(&text).map_err(|_| Fault::new(format!("{text} is not a JSON number")))
}
