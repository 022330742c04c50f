//! What a foreign document may be, judged in one pass before any tree is built.

use std::borrow::Cow;

use hub_core::Problem;
use quick_xml::Reader;
use quick_xml::events::{BytesRef, BytesStart, Event};

use crate::Encodings;
use crate::encoding::decode;

/// Bounds of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Size of the whole document, in bytes.
    pub bytes_max: usize,
    /// Nesting of elements; the root is at depth 1.
    pub depth_max: usize,
    /// Attributes (namespace declarations included) of one element.
    pub attributes_max: usize,
    /// Namespace declarations that hold at one element, its ancestors' included. Canonical XML and schema validation copy
    /// them for each element, so that a few thousand of them make a small document expensive.
    pub namespaces_max: usize,
    /// Encodings that are accepted.
    pub encodings: Encodings,
}

impl Default for Limits {
    /// 5 MiB, 128 levels, 128 attributes, 32 namespaces, UTF-8.
    fn default() -> Self {
        Self { bytes_max: 5 << 20, depth_max: 128, attributes_max: 128, namespaces_max: 32, encodings: Encodings::Utf8 }
    }
}

impl Limits {
    /// The same limits with another size.
    #[must_use]
    pub fn with_bytes_max(self, bytes_max: usize) -> Self {
        Self { bytes_max, ..self }
    }
}

/// Reads a document within limits and returns its text: UTF-8, without byte order mark.
///
/// Refused here, before a parser builds anything: a document that is too large, too deep or has too many attributes or namespaces; any
/// DOCTYPE (and with it every entity but the five of XML); another encoding than those accepted; XML 1.1; text, or a
/// second element, beside the root; unbalanced tags. The check is streaming and uses no stack per level. It is not a full
/// well-formedness check: names, namespaces and character ranges are the parser's business.
///
/// # Errors
/// One problem: code `xml.size`, `xml.encoding`, `xml.version`, `xml.doctype`, `xml.depth`, `xml.attributes`, `xml.namespaces`, `xml.entity`
/// or `xml.malformed`; the detail names line and column.
pub fn read<'a>(xml: &'a [u8], limits: &Limits) -> Result<Cow<'a, str>, Problem> {
    if xml.len() > limits.bytes_max {
        let detail = format!("document has {} bytes, at most {} are allowed", xml.len(), limits.bytes_max);
        return Err(Problem::at("xml.size", "", detail));
    }
    let text = decode(xml, limits.encodings)?;
    Scan { text: &text, limits, open: Vec::new(), roots: 0 }.run()?;
    Ok(text)
}

/// One pass over a document.
struct Scan<'a> {
    text: &'a str,
    limits: &'a Limits,
    /// For each open element, the namespace declarations that hold in it.
    open: Vec<usize>,
    roots: usize,
}

impl Scan<'_> {
    fn run(mut self) -> Result<(), Problem> {
        let mut reader = Reader::from_str(self.text);
        loop {
            let at = offset(reader.buffer_position());
            let event = reader.read_event();
            match event.map_err(|e| self.malformed(offset(reader.error_position()), &e.to_string()))? {
                Event::Eof => break,
                event => self.event(at, &event)?,
            }
        }
        match (self.roots, self.open.len()) {
            (0, _) => Err(self.malformed(self.text.len(), "there is no root element")),
            (_, 0) => Ok(()),
            _ => Err(self.malformed(self.text.len(), "the document ends inside an element")),
        }
    }

    fn event(&mut self, at: usize, event: &Event<'_>) -> Result<(), Problem> {
        match event {
            Event::Start(start) => {
                let namespaces = self.element(at, start)?;
                self.open.push(namespaces);
                Ok(())
            }
            Event::Empty(start) => self.element(at, start).map(drop),
            Event::End(_) => {
                let _ = self.open.pop();
                Ok(())
            }
            Event::Text(text) if self.open.is_empty() && !text.bytes().all(|b| b.is_ascii_whitespace()) => {
                Err(self.malformed(at, "there is text outside the root element"))
            }
            Event::CData(_) if self.open.is_empty() => {
                Err(self.malformed(at, "there is text outside the root element"))
            }
            Event::GeneralRef(reference) => self.reference(at, reference),
            Event::DocType(_) => Err(self.problem("xml.doctype", at, "a DOCTYPE is not accepted; remove it")),
            Event::Decl(declaration) => match declaration.version() {
                Ok(version) if &*version == "1.0" => Ok(()),
                _ => Err(self.problem("xml.version", at, "only XML version 1.0 is accepted")),
            },
            _ => Ok(()),
        }
    }

    /// Judges a start tag; gives the namespace declarations that hold in the element.
    fn element(&mut self, at: usize, start: &BytesStart<'_>) -> Result<usize, Problem> {
        if self.open.is_empty() {
            self.roots += 1;
            if self.roots > 1 {
                return Err(self.malformed(at, "there is a second root element"));
            }
        }
        if self.open.len() >= self.limits.depth_max {
            let detail = format!("elements are nested deeper than {} levels", self.limits.depth_max);
            return Err(self.problem("xml.depth", at, &detail));
        }
        let namespaces = self.open.last().copied().unwrap_or_default() + self.attributes(at, start)?;
        if namespaces > self.limits.namespaces_max {
            let detail = format!("an element has more than {} namespaces in scope", self.limits.namespaces_max);
            return Err(self.problem("xml.namespaces", at, &detail));
        }
        Ok(namespaces)
    }

    /// The number of namespace declarations among the attributes. At most one attribute more than the limit is looked at:
    /// the reader's search for duplicates is quadratic.
    fn attributes(&self, at: usize, start: &BytesStart<'_>) -> Result<usize, Problem> {
        let (mut count, mut namespaces) = (0usize, 0usize);
        for attribute in start.attributes().take(self.limits.attributes_max.saturating_add(1)) {
            let attribute = attribute.map_err(|e| self.malformed(at, &e.to_string()))?;
            count += 1;
            let name = attribute.key.as_ref();
            namespaces += usize::from(name == "xmlns" || name.starts_with("xmlns:"));
        }
        if count > self.limits.attributes_max {
            let detail = format!("an element has more than {} attributes", self.limits.attributes_max);
            return Err(self.problem("xml.attributes", at, &detail));
        }
        Ok(namespaces)
    }

    fn reference(&self, at: usize, reference: &BytesRef<'_>) -> Result<(), Problem> {
        if self.open.is_empty() {
            return Err(self.malformed(at, "there is text outside the root element"));
        }
        let known = matches!(&**reference, "amp" | "lt" | "gt" | "quot" | "apos");
        if known || reference.is_char_ref() {
            return Ok(());
        }
        Err(self.problem("xml.entity", at, "only the entities amp, lt, gt, quot and apos are accepted"))
    }

    fn malformed(&self, at: usize, what: &str) -> Problem {
        self.problem("xml.malformed", at, &format!("document is not well-formed XML: {what}"))
    }

    fn problem(&self, code: &str, at: usize, detail: &str) -> Problem {
        let (line, column) = crate::line_column(self.text.as_bytes(), at);
        Problem::at(code, "", format!("{detail} (line {line}, column {column})"))
    }
}

/// A reader's position; a document that fits memory has no larger one.
fn offset(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn code(xml: &str) -> String {
        read(xml.as_bytes(), &Limits::default()).map_or_else(|problem| problem.code, |_| "ok".into())
    }

    #[test]
    fn ordinary_documents_pass() {
        let all = "\u{FEFF}<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<?pi x?><!-- c -->\n<a x='1'><![CDATA[<]]>&amp;&#x41;<b/></a>\n<!-- end -->";
        assert_eq!(code(all), "ok");
        assert_eq!(code("<a/>"), "ok");
    }

    #[test]
    fn each_refusal_has_its_code() {
        assert_eq!(code("<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>"), "xml.doctype");
        assert_eq!(code("<a><!DOCTYPE a></a>"), "xml.doctype");
        assert_eq!(code("<a>&eacute;</a>"), "xml.entity");
        assert_eq!(code("<?xml version='1.1'?><a/>"), "xml.version");
        assert_eq!(code(""), "xml.malformed");
        assert_eq!(code("<a/><b/>"), "xml.malformed");
        assert_eq!(code("<a></b>"), "xml.malformed");
        assert_eq!(code("<a>"), "xml.malformed");
        assert_eq!(code("<a/>text"), "xml.malformed");
        assert_eq!(code("&amp;<a/>"), "xml.malformed");
        assert_eq!(code("<a x='1' x='2'/>"), "xml.malformed");
        assert_eq!(code("{\"json\": true}"), "xml.malformed");
    }

    #[test]
    fn depth_size_and_attributes_are_bounded() {
        let deep = |n: usize| format!("{}{}", "<a>".repeat(n), "</a>".repeat(n));
        assert_eq!(code(&deep(128)), "ok");
        assert_eq!(code(&deep(129)), "xml.depth");
        assert_eq!(code(&format!("{}<a/>{}", "<a>".repeat(128), "</a>".repeat(128))), "xml.depth");
        let wide = |n: usize| format!("<a {}/>", (0..n).map(|i| format!("x{i}='' ")).collect::<String>());
        assert_eq!(code(&wide(128)), "ok");
        assert_eq!(code(&wide(129)), "xml.attributes");
        let scoped = |n: usize| {
            let open: String = (0..n).map(|i| format!("<a xmlns:p{i}='u'>")).collect();
            format!("{open}<b/>{}", "</a>".repeat(n))
        };
        assert_eq!(code(&scoped(32)), "ok");
        assert_eq!(code(&scoped(33)), "xml.namespaces");
        assert_eq!(code(&format!("<r>{}</r>", "<a xmlns:p='u'/>".repeat(100))), "ok");
        let small = Limits::default().with_bytes_max(3);
        assert_eq!(read(b"<a/>", &small).unwrap_err().code, "xml.size");
        assert!(read(b"<a/>", &Limits::default().with_bytes_max(4)).is_ok());
    }

    #[test]
    fn places_are_named() {
        let problem = read(b"<a>\n<b>\n</a>", &Limits::default()).unwrap_err();
        assert!(problem.detail.contains("line 3"), "{problem}");
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for encodings in [Encodings::Utf8, Encodings::Legacy] {
                let answer = read(&bytes, &Limits { encodings, ..Limits::default() });
                prop_assert!(answer.map_or_else(|problem| problem.code.starts_with("xml."), |text| text.contains('<')));
            }
        }

        #[test]
        fn any_markup_gives_an_answer(text in "[<>/!?&;a-c\\[\\]\"'= \\-#xDOCTYPE]{0,120}") {
            let answer = read(text.as_bytes(), &Limits::default());
            prop_assert!(answer.map_or_else(|problem| problem.code.starts_with("xml."), |read| read == text));
        }

        #[test]
        fn what_passes_is_the_text_itself(text in "<a>[a-zà-ü ]{0,40}</a>") {
            prop_assert_eq!(read(text.as_bytes(), &Limits::default()).unwrap(), text.as_str());
        }
    }
}
