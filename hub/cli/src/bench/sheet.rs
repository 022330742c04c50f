//! What a bench has measured: for people, and as JSON.

use hub_core::Value;
use serde_json::Map;

/// Names, values and words, in order.
#[derive(Debug, Default)]
pub(crate) struct Sheet(Vec<(&'static str, Value, String)>);

impl Sheet {
    /// Adds a figure; `words` say what it is, and the goal.
    pub(crate) fn add(&mut self, name: &'static str, value: impl Into<Value>, words: &str) {
        self.0.push((name, value.into(), words.to_string()));
    }

    /// Adds a figure with so many decimals.
    pub(crate) fn number(&mut self, name: &'static str, value: f64, decimals: usize, words: &str) {
        let text = format!("{value:.decimals$}");
        self.add(name, serde_json::from_str::<Value>(&text).unwrap_or(Value::Null), words);
    }

    /// One JSON object.
    pub(super) fn json(&self) -> String {
        let fields: Map<String, Value> =
            self.0.iter().map(|(name, value, _)| ((*name).to_string(), value.clone())).collect();
        Value::Object(fields).to_string()
    }

    /// A line for each figure.
    pub(super) fn lines(&self) -> String {
        let width = self.0.iter().map(|(name, ..)| name.len()).max().unwrap_or(0);
        let line = |(name, value, words): &(&str, Value, String)| {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_string);
            format!("{name:width$}  {value:>10}  {words}").trim_end().to_string() + "\n"
        };
        self.0.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_and_programs_get_the_same_figures() {
        let mut sheet = Sheet::default();
        sheet.add("lost", 0, "messages");
        sheet.number("p99_ms", 1.256, 2, "milliseconds");
        assert_eq!(sheet.json(), r#"{"lost":0,"p99_ms":1.26}"#);
        assert_eq!(sheet.lines(), "lost             0  messages\np99_ms        1.26  milliseconds\n");
    }

    #[test]
    fn a_figure_that_is_none_is_null() {
        let mut sheet = Sheet::default();
        sheet.number("ratio", f64::NAN, 2, "");
        assert_eq!(sheet.json(), r#"{"ratio":null}"#);
    }
}
