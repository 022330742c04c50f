//! A route as it was read: a tree of steps, not yet cut into segments.

use std::sync::Arc;

use hub_core::plugin::Opens;
use hub_core::{Repeat, Sink, Span};

use crate::expression::Program;
use crate::plan::{CasePlan, FailurePlan, IdempotentPlan, OpKind, SourcePlan, TaskPlan};

/// A route without problems.
pub(crate) struct Draft {
    pub(crate) route: String,
    pub(crate) description: String,
    pub(crate) source: SourcePlan,
    pub(crate) case: Option<CasePlan>,
    pub(crate) lane: Option<Program>,
    pub(crate) idempotent: Option<IdempotentPlan>,
    pub(crate) steps: Vec<Step>,
    pub(crate) on_failure: FailurePlan,
}

/// One step and its place.
pub(crate) struct Step {
    pub(crate) place: String,
    pub(crate) line: usize,
    pub(crate) what: What,
}

pub(crate) enum What {
    /// Computes.
    Op {
        kind: OpKind,
        judges: bool,
    },
    Choice(Vec<Branch>),
    Split {
        each: Program,
        bind: String,
        case: Option<CasePlan>,
        steps: Vec<Step>,
    },
    To {
        kind: &'static str,
        opens: Box<dyn Opens<Arc<dyn Sink>>>,
        repeat: Repeat,
        params: Vec<(String, Program)>,
        bind: Option<String>,
    },
    Await {
        name: String,
        keys: Vec<Program>,
        within: Span,
        bind: Option<String>,
        on_timeout: Timeout,
    },
    /// `next` and `on_reject` of the plan are filled in when segments are cut.
    Task {
        plan: Box<TaskPlan>,
        on_reject: Option<Vec<Step>>,
    },
}

pub(crate) struct Branch {
    pub(crate) when: Option<Program>,
    pub(crate) steps: Vec<Step>,
}

pub(crate) enum Timeout {
    Park,
    Task(String),
    Steps(Vec<Step>),
}

impl Step {
    /// Whether it ends a segment.
    pub(crate) fn ends_segment(&self) -> bool {
        match &self.what {
            What::Op { .. } => false,
            What::Choice(branches) => branches.iter().any(|branch| branch.steps.iter().any(Step::ends_segment)),
            What::Split { .. } | What::To { .. } | What::Await { .. } | What::Task { .. } => true,
        }
    }
}
