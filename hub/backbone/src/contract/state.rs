//! Keyed state and positions.

use crate::contract::{Harness, commit, inbox, within};
use crate::{Backbone, Commit, Place, Topic};

async fn get(backbone: &dyn Backbone, place: Place, space: &str, key: &str) -> Option<String> {
    let value = within(backbone.get(place, space, key)).await.expect("get");
    value.map(|value| String::from_utf8(value.to_vec()).expect("text"))
}

/// Positions only move forward: a lower one is ignored.
pub async fn positions_only_move_forward(harness: &mut dyn Harness) {
    let backbone = harness.backbone();
    assert_eq!(within(backbone.position(inbox(0))).await.expect("position"), 0);
    for (to, expected) in [(5, 5), (3, 5), (5, 5), (8, 8), (0, 8)] {
        let mut step = Commit::new();
        step.done(inbox(0), to);
        commit(&*backbone, step).await;
        assert_eq!(within(backbone.position(inbox(0))).await.expect("position"), expected);
    }
    let mut twice = Commit::new();
    twice.done(inbox(0), 12);
    twice.done(inbox(0), 10);
    commit(&*backbone, twice).await;
    assert_eq!(within(backbone.position(inbox(0))).await.expect("position"), 12);
    assert_eq!(within(backbone.position(inbox(1))).await.expect("position"), 0, "others are untouched");
}

/// `put` sets and replaces, `delete` removes, and changes of one commit are done in their order.
pub async fn values_are_put_and_deleted(harness: &mut dyn Harness) {
    let backbone = harness.backbone();
    assert_eq!(get(&*backbone, inbox(0), "waits", "k").await, None);
    let mut change = Commit::new();
    change.put(inbox(0), "waits", "k", "one");
    change.delete(inbox(0), "waits", "never there");
    commit(&*backbone, change).await;
    assert_eq!(get(&*backbone, inbox(0), "waits", "k").await.as_deref(), Some("one"));
    let mut change = Commit::new();
    change.put(inbox(0), "waits", "k", "two");
    change.delete(inbox(0), "waits", "k");
    change.put(inbox(0), "waits", "k", "");
    commit(&*backbone, change).await;
    assert_eq!(get(&*backbone, inbox(0), "waits", "k").await.as_deref(), Some(""), "an empty value is a value");
    let mut change = Commit::new();
    change.put(inbox(0), "waits", "k", "three");
    change.delete(inbox(0), "waits", "k");
    commit(&*backbone, change).await;
    assert_eq!(get(&*backbone, inbox(0), "waits", "k").await, None);
}

/// The same key in another space, partition or topic is another key.
pub async fn spaces_and_partitions_are_apart(harness: &mut dyn Harness) {
    let backbone = harness.backbone();
    let places = [inbox(0), inbox(1), Place::new(Topic::WAITS, 0)];
    let mut change = Commit::new();
    for (n, place) in places.into_iter().enumerate() {
        change.put(place, "a", "k", format!("a{n}"));
        change.put(place, "ab", "k", format!("ab{n}"));
    }
    change.delete(inbox(0), "ab", "k");
    commit(&*backbone, change).await;
    for (n, place) in places.into_iter().enumerate() {
        assert_eq!(get(&*backbone, place, "a", "k").await, Some(format!("a{n}")));
        let other = (n > 0).then(|| format!("ab{n}"));
        assert_eq!(get(&*backbone, place, "ab", "k").await, other);
        assert_eq!(get(&*backbone, place, "b", "k").await, None);
    }
}

/// `scan` goes in the order of the keys' bytes.
pub async fn scan_goes_in_key_order(harness: &mut dyn Harness) {
    let backbone = harness.backbone();
    let mut keys = ["b", "a", "", "aa", "a/1", "a/10", "a/2", "Z", "é", "€", "\u{10000}", "\u{ffff}"];
    let mut change = Commit::new();
    for key in keys {
        change.put(inbox(0), "s", key, key.to_owned());
        change.put(inbox(0), "t", "x", "another space");
    }
    commit(&*backbone, change).await;
    keys.sort_unstable();
    let found = within(backbone.scan(inbox(0), "s", None, 100)).await.expect("scan");
    assert_eq!(found.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), keys);
    assert!(found.iter().all(|(key, value)| key.as_bytes() == &value[..]), "values belong to their keys");
    assert!(within(backbone.scan(inbox(1), "s", None, 100)).await.expect("scan").is_empty());
}

/// Pages of `scan` are complete and without repeats, and begin after the key that is named, whether it exists or not.
pub async fn scan_pages_are_complete(harness: &mut dyn Harness) {
    let backbone = harness.backbone();
    let mut change = Commit::new();
    (0..50).for_each(|n| change.put(inbox(0), "s", format!("{n:03}"), "v"));
    commit(&*backbone, change).await;
    let (mut found, mut after): (Vec<String>, Option<String>) = (Vec::new(), None);
    loop {
        let page = within(backbone.scan(inbox(0), "s", after.as_deref(), 7)).await.expect("scan");
        assert!(page.len() <= 7);
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        found.extend(page.into_iter().map(|(key, _)| key));
    }
    assert_eq!(found, (0..50).map(|n| format!("{n:03}")).collect::<Vec<_>>());
    let between = within(backbone.scan(inbox(0), "s", Some("0205"), 1)).await.expect("scan");
    assert_eq!(between[0].0, "021", "after a key that does not exist");
    assert!(within(backbone.scan(inbox(0), "s", Some("049"), 5)).await.expect("scan").is_empty());
    assert!(within(backbone.scan(inbox(0), "s", None, 0)).await.expect("scan").is_empty(), "a limit of nothing");
}

/// `spaces` names the kinds of keyed state that a partition has now, in order.
pub async fn spaces_are_listed(harness: &mut dyn Harness) {
    let backbone = harness.backbone();
    let spaces = async |place| within(backbone.spaces(place)).await.expect("spaces");
    assert_eq!(spaces(inbox(0)).await, Vec::<String>::new());
    let mut change = Commit::new();
    for (space, key) in [("waits", "k"), ("held", "k"), ("held", "l"), ("a", "k")] {
        change.put(inbox(0), space, key, "x");
    }
    change.put(inbox(1), "other", "k", "x");
    commit(&*backbone, change).await;
    assert_eq!(spaces(inbox(0)).await, ["a", "held", "waits"]);
    assert_eq!(spaces(Place::new(Topic::WAITS, 0)).await, Vec::<String>::new(), "another topic");
    let mut change = Commit::new();
    change.delete(inbox(0), "a", "k");
    change.delete(inbox(0), "held", "k");
    commit(&*backbone, change).await;
    assert_eq!(spaces(inbox(0)).await, ["held", "waits"], "what has no key any more is not there");
}
