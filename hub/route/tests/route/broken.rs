//! Broken routes: every planted problem is reported at its exact line and columns, and nothing else.
//!
//! Beside each `NAME.yaml` of `tests/broken` stands `NAME.problems`, one line for each problem that was planted:
//! `line:column-end_column code`, written by hand, never from what `check` said.

use hub_route::{Problem, render};

use crate::world::{checked, file, folder};

fn line(problem: &Problem) -> String {
    format!("{}:{}-{} {}", problem.line, problem.column, problem.end_column, problem.code)
}

fn sorted(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> = lines.collect();
    lines.sort();
    lines
}

#[test]
fn every_planted_problem_is_found_at_its_place_and_no_other() {
    let paths = folder("broken", "yaml");
    assert!(paths.len() >= 40, "only {} broken routes", paths.len());
    let mut failures = String::new();
    for path in &paths {
        let name = path.file_name().unwrap().to_str().unwrap();
        let planted = std::fs::read_to_string(path.with_extension("problems")).unwrap();
        let wanted = sorted(planted.lines().map(String::from));
        assert!(!wanted.is_empty(), "{name} plants nothing");
        let files = [file(name, &std::fs::read_to_string(path).unwrap())];
        let found = checked(&files);
        let got = sorted(found.problems.iter().map(line));
        if got != wanted {
            let shown = render(&found.problems, &files);
            failures.push_str(&format!("== {name}\nplanted {wanted:#?}\nfound {got:#?}\n{shown}\n"));
        }
        let errors = found.problems.iter().any(Problem::is_error);
        assert!(!errors || found.plans.is_empty(), "{name} has errors and a plan");
    }
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn every_problem_says_what_to_do_or_is_plain() {
    let plain = [
        "yaml-syntax",
        "too-deep",
        "wrong-type",
        "bad-config",
        "bad-duration",
        "bad-size",
        "bad-file",
        "empty-file",
        "out-of-range",
    ];
    for path in folder("broken", "yaml") {
        let found = checked(&[file("r.yaml", &std::fs::read_to_string(&path).unwrap())]);
        for problem in found.problems {
            assert!(problem.hint.is_some() || plain.contains(&problem.code.as_str()), "{}: {problem}", path.display());
            assert!(!problem.message.ends_with('.'), "{problem}");
            assert!(problem.end_column > problem.column, "{problem}");
        }
    }
}

#[test]
fn all_problems_of_all_files_are_reported_at_once() {
    let paths = folder("broken", "yaml");
    let name = |path: &std::path::PathBuf| path.file_name().unwrap().to_str().unwrap().to_string();
    let files: Vec<_> = paths.iter().map(|path| file(&name(path), &std::fs::read_to_string(path).unwrap())).collect();
    let found = checked(&files);
    for path in &paths {
        let has_warnings_only =
            std::fs::read_to_string(path.with_extension("problems")).unwrap().lines().all(|l| l.contains("never-"));
        assert!(
            has_warnings_only || found.problems.iter().any(|problem| problem.file == name(path)),
            "{}",
            path.display()
        );
    }
    assert!(found.problems.iter().any(|problem| problem.code == "duplicate-route"));
    assert!(found.problems.iter().any(|problem| problem.code == "duplicate-path"));
    assert!(found.problems.is_sorted_by_key(|problem| (problem.file.clone(), problem.line)));
}
