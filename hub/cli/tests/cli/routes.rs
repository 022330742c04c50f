//! The shipped routes and the command line around them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn raccordo(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_raccordo")).args(args).current_dir(root()).output().expect("the binary runs")
}

#[test]
fn shipped_routes_have_no_problems_and_need_no_secrets_to_be_checked() {
    let run = raccordo(&["check"]);
    assert!(run.status.success(), "{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
}

#[test]
fn both_doors_of_payment_orders_lead_through_the_same_chain() {
    let chain = |file: &str| {
        let text = std::fs::read_to_string(root().join("routes").join(file)).expect("the route is shipped");
        text.split_once("\ncase:\n").map(|(_, chain)| chain.to_string()).expect("it has a case")
    };
    assert_eq!(chain("mandati-siope.yaml"), chain("mandati-cartella.yaml"));
}

#[test]
fn a_mistake_costs_seconds() {
    let dir = tempfile::tempdir().expect("folder");
    let file = dir.path().join("wrong.yaml");
    let text = "route: wrong\nfrom:\n  http: { path: /x, auth: mtls }\nsteps:\n  - validat: { json_schema: schemas/mandato.json }\n";
    std::fs::write(&file, text).expect("writable");
    let run = raccordo(&["check", file.to_str().expect("UTF-8")]);
    let told = String::from_utf8_lossy(&run.stdout);
    assert_eq!(run.status.code(), Some(1), "{told}");
    assert!(told.contains("wrong.yaml:5:5") && told.contains("validate"), "{told}");
    let run = raccordo(&["check", "--format", "json", file.to_str().expect("UTF-8")]);
    let problems: serde_json::Value = serde_json::from_slice(&run.stdout).expect("JSON");
    assert_eq!(
        (&problems["problems"][0]["line"], &problems["problems"][0]["column"]),
        (&5.into(), &5.into()),
        "{problems}"
    );
}

#[test]
fn the_schema_of_the_language_is_one_json_document() {
    let run = raccordo(&["schema"]);
    let schema: serde_json::Value = serde_json::from_slice(&run.stdout).expect("JSON");
    assert!(schema["$schema"].as_str().is_some_and(|draft| draft.contains("2020-12")), "{}", schema["$schema"]);
}

#[test]
fn a_missing_configuration_is_named() {
    let run = raccordo(&["run", "--config", "nowhere/hub.yaml"]);
    assert_eq!(run.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&run.stderr).contains("nowhere/hub.yaml"));
}

/// Generated files are committed; `UPDATE_EXPECT=1 cargo test -p raccordo --test routes` writes them anew.
#[test]
fn generated_files_are_fresh() {
    for (command, file) in [("schema", "config/route.schema.json"), ("docs", "config/reference.md")] {
        let run = raccordo(&[command]);
        let path = root().join(file);
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&path, &run.stdout).expect("writable");
        }
        let committed = std::fs::read(&path).unwrap_or_default();
        assert!(committed == run.stdout, "{file} is stale: run UPDATE_EXPECT=1 cargo test -p raccordo --test routes");
    }
}
