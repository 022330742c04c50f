//! Which bytes are which characters.

use std::borrow::Cow;

use hub_core::Problem;

/// Encodings that a reader accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Encodings {
    /// UTF-8 only (with or without byte order mark): the rule wherever a document is signed or kept byte for byte.
    #[default]
    Utf8,
    /// UTF-8, ISO-8859-1 and UTF-16: for partners whose old systems send them. The text is decoded, and its declaration
    /// then says UTF-8.
    Legacy,
}

const UTF8_BOM: &[u8] = &[0xEF, 0xBB, 0xBF];
/// An XML declaration is looked for in this many bytes.
const DECLARATION_BYTES_MAX: usize = 256;

/// How the bytes say they are encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Found {
    Utf8,
    Utf16 { little: bool },
    Latin1,
    Other(String),
}

/// The text of a document, without byte order mark.
pub(crate) fn decode(xml: &[u8], accepted: Encodings) -> Result<Cow<'_, str>, Problem> {
    match (detect(xml), accepted) {
        (Found::Utf8, _) => utf8(xml.strip_prefix(UTF8_BOM).unwrap_or(xml)).map(Cow::Borrowed),
        (Found::Utf16 { little }, Encodings::Legacy) => utf16(xml, little).map(|text| Cow::Owned(declare_utf8(text))),
        (Found::Latin1, Encodings::Legacy) => {
            let text = xml.iter().map(|byte| char::from(*byte)).collect();
            Ok(Cow::Owned(declare_utf8(text)))
        }
        (found, _) => Err(refused(&found)),
    }
}

fn refused(found: &Found) -> Problem {
    let name = match found {
        Found::Utf8 => "UTF-8",
        Found::Utf16 { .. } => "UTF-16",
        Found::Latin1 => "ISO-8859-1",
        Found::Other(name) => name,
    };
    Problem::at("xml.encoding", "", format!("document is encoded in {name}; send it in UTF-8"))
}

fn detect(xml: &[u8]) -> Found {
    match xml {
        [0xEF, 0xBB, 0xBF, ..] => Found::Utf8,
        [0xFF, 0xFE, ..] | [b'<', 0, ..] => Found::Utf16 { little: true },
        [0xFE, 0xFF, ..] | [0, b'<', ..] => Found::Utf16 { little: false },
        _ => declared(xml).map_or(Found::Utf8, |(_, name)| named(name)),
    }
}

fn named(name: &str) -> Found {
    match name.to_ascii_uppercase().as_str() {
        "UTF-8" | "UTF8" | "US-ASCII" | "ASCII" => Found::Utf8,
        "ISO-8859-1" | "ISO8859-1" | "ISO_8859-1" | "LATIN1" | "L1" => Found::Latin1,
        _ => Found::Other(name.chars().take(40).collect()),
    }
}

/// Where the XML declaration names the encoding, and the name. Works on any encoding that contains ASCII.
fn declared(xml: &[u8]) -> Option<(std::ops::Range<usize>, &str)> {
    let head = &xml[..xml.len().min(DECLARATION_BYTES_MAX)];
    let head = head.strip_prefix(b"<?xml").filter(|rest| rest.first().is_some_and(u8::is_ascii_whitespace))?;
    let end = head.windows(2).position(|pair| pair == b"?>")?;
    let head = std::str::from_utf8(&head[..end]).ok()?;
    let after = head.find("encoding")? + "encoding".len();
    let equals = after + head[after..].find(['"', '\''])?;
    let quote = head[equals..].chars().next()?;
    let from = equals + 1;
    let to = from + head[from..].find(quote)?;
    let shift = "<?xml".len();
    Some((from + shift..to + shift, &head[from..to]))
}

/// The decoded text must not go on claiming what it was before.
fn declare_utf8(mut text: String) -> String {
    if let Some(range) = declared(text.as_bytes()).map(|(range, _)| range) {
        text.replace_range(range, "UTF-8");
    }
    text
}

fn utf8(xml: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(xml).map_err(|e| {
        let (line, column) = crate::line_column(xml, e.valid_up_to());
        Problem::at("xml.encoding", "", format!("document is not UTF-8: line {line}, column {column} cannot be read"))
    })
}

fn utf16(xml: &[u8], little: bool) -> Result<String, Problem> {
    let damaged = || Problem::at("xml.encoding", "", "document says UTF-16 but cannot be read as such");
    if !xml.len().is_multiple_of(2) {
        return Err(damaged());
    }
    let pair = |two: &[u8]| if little { [two[1], two[0]] } else { [two[0], two[1]] };
    let units = xml.chunks_exact(2).map(|two| u16::from_be_bytes(pair(two)));
    let text: String = char::decode_utf16(units).collect::<Result<_, _>>().map_err(|_| damaged())?;
    Ok(text.strip_prefix('\u{FEFF}').map(str::to_string).unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATIN: &[u8] = b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a>citt\xE0</a>";

    fn utf16_of(text: &str, little: bool) -> Vec<u8> {
        let bytes = |unit: u16| if little { unit.to_le_bytes() } else { unit.to_be_bytes() };
        std::iter::once(0xFEFF).chain(text.encode_utf16()).flat_map(bytes).collect()
    }

    #[test]
    fn utf8_passes_with_and_without_mark() {
        assert_eq!(decode("<a>è</a>".as_bytes(), Encodings::Utf8).unwrap(), "<a>è</a>");
        assert_eq!(decode(b"\xEF\xBB\xBF<a/>", Encodings::Utf8).unwrap(), "<a/>");
        assert_eq!(decode(b"<?xml version='1.0' encoding='utf-8'?><a/>", Encodings::Utf8).unwrap().len(), 42);
    }

    #[test]
    fn other_encodings_are_refused_by_name() {
        assert!(decode(LATIN, Encodings::Utf8).unwrap_err().detail.contains("ISO-8859-1; send it in UTF-8"));
        assert!(decode(&utf16_of("<a/>", true), Encodings::Utf8).unwrap_err().detail.contains("UTF-16"));
        assert!(decode(b"<\0a\0", Encodings::Utf8).unwrap_err().detail.contains("UTF-16"));
        let other = b"<?xml version='1.0' encoding='EBCDIC-IT'?><a/>";
        assert!(decode(other, Encodings::Legacy).unwrap_err().detail.contains("EBCDIC-IT"));
    }

    #[test]
    fn damaged_utf8_is_named_by_place() {
        let problem = decode(b"<a>\n \xE8</a>", Encodings::Utf8).unwrap_err();
        assert!(problem.detail.contains("line 2, column 2"), "{problem}");
    }

    #[test]
    fn legacy_encodings_are_decoded_when_asked_for() {
        let text = decode(LATIN, Encodings::Legacy).unwrap();
        assert_eq!(text, "<?xml version=\"1.0\" encoding=\"UTF-8\"?><a>città</a>");
        for little in [true, false] {
            let bytes = utf16_of("<?xml version='1.0' encoding='UTF-16'?><a>è€</a>", little);
            assert_eq!(decode(&bytes, Encodings::Legacy).unwrap(), "<?xml version='1.0' encoding='UTF-8'?><a>è€</a>");
        }
        assert!(decode(&[0xFE, 0xFF, 0xD8], Encodings::Legacy).is_err());
        assert!(decode(&[0xFE, 0xFF, 0xD8, 0x00], Encodings::Legacy).is_err());
    }
}
