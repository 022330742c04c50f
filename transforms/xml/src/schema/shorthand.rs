//! Explicit restrictions of `xs:anyType`, written as the shorthand that means the same.
//!
//! A complex type with no `complexContent` *is* a restriction of `xs:anyType` (XSD 1.0 part 1, 3.4.2). `xsd-schema` 0.3.0
//! accepts the shorthand, but checks the long form against the type's own lax wildcard and refuses
//! `processContents="skip"`, which the standard allows there ("Wildcard Subset", exception for the ur-type). The official
//! OPI schemas use exactly that (`anyTAG`). So the tags of the long form are overwritten with spaces: nothing moves, and
//! places in error texts stay true.

use std::borrow::Cow;
use std::ops::Range;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

const XSD: &str = "http://www.w3.org/2001/XMLSchema";

/// The schema text with each long form made short. A text that cannot be read is returned as it is: the compiler says
/// why.
pub(super) fn shorten(text: &str) -> Cow<'_, str> {
    let tags = long_forms(text).unwrap_or_default();
    if tags.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut short = String::with_capacity(text.len());
    let mut copied = 0;
    for tag in tags {
        short.push_str(&text[copied..tag.start]);
        short.extend(text[tag.clone()].bytes().map(|b| if b == b'\n' { '\n' } else { ' ' }));
        copied = tag.end;
    }
    short.push_str(&text[copied..]);
    Cow::Owned(short)
}

/// An open element of the schema document.
struct Open {
    local: String,
    tag: Range<usize>,
    /// It may vanish: see [`Walk::may_vanish`].
    vanishes: bool,
    /// Its one element child is a restriction that vanishes.
    children: usize,
}

/// The tags to overwrite, in order.
fn long_forms(text: &str) -> Option<Vec<Range<usize>>> {
    let mut walk = Walk { prefix: None, open: Vec::new(), tags: Vec::new() };
    let mut reader = Reader::from_str(text);
    loop {
        let from = usize::try_from(reader.buffer_position()).ok()?;
        let event = reader.read_event().ok()?;
        let tag = from..usize::try_from(reader.buffer_position()).ok()?;
        match event {
            Event::Start(start) => walk.start(&start, tag)?,
            Event::Empty(start) => {
                walk.start(&start, tag.clone())?;
                let _ = walk.open.pop();
            }
            Event::End(_) => walk.end(tag)?,
            Event::Eof => break,
            _ => {}
        }
    }
    walk.tags.sort_by_key(|tag| tag.start);
    Some(walk.tags)
}

struct Walk {
    /// The prefix of the XSD namespace, with its colon; from the root.
    prefix: Option<String>,
    open: Vec<Open>,
    tags: Vec<Range<usize>>,
}

impl Walk {
    fn start(&mut self, start: &BytesStart<'_>, tag: Range<usize>) -> Option<()> {
        if self.open.is_empty() {
            self.prefix = prefix(start);
        }
        let name = start.name();
        let local = name.as_ref().strip_prefix(self.prefix.as_deref()?).unwrap_or_default().to_string();
        if local == "annotation" {
            // It would become a second annotation of the type.
            self.open.iter_mut().rev().take(2).for_each(|open| open.vanishes &= open.local == "complexType");
        }
        if let Some(parent) = self.open.last_mut() {
            parent.children += 1;
        }
        let vanishes = self.may_vanish(&local, start);
        self.open.push(Open { local, tag, vanishes, children: 0 });
        Some(())
    }

    /// A `complexContent` without `mixed` (it would override the type's), or the `restriction` of `xs:anyType` in it.
    fn may_vanish(&self, local: &str, start: &BytesStart<'_>) -> bool {
        let prefix = self.prefix.as_deref().unwrap_or_default();
        let value = |name: &str| start.try_get_attribute(name).ok().flatten().map(|attribute| attribute.value);
        match local {
            "complexContent" => value("mixed").is_none(),
            "restriction" => value("base").is_some_and(|base| *base == format!("{prefix}anyType")),
            _ => false,
        }
    }

    fn end(&mut self, end_tag: Range<usize>) -> Option<()> {
        let closed = self.open.pop()?;
        let Some(parent) = self.open.last() else { return Some(()) };
        let pair = closed.local == "restriction" && parent.local == "complexContent";
        if pair && closed.vanishes && parent.vanishes && parent.children == 1 {
            self.tags.extend([closed.tag, end_tag]);
            self.open.last_mut()?.local = "shortened".into();
        } else if closed.local == "shortened" {
            self.tags.extend([closed.tag, end_tag]);
        }
        Some(())
    }
}

/// The prefix that the root binds to the XSD namespace, with its colon; empty for the default namespace.
fn prefix(root: &BytesStart<'_>) -> Option<String> {
    let declaration = root.attributes().flatten().find(|attribute| &*attribute.value == XSD)?;
    match declaration.key.as_ref() {
        "xmlns" => Some(String::new()),
        key => key.strip_prefix("xmlns:").map(|prefix| format!("{prefix}:")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn schema(inner: &str) -> String {
        format!(
            "<xs:schema xmlns:xs='{XSD}'><xs:complexType name='t' mixed='true'>{inner}</xs:complexType></xs:schema>"
        )
    }

    #[test]
    fn the_long_form_becomes_short_and_nothing_moves() {
        let any = "<xs:sequence><xs:any processContents='skip'/></xs:sequence>";
        let long = schema(&format!(
            "<xs:complexContent>\n<xs:restriction base='xs:anyType'>{any}</xs:restriction>\n</xs:complexContent>"
        ));
        let short = shorten(&long);
        assert_eq!(short.len(), long.len());
        assert_eq!(short.find(any), long.find(any));
        assert!(!short.contains("restriction") && !short.contains("complexContent"), "{short}");
        assert_eq!(short.lines().count(), long.lines().count());
    }

    #[test]
    fn everything_else_stays() {
        for inner in [
            "<xs:complexContent><xs:restriction base='xs:other'><xs:sequence/></xs:restriction></xs:complexContent>",
            "<xs:complexContent><xs:extension base='xs:anyType'><xs:sequence/></xs:extension></xs:complexContent>",
            "<xs:complexContent mixed='false'><xs:restriction base='xs:anyType'/></xs:complexContent>",
            "<xs:complexContent><xs:annotation/><xs:restriction base='xs:anyType'></xs:restriction></xs:complexContent>",
            "<xs:complexContent><xs:restriction base='xs:anyType'><xs:annotation/></xs:restriction></xs:complexContent>",
            "<xs:simpleType><xs:restriction base='xs:string'></xs:restriction></xs:simpleType>",
        ] {
            let text = schema(inner);
            assert_eq!(shorten(&text), text);
        }
    }

    proptest! {
        #[test]
        fn any_text_gives_an_answer(text in "[<>/xs:a-e='\\n\"è ]{0,120}") {
            prop_assert_eq!(shorten(&text).len(), text.len());
        }
    }
}
