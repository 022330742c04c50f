//! Problems for the terminal, for programs and for code hosts.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde_json::{Value, json};

use crate::check::RouteFile;
use crate::problem::{Problem, Severity};
use crate::syntax::{Source, Span};

/// Problems as text for a terminal: `file:line:column`, the offending text underlined, and what to write instead.
#[must_use]
pub fn render(problems: &[Problem], files: &[RouteFile]) -> String {
    let renderer = Renderer::plain();
    let sources: Vec<Source> = files.iter().map(|file| Source::new(&file.path, &file.text)).collect();
    let mut out = String::new();
    for problem in problems {
        let source = sources.iter().find(|source| source.path == problem.file);
        out.push_str(&renderer.render(&[group(problem, source)]));
        out.push_str("\n\n");
    }
    out.push_str(&summary(problems));
    out
}

fn group<'a>(problem: &'a Problem, source: Option<&'a Source>) -> Group<'a> {
    let level = if problem.is_error() { Level::ERROR } else { Level::WARNING };
    let mut group = Group::with_title(level.primary_title(problem.message.as_str()).id(problem.code.as_str()));
    if let Some(source) = source {
        let mut annotation = AnnotationKind::Primary.span(bytes(source, problem));
        if !problem.label.is_empty() {
            annotation = annotation.label(problem.label.as_str());
        }
        group = group.element(Snippet::source(source.text.as_str()).path(problem.file.as_str()).annotation(annotation));
    }
    match &problem.hint {
        Some(hint) => group.element(Level::HELP.message(hint.as_str())),
        None => group,
    }
}

/// The bytes of the file that a problem underlines.
fn bytes(source: &Source, problem: &Problem) -> std::ops::Range<usize> {
    let start = source.line_start(problem.line) + problem.column - 1;
    let end = source.line_start(problem.line) + problem.end_column - 1;
    let before = source.slice(Span { start: 0, end: start }).len();
    let length = source.slice(Span { start, end }).len();
    before..before + length
}

fn summary(problems: &[Problem]) -> String {
    let errors = problems.iter().filter(|problem| problem.is_error()).count();
    let warnings = problems.len() - errors;
    let count = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
    match (errors, warnings) {
        (0, 0) => "no problems\n".into(),
        (e, 0) => format!("{}\n", count(e, "error")),
        (e, w) => format!("{}, {}\n", count(e, "error"), count(w, "warning")),
    }
}

/// Problems as JSON: `{"problems": [...], "errors": n, "warnings": n}`.
#[must_use]
pub fn to_json(problems: &[Problem]) -> Value {
    let errors = problems.iter().filter(|problem| problem.is_error()).count();
    json!({ "problems": problems, "errors": errors, "warnings": problems.len() - errors })
}

/// Problems as a SARIF 2.1.0 log, for code hosts and editors.
#[must_use]
pub fn to_sarif(problems: &[Problem]) -> Value {
    let mut rules: Vec<&str> = problems.iter().map(|problem| problem.code.as_str()).collect();
    rules.sort_unstable();
    rules.dedup();
    let results: Vec<Value> = problems.iter().map(|problem| result(problem, &rules)).collect();
    let rules: Vec<Value> = rules.iter().map(|rule| json!({ "id": rule })).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "raccordo check", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn result(problem: &Problem, rules: &[&str]) -> Value {
    let level = match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let hint = problem.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
    json!({
        "ruleId": problem.code,
        "ruleIndex": rules.iter().position(|rule| *rule == problem.code),
        "level": level,
        "message": { "text": format!("{}{hint}", problem.message) },
        "locations": [{ "physicalLocation": {
            "artifactLocation": { "uri": problem.file },
            "region": {
                "startLine": problem.line, "startColumn": problem.column,
                "endLine": problem.line, "endColumn": problem.end_column,
            },
        } }],
    })
}
