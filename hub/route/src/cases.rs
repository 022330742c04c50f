//! `config/cases.yaml`: which states the cases of a kind go through.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

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
            report
                .error(root.span, "wrong-type", "a mapping of kinds of cases is wanted")
                .hint("write `mandato: { ... }`");
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
    /// states, the case moves there (answers overtake one another: an outcome before its acknowledgement). Where ways lead
    /// both forth and back, the shorter one decides.
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
        match (kind.way(from, to), kind.way(to, from)) {
            (Some(forth), Some(back)) if forth > back => Judged::Late,
            (Some(_), _) => Judged::Moved,
            (None, Some(_)) => Judged::Late,
            (None, None) => Judged::Forbidden,
        }
    }
}

impl CaseKind {
    fn begins(&self, to: &str) -> Judged {
        let reached = self.initial.iter().any(|initial| initial == to || self.way(initial, to).is_some());
        if reached { Judged::Moved } else { Judged::Forbidden }
    }

    /// The length of the shortest way from one state to another.
    fn way(&self, from: &str, to: &str) -> Option<usize> {
        let mut seen = BTreeSet::new();
        let mut open = VecDeque::from([(from, 0)]);
        while let Some((state, length)) = open.pop_front() {
            for next in self.next.get(state).into_iter().flatten() {
                if next == to {
                    return Some(length + 1);
                }
                if seen.insert(next) {
                    open.push_back((next, length + 1));
                }
            }
        }
        None
    }
}

fn kind(report: &mut Report<'_>, node: &Node) -> Option<CaseKind> {
    const FIELDS: [&str; 3] = ["initial", "states", "final"];
    for (key, _) in node.entries() {
        let name = key.name.as_deref().unwrap_or_default();
        if !FIELDS.contains(&name) && !syntax::is_renamed(name) {
            report
                .error(key.span, "unknown-field", format!("`{name}` is not a field of a kind of case"))
                .hint(nearest::hint(name, "fields", FIELDS));
        }
    }
    let Some(states) = node.get("states").filter(|states| matches!(states.data, Data::Map(_))) else {
        report
            .error(node.span, "missing-field", "`states` is missing")
            .hint("write `states: { ricevuto: [pagato], pagato: [] }`");
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
            Some(name) if known.contains(name) => {
                let _ = out.insert(name.to_string());
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> CaseModel {
        let text = include_str!("../../../config/cases.yaml");
        CaseModel::parse("cases.yaml", text).unwrap()
    }

    #[test]
    fn the_shipped_model_judges_answers_in_any_order() {
        let model = model();
        let judge = |from, to| model.judge("mandato", from, to);
        assert_eq!(judge(None, "ricevuto"), Judged::Moved);
        assert_eq!(judge(Some("trasmesso"), "accettato_siope"), Judged::Moved);
        assert_eq!(judge(Some("trasmesso"), "pagato"), Judged::Moved, "an outcome before the ack");
        assert_eq!(judge(Some("pagato"), "accettato_siope"), Judged::Late);
        assert_eq!(judge(Some("pagato"), "acquisito"), Judged::Late);
        assert_eq!(judge(Some("accettato_banca"), "trasmesso"), Judged::Late);
        assert_eq!(judge(Some("rifiutato_siope"), "in_approvazione"), Judged::Moved, "a new revision");
        assert_eq!(judge(Some("annullato"), "pagato"), Judged::Late);
        assert_eq!(judge(Some("stornato"), "stornato"), Judged::Late);
        assert_eq!(judge(Some("acquisito"), "nowhere"), Judged::UnknownState);
        assert_eq!(model.judge("fattura", None, "ricevuto"), Judged::UnknownKind);
        assert_eq!(model.judge("reversale", Some("acquisito"), "riscosso"), Judged::Moved);
    }

    #[test]
    fn no_way_is_forbidden() {
        let text = "k: { initial: a, states: { a: [b], b: [], c: [] }, final: [] }\n";
        let model = CaseModel::parse("c.yaml", text).unwrap();
        assert_eq!(model.judge("k", Some("a"), "c"), Judged::Forbidden);
        assert_eq!(model.judge("k", None, "c"), Judged::Forbidden);
    }

    #[test]
    fn mistakes_of_the_model_have_their_place() {
        let text =
            "mandato:\n  initial: [nuovo]\n  states:\n    ricevuto: [pagatto]\n    pagato: []\n  last: [pagato]\n";
        let problems = CaseModel::parse("cases.yaml", text).unwrap_err();
        let shown: Vec<_> = problems.iter().map(|p| format!("{}:{} {}", p.line, p.column, p.code)).collect();
        assert_eq!(shown, ["2:3 missing-field", "2:13 unknown-state", "4:16 unknown-state", "6:3 unknown-field"]);
    }
}
