//! The text of a file, and where its characters stand.

use crate::problem::{Problem, Severity};

/// A half-open range of characters of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// A file: line ends are `\n`, no byte order mark.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
    chars: Vec<char>,
    lines: Vec<usize>,
}

/// Line ends and byte order mark as every system writes them, made one.
pub(crate) fn normalized(text: &str) -> String {
    text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n")
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let text = normalized(text);
        let chars: Vec<char> = text.chars().collect();
        let after = chars.iter().enumerate().filter(|(_, c)| **c == '\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(after).collect();
        Self { path: path.to_string(), text, chars, lines }
    }

    pub(crate) fn chars(&self) -> &[char] {
        &self.chars
    }

    /// Line and column of a character, both from 1.
    pub(crate) fn place(&self, at: usize) -> (usize, usize) {
        let at = at.min(self.chars.len());
        let line = self.lines.partition_point(|start| *start <= at).max(1);
        (line, at - self.lines[line - 1] + 1)
    }

    /// The first character of a line, from 1.
    pub(crate) fn line_start(&self, line: usize) -> usize {
        self.lines.get(line.saturating_sub(1)).copied().unwrap_or(self.chars.len())
    }

    /// The text of a line, from 1.
    pub(crate) fn line(&self, line: usize) -> String {
        let start = self.line_start(line);
        self.chars[start..].iter().take_while(|c| **c != '\n').collect()
    }

    pub(crate) fn slice(&self, span: Span) -> String {
        let end = span.end.min(self.chars.len());
        self.chars[span.start.min(end)..end].iter().collect()
    }

    /// An error at a range; without its line end and the spaces before it.
    pub(crate) fn error(&self, span: Span, code: &str, message: impl Into<String>) -> Problem {
        let (line, column) = self.place(span.start);
        let width = self.line(line).trim_end().chars().count();
        let (end_line, end) = self.place(span.end.max(span.start));
        let end_column = if end_line > line { width + 1 } else { end.min(width + 1) };
        Problem {
            file: self.path.clone(),
            line,
            column,
            end_column: end_column.max(column + 1),
            severity: Severity::Error,
            code: code.to_string(),
            message: message.into(),
            label: String::new(),
            hint: None,
        }
    }
}
