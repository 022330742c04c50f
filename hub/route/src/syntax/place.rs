//! From a character of a scalar's value back to the character of the file that wrote it.

use super::{Node, Source};

/// For each character of the scalar's text (and for its end), the character of the file it stands at.
///
/// Works for plain, quoted and block scalars alike: what is not white space stands in the file in the same order, apart
/// from escapes.
pub(crate) fn scalar_places(source: &Source, node: &Node, text: &str) -> Vec<usize> {
    let raw = source.chars();
    let end = node.span.end.min(raw.len());
    let quote = quote(source, node);
    let mut at = node.span.start + usize::from(quote.is_some());
    let mut places = Vec::with_capacity(text.len() + 1);
    for c in text.chars() {
        while at < end && raw[at].is_whitespace() && !c.is_whitespace() {
            at += 1;
        }
        places.push(at.min(end));
        at += width(&raw[at.min(end)..end], quote, c);
    }
    places.push(at.min(end));
    places
}

/// How many characters of the file write this one.
fn width(raw: &[char], quote: Option<char>, c: char) -> usize {
    match (quote, raw) {
        (Some('\''), ['\'', '\'', ..]) => 2,
        (Some('"'), ['\\', 'x', ..]) => 4,
        (Some('"'), ['\\', 'u', ..]) => 6,
        (Some('"'), ['\\', 'U', ..]) => 10,
        (Some('"'), ['\\', _, ..]) => 2,
        (_, [first, ..]) if c.is_whitespace() && !first.is_whitespace() => 0,
        (_, [_, ..]) => 1,
        (_, []) => 0,
    }
}

/// The quote that the scalar is written in, if it is.
fn quote(source: &Source, node: &Node) -> Option<char> {
    let raw = source.chars();
    let first = *raw.get(node.span.start)?;
    let (line, column) = source.place(node.span.start);
    let leads_line = source.line(line).chars().take(column - 1).all(char::is_whitespace);
    let before = source.line(line.saturating_sub(1).max(1));
    let header = before.split(" #").next().unwrap_or_default().trim_end().trim_end_matches(['-', '+', '1', '2', '4']);
    let block = leads_line && line > 1 && header.ends_with(['|', '>']);
    (!block && matches!(first, '\'' | '"')).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::super::{Source, parse};
    use super::*;

    fn shown(yaml: &str) -> String {
        let source = Source::new("t.yaml", yaml);
        let (root, _) = parse(&source).unwrap();
        let node = root.get("k").unwrap();
        let text = node.text().unwrap();
        let places = scalar_places(&source, node, text);
        let at = text.find('@').map(|at| text[..at].chars().count()).unwrap();
        let (line, column) = source.place(places[at]);
        format!("{line}:{column}")
    }

    #[test]
    fn every_style_of_scalar_is_mapped_back() {
        assert_eq!(shown("k: ab @c\n"), "1:7");
        assert_eq!(shown("k: 'it''s @c'\n"), "1:11");
        assert_eq!(shown("k: \"a \\\"b\\\" \\u00e8 @c\"\n"), "1:20");
        assert_eq!(shown("k: |\n  'a' +\n  b @c\n"), "3:5");
        assert_eq!(shown("k: >-\n  a +\n\n  b @c\n"), "4:5");
        assert_eq!(shown("k: a +\n   b @c\n"), "2:6");
        assert_eq!(shown("k: {x: 1}\nz: 1\n".replace("{x: 1}", "è @").as_str()), "1:6");
    }
}
