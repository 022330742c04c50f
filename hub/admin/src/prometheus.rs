//! Prometheus's text format: one family after the other, each name once.

use std::fmt::Display;

/// A text that grows by families.
#[derive(Debug, Default)]
pub(crate) struct Text(String);

/// What a family measures.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// Goes up and down.
    Gauge,
    /// Only goes up, until the hub is started again.
    Counter,
}

impl Text {
    /// Begins with what another recorder has written.
    pub(crate) fn after(text: String) -> Self {
        Self(text)
    }

    /// A family with one value.
    pub(crate) fn one(&mut self, kind: Kind, name: &str, help: &str, value: impl Display) {
        self.family(kind, name, help, [(String::new(), value)]);
    }

    /// The same, left out when nobody knows the value: a monitor tells "absent" from zero.
    pub(crate) fn maybe(&mut self, kind: Kind, name: &str, help: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.one(kind, name, help, value);
        }
    }

    /// A family with a value for each set of labels; see [`labels`].
    pub(crate) fn family<V: Display>(
        &mut self,
        kind: Kind,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (String, V)>,
    ) {
        let kind = match kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
        };
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
        for (labels, value) in values {
            self.line(format_args!("{name}{labels} {value}"));
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        self.0.push_str(&format!("{line}\n"));
    }

    pub(crate) fn into_text(self) -> String {
        self.0
    }
}

/// `{name="value"}`, escaped.
pub(crate) fn labels(pairs: &[(&str, &str)]) -> String {
    let escaped = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    format!("{{{}}}", pairs.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        assert_eq!(labels(&[("route", "a\"b\\c\nd"), ("n", "1")]), r#"{route="a\"b\\c\nd",n="1"}"#);
    }
}
