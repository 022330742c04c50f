//! `config/cases.yaml`: which states the cases of a kind go through.

use std::collections::{BTreeMap, BTreeSet};

use crate::check::report::Report;
use crate::nearest;
use crate::problem::Problem;
use crate::syntax::{self, Data, Node, Source};

/// The kinds of cases and their states.
///
/// ```yaml
/// mandato:
///   initial: [ricevuto]
///   states:
///     ricevuto: [firmato, in_errore]
///     firmato: [pagato]
///     pagato: []
///     in_errore: [firmato]
///   final: [pagato]
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaseModel {
    kinds: BTreeMap<String, CaseKind>,
}

/// One kind of case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseKind {
    /// The states a new case may begin in.
    pub initial: BTreeSet<String>,
    /// Each state, and those that may follow it directly.
    pub next: BTreeMap<String, BTreeSet<String>>,
    /// States that nothing follows.
    pub finals: BTreeSet<String>,
}

/// What becomes of a wish to move a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    /// The case moves.
    Moved,
    /// The event comes late: the case is already past that state. It is recorded and moves nothing back.
    Late,
    /// No way leads there.
    Forbidden,
    /// The kind is not in the model.
    UnknownKind,
    /// The state is not in the model of this kind.
    UnknownState,
}

impl CaseModel {
    /// Reads `config/cases.yaml`.
    ///
    /// # Errors
    /// All problems of the file.
    pub fn parse(path: &str, text: &str) -> Result<Self, Vec<Problem>> {
        let source = Source::new(path, text);
        let (root, doubled) = syntax::parse(&source)?;
        let mut report = Report::new(&source);
        report.problems.extend(doubled);
        let mut kinds = BTreeMap::new();
        if !matches!(root.data, Data::Map(_)) {
            report.error(root.span, "wrong-type", "a mapping of kinds of cases is wanted").hint("write `mandato: { ... }`");
        }
        for (key, node) in root.entries() {
            if let (Some(name), Some(kind)) = (&key.name, kind(&mut report, node)) {
                let _ = kinds.insert(name.clone(), kind);
            }
        }
        if report.problems.is_empty() { Ok(Self { kinds }) } else { Err(report.sorted()) }
    }

    /// One kind.
    #[must_use]
    pub fn kind(&self, name: &str) -> Option<&CaseKind> {
        self.kinds.get(name)
    }

    /// The names of all kinds.
    pub fn kinds(&self) -> impl Iterator<Item = &str> {
        self.kinds.keys().map(String::as_str)
    }

    /// Judges a wish to move a case of a kind from a state (`None`: the case is new) to another.
    ///
    /// An event for the state that the case is in already is late. Where `to` can be reached from `from` only over other
    /// states, the case moves there (answers overtake one another: an outcome before its acknowledgement).
    #[must_use]
    pub fn judge(&self, kind: &str, from: Option<&str>, to: &str) -> Judged {
        let Some(kind) = self.kinds.get(kind) else { return Judged::UnknownKind };
        if !kind.next.contains_key(to) {
            return Judged::UnknownState;
        }
        let Some(from) = from else { return kind.begins(to) };
        if from == to || kind.finals.contains(from) {
            return Judged::Late;
        }
        match (kind.leads(from, to), kind.leads(to, from)) {
            _ if kind.next.get(from).is_some_and(|next| next.contains(to)) => Judged::Moved,
            (true, false) => Judged::Moved,
            (_, true) => Judged::Late,
            (false, false) => Judged::Forbidden,
        }
    }
}

impl CaseKind {
    fn begins(&self, to: &str) -> Judged {
        let reached = self.initial.contains(to) || self.initial.iter().any(|initial| self.leads(initial, to));
        if reached { Judged::Moved } else { Judged::Forbidden }
    }

    /// Whether a way leads from one state to another.
    fn leads(&self, from: &str, to: &str) -> bool {
        let mut seen = BTreeSet::new();
        let mut open = vec![from];
        while let Some(state) = open.pop() {
            for next in self.next.get(state).into_iter().flatten() {
                if next == to {
                    return true;
                }
                if seen.insert(next) {
                    open.push(next);
                }
            }
        }
        false
    }
}

fn kind(report: &mut Report<'_>, node: &Node) -> Option<CaseKind> {
    const FIELDS: [&str; 3] = ["initial", "states", "final"];
    for (key, _) in node.entries() {
        let name = key.name.as_deref().unwrap_or_default();
        if !FIELDS.contains(&name) && !syntax::is_renamed(name) {
            report.error(key.span, "unknown-field", format!("`{name}` is not a field of a kind of case")).hint(nearest::hint(name, "fields", FIELDS));
        }
    }
    let Some(states) = node.get("states").filter(|states| matches!(states.data, Data::Map(_))) else {
        report.error(node.span, "missing-field", "`states` is missing").hint("write `states: { ricevuto: [pagato], pagato: [] }`");
        return None;
    };
    let named = |(key, next): &(syntax::Key, Node)| key.name.clone().map(|name| (name, next.clone()));
    let entries: Vec<(String, Node)> = states.entries().iter().filter_map(named).collect();
    let known: BTreeSet<String> = entries.iter().map(|(name, _)| name.clone()).collect();
    let mut list = |node: Option<&Node>| names(report, node, &known);
    let next = entries.iter().map(|(name, next)| (name.clone(), list(Some(next)))).collect();
    let (initial, finals) = (list(node.get("initial")), list(node.get("final")));
    if initial.is_empty() {
        report.error(node.span, "missing-field", "`initial` is missing").hint("write `initial: [ricevuto]`");
    }
    Some(CaseKind { initial, next, finals })
}

/// A list of states, or one.
fn names(report: &mut Report<'_>, node: Option<&Node>, known: &BTreeSet<String>) -> BTreeSet<String> {
    let Some(node) = node else { return BTreeSet::new() };
    let items = if let Data::List(items) = &node.data { items.as_slice() } else { std::slice::from_ref(node) };
    let mut out = BTreeSet::new();
    for item in items {
        match item.text() {
            Some(name) if known.contains(name) => { let _ = out.insert(name.to_string()); }
            Some(name) => {
                let hint = nearest::hint(name, "states", known.iter().map(String::as_str));
                report.error(item.span, "unknown-state", format!("there is no state `{name}`")).hint(hint);
            }
            None => {
                report.error(item.span, "wrong-type", format!("a state's name is wanted, not {}", item.kind()));
            }
        }
    }
    out
}
