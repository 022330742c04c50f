//! Where a check collects what it finds.

use crate::problem::{Problem, Severity};
use crate::syntax::{Source, Span};

/// The problems of one file.
#[derive(Debug)]
pub(crate) struct Report<'s> {
    pub(crate) source: &'s Source,
    pub(crate) problems: Vec<Problem>,
    /// Ranges whose one problem has been said: what else is found inside follows from it.
    pub(crate) settled: Vec<Span>,
}

/// Most problems of one file that are kept: a file that is wrong everywhere needs no more.
const PROBLEMS_MAX: usize = 200;

/// A problem that was just reported, to say more about it.
pub(crate) struct Said<'r>(&'r mut Problem);

impl Said<'_> {
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    pub(crate) fn warning(self) -> Self {
        self.0.severity = Severity::Warning;
        self
    }
}

impl<'s> Report<'s> {
    pub(crate) fn new(source: &'s Source) -> Self {
        Self { source, problems: Vec::new(), settled: Vec::new() }
    }

    pub(crate) fn error(&mut self, span: Span, code: &str, message: impl Into<String>) -> Said<'_> {
        if self.problems.len() >= PROBLEMS_MAX {
            let _ = self.problems.pop();
        }
        self.problems.push(self.source.error(span, code, message));
        let last = self.problems.len() - 1;
        Said(&mut self.problems[last])
    }

    pub(crate) fn sorted(mut self) -> Vec<Problem> {
        let place = |problem: &Problem| self.source.line_start(problem.line) + problem.column - 1;
        let follows =
            |problem: &Problem| self.settled.iter().any(|span| (span.start + 1..=span.end).contains(&place(problem)));
        self.problems.retain(|problem| !follows(problem));
        self.problems.sort_by(|a, b| a.key().cmp(&b.key()));
        self.problems.dedup();
        self.problems
    }
}
