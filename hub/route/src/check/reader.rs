//! Typed reading of nodes: every reader reports what is wrong and goes on.

use std::collections::{BTreeMap, BTreeSet};

use hub_core::Span as Duration;

use super::report::Report;
use super::{Judged, World};
use crate::language::{Field, ROLES, Shape, Ty};
use crate::nearest;
use crate::syntax::{self, Data, Node, Source, Span};

/// Reads one file.
pub(crate) struct Reader<'a> {
    pub(crate) report: Report<'a>,
    pub(crate) world: &'a World<'a>,
    /// Files that this check has judged already, for another route.
    pub(super) judged: &'a Judged,
    /// All names bound by `as` anywhere in the file, with their lines: for better hints.
    pub(crate) binds: BTreeMap<String, usize>,
    /// Files that the route names.
    pub(crate) files: BTreeSet<String>,
    /// `await` names, and where they stand.
    pub(crate) awaits: Vec<(String, Span)>,
    /// `resume` names, and where they stand.
    pub(crate) resumes: Vec<(String, Span)>,
    /// Steps read so far.
    pub(crate) steps: usize,
}

/// The fields of a mapping that were found.
pub(crate) struct Fields<'n>(BTreeMap<&'static str, &'n Node>);

impl<'n> Fields<'n> {
    pub(crate) fn get(&self, name: &str) -> Option<&'n Node> {
        self.0.get(name).copied()
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(source: &'a Source, world: &'a World<'a>, judged: &'a Judged) -> Self {
        Self {
            report: Report::new(source),
            world,
            judged,
            binds: BTreeMap::new(),
            files: BTreeSet::new(),
            awaits: Vec::new(),
            resumes: Vec::new(),
            steps: 0,
        }
    }

    pub(crate) fn line(&self, span: Span) -> usize {
        self.report.source.place(span.start).0
    }

    /// Reports that a node has the wrong type.
    pub(crate) fn wrong(&mut self, node: &Node, wanted: &str, example: &str) {
        let message = format!("{wanted} is wanted, not {}", node.kind());
        let said = self.report.error(node.span, "wrong-type", message);
        if !example.is_empty() {
            said.hint(format!("write for example `{example}`"));
        }
    }

    /// The fields of a mapping; reports unknown and missing ones. `owner` is underlined for what is missing.
    pub(crate) fn fields<'n>(&mut self, node: &'n Node, owner: Span, shape: &'static Shape) -> Option<Fields<'n>> {
        if !matches!(node.data, Data::Map(_)) {
            let names: Vec<_> = shape.fields.iter().filter(|f| f.required).map(example).collect();
            self.wrong(node, "a mapping of fields", &format!("{{ {} }}", names.join(", ")));
            return None;
        }
        let mut found = BTreeMap::new();
        for (key, value) in node.entries() {
            let name = key.name.as_deref().unwrap_or_default();
            match shape.field(name) {
                Some(field) => {
                    let _ = found.insert(field.name, value);
                }
                None if syntax::is_renamed(name) => {}
                None => self.unknown(key.span, name, "field", shape.fields.iter().map(|field| field.name)),
            }
        }
        for field in shape.fields.iter().filter(|field| field.required && !found.contains_key(field.name)) {
            self.missing(owner, field);
        }
        Some(Fields(found))
    }

    pub(crate) fn missing(&mut self, owner: Span, field: &Field) {
        let message = format!("`{}` is missing", field.name);
        let hint = format!("write for example `{}`", example(field));
        self.report.error(owner, "missing-field", message).hint(hint);
    }

    pub(crate) fn unknown<'k>(&mut self, at: Span, name: &str, what: &str, known: impl IntoIterator<Item = &'k str>) {
        let hint = nearest::hint(name, &format!("{what}s"), known);
        let message = format!("there is no {what} `{name}`");
        self.report.error(at, &format!("unknown-{what}"), message).hint(hint);
    }

    /// A text, literally.
    pub(crate) fn text<'n>(&mut self, node: &'n Node, example: &str) -> Option<&'n str> {
        match &node.data {
            Data::Text(text) => Some(text),
            _ => {
                self.wrong(node, "a text", example);
                None
            }
        }
    }

    /// A text that is no expression.
    pub(crate) fn literal<'n>(&mut self, node: &'n Node, what: &str, example: &str) -> Option<&'n str> {
        let text = self.text(node, example)?;
        if !looks_computed(text) {
            return Some(text);
        }
        let message = format!("{what} is written literally, this looks like an expression");
        self.report.error(node.span, "expression-in-literal", message).hint(format!("write for example `{example}`"));
        None
    }

    /// A name: letters, digits, `-`, `_`.
    pub(crate) fn name(&mut self, node: &Node, what: &str, example: &str) -> Option<String> {
        let text = self.literal(node, what, example)?;
        let good =
            !text.is_empty() && text.len() <= 64 && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
        if !good {
            let message = format!("{what} is made of at most 64 letters, digits, `-` and `_`");
            self.report.error(node.span, "bad-name", message).hint(format!("write for example `{example}`"));
        }
        good.then(|| text.to_string())
    }

    pub(crate) fn span(&mut self, node: &Node, example: &str) -> Option<Duration> {
        let text = match &node.data {
            Data::Text(text) | Data::Number(text) => text,
            _ => {
                self.wrong(node, "a duration", example);
                return None;
            }
        };
        match text.parse::<Duration>() {
            Ok(span) if !span.0.is_zero() => Some(span),
            Ok(_) => {
                self.report.error(node.span, "bad-duration", "a duration must be longer than nothing");
                None
            }
            Err(detail) => {
                self.report.error(node.span, "bad-duration", detail);
                None
            }
        }
    }

    pub(crate) fn count(&mut self, node: &Node, (least, most): (u32, u32), example: &str) -> Option<u32> {
        let Data::Number(text) = &node.data else {
            self.wrong(node, "a whole number", example);
            return None;
        };
        let value = text.parse::<u32>().ok().filter(|value| (least..=most).contains(value));
        if value.is_none() {
            let message = format!("`{text}` is not a whole number from {least} to {most}");
            self.report.error(node.span, "out-of-range", message);
        }
        value
    }

    pub(crate) fn role(&mut self, node: &Node) -> Option<String> {
        let text = self.literal(node, "a role", "controllore")?;
        let named = self.world.names.get("roles");
        let known: BTreeSet<&str> = ROLES.into_iter().chain(named.into_iter().flatten().map(String::as_str)).collect();
        if !known.contains(text) {
            self.unknown(node.span, text, "role", known);
            return None;
        }
        Some(text.to_string())
    }

    pub(crate) fn case_kind(&mut self, node: &Node) -> Option<String> {
        let text = self.literal(node, "a kind of case", "mandato")?;
        if self.world.cases.kind(text).is_none() {
            let known: Vec<&str> = self.world.cases.kinds().collect();
            self.unknown(node.span, text, "case-kind", known);
            return None;
        }
        Some(text.to_string())
    }

    /// A state of a kind of case; of any kind if the kind is not known.
    pub(crate) fn state(&mut self, node: &Node, kind: Option<&str>) -> Option<String> {
        let text = self.literal(node, "a state", "pagato")?;
        let cases = self.world.cases;
        let known: BTreeSet<&str> = match kind.and_then(|kind| cases.kind(kind)) {
            Some(kind) => kind.next.keys().map(String::as_str).collect(),
            None => cases
                .kinds()
                .filter_map(|kind| cases.kind(kind))
                .flat_map(|kind| kind.next.keys())
                .map(String::as_str)
                .collect(),
        };
        if !known.contains(text) {
            self.unknown(node.span, text, "state", known);
            return None;
        }
        Some(text.to_string())
    }
}

/// A field as one would write it.
pub(crate) fn example(field: &Field) -> String {
    let steps = matches!(field.ty, Ty::Steps | Ty::Branches);
    let example = if steps { "[ ... ]" } else { field.example };
    format!("{}: {example}", field.name)
}

/// Whether a text reads a root of expressions.
pub(crate) fn looks_computed(text: &str) -> bool {
    let roots = ["body.", "case.", "vars.", "entity.", "headers.", "headers["];
    let begins =
        |at: usize| text[..at].chars().next_back().is_none_or(|c| !(c.is_alphanumeric() || "_./-".contains(c)));
    roots.iter().any(|root| text.match_indices(root).any(|(at, _)| begins(at) && follows(&text[at + root.len()..])))
}

fn follows(rest: &str) -> bool {
    rest.starts_with(|c: char| c.is_alphabetic() || "_?\"'".contains(c))
}
