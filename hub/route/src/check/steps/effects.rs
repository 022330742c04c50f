//! Steps that end a segment, or may: choice, split, to, await, approve, task.

use hub_core::Span as Length;
use hub_core::journal::TaskKind;

use super::super::config::by_kind;
use super::super::reader::Reader;
use super::super::route::all;
use super::super::scope::Scope;
use super::At;
use crate::draft::{Branch, Timeout, What};
use crate::expression::Program;
use crate::language;
use crate::plan::TaskPlan;
use crate::syntax::{self, Data, Node, Span};

impl Reader<'_> {
    pub(super) fn choice(&mut self, at: &At<'_>, scope: &mut Scope) -> Option<What> {
        let Data::List(items) = &at.node.data else {
            self.wrong(at.node, "a list of branches", "- when: body.x == 1");
            return None;
        };
        if !items.iter().any(|item| item.get("when").is_some()) {
            let hint = "write `- when: CONDITION` and `steps: [...]` beside it";
            self.report.error(at.key, "no-when", "a choice needs a branch with `when`").hint(hint);
        }
        let (mut branches, mut scopes, mut decided) = (Vec::new(), Vec::new(), None::<&str>);
        for (index, item) in items.iter().enumerate() {
            if let Some(reason) = decided.take() {
                let message = format!("this branch is never taken: {reason}");
                self.report.error(item.span, "unreachable", message).hint("move it up, or delete it");
            }
            let mut inner = scope.clone();
            let branch = self.branch(item, &format!("{}.{index}", at.place), &mut inner);
            decided = match &branch {
                Some(Branch { when: None, .. }) => Some("`otherwise` stands before it"),
                Some(Branch { when: Some(when), .. }) if when.constant() == Some(true) => {
                    Some("the condition before it is always true")
                }
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

    pub(super) fn split(&mut self, at: &At<'_>, scope: &Scope) -> Option<What> {
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

    pub(super) fn to(&mut self, at: &At<'_>, scope: &mut Scope) -> Option<What> {
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

    pub(super) fn wait(&mut self, at: &At<'_>, scope: &mut Scope) -> Option<What> {
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

    fn exprs(&mut self, node: &Node, scope: &Scope) -> Option<Vec<Program>> {
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

    pub(super) fn approve(&mut self, at: &At<'_>, scope: &mut Scope) -> Option<What> {
        let fields = self.fields(at.node, at.key, &language::APPROVE)?;
        let people = fields.get("people").map_or(Some(1), |node| self.count(node, (1, 20), "2"));
        let escalate = fields.get("escalate").map(|node| self.escalate(node, fields.get("within")));
        let requester = fields.get("requester").map(|node| self.expr(node, scope, "text"));
        let reject = format!("{}.reject", at.place);
        let on_reject = fields.get("on_reject").map(|node| self.steps(node, &reject, &mut scope.clone()));
        if on_reject.is_none() && scope.has_case {
            self.has_respinto(at.key, scope);
        }
        let mut plan = self.common_task(at, scope, TaskKind::Approve)?;
        plan.people = people?;
        plan.escalate = all(escalate)?;
        plan.requester = all(requester)?;
        Some(What::Task { plan: Box::new(plan), on_reject: all(on_reject)? })
    }

    /// A rejected message goes to `respinto` unless the route says otherwise.
    fn has_respinto(&mut self, at: Span, scope: &Scope) {
        let kind = scope.kind.as_deref().and_then(|name| Some((name, self.world.cases.kind(name)?)));
        if let Some((name, _)) = kind.filter(|(_, kind)| !kind.next.contains_key("respinto")) {
            let message =
                format!("a rejected message goes to state `respinto`, which cases of kind `{name}` do not have");
            self.report
                .error(at, "unknown-state", message)
                .hint("say what happens then: `on_reject: [ { state: ... } ]`");
        }
    }

    pub(super) fn task(&mut self, at: &At<'_>, scope: &mut Scope) -> Option<What> {
        let _ = self.fields(at.node, at.key, &language::TASK)?;
        let plan = self.common_task(at, scope, TaskKind::Todo)?;
        Some(What::Task { plan: Box::new(plan), on_reject: None })
    }

    /// What `approve` and `task` have in common. The fields' names were checked before.
    fn common_task(&mut self, at: &At<'_>, scope: &mut Scope, kind: TaskKind) -> Option<TaskPlan> {
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

    fn escalate(&mut self, node: &Node, within: Option<&Node>) -> Option<(Length, String)> {
        let fields = self.fields(node, node.span, &language::ESCALATE)?;
        let after = fields.get("after").and_then(|node| Some((self.span(node, "3h")?, node.span)));
        let to = fields.get("to").and_then(|node| self.role(node));
        let within = within.and_then(Node::text).and_then(|text| text.parse::<Length>().ok());
        if let (Some((after, span)), Some(within)) = (after, within)
            && after >= within
        {
            let message = format!("it would escalate after {after}, but the task ends after {within}");
            self.report.error(span, "escalate-order", message).hint("make `after` shorter than `within`");
        }
        Some((after?.0, to?))
    }
}
