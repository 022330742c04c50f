//! The manual says something about everything that it has to.

use std::collections::BTreeSet;
use std::path::Path;

fn page(name: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

#[test]
fn every_alarm_has_its_section_in_the_runbook_and_every_section_its_alarm() {
    let runbook = page("runbook.md");
    let sections: Vec<(&str, &str)> =
        runbook.split("\n## ").skip(1).map(|section| section.split_once('\n').expect("a text")).collect();
    let names: BTreeSet<&str> = hub_admin::ALARMS.iter().map(|alarm| alarm.name).collect();
    assert_eq!(sections.iter().map(|(name, _)| *name).collect::<BTreeSet<_>>(), names);
    assert_eq!(sections.len(), names.len(), "each has one");
    for (name, text) in sections {
        for part in ["**Means.**", "**By itself**", "**Look.**", "**Decide", "**Over**", "**Never**"] {
            assert!(text.contains(part), "section {name} lacks {part}");
        }
    }
}

#[test]
fn every_alarm_that_the_code_raises_is_known() {
    let hub = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let names: BTreeSet<&str> = hub_admin::ALARMS.iter().map(|alarm| alarm.name).collect();
    let mut raised = BTreeSet::new();
    for file in ["runtime/src", "admin/src", "cli/src"].iter().flat_map(|folder| sources(&hub.join(folder))) {
        let text = std::fs::read_to_string(&file).expect("a source file");
        // The two ways in which the code raises one: `alarm("name", ...)`, and the store's kinds in `watch.rs`.
        let calls = text.split("alarm(\"").skip(1).map(|rest| rest.split('"').next().unwrap_or_default().to_string());
        let kinds = text.split("AlarmKind::").skip(1).filter_map(|rest| rest.split_once("=> \"")?.1.split('"').next());
        raised.extend(calls.chain(kinds.map(str::to_string)));
    }
    assert!(raised.len() > 6, "they are found: {raised:?}");
    let unknown: Vec<_> = raised.iter().filter(|name| !names.contains(name.as_str())).collect();
    assert!(unknown.is_empty(), "not in hub/admin/src/alarms/known.rs: {unknown:?}");
}

fn sources(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        match entry.path() {
            path if path.is_dir() => found.extend(sources(&path)),
            path if path.extension().is_some_and(|ending| ending == "rs") => found.push(path),
            _ => {}
        }
    }
    found
}
