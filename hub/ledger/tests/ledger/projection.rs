//! What each kind of event changes, as a golden file: `UPDATE_EXPECT=1 cargo test -p hub-ledger` writes it anew.

use std::fmt::Write;

use expect_test::expect_file;
use hub_core::journal::What;
use hub_ledger::{At, RowChange, kind_of, project};

use crate::events::{case, event, moved, one_of_each};

#[test]
fn each_kind_of_event_changes_these_rows() {
    let mut text = String::new();
    for (offset, what) in (40..).zip(one_of_each()) {
        let event = event(case("UFAAAA/2026/1", "UFAAAA", "1234.50"), 0, what);
        writeln!(text, "== {}", kind_of(&event.what)).unwrap();
        for change in project(&event, At { partition: 3, offset }) {
            writeln!(text, "{change:?}").unwrap();
        }
    }
    expect_file!["golden/projection.txt"].assert_eq(&text);
}

#[test]
fn the_name_of_an_event_is_the_one_in_the_journal() {
    for what in one_of_each() {
        let json = serde_json::to_value(&what).unwrap();
        let name = json.as_str().map(String::from).or_else(|| json.as_object()?.keys().next().cloned()).unwrap();
        assert_eq!(kind_of(&what), name);
    }
}

#[test]
fn a_month_is_italian() {
    let mut late = event(case("A", "E", ""), 0, moved("pagato"));
    for (at, month) in [
        ("2026-03-31T21:59:59Z", "2026-03"),
        ("2026-03-31T22:00:00Z", "2026-04"),
        ("2026-12-31T22:59:59Z", "2026-12"),
        ("2026-12-31T23:00:00Z", "2027-01"),
    ] {
        late.at = at.parse().unwrap();
        let months = project(&late, At { partition: 0, offset: 0 }).into_iter().filter_map(|change| match change {
            RowChange::State { month, .. } | RowChange::Case { month, .. } => Some(month),
            _ => None,
        });
        assert_eq!(months.collect::<Vec<_>>(), [month, month], "{at}");
    }
}

#[test]
fn amounts_in_the_details_keep_their_text() {
    let what: What = serde_json::from_str(
        r#"{"send_settled":{"outgoing":"o","sink":"s","attempt":1,"outcome":"delivered","evidence":{"n":10.10}}}"#,
    )
    .unwrap();
    let changes = project(&event(case("A", "E", ""), 0, what), At { partition: 0, offset: 0 });
    let detail = changes.iter().find_map(|change| match change {
        RowChange::Event { detail, .. } => Some(detail.to_string()),
        _ => None,
    });
    assert!(detail.unwrap().contains("10.10"));
}
