//! Golden routes: each `.yaml` of `tests/golden` and each shipped route, explained.
//!
//! `UPDATE_EXPECT=1 cargo test -p hub-route` writes the `.plan` files anew.

use std::path::PathBuf;

use expect_test::expect_file;
use hub_route::{explain, render};

use crate::world::{checked, file, folder, repository};

/// The version changes with the text: the golden files need not.
fn steady(text: &str) -> String {
    let cut = |line: &str| line.split(" (version ").next().unwrap_or_default().to_string();
    text.lines().map(cut).collect::<Vec<_>>().join("\n") + "\n"
}

fn explained(path: &PathBuf) -> String {
    let name = path.file_name().unwrap().to_str().unwrap();
    let files = [file(name, &std::fs::read_to_string(path).unwrap())];
    let checked = checked(&files);
    let errors: Vec<_> = checked.problems.iter().filter(|problem| problem.is_error()).cloned().collect();
    assert!(errors.is_empty(), "{}", render(&errors, &files));
    steady(&explain(&checked.plans.iter().collect::<Vec<_>>()))
}

#[test]
fn golden_routes_are_explained() {
    let paths = folder("golden", "yaml");
    assert!(paths.len() >= 3);
    for path in paths {
        expect_file![path.with_extension("plan")].assert_eq(&explained(&path));
    }
}

#[test]
fn shipped_routes_have_no_problems_and_their_plans_are_as_expected() {
    let names = ["mandati-siope", "reversali-siope", "siope-ack", "siope-esito-flusso", "siope-esiti"];
    let text = |name: &str| std::fs::read_to_string(repository().join(format!("routes/{name}.yaml"))).unwrap();
    let files: Vec<_> = names.iter().map(|name| file(&format!("{name}.yaml"), &text(name))).collect();
    let checked = checked(&files);
    assert!(checked.problems.is_empty(), "{}", render(&checked.problems, &files));
    assert_eq!(checked.plans.len(), names.len());
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/shipped.plan");
    expect_file![golden].assert_eq(&steady(&explain(&checked.plans.iter().collect::<Vec<_>>())));
}
