//! Steps to segments: what computes stays together, what ends a segment begins the next.

use std::collections::BTreeMap;

use crate::draft::{Draft, Step, Timeout, What};
use crate::expression::Program;
use crate::plan::{Branch, End, OnTimeout, Op, OpKind, Plan, Segment, SegmentId, SendPlan, TaskPlan};

/// Cuts a route into segments.
pub(crate) fn plan(draft: Draft, version: String) -> Plan {
    let judging = |step: &&Step| matches!(&step.what, What::Op { judges: true, .. });
    let judges = draft.steps.iter().take_while(judging).count();
    let mut cutter = Cutter { segments: BTreeMap::new() };
    cutter.lay(draft.steps, String::new(), None);
    Plan {
        route: draft.route,
        description: draft.description,
        version,
        source: draft.source,
        case: draft.case,
        lane: draft.lane,
        idempotent: draft.idempotent,
        judges,
        segments: cutter.segments,
        on_failure: draft.on_failure,
    }
}

struct Cutter {
    segments: BTreeMap<SegmentId, Segment>,
}

impl Cutter {
    /// Lays a list of steps, beginning with segment `id`. `join`: the segment that follows the list; `None`: the message
    /// is through.
    fn lay(&mut self, steps: Vec<Step>, id: SegmentId, join: Option<&SegmentId>) {
        let mut ops = Vec::new();
        let mut steps = steps.into_iter();
        while let Some(step) = steps.next() {
            if !step.ends_segment() {
                ops.extend(op(step));
                continue;
            }
            let rest: Vec<Step> = steps.collect();
            let following = rest.first().map(|next| next.place.clone());
            let next = following.or_else(|| join.cloned()).unwrap_or_else(|| after(&step.place));
            let witnesses = witnesses(&step, &rest);
            let end = self.end(step, next.clone(), witnesses);
            let _ = self.segments.insert(id.clone(), Segment { id, ops, end });
            if Some(&next) != join || !rest.is_empty() {
                self.lay(rest, next, join);
            }
            return;
        }
        let end = join.map_or(End::Finish, |join| End::Goto(join.clone()));
        let _ = self.segments.insert(id.clone(), Segment { id, ops, end });
    }

    /// Lays a nested list as its own segment and gives its id.
    fn nested(&mut self, steps: Vec<Step>, join: Option<&SegmentId>) -> Option<SegmentId> {
        let id = steps.first().map(|step| step.place.clone())?;
        self.lay(steps, id.clone(), join);
        Some(id)
    }

    fn end(&mut self, step: Step, next: SegmentId, witnesses: Option<(String, Vec<Program>)>) -> End {
        match step.what {
            What::Op { .. } => End::Goto(next),
            What::Choice(branches) => {
                let branch = |branch: crate::draft::Branch| {
                    let then = self.nested(branch.steps, Some(&next)).unwrap_or_else(|| next.clone());
                    Branch { when: branch.when, then }
                };
                let branches = branches.into_iter().map(branch).collect();
                End::Choice { branches, next }
            }
            What::Split { each, bind, case, steps } => {
                let item = self.nested(steps, None).unwrap_or_else(|| next.clone());
                End::Split { each, bind, case, item, next }
            }
            What::To { kind, opens, repeat, params, bind } => {
                End::To(SendPlan { kind, place: step.place, opens, repeat, params, bind, witnesses, next })
            }
            What::Await { name, keys, within, bind, on_timeout } => {
                let on_timeout = match on_timeout {
                    Timeout::Park => OnTimeout::Park,
                    Timeout::Task(role) => OnTimeout::Task(role),
                    Timeout::Steps(steps) => self.nested(steps, None).map_or(OnTimeout::Park, OnTimeout::Segment),
                };
                End::Await { name, keys, within, bind, on_timeout, next }
            }
            What::Task { plan, on_reject } => {
                let on_reject = on_reject.and_then(|steps| self.nested(steps, None));
                End::Approve(TaskPlan { on_reject, next, ..*plan })
            }
        }
    }
}

/// The path behind the last step of a list.
fn after(place: &str) -> SegmentId {
    let (list, index) = place.rsplit_once('.').map_or(("", place), |(list, index)| (list, index));
    let index = index.parse::<usize>().map_or(0, |index| index + 1);
    if list.is_empty() { index.to_string() } else { format!("{list}.{index}") }
}

/// The `await` that follows a send, and those of its keys that do not need the receipt. Steps that only write something
/// down may stand between.
fn witnesses(step: &Step, rest: &[Step]) -> Option<(String, Vec<Program>)> {
    let What::To { bind, .. } = &step.what else { return None };
    let next = rest.iter().find(|step| !only_writes(step))?;
    let What::Await { name, keys, .. } = &next.what else { return None };
    let known = |key: &&Program| !bind.as_ref().is_some_and(|bind| key.roots().contains(bind));
    let keys: Vec<_> = keys.iter().filter(known).cloned().collect();
    (!keys.is_empty()).then(|| (name.clone(), keys))
}

/// Whether a step changes neither what expressions see nor whether the message goes on.
fn only_writes(step: &Step) -> bool {
    matches!(&step.what, What::Op { kind: OpKind::State { .. } | OpKind::Log(_) | OpKind::Archive { .. }, .. })
}

fn op(step: Step) -> Option<Op> {
    let what = match step.what {
        What::Op { kind, .. } => kind,
        What::Choice(branches) => {
            let branch = |branch: crate::draft::Branch| Branch {
                when: branch.when,
                then: branch.steps.into_iter().filter_map(op).collect(),
            };
            OpKind::Choice(branches.into_iter().map(branch).collect())
        }
        _ => return None,
    };
    Some(Op { place: step.place, line: step.line, what })
}
