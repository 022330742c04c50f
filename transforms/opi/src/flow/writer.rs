//! Writes XML in canonical form: no attribute, no white space, no CDATA, every value escaped.

use std::fmt::Display;

use rust_decimal::Decimal;

/// A document being written.
#[derive(Debug)]
pub(super) struct Writer {
    out: String,
}

impl Writer {
    pub(super) fn new() -> Self {
        Self { out: "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".into() }
    }

    /// An element with what `content` writes.
    pub(super) fn inside(&mut self, name: &str, content: impl FnOnce(&mut Self)) {
        self.tag("<", name);
        content(self);
        self.tag("</", name);
    }

    /// An element with text.
    pub(super) fn text(&mut self, name: &str, value: &str) {
        self.tag("<", name);
        value.chars().for_each(|c| self.escaped(c));
        self.tag("</", name);
    }

    pub(super) fn opt_text(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    pub(super) fn opt_value(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.text(name, &value.to_string());
        }
    }

    /// Euro with exactly two decimals. The rules let no third decimal through, so nothing is rounded here.
    pub(super) fn amount(&mut self, name: &str, value: Decimal) {
        self.text(name, &format!("{value:.2}"));
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.out.into_bytes()
    }

    fn tag(&mut self, open: &str, name: &str) {
        self.out.push_str(open);
        self.out.push_str(name);
        self.out.push('>');
    }

    /// As canonical XML writes text nodes.
    fn escaped(&mut self, c: char) {
        match c {
            '&' => self.out.push_str("&amp;"),
            '<' => self.out.push_str("&lt;"),
            '>' => self.out.push_str("&gt;"),
            '\r' => self.out.push_str("&#xD;"),
            c => self.out.push(c),
        }
    }
}
