//! `/metrics`, read by the rules of Prometheus's text format.

use std::collections::{BTreeMap, BTreeSet};

use crate::world::World;

/// The samples of a text, by name and labels. Panics where the text breaks a rule of the format.
fn parse(text: &str) -> BTreeMap<String, f64> {
    let (mut samples, mut families) = (BTreeMap::new(), BTreeSet::new());
    let (mut family, mut helped) = (String::new(), String::new());
    assert!(text.ends_with('\n'), "the last line ends");
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, words) = help.split_once(' ').expect("a help text");
            assert!(!words.is_empty() && is_name(name), "{line}");
            helped = name.to_string();
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a type");
            assert!(["gauge", "counter", "summary", "histogram"].contains(&kind), "{line}");
            assert!(kind != "counter" || name.ends_with("_total"), "a counter is called so: {line}");
            assert!(families.insert(name.to_string()), "family {name} comes twice");
            assert!(!name.starts_with("raccordo_") || name == helped || name.contains("test"), "{name} has no help");
            family = name.to_string();
        } else {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            let name = series.split('{').next().expect("a name");
            assert_eq!(name, family, "a sample stands below its own family: {line}");
            labels(series.strip_prefix(name).expect("it begins so"));
            let value: f64 = value.parse().unwrap_or_else(|_| panic!("not a number: {line}"));
            assert!(samples.insert(series.to_string(), value).is_none(), "series {series} comes twice");
        }
    }
    samples
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// `{a="b",c="d"}` with escapes, or nothing.
fn labels(text: &str) {
    if text.is_empty() {
        return;
    }
    let mut rest = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or_else(|| panic!("{text}"));
    while !rest.is_empty() {
        let (name, value) = rest.split_once("=\"").unwrap_or_else(|| panic!("{text}"));
        assert!(is_name(name), "{text}");
        let mut escaped = false;
        let end = value.find(|c: char| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let end = end.unwrap_or_else(|| panic!("{text}"));
        rest = value[end + 1..].strip_prefix(',').unwrap_or(&value[end + 1..]);
    }
}

#[tokio::test]
async fn every_alarm_has_a_gauge_and_the_text_keeps_to_its_format() {
    let world = World::new().await;
    let text = world.get("operatore", "/metrics").await.text().await.unwrap();
    let samples = parse(&text);
    for alarm in hub_admin::ALARMS {
        let expected = if ["parked", "source"].contains(&alarm.name) { 1.0 } else { 0.0 };
        assert_eq!(
            samples.get(&format!("raccordo_alarm{{name=\"{}\"}}", alarm.name)),
            Some(&expected),
            "{}",
            alarm.name
        );
    }
    for (series, value) in [
        ("raccordo_parked", 3.0),
        ("raccordo_deadline_near", 0.0),
        ("raccordo_waiting", 0.0),
        ("raccordo_backlog{partition=\"1\"}", 3.0),
        ("raccordo_unsent{partition=\"0\"}", 2.0),
        ("raccordo_oldest_unsent_seconds", 70.0),
        ("raccordo_disk_free_bytes", 1_099_511_627_776.0),
        ("raccordo_commits_total", 7.0),
        ("raccordo_route_running{route=\"mandati-siope\"}", 1.0),
        ("raccordo_alarms", 2.0),
    ] {
        assert_eq!(samples.get(series), Some(&value), "{series} in\n{text}");
    }
    assert!(!samples.contains_key("raccordo_last_sent_timestamp_seconds"), "nothing was sent: absent, not zero");
}
