//! Line ends and attribute values as XML 1.0 wants them before anything is hashed.
//!
//! A reader turns line ends into line feeds (2.11) and white space in attribute values into spaces (3.3.3). `uppsala` 0.12
//! does the first in text only, not in CDATA sections and processing instructions, and the second not at all: found by
//! comparing with libxml2, tested so in this crate. Both are done here, on the text, before that parser sees it.

use std::borrow::Cow;

/// A text whose line ends and attribute values are normal; the only thing that [`crate::canonical::parse`] takes.
#[derive(Debug)]
pub(crate) struct Normal<'a>(Cow<'a, str>);

impl<'a> Normal<'a> {
    /// Normalises a text that [`transform_xml::read`] has passed.
    pub(crate) fn of(text: &'a str) -> Self {
        Self(Normaliser { text, copied: 0, out: String::new() }.run())
    }

    /// Takes a text as it is, for its structure alone: nothing that is hashed may come from it.
    pub(crate) fn untouched(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }

    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether offsets in this text are those of the original.
    pub(crate) fn is_original(&self) -> bool {
        matches!(self.0, Cow::Borrowed(_))
    }
}

/// Where in the markup the reader stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Text,
    /// In a comment, CDATA section or processing instruction, up to this end.
    Until(&'static str),
    Tag,
    Value(u8),
}

struct Normaliser<'a> {
    text: &'a str,
    /// What of `text` is in `out` already.
    copied: usize,
    out: String,
}

impl<'a> Normaliser<'a> {
    fn run(mut self) -> Cow<'a, str> {
        let (mut at, mut i) = (At::Text, 0);
        let bytes = self.text.as_bytes();
        while let Some(byte) = bytes.get(i) {
            if matches!(byte, b'\r' | b'\n' | b'\t') {
                i = self.white_space(i, *byte, at);
                continue;
            }
            let (next, length) = step(at, &bytes[i..]);
            (at, i) = (next, i + length);
        }
        if self.copied == 0 && self.out.is_empty() {
            return Cow::Borrowed(self.text);
        }
        self.out.push_str(&self.text[self.copied..]);
        Cow::Owned(self.out)
    }

    /// Judges one white space character; returns where to go on.
    fn white_space(&mut self, i: usize, byte: u8, at: At) -> usize {
        let pair = byte == b'\r' && self.text.as_bytes().get(i + 1) == Some(&b'\n');
        let end = if pair { i + 2 } else { i + 1 };
        let normal = match (at, byte) {
            (At::Value(_), _) => ' ',
            (_, b'\r') => '\n',
            _ => return end,
        };
        self.out.push_str(&self.text[self.copied..i]);
        self.out.push(normal);
        self.copied = end;
        end
    }
}

/// The next state, and how many bytes lead there; at least one.
fn step(at: At, rest: &[u8]) -> (At, usize) {
    match (at, rest[0]) {
        (At::Text, b'<') => open(rest),
        (At::Until(end), _) if rest.starts_with(end.as_bytes()) => (At::Text, end.len()),
        (At::Tag, b'>') => (At::Text, 1),
        (At::Tag, quote @ (b'"' | b'\'')) => (At::Value(quote), 1),
        (At::Value(quote), byte) if byte == quote => (At::Tag, 1),
        (at, _) => (at, 1),
    }
}

fn open(rest: &[u8]) -> (At, usize) {
    let long = [("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>")];
    let found = long.into_iter().find(|(begin, _)| rest.starts_with(begin.as_bytes()));
    found.map_or((At::Tag, 1), |(begin, end)| (At::Until(end), begin.len()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Normal;

    fn normal(text: &str) -> String {
        Normal::of(text).as_str().to_string()
    }

    #[test]
    fn each_place_has_its_rule() {
        let tags = "<a\r\n b='1\r\n2\t3\r4\n\n'\r>\r\nx\ry\t\n</a\r\n>";
        assert_eq!(normal(tags), "<a\n b='1 2 3 4  '\n>\nx\ny\t\n</a\n>");
        assert_eq!(normal("<a b=\"'\n\">'\n</a>"), "<a b=\"' \">'\n</a>");
        let long = "<!-- '<a b='\t\r\n --><?p <a b='\r'?><a><![CDATA[<b c='\r\n\t]]></a>";
        assert_eq!(normal(long), "<!-- '<a b='\t\n --><?p <a b='\n'?><a><![CDATA[<b c='\n\t]]></a>");
        assert_eq!(normal("<a b='>\n'>\t</a>"), "<a b='> '>\t</a>");
        assert_eq!(normal("\r\n"), "\n");
        assert_eq!(normal("\r"), "\n");
    }

    #[test]
    fn a_normal_text_is_not_copied() {
        assert!(Normal::of("<a\n b='1 2'>\n\t&#13;è</a>\n").is_original());
        assert!(Normal::of("").is_original());
        assert!(!Normal::of("\r").is_original());
    }

    proptest! {
        #[test]
        fn it_is_idempotent_and_keeps_the_rest(text in "[<>a'\"=!?\\[\\]\\-\r\n\tè ]{0,80}") {
            let once = normal(&text);
            prop_assert_eq!(normal(&once), once.clone());
            prop_assert!(!once.contains('\r'));
            let letters = |text: &str| text.chars().filter(|c| !c.is_ascii_whitespace()).collect::<String>();
            prop_assert_eq!(letters(&once), letters(&text));
        }
    }
}
