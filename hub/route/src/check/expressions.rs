//! Expressions: read, place their mistakes in the file, look up their names.

use std::collections::BTreeSet;

use super::quoting::{comment_after, quoted};
use super::reader::Reader;
use super::scope::{Scope, Stage};
use crate::expression::{Mapping, Mistake, Program, Use};
use crate::nearest;
use crate::syntax::{Data, Node, Span, scalar_places};

impl Reader<'_> {
    /// An expression; `wanted` says what it must give.
    pub(crate) fn expr(&mut self, node: &Node, scope: &Scope, wanted: &str) -> Option<Program> {
        let text = self.expr_text(node, wanted)?;
        let places = Places::new(self, node, &text);
        match Program::read(&text) {
            Err(mistake) => {
                self.mistake(node, &text, &places, mistake);
                None
            }
            Ok(program) => {
                for found in program.uses() {
                    self.check_use(&found, &program, &places, scope);
                }
                Some(program)
            }
        }
    }

    /// The text of an expression: numbers and truth values of YAML are literals.
    fn expr_text(&mut self, node: &Node, wanted: &str) -> Option<String> {
        match &node.data {
            Data::Text(text) if !text.trim().is_empty() => Some(text.trim_end().to_string()),
            Data::Number(text) if text.contains(['.', 'e', 'E']) => Some(format!("decimal('{text}')")),
            Data::Number(text) => Some(text.clone()),
            Data::Bool(value) => Some(value.to_string()),
            Data::Null | Data::Text(_) => {
                let hint = format!("write an expression that gives {wanted}");
                self.report.error(node.span, "expression-empty", "the expression is empty").hint(hint);
                None
            }
            Data::List(_) | Data::Map(_) | Data::Tag => {
                self.unreadable(node);
                None
            }
        }
    }

    fn unreadable(&mut self, node: &Node) {
        let line = self.report.source.line(self.line(node.span));
        let (_, column) = self.report.source.place(node.span.start);
        let rest: String = line.chars().skip(column - 1).collect();
        let message = format!("an expression is wanted, but YAML reads this as {}", node.kind());
        let leads = rest.starts_with(['{', '[', '!']);
        let hint = if leads {
            format!("put it in quotes: `{}`", quoted(rest.trim_end()))
        } else {
            "write a CEL expression on one line".into()
        };
        self.report.error(node.span, "expression-quote", message).hint(hint);
    }

    fn mistake(&mut self, node: &Node, text: &str, places: &Places, mistake: Mistake) {
        if let Some(whole) = self.cut_by_comma(node) {
            let text = self.report.source.slice(whole);
            let message = "between `{ }` or `[ ]` YAML ends a value at a comma: the expression needs quotes";
            self.report.error(whole, "expression-quote", message).hint(format!("write `{}`", quoted(&text)));
            self.report.settled.push(whole);
            return;
        }
        let span = places.span(mistake.range.start, mistake.range.end);
        if let Some(comment) =
            comment_after(self.report.source, node.span).filter(|_| mistake.code == "expression-syntax")
        {
            let message = "YAML reads ` #` as the beginning of a comment: the expression needs quotes";
            let whole = quoted(&format!("{text}{comment}"));
            self.report.error(span, "expression-quote", message).hint(format!("write `{whole}`"));
            return;
        }
        let said = self.report.error(span, mistake.code, mistake.message);
        if let Some(hint) = mistake.hint {
            said.hint(hint);
        }
    }

    /// The expression that was meant, where YAML's short form has cut it at a comma: `{ x: f(a, b) }`.
    fn cut_by_comma(&self, node: &Node) -> Option<Span> {
        let chars = self.report.source.chars();
        let behind = chars.get(node.span.end..)?.iter().find(|c| !c.is_whitespace());
        if behind != Some(&',') {
            return None;
        }
        let end = node.span.start + uncut(chars.get(node.span.start..)?)?;
        let whole = Span { start: node.span.start, end };
        (end > node.span.end && Program::read(&self.report.source.slice(whole)).is_ok()).then_some(whole)
    }

    fn check_use(&mut self, found: &Use, program: &Program, places: &Places, scope: &Scope) {
        let root = places.span(found.range.start, found.range.end);
        let first = found.fields.first().map(|(name, range)| (name.as_str(), places.span(range.start, range.end)));
        match found.root.as_str() {
            "body" | "headers" | "now" => {}
            "case" if scope.stage != Stage::Arrival => self.check_case(first, found.guarded, scope),
            "entity" if scope.stage == Stage::Steps && scope.has_entity => self.check_entity(first, found.guarded),
            "vars" if scope.stage == Stage::Steps => self.check_var(first, found.guarded, scope),
            name if scope.bound.contains_key(name) => {}
            name => self.unknown_root(name, root, program, scope),
        }
    }

    fn check_case(&mut self, field: Option<(&str, Span)>, guarded: bool, scope: &Scope) {
        let Some((name, span)) = field else { return };
        let given = match name {
            "kind" | "id" => return,
            "entity" => scope.has_entity,
            "amount" => scope.has_amount,
            _ => return self.unknown(span, name, "field", ["kind", "id", "entity", "amount"]),
        };
        if !given && !guarded {
            let hint = format!("add `{name}: ...` to the route's `case`, or test it with `has(case.{name})`");
            self.report.error(span, "unknown-name", format!("the route's case has no {name}")).hint(hint);
        }
    }

    fn check_entity(&mut self, field: Option<(&str, Span)>, guarded: bool) {
        let rows = self.world.entities.codes().filter_map(|code| self.world.entities.get(code));
        let known: BTreeSet<&str> =
            rows.filter_map(|row| row.as_object()).flat_map(|row| row.keys()).map(String::as_str).collect();
        let Some((name, span)) = field else { return };
        if known.is_empty() || known.contains(name) || guarded {
            return;
        }
        let hint = nearest::hint(name, "fields of entities", known);
        self.report
            .error(span, "unknown-entity-field", format!("no row of config/entities.yaml has `{name}`"))
            .hint(hint);
    }

    fn check_var(&mut self, field: Option<(&str, Span)>, guarded: bool, scope: &Scope) {
        let Some((name, span)) = field else { return };
        if scope.vars.contains(name) || guarded {
            return;
        }
        if scope.vars_perhaps.contains(name) {
            let hint = format!("set it in every branch, or test it with `has(vars.{name})`");
            self.report.error(span, "unknown-name", format!("`vars.{name}` is set in some branches only")).hint(hint);
            return;
        }
        let hint = nearest::hint(name, "names that `set` keeps here", scope.vars.iter().map(String::as_str));
        self.report.error(span, "unknown-name", format!("no `set` before this step keeps `{name}`")).hint(hint);
    }

    fn unknown_root(&mut self, name: &str, span: Span, program: &Program, scope: &Scope) {
        let known = scope.roots();
        let nearest = nearest::nearest(name, known.iter().map(String::as_str));
        let reserved = ["case", "entity", "vars"].contains(&name);
        let (message, hint) = match (self.binds.get(name), nearest) {
            _ if reserved => absent(name, scope),
            (Some(line), _) => (
                format!("`{name}` is not known here: it is bound by `as` at line {line}"),
                "a name is known after the step that binds it, and inside the branch it stands in".to_string(),
            ),
            _ if program.text == name => (
                format!("there is no name `{name}` here"),
                format!("if the text is meant, write `\"'{name}'\"`; known names: {}", known.join(", ")),
            ),
            (None, Some(nearest)) => (
                format!("there is no name `{name}` here"),
                format!("did you mean `{nearest}`? known names: {}", known.join(", ")),
            ),
            (None, None) => (
                format!("there is no name `{name}` here"),
                format!("known names: {}; a text stands in quotes: `'{name}'`", known.join(", ")),
            ),
        };
        self.report.error(span, "unknown-name", message).hint(hint);
    }

    /// A tree of expressions.
    pub(crate) fn mapping(&mut self, node: &Node, scope: &Scope) -> Option<Mapping> {
        match &node.data {
            Data::Map(_) if node.get("each").is_some() && node.get("map").is_some() => self.each(node, scope),
            Data::Map(entries) if !entries.is_empty() => {
                let read = entries.iter().map(|(key, value)| {
                    let name = self.key(key);
                    let mapping = self.mapping(value, scope);
                    name.zip(mapping)
                });
                let fields: Vec<_> = read.collect();
                fields.into_iter().collect::<Option<Vec<_>>>().map(Mapping::Object)
            }
            Data::List(items) => {
                let read: Vec<_> = items.iter().map(|item| self.mapping(item, scope)).collect();
                read.into_iter().collect::<Option<Vec<_>>>().map(Mapping::List)
            }
            _ => self.expr(node, scope, "a value").map(Mapping::Leaf),
        }
    }

    fn key(&mut self, key: &crate::syntax::Key) -> Option<String> {
        if key.name.is_none() {
            self.report.error(key.span, "wrong-type", "a key must be a text");
        }
        key.name.clone()
    }

    fn each(&mut self, node: &Node, scope: &Scope) -> Option<Mapping> {
        for (key, _) in node.entries() {
            let name = key.name.as_deref().unwrap_or_default();
            if !["each", "as", "map"].contains(&name) && !crate::syntax::is_renamed(name) {
                self.unknown(key.span, name, "field", ["each", "as", "map"]);
            }
        }
        let each = node.get("each").and_then(|each| self.expr(each, scope, "a list"));
        let Some(bind) = node.get("as") else {
            self.report.error(node.span, "missing-field", "`as` is missing").hint("write for example `as: r`");
            return None;
        };
        let name = self.bind(bind, scope)?;
        let inner = scope.with(&name, self.line(bind.span));
        let map = node.get("map").and_then(|map| self.mapping(map, &inner));
        Some(Mapping::Each { each: each?, name, map: Box::new(map?) })
    }
}

fn absent(name: &str, scope: &Scope) -> (String, String) {
    let hint = match (name, scope.stage) {
        ("entity", Stage::Steps) => "add `entity: ...` to the route's `case`".into(),
        (_, Stage::Arrival) => format!("while the case is being found, expressions see: {}", scope.roots().join(", ")),
        _ => format!("before the first step, expressions see: {}", scope.roots().join(", ")),
    };
    (format!("`{name}` is not known here"), hint)
}

/// How far an expression goes when commas in its brackets and quotes belong to it; on one line.
fn uncut(chars: &[char]) -> Option<usize> {
    let (mut depth, mut quote) = (0usize, None);
    for (at, c) in chars.iter().enumerate() {
        match (quote, c) {
            (_, '\n') => return None,
            (Some(open), c) if *c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(*c),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}' | ',') if depth == 0 => return Some(at),
            (None, ')' | ']' | '}') => depth -= 1,
            _ => {}
        }
    }
    None
}

/// From bytes of the expression to characters of the file.
struct Places {
    by_byte: Vec<usize>,
    whole: Span,
    computed: bool,
}

impl Places {
    fn new(reader: &Reader<'_>, node: &Node, text: &str) -> Self {
        let by_char = match &node.data {
            Data::Text(_) => scalar_places(reader.report.source, node, text),
            _ => Vec::new(),
        };
        let computed = by_char.is_empty();
        let mut by_byte = Vec::with_capacity(text.len() + 1);
        for (index, c) in text.chars().enumerate().filter(|_| !computed) {
            by_byte.extend(std::iter::repeat_n(by_char[index], c.len_utf8()));
        }
        by_byte.extend(by_char.last());
        Self { by_byte, whole: node.span, computed }
    }

    fn span(&self, start: usize, end: usize) -> Span {
        if self.computed {
            return self.whole;
        }
        let place = |at: usize| self.by_byte.get(at).copied().unwrap_or(self.whole.end);
        let last = if end > start { place(end - 1) + 1 } else { place(start) + 1 };
        Span { start: place(start), end: last }
    }
}
