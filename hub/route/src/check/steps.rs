//! Steps, one by one.

use hub_core::journal::TaskKind;
use hub_core::plugin::StepDef;

use super::config::by_kind;
use super::reader::Reader;
use super::route::all;
use super::scope::Scope;
use crate::draft::{Branch, Step, Timeout, What};
use crate::language::{self, Shape, Ty};
use crate::plan::{OpKind, StateName, TaskPlan};
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
            self.report.error(node.span, "no-steps", "there is no step").hint("write at least one, for example `- log: \"'arrived'\"`");
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
                self.report.error(item.span, "unreachable", message).hint("delete the steps behind it, or change the filter");
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
            self.report.error(at.key, "missing-field", "`kind` is missing").hint("say which kind of case it is: `kind: mandato`");
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

    fn choice(&mut self, at: &At<'_>, scope: &mut Scope) -> Option<What> {
        let Data::List(items) = &at.node.data else {
            self.wrong(at.node, "a list of branches", "- when: body.x == 1");
            return None;
        };
        if !items.iter().any(|item| item.get("when").is_some()) {
            let hint = "write `- when: CONDITION` and `steps: [...]` beside it";
            self.report.error(at.key, "no-when", "a choice needs a branch with `when`").hint(hint);
        }
        let (mut branches, mut scopes, mut decided) = (Vec::new(), Vec::new(), None);
        for (index, item) in items.iter().enumerate() {
            if let Some(reason) = decided {
                self.report.error(item.span, "unreachable", format!("this branch is never taken: {reason}")).hint("move it up, or delete it");
                decided = None;
            }
            let mut inner = scope.clone();
            let branch = self.branch(item, &format!("{}.{index}", at.place), &mut inner);
            decided = match &branch {
                Some(Branch { when: None, .. }) => Some("`otherwise` stands before it"),
                Some(Branch { when: Some(when), .. }) if when.constant() == Some(true) => Some("the condition before it is always true"),
                _ if item.get("otherwise").is_some() => Some("`otherwise` stands before it"),
                _ => None,
            };
            scopes.push(inner);
            branches.push(branch);
        }
        scope.joined(&scopes, items.iter().any(|item| item.get("otherwise").is_some()));
        branches.into_iter().collect::<Option<Vec<_>>>().map(What::Choice)
    }

    fn branch(&mut self, item: &Node, place: &str, scope: &mut Scope) -> Option<Branch> {
        let key = item.entries().first().map_or(item.span, |(key, _)| key.span);
        if item.get("otherwise").is_some() {
            let fields = self.fields(item, key, &language::OTHERWISE)?;
            let steps = fields.get("otherwise").and_then(|node| self.steps(node, place, scope));
            return Some(Branch { when: None, steps: steps? });
        }
        let fields = self.fields(item, key, &language::WHEN)?;
        let when = fields.get("when").and_then(|node| self.expr(node, scope, "true or false"));
        let steps = fields.get("steps").and_then(|node| self.steps(node, place, scope));
        Some(Branch { when: Some(when?), steps: steps? })
    }

    fn split(&mut self, at: &At<'_>, scope: &Scope) -> Option<What> {
        let fields = self.fields(at.node, at.key, &language::SPLIT)?;
        let each = fields.get("each").and_then(|node| self.expr(node, scope, "a list"));
        let bind = fields.get("as").and_then(|node| self.bind(node, scope));
        let mut inner = scope.clone();
        if let Some(name) = &bind {
            let _ = inner.bound.insert(name.clone(), self.line(at.key));
        }
        let case = fields.get("case").map(|node| self.case(node, &mut inner));
        let steps = fields.get("steps").and_then(|node| self.steps(node, at.place, &mut inner));
        Some(What::Split { each: each?, bind: bind?, case: all(case)?, steps: steps? })
    }

    fn to(&mut self, at: &At<'_>, scope: &mut Scope) -> Option<What> {
        let known = by_kind(self.world.registry.sinks());
        let example = "to: { siope.flusso: { entity: case.entity }, as: invio }";
        let Data::Map(entries) = &at.node.data else {
            self.wrong(at.node, "a sink and its configuration", example);
            return None;
        };
        let mut found = None;
        for (key, node) in entries {
            let name = key.name.as_deref().unwrap_or_default();
            match known.get(name) {
                _ if name == "as" || syntax::is_renamed(name) => {}
                Some(def) if found.is_none() => found = Some((*def, node, key.span)),
                Some(_) => {
                    self.report.error(key.span, "one-sink", "a send has one sink").hint("write a second `to` step");
                }
                None => self.unknown(key.span, name, "sink", known.keys().copied()),
            }
        }
        let bind = at.node.get("as").map(|node| self.bind(node, scope));
        let config = found.and_then(|(def, node, owner)| self.config(def, node, owner, &[], scope));
        if found.is_none() && entries.iter().all(|(key, _)| key.name.as_deref() == Some("as")) {
            self.wrong(at.node, "a sink and its configuration", example);
        }
        self.bound(&bind, at, scope);
        let config = config?;
        let (opens, repeat) = (config.parsed.opens, config.parsed.repeat);
        Some(What::To { kind: config.kind, opens, repeat, params: config.params, bind: all(bind)? })
    }

    fn wait(&mut self, at: &At<'_>, scope: &mut Scope) -> Option<What> {
        let fields = self.fields(at.node, at.key, &language::AWAIT)?;
        let name = fields.get("name").and_then(|node| Some((self.name(node, "a name", "siope-ack")?, node.span)));
        let keys = fields.get("keys").and_then(|node| self.exprs(node, scope));
        let within = fields.get("within").and_then(|node| self.span(node, "2h"));
        let on_timeout = match fields.get("on_timeout") {
            None => Some(Timeout::Park),
            Some(node) => self.timeout(node, &format!("{}.timeout", at.place), scope),
        };
        let bind = fields.get("as").map(|node| self.bind(node, scope));
        self.bound(&bind, at, scope);
        self.awaits.extend(name.clone());
        Some(What::Await { name: name?.0, keys: keys?, within: within?, bind: all(bind)?, on_timeout: on_timeout? })
    }

    fn exprs(&mut self, node: &Node, scope: &Scope) -> Option<Vec<crate::expression::Program>> {
        let Data::List(items) = &node.data else {
            self.wrong(node, "a list of expressions", "keys: [flusso.identificativo]");
            return None;
        };
        if items.is_empty() {
            let hint = "an answer is found by its keys: write for example `keys: [flusso.identificativo]`";
            self.report.error(node.span, "no-keys", "there is no key").hint(hint);
            return None;
        }
        let read: Vec<_> = items.iter().map(|item| self.expr(item, scope, "text")).collect();
        read.into_iter().collect()
    }

    fn timeout(&mut self, node: &Node, place: &str, scope: &Scope) -> Option<Timeout> {
        match node.text() {
            Some("park") => return Some(Timeout::Park),
            Some(text) => {
                self.unknown(node.span, text, "value", ["park", "{ task: ROLE }", "{ steps: [...] }"]);
                return None;
            }
            None => {}
        }
        let fields = self.fields(node, node.span, &language::TIMEOUT)?;
        match (fields.get("task"), fields.get("steps")) {
            (Some(role), None) => self.role(role).map(Timeout::Task),
            (None, Some(steps)) => self.steps(steps, place, &mut scope.clone()).map(Timeout::Steps),
            _ => {
                let hint = "write `on_timeout: park`, `{ task: controllore }` or `{ steps: [...] }`";
                self.report.error(node.span, "missing-field", "exactly one of `task` and `steps` is wanted").hint(hint);
                None
            }
        }
    }

    fn approve(&mut self, at: &At<'_>, scope: &mut Scope) -> Option<What> {
        let fields = self.fields(at.node, at.key, &language::APPROVE)?;
        let people = fields.get("people").map_or(Some(1), |node| self.count(node, (1, 20), "2"));
        let escalate = fields.get("escalate").map(|node| self.escalate(node, fields.get("within")));
        let requester = fields.get("requester").map(|node| self.expr(node, scope, "text"));
        let reject = format!("{}.reject", at.place);
        let on_reject = fields.get("on_reject").map(|node| self.steps(node, &reject, &mut scope.clone()));
        if on_reject.is_none() && scope.has_case {
            self.has_respinto(at.key, scope);
        }
        let mut plan = self.common_task(at, scope, TaskKind::Approve, &language::APPROVE)?;
        plan.people = people?;
        plan.escalate = all(escalate)?;
        plan.requester = all(requester)?;
        Some(What::Task { plan: Box::new(plan), on_reject: all(on_reject)? })
    }

    /// A rejected message goes to `respinto` unless the route says otherwise.
    fn has_respinto(&mut self, at: Span, scope: &Scope) {
        let kind = scope.kind.as_deref().and_then(|name| Some((name, self.world.cases.kind(name)?)));
        if let Some((name, _)) = kind.filter(|(_, kind)| !kind.next.contains_key("respinto")) {
            let message = format!("a rejected message goes to state `respinto`, which cases of kind `{name}` do not have");
            self.report.error(at, "unknown-state", message).hint("say what happens then: `on_reject: [ { state: ... } ]`");
        }
    }

    fn task(&mut self, at: &At<'_>, scope: &mut Scope) -> Option<What> {
        let _ = self.fields(at.node, at.key, &language::TASK)?;
        let plan = self.common_task(at, scope, TaskKind::Todo, &language::TASK)?;
        Some(What::Task { plan: Box::new(plan), on_reject: None })
    }

    /// What `approve` and `task` have in common. The fields' names were checked before.
    fn common_task(&mut self, at: &At<'_>, scope: &mut Scope, kind: TaskKind, shape: &'static Shape) -> Option<TaskPlan> {
        debug_assert!(matches!(shape.field("role").map(|field| field.ty), Some(Ty::Role)));
        let role = at.node.get("role").and_then(|node| self.role(node));
        let within = at.node.get("within").and_then(|node| self.span(node, "4h"));
        let title = at.node.get("title").map(|node| self.expr(node, scope, "text"));
        let bind = at.node.get("as").map(|node| self.bind(node, scope));
        self.bound(&bind, at, scope);
        Some(TaskPlan {
            kind,
            place: at.place.to_string(),
            role: role?,
            people: 1,
            within: within?,
            escalate: None,
            title: all(title)?,
            requester: None,
            bind: all(bind)?,
            on_reject: None,
            next: String::new(),
        })
    }

    fn escalate(&mut self, node: &Node, within: Option<&Node>) -> Option<(hub_core::Span, String)> {
        let fields = self.fields(node, node.span, &language::ESCALATE)?;
        let after = fields.get("after").and_then(|node| Some((self.span(node, "3h")?, node.span)));
        let to = fields.get("to").and_then(|node| self.role(node));
        let within = within.and_then(Node::text).and_then(|text| text.parse::<hub_core::Span>().ok());
        if let (Some((after, span)), Some(within)) = (after, within)
            && after >= within
        {
            let message = format!("it would escalate after {after}, but the task ends after {within}");
            self.report.error(span, "escalate-order", message).hint("make `after` shorter than `within`");
        }
        Some((after?.0, to?))
    }
}
