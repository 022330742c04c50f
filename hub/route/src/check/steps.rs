//! Steps, one by one: those that compute. Those that end a segment are in [`effects`].

mod effects;

use hub_core::plugin::StepDef;

use super::config::by_kind;
use super::reader::Reader;
use super::route::all;
use super::scope::Scope;
use crate::draft::{Step, What};
use crate::language;
use crate::plan::{OpKind, StateName};
use crate::syntax::{self, Data, Key, Node, Span};

/// Most steps of a route.
const STEPS_MAX: usize = 500;
/// Deepest nesting of steps.
const NESTING_MAX: usize = 8;

/// One step while it is read: its word, its place, its value.
struct At<'n> {
    key: Span,
    place: &'n str,
    node: &'n Node,
}

impl Reader<'_> {
    /// A list of steps; `place` is the path of the list, the scope learns what they bind.
    pub(crate) fn steps(&mut self, node: &Node, place: &str, scope: &mut Scope) -> Option<Vec<Step>> {
        let Data::List(items) = &node.data else {
            self.wrong(node, "a list of steps", "- log: \"'arrived'\"");
            return None;
        };
        if items.is_empty() {
            self.report
                .error(node.span, "no-steps", "there is no step")
                .hint("write at least one, for example `- log: \"'arrived'\"`");
            return None;
        }
        if place.split('.').count() / 2 > NESTING_MAX {
            self.report.error(node.span, "too-deep", format!("steps are nested deeper than {NESTING_MAX} levels"));
            return None;
        }
        let mut dead: Option<usize> = None;
        let mut steps = Vec::new();
        for (index, item) in items.iter().enumerate() {
            if let Some(line) = dead.take() {
                let message = format!("nothing comes here: the filter at line {line} is always false");
                self.report
                    .error(item.span, "unreachable", message)
                    .hint("delete the steps behind it, or change the filter");
            }
            let place = if place.is_empty() { index.to_string() } else { format!("{place}.{index}") };
            let step = self.step(item, &place, scope);
            if let Some(Step { what: What::Op { kind: OpKind::Filter(program), .. }, line, .. }) = &step {
                dead = (program.constant() == Some(false)).then_some(*line);
            }
            steps.push(step);
        }
        steps.into_iter().collect()
    }

    fn step(&mut self, item: &Node, place: &str, scope: &mut Scope) -> Option<Step> {
        self.steps += 1;
        if self.steps == STEPS_MAX + 1 {
            self.report.error(item.span, "too-large", format!("the route has more than {STEPS_MAX} steps"));
        }
        if self.steps > STEPS_MAX {
            return None;
        }
        let (key, node) = self.one_entry(item)?;
        let name = key.name.as_deref().unwrap_or_default();
        let line = self.line(item.span);
        let at = At { key: key.span, place, node };
        let what = match language::step_word(name) {
            Some(_) => self.word(name, &at, scope),
            None => match by_kind(self.world.registry.steps()).get(name) {
                Some(def) => self.plugin_step(def, &at, scope),
                None => {
                    self.unknown_step(key, name);
                    None
                }
            },
        };
        what.map(|what| Step { place: place.to_string(), line, what })
    }

    fn one_entry<'n>(&mut self, item: &'n Node) -> Option<(&'n Key, &'n Node)> {
        if let Some(text) = item.text() {
            let hint = format!("write for example `- {text}: {{ }}`");
            self.report.error(item.span, "wrong-type", "a step is a word and its fields, not a text alone").hint(hint);
            return None;
        }
        let entries = item.entries();
        let mut real = entries.iter().filter(|(key, _)| !key.name.as_deref().is_some_and(syntax::is_renamed));
        let Some((key, node)) = real.next() else {
            self.wrong(item, "a step", "- log: \"'arrived'\"");
            return None;
        };
        if let Some((second, _)) = real.next() {
            let first = key.name.as_deref().unwrap_or_default();
            let message = format!("a step has one word: this is a second one beside `{first}`");
            let hint = "indent it below the first word if it is its field, or begin a new step with `- `";
            self.report.error(second.span, "one-word", message).hint(hint);
        }
        Some((key, node))
    }

    fn unknown_step(&mut self, key: &Key, name: &str) {
        let plugins: Vec<&str> = self.world.registry.steps().map(|def| def.kind).collect();
        if self.world.registry.sinks().any(|def| def.kind == name) {
            let hint = format!("write `to: {{ {name}: {{ ... }} }}`");
            self.report.error(key.span, "unknown-step", format!("`{name}` is a sink, not a step")).hint(hint);
            return;
        }
        let known = language::STEPS.iter().map(|word| word.name).chain(plugins);
        self.unknown(key.span, name, "step", known);
    }

    fn plugin_step(&mut self, def: &'static StepDef, at: &At<'_>, scope: &mut Scope) -> Option<What> {
        let bind = at.node.get("as").map(|node| self.bind(node, scope));
        let config = self.config(def, at.node, at.key, &["as"], scope);
        self.bound(&bind, at, scope);
        let (config, bind) = (config?, all(bind)?);
        let kind = OpKind::Step { kind: config.kind, opens: config.parsed.opens, params: config.params, bind };
        Some(What::Op { kind, judges: def.judges })
    }

    fn bound(&mut self, bind: &Option<Option<String>>, at: &At<'_>, scope: &mut Scope) {
        if let Some(Some(name)) = bind {
            let _ = scope.bound.insert(name.clone(), self.line(at.key));
        }
    }

    fn word(&mut self, name: &str, at: &At<'_>, scope: &mut Scope) -> Option<What> {
        let op = |kind: Option<OpKind>| kind.map(|kind| What::Op { kind, judges: false });
        match name {
            "set" => op(self.set(at.node, scope)),
            "map" => op(self.mapping(at.node, scope).map(OpKind::Map)),
            "filter" => op(self.expr(at.node, scope, "true or false").map(OpKind::Filter)),
            "log" => op(self.expr(at.node, scope, "text").map(OpKind::Log)),
            "state" => op(self.state_step(at, scope)),
            "archive" => op(self.archive(at, scope)),
            "idempotent" => op(self.idempotent(at.node, scope).map(OpKind::Idempotent)),
            "resume" => op(self.resume(at, scope)),
            "choice" => self.choice(at, scope),
            "split" => self.split(at, scope),
            "to" => self.to(at, scope),
            "await" => self.wait(at, scope),
            "approve" => self.approve(at, scope),
            "task" => self.task(at, scope),
            _ => None,
        }
    }

    fn set(&mut self, node: &Node, scope: &mut Scope) -> Option<OpKind> {
        let Data::Map(entries) = &node.data else {
            self.wrong(node, "names and their expressions", "set: { totale: decimal(body.importo) }");
            return None;
        };
        let before = scope.clone();
        let mut values = Vec::new();
        for (key, value) in entries {
            let name = key.name.clone().unwrap_or_default();
            if syntax::is_renamed(&name) {
                continue;
            }
            let mapping = self.mapping(value, &before);
            let _ = scope.vars.insert(name.clone());
            values.push(mapping.map(|mapping| (name, mapping)));
        }
        values.into_iter().collect::<Option<Vec<_>>>().map(OpKind::Set)
    }

    fn state_step(&mut self, at: &At<'_>, scope: &Scope) -> Option<OpKind> {
        if !matches!(at.node.data, Data::Map(_)) {
            let to = self.state(at.node, scope.kind.as_deref());
            self.needs_case(at.key, scope);
            return Some(OpKind::State { to: StateName::Fixed(to?), case: None, entity: None, kind: None });
        }
        let fields = self.fields(at.node, at.key, &language::STATE)?;
        let kind = fields.get("kind").map(|node| self.case_kind(node));
        let judged_by = match &kind {
            Some(kind) => kind.clone(),
            None => scope.kind.clone(),
        };
        let to = fields.get("to").map(|node| self.state(node, judged_by.as_deref()).map(StateName::Fixed));
        let of = fields.get("of").map(|node| self.expr(node, scope, "the name of a state").map(StateName::Computed));
        let case = fields.get("case").map(|node| self.expr(node, scope, "text"));
        let entity = fields.get("entity").map(|node| self.expr(node, scope, "the code of an entity"));
        if case.is_none() {
            self.needs_case(at.key, scope);
        } else if kind.is_none() && scope.kind.is_none() {
            self.report
                .error(at.key, "missing-field", "`kind` is missing")
                .hint("say which kind of case it is: `kind: mandato`");
        }
        if to.is_some() == of.is_some() {
            let hint = "write `to: STATE`, or `of: EXPRESSION` for a computed one";
            self.report.error(at.key, "missing-field", "exactly one of `to` and `of` is wanted").hint(hint);
            return None;
        }
        Some(OpKind::State { to: to.or(of)??, case: all(case)?, entity: all(entity)?, kind: all(kind)? })
    }

    fn needs_case(&mut self, at: Span, scope: &Scope) {
        if !scope.has_case {
            let hint = "add `case: { kind: ..., id: ... }` to the route, or name another case with `case:`";
            self.report.error(at, "no-case", "the route's messages have no case that has states").hint(hint);
        }
    }

    fn archive(&mut self, at: &At<'_>, scope: &Scope) -> Option<OpKind> {
        let fields = self.fields(at.node, at.key, &language::ARCHIVE)?;
        let class = fields.get("class").and_then(|node| self.name(node, "an archive class", "opi"));
        let retain = fields.get("retain").and_then(|node| self.span(node, "10y"));
        let name = fields.get("name").map(|node| self.expr(node, scope, "text"));
        Some(OpKind::Archive { class: class?, retain: retain?, name: all(name)? })
    }

    fn resume(&mut self, at: &At<'_>, scope: &Scope) -> Option<OpKind> {
        let fields = self.fields(at.node, at.key, &language::RESUME)?;
        let name = fields.get("name").and_then(|node| Some((self.name(node, "a name", "siope-ack")?, node.span)));
        let key = fields.get("key").and_then(|node| self.expr(node, scope, "text"));
        let answer = fields.get("answer").map(|node| self.mapping(node, scope));
        self.resumes.extend(name.clone());
        Some(OpKind::Resume { name: name?.0, key: key?, answer: all(answer)? })
    }
}
