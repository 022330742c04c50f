//! What expressions see.

use std::sync::OnceLock;

use hub_core::{Body, Media, Message, Value, read_json};
use jiff::Timestamp;
use serde_json::Map;

use super::eval::Lookup;
use super::value::{Fault, Val};
use super::xml::{self, Element};

/// Largest body that an expression may read.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What expressions see of one message. The body is read only when an expression asks for it, and once.
pub struct Roots {
    body: Body,
    headers: Value,
    case: Value,
    entity: Value,
    bound: Value,
    now: Timestamp,
    document: OnceLock<Result<Document, String>>,
}

/// A body that has been read.
enum Document {
    Json(Value),
    Xml(Box<Element>),
    Text(String),
}

impl Roots {
    /// The roots of a message: `body` (read by its media), `headers`, `case`, `entity` (the row of the case's entity, or
    /// null), `now`, and what `bound` holds: the names bound by `as`, and under `vars` what `set` kept.
    #[must_use]
    pub fn new(message: &Message, entity: &Value, bound: &Value, now: Timestamp) -> Self {
        let text = |text: &String| Value::String(text.clone());
        let headers = message.headers.iter().map(|(name, value)| (name.clone(), text(value))).collect();
        Self {
            body: message.body.clone(),
            headers: Value::Object(headers),
            case: case(message),
            entity: entity.clone(),
            bound: bound.clone(),
            now,
            document: OnceLock::new(),
        }
    }

    /// The same message with other bindings: the body need not be read again.
    #[must_use]
    pub fn rebound(mut self, bound: &Value) -> Self {
        self.bound = bound.clone();
        self
    }

    /// The body as a JSON value: JSON as it is, XML by the conventions of the language, text as text.
    ///
    /// # Errors
    /// When the body is not what its media says, or binary.
    pub fn body(&self) -> Result<Value, String> {
        match self.document() {
            Ok(Document::Json(value)) => Ok(value.clone()),
            Ok(Document::Xml(document)) => Ok(document.to_json()),
            Ok(Document::Text(text)) => Ok(Value::String(text.clone())),
            Err(detail) => Err(detail.clone()),
        }
    }

    fn document(&self) -> Result<&Document, &String> {
        self.document.get_or_init(|| read(&self.body)).as_ref()
    }
}

fn case(message: &Message) -> Value {
    let case = &message.case;
    let mut fields = Map::new();
    let _ = fields.insert("kind".into(), Value::String(case.kind.clone()));
    let _ = fields.insert("id".into(), Value::String(case.id.clone()));
    if let Some(entity) = &case.entity {
        let _ = fields.insert("entity".into(), Value::String(entity.clone()));
    }
    if let Some(amount) = case.amount.and_then(|amount| super::value::number(amount).ok()) {
        let _ = fields.insert("amount".into(), amount);
    }
    Value::Object(fields)
}

fn read(body: &Body) -> Result<Document, String> {
    if body.bytes.len() > BODY_BYTES_MAX {
        return Err(format!("the body has {} bytes, expressions read at most {BODY_BYTES_MAX}", body.bytes.len()));
    }
    match body.media {
        Media::Json => read_json(&body.bytes, BODY_BYTES_MAX).map(Document::Json),
        Media::Xml => xml::read(&body.bytes).map(|document| Document::Xml(Box::new(document))),
        Media::Text => {
            let text = std::str::from_utf8(&body.bytes);
            text.map(|text| Document::Text(text.into())).map_err(|_| "the body is not UTF-8 text".into())
        }
        Media::Bytes => Err("the body is binary: expressions see no fields of it".into()),
    }
}

impl<'a> Lookup<'a> for &'a Roots {
    fn root(&self, name: &str) -> Result<Val<'a>, Fault> {
        let roots: &'a Roots = self;
        match name {
            "body" => match roots.document() {
                Ok(Document::Json(value)) => Ok(Val::of(value)),
                Ok(Document::Xml(document)) => Ok(Val::Xml(document)),
                Ok(Document::Text(text)) => Ok(Val::Text(text.into())),
                Err(detail) => Err(Fault::new(format!("`body` cannot be read: {detail}"))),
            },
            "headers" => Ok(Val::of(&roots.headers)),
            "case" => Ok(Val::of(&roots.case)),
            "entity" => Ok(Val::of(&roots.entity)),
            "now" => Ok(Val::Time(roots.now)),
            "vars" => Ok(roots.bound.get("vars").map_or(Val::Map(Vec::new().into()), Val::of)),
            _ => roots.bound.get(name).map(Val::of).ok_or_else(|| Fault::missing(format!("there is no `{name}` here"))),
        }
    }
}

impl std::fmt::Debug for Roots {
    /// Never shows the content: bodies hold personal data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Roots").field("body", &self.body).finish_non_exhaustive()
    }
}
