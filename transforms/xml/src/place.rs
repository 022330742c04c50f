//! Places in a text, as people count them.

/// Line and column (both from 1, the column in characters) of a byte offset; an offset past the end is the end.
#[must_use]
pub fn line_column(text: &[u8], offset: usize) -> (usize, usize) {
    let before = &text[..offset.min(text.len())];
    let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    // Continuation bytes of UTF-8 are not characters of their own.
    let column = before[line_start..].iter().filter(|b| (**b & 0xC0) != 0x80).count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::line_column;

    #[test]
    fn lines_and_characters_count_from_one() {
        assert_eq!(line_column(b"", 0), (1, 1));
        assert_eq!(line_column("a\nèb".as_bytes(), 4), (2, 2));
        assert_eq!(line_column(b"a\nb", 99), (2, 2));
    }
}
