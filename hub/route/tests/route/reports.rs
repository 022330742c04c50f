//! How problems are shown, and the schema of the language.

use expect_test::expect;
use hub_route::{manual, render, schema, to_json, to_sarif};

use crate::world::{REGISTRY, checked, checked_text, file, folder, repository};

const WRONG: &str = "route: x
from: { timer: { every: 1h } }
steps:
  - log: \"'città ' + cittá\"
  - await: { name: mai, keys: [body.x], within: 2 hours }
";

#[test]
fn the_terminal_shows_file_line_column_text_and_hint() {
    let files = [file("routes/x.yaml", WRONG)];
    let shown = render(&checked(&files).problems, &files);
    expect![[r#"
        error[unknown-name]: there is no name `cittá` here
         --> routes/x.yaml:4:22
          |
        4 |   - log: "'città ' + cittá"
          |                      ^^^^^
          |
          = help: known names: body, headers, now, case, vars; a text stands in quotes: `'cittá'`

        warning[never-resumed]: no route of these files resumes `mai`
         --> routes/x.yaml:5:20
          |
        5 |   - await: { name: mai, keys: [body.x], within: 2 hours }
          |                    ^^^
          |
          = help: there are no names that routes resume

        error[bad-duration]: `2 hours` is not a number and a unit (ms, s, m, h, d, w, y); write for example `30s`
         --> routes/x.yaml:5:49
          |
        5 |   - await: { name: mai, keys: [body.x], within: 2 hours }
          |                                                 ^^^^^^^

        2 errors, 1 warning
    "#]]
    .assert_eq(&shown);
    assert_eq!(render(&[], &[]), "no problems\n");
}

#[test]
fn programs_get_json_and_sarif() {
    let problems = checked_text(WRONG).problems;
    let json = to_json(&problems);
    assert_eq!((json["errors"].as_u64(), json["warnings"].as_u64()), (Some(2), Some(1)));
    assert_eq!(json["problems"][0]["code"], "unknown-name");
    let sarif = to_sarif(&problems);
    assert_eq!(sarif["version"], "2.1.0");
    let result = &sarif["runs"][0]["results"][0];
    assert_eq!((result["ruleId"].as_str(), result["level"].as_str()), (Some("unknown-name"), Some("error")));
    let region = &result["locations"][0]["physicalLocation"]["region"];
    assert_eq!(
        (region["startLine"].as_u64(), region["startColumn"].as_u64(), region["endColumn"].as_u64()),
        (Some(4), Some(22), Some(27))
    );
    let rules = sarif["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap();
    let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
    assert_eq!(rules[index]["id"], "unknown-name");
}

/// YAML as JSON, by another reader than ours.
fn json_of(text: &str) -> Option<serde_json::Value> {
    serde_saphyr::from_str(text).ok()
}

#[test]
fn the_schema_is_valid_and_takes_what_check_takes() {
    let schema = schema(REGISTRY);
    assert!(jsonschema::meta::is_valid(&schema));
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let shipped = ["mandati-siope", "reversali-siope", "siope-ack", "siope-esito-flusso", "siope-esiti"];
    let shipped = shipped.iter().map(|name| repository().join(format!("routes/{name}.yaml")));
    for path in folder("golden", "yaml").into_iter().chain(shipped) {
        let value = json_of(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let errors: Vec<String> =
            validator.iter_errors(&value).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", path.display());
    }
}

#[test]
fn the_schema_refuses_what_is_wrong_in_form() {
    let validator = jsonschema::draft202012::new(&schema(REGISTRY)).unwrap();
    let forms = [
        "unknown-top-field",
        "missing-top-fields",
        "unknown-steps",
        "unknown-source",
        "unknown-sink",
        "unknown-fields",
        "missing-fields",
        "wrong-types",
        "durations",
        "numbers",
        "words",
        "no-steps",
        "steps-not-a-list",
        "two-words",
        "choices",
        "bad-names",
        "await-keys",
    ];
    for name in forms {
        let path = format!("{}/tests/broken/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
        let value = json_of(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert!(!validator.is_valid(&value), "{name} passes");
    }
}

#[test]
fn the_schema_carries_the_manual() {
    let schema = schema(REGISTRY);
    let text =
        |pointer: &str| schema.pointer(pointer).and_then(serde_json::Value::as_str).unwrap_or_default().to_string();
    assert!(text("/$defs/Step/properties/await/description").contains("Waits for an answer"));
    assert!(text("/$defs/step.opi.build/properties/version/description").contains("Version of the format"));
    assert!(text("/$defs/Source/properties/http/description").contains("Takes requests"));
    assert_eq!(text("/$defs/step.opi.build/properties/as/$ref"), "#/$defs/Bind");
}

#[test]
fn the_manual_names_every_word_plugin_and_function() {
    let manual = manual(REGISTRY);
    for word in [
        "### await",
        "### opi.build",
        "### siope.flusso",
        "### siope.ack",
        "**orValue**",
        "`on_timeout`",
        "`entity` (expression)",
    ] {
        assert!(manual.contains(word), "the manual lacks {word}");
    }
    assert!(manual.contains("Version of the format."));
}
