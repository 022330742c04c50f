//! The top of a route file.

use std::time::Duration;

use hub_core::Span as Length;

use super::config::by_kind;
use super::reader::{Fields, Reader};
use super::scope::{Scope, Stage};
use crate::draft::Draft;
use crate::language;
use crate::nearest;
use crate::plan::{CasePlan, FailurePlan, IdempotentPlan, SourcePlan};
use crate::syntax::{Data, Node, Span};

/// What the file says, as far as it could be read.
pub(crate) struct Read {
    pub(crate) draft: Option<Draft>,
    /// The route's name and where it stands.
    pub(crate) name: Option<(String, Span)>,
    /// What the source occupies (kind, listener and path of an HTTP source), and where it stands.
    pub(crate) claim: Option<(String, Span)>,
}

impl Reader<'_> {
    pub(crate) fn route(&mut self, root: &Node) -> Read {
        self.collect_binds(root);
        let top = Span { start: root.span.start, end: root.span.start + 1 };
        let Some(fields) = self.fields(root, top, &language::ROUTE) else {
            return Read { draft: None, name: None, claim: None };
        };
        let name =
            fields.get("route").and_then(|node| Some((self.name(node, "a route's name", "mandati-siope")?, node.span)));
        let claim = fields.get("from").and_then(claim);
        let draft = self.draft(&fields, name.as_ref().map(|(name, _)| name.clone()));
        Read { draft, name, claim }
    }

    fn draft(&mut self, fields: &Fields<'_>, name: Option<String>) -> Option<Draft> {
        let description =
            fields.get("description").and_then(|node| self.text(node, "what it is for")).unwrap_or_default();
        let description = description.to_string();
        let mut scope = Scope::new();
        let source = fields.get("from").and_then(|from| self.source(from, &scope));
        let case = fields.get("case").map(|node| self.case(node, &mut scope));
        scope.has_case = case.is_some();
        let admission = scope.at(Stage::Admission);
        let lane = fields.get("lane").map(|node| self.expr(node, &admission, "text"));
        let idempotent = fields.get("idempotent").map(|node| self.idempotent(node, &admission));
        let on_failure = self.failure(fields.get("on_failure"));
        let mut scope = scope.at(Stage::Steps);
        let steps = fields.get("steps").and_then(|node| self.steps(node, "", &mut scope));
        Some(Draft {
            route: name?,
            description,
            source: source?,
            case: all(case)?,
            lane: all(lane)?,
            idempotent: all(idempotent)?,
            steps: steps?,
            on_failure: on_failure?,
        })
    }

    fn source(&mut self, from: &Node, scope: &Scope) -> Option<SourcePlan> {
        let known = by_kind(self.world.registry.sources());
        let example = "{ http: { path: /ingest/mandati } }";
        let Data::Map(entries) = &from.data else {
            self.wrong(from, "a source and its configuration", example);
            return None;
        };
        let mut found = None;
        for (key, node) in entries {
            let name = key.name.as_deref().unwrap_or_default();
            match known.get(name) {
                Some(def) if found.is_none() => found = Some((*def, node, key.span)),
                Some(_) => {
                    let hint = "write a second route for the other source";
                    self.report.error(key.span, "one-source", "a route has one source").hint(hint);
                }
                None if crate::syntax::is_renamed(name) => {}
                None => self.unknown(key.span, name, "source", known.keys().copied()),
            }
        }
        if entries.is_empty() {
            self.wrong(from, "a source and its configuration", example);
        }
        let (def, node, owner) = found?;
        let config = self.config(def, node, owner, &[], scope)?;
        Some(SourcePlan { kind: config.kind, everywhere: def.everywhere, opens: config.parsed.opens })
    }

    /// The case of a message; afterwards the scope knows what it gives.
    pub(crate) fn case(&mut self, node: &Node, scope: &mut Scope) -> Option<CasePlan> {
        let fields = self.fields(node, node.span, &language::CASE)?;
        let kind = fields.get("kind").and_then(|node| self.case_kind(node));
        let id = fields.get("id").and_then(|node| self.expr(node, scope, "text"));
        let entity = fields.get("entity").map(|node| self.expr(node, scope, "the code of an entity"));
        let amount = fields.get("amount").map(|node| self.expr(node, scope, "a decimal"));
        scope.kind.clone_from(&kind);
        scope.has_case = true;
        scope.has_entity = entity.is_some();
        scope.has_amount = amount.is_some();
        Some(CasePlan { kind: kind?, id: id?, entity: all(entity)?, amount: all(amount)? })
    }

    pub(crate) fn idempotent(&mut self, node: &Node, scope: &Scope) -> Option<IdempotentPlan> {
        let fields = self.fields(node, node.span, &language::IDEMPOTENT)?;
        let key = fields.get("key").and_then(|node| self.expr(node, scope, "text"));
        let remember = fields.get("remember").and_then(|node| self.span(node, "400d"));
        Some(IdempotentPlan { key: key?, remember: remember? })
    }

    fn failure(&mut self, node: Option<&Node>) -> Option<FailurePlan> {
        let seconds = |s| Length(Duration::from_secs(s));
        let mut plan = FailurePlan { times: 8, min: seconds(1), max: seconds(300), task: None };
        let Some(node) = node else { return Some(plan) };
        let fields = self.fields(node, node.span, &language::FAILURE)?;
        if let Some(retry) = fields.get("retry") {
            let fields = self.fields(retry, retry.span, &language::RETRY)?;
            plan.times = fields.get("times").map_or(Some(plan.times), |node| self.count(node, (0, 100), "8"))?;
            plan.min = fields.get("min").map_or(Some(plan.min), |node| self.span(node, "1s"))?;
            plan.max = fields.get("max").map_or(Some(plan.max), |node| self.span(node, "5m"))?;
            if plan.min > plan.max {
                let at = fields.get("min").or(fields.get("max")).unwrap_or(retry).span;
                let message = format!("the first pause ({}) is longer than the longest ({})", plan.min, plan.max);
                self.report.error(at, "retry-order", message).hint("make `min` at most `max`");
            }
        }
        plan.task = match fields.get("then") {
            None => None,
            Some(then) if then.text() == Some("park") => None,
            Some(then) => Some(self.task_for(then)?),
        };
        Some(plan)
    }

    fn task_for(&mut self, node: &Node) -> Option<String> {
        if let Some(text) = node.text() {
            self.unknown(node.span, text, "value", ["park", "{ task: ROLE }"]);
            return None;
        }
        let fields = self.fields(node, node.span, &language::TASK_FOR)?;
        fields.get("task").and_then(|node| self.role(node))
    }

    /// All names bound by `as` in the file, for hints.
    fn collect_binds(&mut self, node: &Node) {
        for (key, value) in node.entries() {
            if let (Some("as"), Some(name)) = (key.name.as_deref(), value.text()) {
                let line = self.line(value.span);
                let _ = self.binds.entry(name.to_string()).or_insert(line);
            }
            self.collect_binds(value);
        }
        node.items().iter().for_each(|item| self.collect_binds(item));
    }

    /// A name for `as`.
    pub(crate) fn bind(&mut self, node: &Node, scope: &Scope) -> Option<String> {
        let text = self.text(node, "ack")?;
        let mut letters = text.chars();
        let first = letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
        let good = first && text.len() <= 64 && letters.all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !good {
            let message = format!("`{text}` cannot be read by expressions");
            self.report
                .error(node.span, "bad-name", message)
                .hint("use letters, digits and `_`, beginning with a letter");
            return None;
        }
        if language::RESERVED.contains(&text) {
            let message = format!("`{text}` has a meaning already");
            self.report
                .error(node.span, "reserved-name", message)
                .hint(format!("choose another name, for example `{text}_1`"));
            return None;
        }
        if let Some(line) = scope.bound.get(text) {
            let message = format!("`{text}` is bound at line {line} already");
            self.report
                .error(node.span, "duplicate-name", message)
                .hint("choose another name: a binding never changes");
            return None;
        }
        Some(text.to_string())
    }

    /// Names that are awaited but never answered in these files, and the reverse.
    pub(crate) fn check_waits(&mut self, awaited: &[String], resumed: &[String]) {
        let unmatched = |own: &[(String, Span)], others: &[String]| {
            own.iter().filter(|(name, _)| !others.contains(name)).cloned().collect::<Vec<_>>()
        };
        for (name, span) in unmatched(&self.awaits, resumed) {
            let hint = nearest::hint(&name, "names that routes resume", resumed.iter().map(String::as_str));
            let message = format!("no route of these files resumes `{name}`");
            self.report.error(span, "never-resumed", message).hint(hint).warning();
        }
        for (name, span) in unmatched(&self.resumes, awaited) {
            let hint = nearest::hint(&name, "names that routes await", awaited.iter().map(String::as_str));
            let message = format!("no route of these files awaits `{name}`");
            self.report.error(span, "never-awaited", message).hint(hint).warning();
        }
    }
}

/// `None` inside: the field is there, but wrong.
pub(crate) fn all<T>(field: Option<Option<T>>) -> Option<Option<T>> {
    match field {
        None => Some(None),
        Some(value) => value.map(Some),
    }
}

/// What an HTTP source occupies: two routes may not have the same.
fn claim(from: &Node) -> Option<(String, Span)> {
    let http = from.get("http")?;
    let path = http.get("path")?;
    let listener = http.get("listener").and_then(Node::text).unwrap_or_default();
    Some((format!("{listener}{}", path.text()?), path.span))
}
