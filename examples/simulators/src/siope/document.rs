//! A bounded reading of XML into a small tree.

use quick_xml::NsReader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::ResolveResult;

/// Deepest nesting of elements.
pub(crate) const DEPTH_MAX: usize = 64;
/// Most elements of one document.
const ELEMENTS_MAX: usize = 300_000;

/// An element: children in order, its own text joined. Attributes are read for well-formedness only; OPI has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Element {
    /// Local name; an element of a namespace is `{namespace}local`.
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) children: Vec<Element>,
}

impl Element {
    /// The first child of that name.
    pub(crate) fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|c| c.name == name)
    }

    /// All children of that name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> + 'a {
        self.children.iter().filter(move |c| c.name == name)
    }

    /// The trimmed text of the first child of that name.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.child(name).map(|c| c.text.trim())
    }
}

/// The text of a document without its byte order mark and XML declaration: UTF-8, or ISO-8859-1 when it says so.
pub(crate) fn decode(bytes: &[u8]) -> Result<String, String> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let (declaration, rest) = split_declaration(bytes)?;
    match declared_encoding(declaration)?.as_str() {
        "utf-8" | "us-ascii" => {
            String::from_utf8(rest.to_vec()).map_err(|e| format!("the document is not UTF-8: {}", e.utf8_error()))
        }
        "iso-8859-1" => Ok(rest.iter().map(|b| char::from(*b)).collect()),
        other => Err(format!("encoding {other:?} is not supported, use UTF-8 or ISO-8859-1")),
    }
}

fn split_declaration(bytes: &[u8]) -> Result<(&str, &[u8]), String> {
    if !bytes.starts_with(b"<?xml ") {
        return Ok(("", bytes));
    }
    let end = bytes.windows(2).take(200).position(|w| w == b"?>").ok_or("the XML declaration does not end")?;
    let declaration = std::str::from_utf8(&bytes[..end]).map_err(|_| "the XML declaration is not ASCII".to_owned())?;
    Ok((declaration, &bytes[end + 2..]))
}

fn declared_encoding(declaration: &str) -> Result<String, String> {
    let Some((_, after)) = declaration.split_once("encoding") else { return Ok("utf-8".to_owned()) };
    let after = after.trim_start().strip_prefix('=').map(str::trim_start).ok_or("the XML declaration is malformed")?;
    let quote = after.chars().next().filter(|c| matches!(c, '"' | '\'')).ok_or("the XML declaration is malformed")?;
    let name = after[1..].split(quote).next().unwrap_or_default();
    Ok(name.to_ascii_lowercase())
}

/// Reads a document. A DOCTYPE, an undeclared entity, a second root or too deep a nesting is an error.
pub(crate) fn parse(xml: &str) -> Result<Element, String> {
    let mut reader = NsReader::from_str(xml);
    reader.config_mut().enable_all_checks(true);
    let mut builder = Builder::default();
    loop {
        let (namespace, event) = reader.read_resolved_event().map_err(|e| format!("not well-formed XML: {e}"))?;
        match event {
            Event::Start(start) => builder.open(&namespace, &start)?,
            Event::Empty(start) => {
                builder.open(&namespace, &start)?;
                builder.close()?;
            }
            Event::End(_) => builder.close()?,
            Event::Text(text) => builder.text(&text.xml10_content())?,
            Event::CData(data) => builder.text(&data.xml10_content())?,
            Event::GeneralRef(reference) => builder.reference(&reference)?,
            Event::DocType(_) => return Err("a DOCTYPE is not allowed".to_owned()),
            Event::Decl(_) => return Err("an XML declaration is only allowed at the very beginning".to_owned()),
            Event::Comment(_) | Event::PI(_) => {}
            Event::Eof => return builder.finish(),
        }
    }
}

#[derive(Default)]
struct Builder {
    open: Vec<Element>,
    root: Option<Element>,
    elements: usize,
}

impl Builder {
    fn open(&mut self, namespace: &ResolveResult<'_>, start: &BytesStart<'_>) -> Result<(), String> {
        self.elements += 1;
        if self.root.is_some() {
            return Err("a second root element".to_owned());
        }
        if self.open.len() >= DEPTH_MAX || self.elements > ELEMENTS_MAX {
            return Err(format!("more than {DEPTH_MAX} levels or {ELEMENTS_MAX} elements"));
        }
        for attribute in start.attributes() {
            attribute.map_err(|e| format!("not well-formed XML: {e}"))?;
        }
        let name = qualified(namespace, start)?;
        self.open.push(Element { name, ..Element::default() });
        Ok(())
    }

    fn close(&mut self) -> Result<(), String> {
        let closed = self.open.pop().ok_or("an end tag without its start tag")?;
        match self.open.last_mut() {
            Some(parent) => parent.children.push(closed),
            None => self.root = Some(closed),
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), String> {
        match self.open.last_mut() {
            Some(element) => element.text.push_str(text),
            None if text.trim().is_empty() => {}
            None => return Err("text outside the root element".to_owned()),
        }
        Ok(())
    }

    fn reference(&mut self, reference: &BytesRef<'_>) -> Result<(), String> {
        if let Some(c) = reference.resolve_char_ref().map_err(|e| format!("not well-formed XML: {e}"))? {
            return self.text(c.encode_utf8(&mut [0; 4]));
        }
        let name = reference.xml10_content();
        let text = resolve_predefined_entity(&name).ok_or_else(|| format!("entity {name:?} is not declared"))?;
        self.text(text)
    }

    fn finish(self) -> Result<Element, String> {
        if !self.open.is_empty() {
            return Err("the document ends before its root element does".to_owned());
        }
        self.root.ok_or_else(|| "the document is empty".to_owned())
    }
}

fn qualified(namespace: &ResolveResult<'_>, start: &BytesStart<'_>) -> Result<String, String> {
    let local = String::from_utf8_lossy(start.local_name().as_ref().as_ref()).into_owned();
    match namespace {
        ResolveResult::Unbound => Ok(local),
        ResolveResult::Bound(ns) => Ok(format!("{{{}}}{local}", String::from_utf8_lossy(ns.as_ref().as_ref()))),
        ResolveResult::Unknown(_) => Err(format!("the prefix of {local:?} is not declared")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_entities_and_namespaces_are_read() {
        let root = parse("<a><b>x &amp; y&#232; <![CDATA[<]]></b><d:c xmlns:d='urn:d'/></a>").unwrap();
        assert_eq!(root.value("b"), Some("x & yè <"));
        assert_eq!(root.children[1].name, "{urn:d}c");
    }

    #[test]
    fn dangerous_or_broken_documents_are_refused() {
        let deep = format!("{}{}", "<a>".repeat(70), "</a>".repeat(70));
        for (xml, why) in [
            ("<!DOCTYPE a><a/>", "DOCTYPE"),
            ("<a>&boh;</a>", "not declared"),
            ("<a/><a/>", "second root"),
            ("<a><b></a>", "well-formed"),
            ("<a x='1' x='2'/>", "well-formed"),
            ("<p:a/>", "prefix"),
            ("<a>", "ends before"),
            ("", "empty"),
            ("<a/>x", "outside"),
            (deep.as_str(), "levels"),
        ] {
            let error = parse(xml).unwrap_err();
            assert!(error.contains(why), "{xml}: {error}");
        }
    }

    #[test]
    fn declared_encodings_are_honoured() {
        assert_eq!(decode(b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xE8</a>").unwrap(), "<a>è</a>");
        assert_eq!(decode("\u{feff}<?xml version=\"1.0\"?><a>è</a>".as_bytes()).unwrap(), "<a>è</a>");
        assert!(decode(b"<a>\xE8</a>").unwrap_err().contains("UTF-8"));
        assert!(decode(b"<?xml version='1.0' encoding='UTF-16'?><a/>").unwrap_err().contains("utf-16"));
    }
}
