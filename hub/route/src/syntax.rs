//! YAML with a position for every node, within limits.
//!
//! Booleans are `true` and `false` only; numbers keep their text; a key that stands twice is kept twice, so that both
//! places can be reported. Aliases and nesting are bounded before and after the parser sees the text.

mod load;
mod place;
mod source;

pub(crate) use load::{is_renamed, parse};
pub(crate) use place::scalar_places;
pub(crate) use source::{Source, Span};

/// A node.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) data: Data,
}

#[derive(Clone, Debug)]
pub(crate) enum Data {
    Null,
    Bool(bool),
    /// A number, as written.
    Number(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
    /// `!tag`: YAML's own mark, never used by the language.
    Tag,
}

/// A key of a mapping.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) span: Span,
    /// `None` if the key is not a text.
    pub(crate) name: Option<String>,
}

impl Node {
    /// The type in words.
    pub(crate) fn kind(&self) -> &'static str {
        match self.data {
            Data::Null => "nothing",
            Data::Bool(_) => "true or false",
            Data::Number(_) => "a number",
            Data::Text(_) => "a text",
            Data::List(_) => "a list",
            Data::Map(_) => "a mapping",
            Data::Tag => "a YAML tag",
        }
    }

    pub(crate) fn entries(&self) -> &[(Key, Node)] {
        match &self.data {
            Data::Map(entries) => entries,
            _ => &[],
        }
    }

    pub(crate) fn items(&self) -> &[Node] {
        match &self.data {
            Data::List(items) => items,
            _ => &[],
        }
    }

    /// The value under a key.
    pub(crate) fn get(&self, name: &str) -> Option<&Node> {
        self.entries().iter().find(|(key, _)| key.name.as_deref() == Some(name)).map(|(_, node)| node)
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match &self.data {
            Data::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The node at a JSON pointer, or the deepest one on the way there; for a key, its own place.
    pub(crate) fn at(&self, pointer: &str) -> &Node {
        let mut node = self;
        for part in pointer.split('/').skip(1) {
            let part = part.replace("~1", "/").replace("~0", "~");
            let next = node.get(&part).or_else(|| part.parse::<usize>().ok().and_then(|index| node.items().get(index)));
            match next {
                Some(next) => node = next,
                None => return node,
            }
        }
        node
    }

    /// The node as JSON; numbers keep their text, a key that stands twice counts once.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        use serde_json::Value;
        match &self.data {
            Data::Null | Data::Tag => Value::Null,
            Data::Bool(b) => Value::Bool(*b),
            Data::Number(text) => serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone())),
            Data::Text(text) => Value::String(text.clone()),
            Data::List(items) => Value::Array(items.iter().map(Node::to_json).collect()),
            Data::Map(entries) => {
                let named = entries.iter().filter_map(|(key, node)| Some((key.name.clone()?, node.to_json())));
                Value::Object(named.collect())
            }
        }
    }
}
