//! XML bodies as expressions see them.
//!
//! Paths include the root; names are local names (prefixes and namespaces are dropped); an attribute is the field
//! `@name`, the text of an element that has attributes or children is `#text`. A repeated element read singly is an
//! error; `all(x)` is always a list. A document with a DOCTYPE is refused, and no entity but the five built-in ones and
//! character references is resolved.

use hub_core::Value;
use quick_xml::Reader;
use quick_xml::events::{BytesRef, BytesStart, Event};
use serde_json::Map;

use super::value::{Fault, Val};

/// Deepest nesting of elements.
const DEPTH_MAX: usize = 64;
/// Most elements in a document.
const ELEMENTS_MAX: usize = 500_000;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) children: Vec<Element>,
    pub(crate) text: String,
}

impl Element {
    /// Whether the element is nothing but its text.
    pub(crate) fn is_text(&self) -> bool {
        self.attributes.is_empty() && self.children.is_empty()
    }

    /// Elements from here down.
    pub(crate) fn weight(&self) -> usize {
        1 + self.children.iter().map(Element::weight).sum::<usize>()
    }

    pub(crate) fn named<'a>(&'a self, name: &str) -> Vec<&'a Element> {
        self.children.iter().filter(|child| child.name == name).collect()
    }

    pub(crate) fn field_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.attributes.iter().map(|(name, _)| format!("@{name}")).collect();
        for child in &self.children {
            if !names.contains(&child.name) {
                names.push(child.name.clone());
            }
        }
        names
    }

    pub(crate) fn field(&self, name: &str, path: &dyn Fn() -> String) -> Result<Option<Val<'_>>, Fault> {
        if let Some(attribute) = name.strip_prefix('@') {
            let found = self.attributes.iter().find(|(n, _)| n == attribute);
            return Ok(found.map(|(_, value)| Val::Text(value.into())));
        }
        if name == "#text" {
            return Ok(Some(Val::Text((&self.text).into())));
        }
        match self.named(name).as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(Val::of_element(one))),
            many => {
                let path = path();
                let detail =
                    format!("`{path}.{name}` is there {} times; read the list with `all({path}.{name})`", many.len());
                Err(Fault::new(detail))
            }
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        if self.is_text() {
            return Value::String(self.text.clone());
        }
        let mut fields = Map::new();
        for (name, value) in &self.attributes {
            let _ = fields.insert(format!("@{name}"), Value::String(value.clone()));
        }
        for name in self.field_names().into_iter().filter(|name| !name.starts_with('@')) {
            let mut values: Vec<Value> = self.named(&name).into_iter().map(Element::to_json).collect();
            let value = if values.len() == 1 { values.remove(0) } else { Value::Array(values) };
            let _ = fields.insert(name, value);
        }
        if !self.text.trim().is_empty() {
            let _ = fields.insert("#text".into(), Value::String(self.text.clone()));
        }
        Value::Object(fields)
    }
}

/// Reads a document; the result is an element without a name whose only child is the root.
pub(crate) fn read(bytes: &[u8]) -> Result<Element, String> {
    let text = std::str::from_utf8(bytes).map_err(|e| format!("not UTF-8: byte {} cannot be read", e.valid_up_to()))?;
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_end_names = true;
    let mut builder = Builder { open: vec![Element::default()], elements: 0 };
    loop {
        let event = reader.read_event().map_err(|e| format!("not XML: {e} (byte {})", reader.error_position()))?;
        match event {
            Event::Eof => return builder.finish(),
            event => builder.take(&event).map_err(|e| format!("{e} (byte {})", reader.buffer_position()))?,
        }
    }
}

struct Builder {
    open: Vec<Element>,
    elements: usize,
}

impl Builder {
    fn take(&mut self, event: &Event<'_>) -> Result<(), String> {
        match event {
            Event::Start(start) => self.begin(start),
            Event::Empty(start) => {
                self.begin(start)?;
                self.end()
            }
            Event::End(_) => self.end(),
            Event::Text(text) => self.text(&text.xml10_content()),
            Event::CData(data) => self.text(&data.xml10_content()),
            Event::GeneralRef(reference) => self.reference(reference),
            Event::DocType(_) => Err("a DOCTYPE is not allowed".into()),
            _ => Ok(()),
        }
    }

    fn begin(&mut self, start: &BytesStart<'_>) -> Result<(), String> {
        self.elements += 1;
        if self.elements > ELEMENTS_MAX || self.open.len() > DEPTH_MAX {
            return Err(format!("more than {ELEMENTS_MAX} elements or {DEPTH_MAX} levels"));
        }
        let mut element = Element { name: local(start.local_name().as_ref()), ..Element::default() };
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|e| format!("not XML: {e}"))?;
            let key = attribute.key;
            if key.as_ref() == "xmlns" || key.as_ref().starts_with("xmlns:") {
                continue;
            }
            let value =
                attribute.normalized_value(quick_xml::XmlVersion::Explicit1_0).map_err(|e| format!("not XML: {e}"))?;
            element.attributes.push((local(key.local_name().as_ref()), value.into_owned()));
        }
        self.open.push(element);
        Ok(())
    }

    fn end(&mut self) -> Result<(), String> {
        let mut element = self.open.pop().ok_or("not XML: an end without a beginning")?;
        if !element.children.is_empty() && element.text.trim().is_empty() {
            element.text.clear();
        }
        let parent = self.open.last_mut().ok_or("not XML: an end without a beginning")?;
        parent.children.push(element);
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), String> {
        match self.open.as_mut_slice() {
            [_] if text.trim().is_empty() => Ok(()),
            [_] => Err("not XML: text outside the root element".into()),
            [.., element] => {
                element.text.push_str(text);
                Ok(())
            }
            [] => Err("not XML: text outside the root element".into()),
        }
    }

    fn reference(&mut self, reference: &BytesRef<'_>) -> Result<(), String> {
        if let Some(c) = reference.resolve_char_ref().map_err(|e| format!("not XML: {e}"))? {
            return self.text(c.encode_utf8(&mut [0; 4]));
        }
        let name = reference.xml10_content();
        let text = quick_xml::escape::resolve_predefined_entity(&name);
        self.text(text.ok_or_else(|| format!("the entity `&{name};` is not allowed"))?)
    }

    fn finish(mut self) -> Result<Element, String> {
        match (self.open.pop(), self.open.is_empty()) {
            (Some(document), true) if document.children.len() == 1 => Ok(document),
            (Some(_), true) => Err("not XML: there must be one root element".into()),
            (Some(open), false) => Err(format!("not XML: `{}` is not closed", open.name)),
            _ => Err("not XML".into()),
        }
    }
}

fn local(name: impl AsRef<str>) -> String {
    name.as_ref().to_string()
}
