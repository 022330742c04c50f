//! `check --explain`: a plan in words, with the points where the message rests durably.

use hub_core::Repeat;
use hub_core::journal::TaskKind;

use crate::expression::{Mapping, Program};
use crate::plan::{Branch, CasePlan, End, OnTimeout, Op, OpKind, Plan, SegmentId, SendPlan, StateName, TaskPlan};

/// Plans in words: segments, what ends them, what each send promises, what each expression reads.
#[must_use]
pub fn explain(plans: &[&Plan]) -> String {
    plans.iter().map(|plan| route(plan)).collect::<Vec<_>>().join("\n")
}

fn route(plan: &Plan) -> String {
    let mut out = Out { text: String::new() };
    out.line(0, &format!("route {} (version {})", plan.route, plan.version));
    if !plan.description.is_empty() {
        out.line(1, &plan.description);
    }
    out.line(1, &format!("from {}", plan.source.kind));
    if let Some(case) = &plan.case {
        out.case(1, case);
    }
    out.line(1, &plan.lane.as_ref().map_or("lane: the case".into(), |lane| format!("lane: {}", reads(lane))));
    if let Some(key) = &plan.idempotent {
        out.line(1, &format!("once: {} (remembered for {})", reads(&key.key), key.remember));
    }
    let retry = &plan.on_failure;
    let task = retry.task.as_ref().map(|role| format!(", with a task for {role}")).unwrap_or_default();
    out.line(
        1,
        &format!("on failure: {} more tries after {} to {}, then parked{task}", retry.times, retry.min, retry.max),
    );
    out.line(1, &format!("guarantee: {}", guarantee(plan)));
    out.text.push('\n');
    admission(plan, &mut out);
    for id in order(plan) {
        segment(plan, &id, &mut out);
    }
    out.text
}

fn admission(plan: &Plan, out: &mut Out) {
    let first = plan.segments.get("").map(|segment| segment.ops.as_slice()).unwrap_or_default();
    if plan.judges > 0 {
        out.line(1, "while the sender waits:");
        first.iter().take(plan.judges).for_each(|op| out.op(2, op));
    }
    out.line(1, "-- durable: the sender is told \"taken\" --");
}

/// What the whole route promises.
fn guarantee(plan: &Plan) -> String {
    let sends: Vec<Repeat> = plan
        .segments
        .values()
        .filter_map(|segment| match &segment.end {
            End::To(send) => Some(send.repeat),
            _ => None,
        })
        .collect();
    let worst = sends
        .iter()
        .map(|repeat| match repeat {
            Repeat::Keyed => 0,
            Repeat::Askable => 1,
            Repeat::Forbidden => 2,
            Repeat::Harmless => 3,
        })
        .max();
    let text = match worst {
        None => "nothing is sent; every message ends, waits or is parked, none is lost",
        Some(0) => "each send takes effect exactly once: the receiver drops a known key",
        Some(1) => {
            "each send takes effect exactly once: after a doubt the receiver is asked, and a person if it cannot say"
        }
        Some(2) => "each send takes effect at most once: after a doubt a person decides; nothing is lost",
        Some(_) => {
            "each send takes effect at least once; a repetition changes nothing for the receiver that takes it again"
        }
    };
    text.to_string()
}

/// Segments in the order of the file: by the steps that begin them.
fn order(plan: &Plan) -> Vec<SegmentId> {
    let part = |part: &str| part.parse::<usize>().map_or((1, 0, part.to_string()), |n| (0, n, String::new()));
    let mut ids: Vec<SegmentId> = plan.segments.keys().cloned().collect();
    ids.sort_by_cached_key(|id| id.split('.').filter(|p| !p.is_empty()).map(part).collect::<Vec<_>>());
    ids
}

fn segment(plan: &Plan, id: &str, out: &mut Out) {
    let Some(segment) = plan.segments.get(id) else { return };
    out.line(1, &format!("segment {}", if id.is_empty() { "(first)" } else { id }));
    let skip = if id.is_empty() { plan.judges } else { 0 };
    segment.ops.iter().skip(skip).for_each(|op| out.op(2, op));
    out.end(2, &segment.end);
}

/// An expression and the names it reads.
fn reads(program: &Program) -> String {
    let roots = program.roots();
    let text = program.text.split_whitespace().collect::<Vec<_>>().join(" ");
    if roots.is_empty() { text } else { format!("{text}  [reads {}]", roots.join(", ")) }
}

struct Out {
    text: String,
}

impl Out {
    fn line(&mut self, depth: usize, text: &str) {
        self.text.push_str(&"  ".repeat(depth));
        self.text.push_str(text);
        self.text.push('\n');
    }

    fn case(&mut self, depth: usize, case: &CasePlan) {
        self.line(depth, &format!("case {}: {}", case.kind, reads(&case.id)));
        for (name, program) in [("entity", &case.entity), ("amount", &case.amount)] {
            if let Some(program) = program {
                self.line(depth + 1, &format!("{name}: {}", reads(program)));
            }
        }
    }

    fn op(&mut self, depth: usize, op: &Op) {
        let place = &op.place;
        match &op.what {
            OpKind::Step { kind, params, bind, .. } => {
                self.line(depth, &format!("{place}  {kind}{}", bound(bind.as_ref())));
                self.params(depth, params);
            }
            OpKind::Set(values) => {
                self.line(depth, &format!("{place}  set"));
                values.iter().for_each(|(name, mapping)| self.mapping(depth + 2, name, mapping));
            }
            OpKind::Map(mapping) => {
                self.line(depth, &format!("{place}  map: the body becomes"));
                self.mapping(depth + 2, "", mapping);
            }
            OpKind::Filter(program) => self.line(depth, &format!("{place}  filter: goes on if {}", reads(program))),
            OpKind::Log(program) => self.line(depth, &format!("{place}  log: {}", reads(program))),
            OpKind::State { to, case, .. } => {
                let to = match to {
                    StateName::Fixed(name) => name.clone(),
                    StateName::Computed(program) => reads(program),
                };
                let case = case.as_ref().map(|case| format!(" of case {}", reads(case))).unwrap_or_default();
                self.line(depth, &format!("{place}  state {to}{case}"));
            }
            OpKind::Archive { class, retain, name } => {
                let name = name.as_ref().map(|name| format!(" as {}", reads(name))).unwrap_or_default();
                self.line(depth, &format!("{place}  archive {class} for {retain}{name}"));
            }
            OpKind::Resume { name, key, .. } => {
                self.line(depth, &format!("{place}  resume {name} with key {}", reads(key)))
            }
            OpKind::Idempotent(once) => self.line(depth, &format!("{place}  once: {}", reads(&once.key))),
            OpKind::Choice(branches) => self.choice(depth, place, branches),
        }
    }

    fn choice(&mut self, depth: usize, place: &str, branches: &[Branch<Vec<Op>>]) {
        self.line(depth, &format!("{place}  choice"));
        for branch in branches {
            self.line(depth + 2, &condition(branch.when.as_ref()));
            branch.then.iter().for_each(|op| self.op(depth + 3, op));
        }
    }

    fn params(&mut self, depth: usize, params: &[(String, Program)]) {
        params.iter().for_each(|(name, program)| self.line(depth + 2, &format!("{name}: {}", reads(program))));
    }

    fn mapping(&mut self, depth: usize, name: &str, mapping: &Mapping) {
        let head = if name.is_empty() { String::new() } else { format!("{name}: ") };
        match mapping {
            Mapping::Leaf(program) => self.line(depth, &format!("{head}{}", reads(program))),
            Mapping::Object(fields) => {
                self.line(depth, &format!("{head}an object"));
                fields.iter().for_each(|(name, field)| self.mapping(depth + 1, name, field));
            }
            Mapping::List(items) => {
                self.line(depth, &format!("{head}a list"));
                items.iter().for_each(|item| self.mapping(depth + 1, "", item));
            }
            Mapping::Each { each, name, map } => {
                self.line(depth, &format!("{head}for each {name} of {}", reads(each)));
                self.mapping(depth + 1, "", map);
            }
        }
    }

    fn end(&mut self, depth: usize, end: &End) {
        match end {
            End::Finish => self.line(depth, "the end"),
            End::Goto(next) => self.line(depth, &format!("goes on at segment {next}")),
            End::Choice { branches, next } => {
                self.line(depth, "choice, each branch its own segment:");
                for branch in branches {
                    self.line(depth + 1, &format!("{} -> segment {}", condition(branch.when.as_ref()), branch.then));
                }
                self.line(depth + 1, &format!("if none is taken -> segment {next}"));
            }
            End::Split { each, bind, case, item, next } => {
                self.line(depth, &format!("split: one message {bind} for each of {} -> segment {item}", reads(each)));
                if let Some(case) = case {
                    self.case(depth + 1, case);
                }
                self.line(depth, &format!("-- durable: the children -- the message itself -> segment {next}"));
            }
            End::To(send) => self.send(depth, send),
            End::Await { name, keys, within, bind, on_timeout, next } => {
                self.line(depth, &format!("await {name} for {within}{}", bound(bind.as_ref())));
                keys.iter().for_each(|key| self.line(depth + 2, &format!("key {}", reads(key))));
                let late = match on_timeout {
                    OnTimeout::Park => "is parked; a late answer still wakes it".into(),
                    OnTimeout::Task(role) => format!("a task for {role}; it goes on waiting"),
                    OnTimeout::Segment(id) => format!("goes on at segment {id}"),
                };
                self.line(depth + 2, &format!("after that: {late}"));
                self.line(depth, &format!("-- durable: waiting -- then segment {next}"));
            }
            End::Approve(task) => self.task(depth, task),
        }
    }

    fn send(&mut self, depth: usize, send: &SendPlan) {
        self.line(depth, &format!("{}  to {}{}", send.place, send.kind, bound(send.bind.as_ref())));
        self.params(depth, &send.params);
        let promise = match send.repeat {
            Repeat::Harmless => "a repetition is harmless: it is sent again after a doubt",
            Repeat::Keyed => "the receiver drops a known key: it is sent again after a doubt",
            Repeat::Askable => "after a doubt the receiver is asked; it is never sent again on a guess",
            Repeat::Forbidden => "after a doubt a person decides; it is never sent again on a guess",
        };
        self.line(depth + 2, promise);
        if let Some((name, _)) = &send.witnesses {
            self.line(depth + 2, &format!("an answer to {name} settles a doubt"));
        }
        self.line(depth, &format!("-- durable: intent before, outcome after -- then segment {}", send.next));
    }

    fn task(&mut self, depth: usize, task: &TaskPlan) {
        let what = match task.kind {
            TaskKind::Approve => format!("approve: {} of role {}", task.people, task.role),
            TaskKind::Todo => format!("task for {}", task.role),
        };
        self.line(depth, &format!("{}  {what}, within {}{}", task.place, task.within, bound(task.bind.as_ref())));
        if let Some((after, role)) = &task.escalate {
            self.line(depth + 2, &format!("after {after} {role} may decide, too"));
        }
        for (name, program) in [("title", &task.title), ("requester, who may not approve", &task.requester)] {
            if let Some(program) = program {
                self.line(depth + 2, &format!("{name}: {}", reads(program)));
            }
        }
        if task.kind == TaskKind::Approve {
            let reject =
                task.on_reject.as_ref().map_or("state respinto, and the end".into(), |id| format!("segment {id}"));
            self.line(depth + 2, &format!("if rejected: {reject}"));
        }
        self.line(depth, &format!("-- durable: waiting for people -- then segment {}", task.next));
    }
}

fn condition(when: Option<&Program>) -> String {
    when.map_or("otherwise".into(), |when| format!("when {}", reads(when)))
}

fn bound(bind: Option<&String>) -> String {
    bind.map(|name| format!(" as {name}")).unwrap_or_default()
}
