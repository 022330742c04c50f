//! Whatever the text, `check` answers.

use hub_route::{CaseModel, render, to_json, to_sarif};
use proptest::prelude::*;

use crate::world::{checked_text, file, folder};

fn all_answers(text: &str) {
    let files = [file("route.yaml", text)];
    let checked = checked_text(text);
    drop(render(&checked.problems, &files));
    drop((to_json(&checked.problems), to_sarif(&checked.problems)));
    drop(CaseModel::parse("cases.yaml", text));
    for problem in &checked.problems {
        assert!(problem.line >= 1 && problem.column >= 1 && problem.end_column > problem.column, "{problem:?}");
    }
}

/// Broken and golden routes: what random cuts are made of.
fn texts() -> Vec<String> {
    let paths = folder("broken", "yaml").into_iter().chain(folder("golden", "yaml"));
    paths.map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn random_text(text in "\\PC{0,200}") {
        all_answers(&text);
    }

    #[test]
    fn random_yaml(parts in prop::collection::vec(prop::sample::select(vec![
        "route: x\n", "from:", " { timer: { every: 1h } }", "\n", "steps:\n", "  - ", "set:", "to:", " { ", " } ", "[", "]", "body.x",
        ", ", "'", "\"", "&a ", "*a", "!t ", "| \n", "> \n", "    ", "choice:\n", "when: ", "? ", "- - ", ": ", "#", "---\n", "%", "case", "as: ",
        "~", "1.5", "true", "\t", "\r\n", "é", "approve: {", "each: ", "map: ", "state: ", "@", "`",
    ]), 0..40)) {
        all_answers(&parts.concat());
    }

    #[test]
    fn cut_and_joined_routes(first in 0usize..1000, second in 0usize..1000, a in 0.0f64..1.0, b in 0.0f64..1.0) {
        let texts = texts();
        let cut = |text: &str, at: f64| text.char_indices().nth((text.chars().count() as f64 * at) as usize).map_or(0, |(i, _)| i);
        let (x, y) = (&texts[first % texts.len()], &texts[second % texts.len()]);
        all_answers(&format!("{}{}", &x[..cut(x, a)], &y[cut(y, b)..]));
    }
}

#[test]
fn bombs_are_refused_quickly() {
    let levels: String = (1..30).map(|n| format!("a{n}: &a{n} [*a{}, *a{}, *a{}]\n", n - 1, n - 1, n - 1)).collect();
    let keys: String =
        (1..30).map(|n| format!("k{n}: &a{n} {{ ? [*a{}, *a{}, *a{}] : 1 }}\n", n - 1, n - 1, n - 1)).collect();
    let texts = [
        format!("a0: &a0 [x]\n{levels}"),
        format!("a0: &a0 [x]\n{keys}"),
        "[".repeat(200_000),
        "{a: ".repeat(50_000),
        "- ".repeat(100_000),
        (0..700).map(|n| format!("{}a:\n", " ".repeat(n))).collect(),
        "x".repeat(300_000),
        format!("route: x\nsteps:\n{}", "  - log: 'body.x'\n".repeat(2000)),
    ];
    for text in texts {
        let problems = checked_text(&text).problems;
        assert!(problems.iter().any(|problem| problem.is_error()), "{}", &text[..60.min(text.len())]);
    }
}
