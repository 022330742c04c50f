//! Which names an expression sees at a place of the route.

use std::collections::{BTreeMap, BTreeSet};

/// How far the message has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Its case is being found: body, headers, now.
    Arrival,
    /// It is being admitted: its case, too.
    Admission,
    /// It is on its way: everything.
    Steps,
}

#[derive(Clone, Debug)]
pub(crate) struct Scope {
    pub(crate) stage: Stage,
    /// The kind of the message's case, if it is known.
    pub(crate) kind: Option<String>,
    pub(crate) has_case: bool,
    pub(crate) has_entity: bool,
    pub(crate) has_amount: bool,
    /// Names bound by `as`, with their lines.
    pub(crate) bound: BTreeMap<String, usize>,
    /// What `set` keeps on every way here.
    pub(crate) vars: BTreeSet<String>,
    /// What `set` keeps on some ways here.
    pub(crate) vars_perhaps: BTreeSet<String>,
}

impl Scope {
    pub(crate) fn new() -> Self {
        Self {
            stage: Stage::Arrival,
            kind: None,
            has_case: false,
            has_entity: false,
            has_amount: false,
            bound: BTreeMap::new(),
            vars: BTreeSet::new(),
            vars_perhaps: BTreeSet::new(),
        }
    }

    pub(crate) fn at(&self, stage: Stage) -> Self {
        Self { stage, ..self.clone() }
    }

    pub(crate) fn with(&self, name: &str, line: usize) -> Self {
        let mut inner = self.clone();
        let _ = inner.bound.insert(name.to_string(), line);
        inner
    }

    /// After a choice: what every branch has set is there, what some have set may be.
    pub(crate) fn joined(&mut self, branches: &[Scope], complete: bool) {
        let perhaps = branches.iter().flat_map(|branch| branch.vars.union(&branch.vars_perhaps).cloned());
        self.vars_perhaps.extend(perhaps);
        if let (Some(first), true) = (branches.first(), complete) {
            let common = first.vars.iter().filter(|name| branches.iter().all(|branch| branch.vars.contains(*name)));
            self.vars.extend(common.cloned());
        }
    }

    /// Roots that are there, for hints.
    pub(crate) fn roots(&self) -> Vec<String> {
        let mut roots: Vec<String> = ["body", "headers", "now"].map(String::from).to_vec();
        if self.stage != Stage::Arrival {
            roots.push("case".into());
        }
        if self.stage == Stage::Steps {
            roots.push("vars".into());
            if self.has_entity {
                roots.push("entity".into());
            }
        }
        roots.extend(self.bound.keys().cloned());
        roots
    }
}
