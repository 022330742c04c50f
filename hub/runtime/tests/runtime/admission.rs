//! Admission: what is refused, what is answered again, what is parked, and what a source hears.

use std::time::Duration;

use hub_backbone::Topic;
use hub_core::journal::{Event, ParkedKind, What};
use hub_core::{Verdict, sha256_hex};
use hub_life::outbound::Action;
use serde_json::json;

use super::outside::{Does, Feed};
use super::world::World;

const ORDERS: &str = r#"
route: ordini
from: { test: { name: ordini } }
case: { kind: pratica, id: "'c' + string(body.n)", entity: body.ente }
lane: body.corsia
idempotent: { key: case.id + "/" + string(body.rev), remember: 400d }
steps:
  - test.judge: { name: giudice }
  - test.judge: { name: altro, as: parere }
  - log: "'parere di ' + parere.by"
  - to: { test.sink: { name: banca, repeat: forbidden } }
"#;

async fn started() -> World {
    World::started(&[ORDERS]).await
}

fn body(n: u32, rev: u32) -> serde_json::Value {
    json!({ "n": n, "corsia": "l", "ente": "UFA", "rev": rev })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repetition_gets_the_first_answer_and_other_content_is_a_conflict() {
    let mut world = started().await;
    let first = Feed::new("o1", body(1, 0)).with_key("asl", "k1");
    let stored = world.feed("ordini", vec![first.clone()]).await;
    let Verdict::Stored { id, case, again: false } = stored[0].clone() else { panic!("{stored:?}") };
    world.restart().await;
    let mut retry = first.clone();
    retry.id = "o1-retry".into();
    assert_eq!(world.feed("ordini", vec![retry.clone()]).await, [Verdict::Stored { id, case, again: true }]);
    retry.body = body(2, 0).to_string().into_bytes();
    assert!(matches!(world.feed("ordini", vec![retry.clone()]).await[..], [Verdict::Conflict { .. }]));
    // Another sender may use the same key.
    let other = Feed::new("o2", body(2, 0)).with_key("asp", "k1");
    assert!(matches!(world.feed("ordini", vec![other]).await[..], [Verdict::Stored { again: false, .. }]));
    world.nth("both", 2, |e| e.what == What::Finished).await;
    assert_eq!(world.outside.arrived().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_business_operation_is_taken_once_under_any_key_even_within_a_batch() {
    let world = started().await;
    let batch = vec![
        Feed::new("o1", body(1, 0)).with_key("asl", "k1"),
        Feed::new("o2", body(1, 0)).with_key("asl", "k2"),
        Feed::new("o3", body(1, 1)).with_key("asl", "k3"),
        Feed::new("o4", body(1, 0)).with_key("asl", "k1"),
    ];
    let verdicts = world.feed("ordini", batch).await;
    assert!(
        matches!(
            &verdicts[..],
            [
                Verdict::Stored { again: false, .. },
                Verdict::Conflict { detail },
                Verdict::Stored { again: false, .. },
                Verdict::Stored { again: true, .. }
            ] if detail.contains("c1/0")
        ),
        "{verdicts:?}"
    );
    let silent = world.feed("ordini", vec![Feed::new("file", body(1, 0)).silent()]).await;
    assert!(matches!(silent[..], [Verdict::Parked { .. }]), "{silent:?}");
    let parked = world.parked(ParkedKind::Refused).await;
    assert!(parked.reason.contains("c1/0"), "{}", parked.reason);
    world.nth("both revisions", 2, |e| e.what == What::Finished).await;
    world.quiet().await;
    assert_eq!(world.outside.calls().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_refused_with_its_reasons_or_parked_once_with_its_bytes() {
    let world = started().await;
    let mut bad = body(1, 0);
    bad["bad"] = json!(true);
    let refused = world.feed("ordini", vec![Feed::new("o1", bad.clone())]).await;
    assert!(matches!(&refused[..], [Verdict::Refused { problems }] if problems[0].code == "test.bad"), "{refused:?}");

    let silent = Feed::new("f1", bad.clone()).silent();
    let neighbour = Feed::new("f2", body(2, 0)).silent();
    for again in [false, true] {
        let verdicts = world.feed("ordini", vec![silent.clone(), neighbour.clone()]).await;
        assert!(matches!(verdicts[0], Verdict::Parked { .. }), "{verdicts:?}");
        assert!(matches!(verdicts[1], Verdict::Stored { again: a, .. } if a == again), "{verdicts:?}");
    }
    let parked = world.parked(ParkedKind::Refused).await;
    let bytes = world.operate().blobs().get(&parked.sha256).await.expect("blobs work").expect("it is kept");
    assert_eq!(bytes, silent.body);
    world.quiet().await;
    assert_eq!(world.count(|e| matches!(e.what, What::Parked(_))).await, 1);
    assert!(!world.release(&parked.id, Action::Retry).await.done);
    assert!(world.release(&parked.id, Action::GiveUp).await.done);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_content_under_a_known_identity_is_parked_where_nobody_can_be_told() {
    let world = started().await;
    let _ = world.feed("ordini", vec![Feed::new("f1", body(1, 0)).silent()]).await;
    let other = Feed::new("f1", body(1, 1)).silent();
    assert!(matches!(world.feed("ordini", vec![other.clone()]).await[..], [Verdict::Parked { .. }]));
    let parked = world.parked(ParkedKind::Refused).await;
    assert_eq!(parked.sha256, sha256_hex(&other.body));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_bodies_unknown_entities_and_missing_fields_are_refused_with_words() {
    let world = started().await;
    let mut broken = Feed::new("x1", json!(null));
    broken.body = b"{\"n\": 1, \"n\": 2}".to_vec();
    let mut latin = Feed::new("x2", json!(null));
    latin.body = b"{\"n\": \"\xe8\"}".to_vec();
    let mut large = Feed::new("x3", json!(null));
    large.body = vec![b' '; 5 << 20];
    let stranger = Feed::new("x4", json!({ "n": 1, "corsia": "l", "ente": "UFZ", "rev": 0 }));
    let bare = Feed::new("x5", json!({ "n": 1, "ente": "UFA" }));
    let wide = Feed::new(&"o".repeat(100_000), body(1, 0));
    let long = Feed::new("x6", json!({ "n": "n".repeat(1000), "corsia": "l", "ente": "UFA", "rev": 0 }));
    let good = Feed::new("x7", body(7, 0));
    let verdicts = world.feed("ordini", vec![broken, latin, large, stranger, bare, wide, long, good]).await;
    let words = ["duplicate key", "UTF-8", "at most", "UFZ", "corsia", "headers", "at most 512"];
    for (verdict, word) in verdicts.iter().zip(words) {
        let Verdict::Refused { problems } = verdict else { panic!("{word}: {verdict:?}") };
        assert!(problems.iter().any(|p| p.to_string().contains(word)), "{word}: {problems:?}");
    }
    assert!(matches!(verdicts[7], Verdict::Stored { .. }), "{:?}", verdicts[7]);
    world.finished_case("c7").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_judge_that_cannot_judge_now_does_so_in_the_route() {
    let world = started().await;
    world.outside.does("giudice", &[Does::Unavailable, Does::Unavailable, Does::Invalid]);
    let verdicts = world.feed("ordini", vec![Feed::new("o1", body(1, 0))]).await;
    assert!(matches!(verdicts[..], [Verdict::Stored { .. }]), "{verdicts:?}");
    world.see_later("the judge's word", |e| matches!(e.what, What::Parked(_))).await;
    assert_eq!(world.parked(ParkedKind::Step).await.reason, "/n: it is wrong [test.invalid]");
    assert_eq!(world.outside.calls().len(), 0, "nothing goes on unjudged");

    world.outside.does("giudice", &[Does::Panic]);
    let verdicts = world.feed("ordini", vec![Feed::new("o2", body(2, 0))]).await;
    assert!(matches!(verdicts[..], [Verdict::Refused { .. }]), "{verdicts:?}");
    let verdicts = world.feed("ordini", vec![Feed::new("o3", body(3, 0))]).await;
    assert!(matches!(verdicts[..], [Verdict::Stored { .. }]), "{verdicts:?}");
    world.finished_case("c3").await;
    let opinion = |e: &Event| e.case.id == "c3" && e.what == What::Logged { text: "parere di altro".into() };
    world.see("what a judge binds", opinion).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_fails_is_opened_again_where_it_stood() {
    let world = started().await;
    let _ = world.feed("ordini", vec![Feed::new("o1", body(1, 0))]).await;
    world.outside.fail_sources(1, 0);
    let _ = world.feed("ordini", vec![Feed::new("o2", body(2, 0))]).await;
    assert_eq!(world.outside.cursors("ordini"), [json!(null), json!(1)]);
    // The verdict was not heard: the same message comes again, and is answered again.
    world.outside.fail_sources(0, 1);
    let verdicts = world.feed("ordini", vec![Feed::new("o3", body(3, 0))]).await;
    assert!(matches!(verdicts[..], [Verdict::Stored { again: true, .. }]), "{verdicts:?}");
    for n in 1..=3 {
        world.finished_case(&format!("c{n}")).await;
    }
    assert_eq!(world.outside.arrived().len(), 3);
    assert_eq!(world.outside.opened("ordini"), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_becomes_durable_with_its_messages() {
    let mut world = started().await;
    for n in 1..=3 {
        let _ = world.feed("ordini", vec![Feed::new(&format!("o{n}"), body(n, 0))]).await;
    }
    world.restart().await;
    world.until("the source", || world.outside.opened("ordini") == 2).await;
    assert_eq!(world.outside.cursors("ordini"), [json!(null), json!(3)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_travel_by_claim_check() {
    let world = started().await;
    let mut large = body(1, 0);
    large["testo"] = json!("à".repeat(300_000));
    let feed = Feed::new("o1", large.clone());
    let bytes = feed.body.clone();
    let _ = world.feed("ordini", vec![feed]).await;
    world.finished_case("c1").await;
    assert_eq!(world.outside.calls()[0].body, large);
    assert!(world.operate().blobs().get(&sha256_hex(&bytes)).await.expect("blobs work").is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_hub_says_so_and_files_wait_where_they_are() {
    let mut world = World::new(&[ORDERS]);
    world.limits.backlog_max = 3;
    world.limits.step = Duration::from_secs(3600);
    world.start().await;
    // The first one hangs in its route: behind it the partition fills up.
    world.outside.does("altro", &[Does::Hang]);
    // At most 3 may wait; those that the worker has read count until their commit.
    for n in 1..=4 {
        let verdicts = world.feed("ordini", vec![Feed::new(&format!("o{n}"), body(n, 0))]).await;
        assert!(matches!(verdicts[..], [Verdict::Stored { .. }]), "{verdicts:?}");
    }
    let verdicts = world.feed("ordini", vec![Feed::new("o5", body(5, 0))]).await;
    assert!(matches!(verdicts[..], [Verdict::Busy { .. }]), "{verdicts:?}");
    // It comes again, and is taken as soon as there is room.
    world.crash().await;
    for n in 1..=5 {
        world.finished_case(&format!("c{n}")).await;
    }
    assert_eq!(world.outside.unsettled(), 0);
    assert_eq!(world.keys(Topic::INBOX, "transport").await.len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_waits_where_it_is_while_the_hub_is_full() {
    let mut world = World::new(&[ORDERS]);
    world.limits.backlog_max = 0;
    world.limits.step = Duration::from_secs(3600);
    world.start().await;
    world.outside.does("altro", &[Does::Hang]);
    let _ = world.feed("ordini", vec![Feed::new("o1", body(1, 0))]).await;
    world.outside.feed("ordini", vec![Feed::new("o2", body(2, 0)).silent()]);
    // The hub asks itself a few times whether there is room.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(world.outside.verdicts().len(), 1, "it is neither taken nor answered");
    world.crash().await;
    world.finished_case("c1").await;
    world.finished_case("c2").await;
    assert_eq!(world.outside.verdicts().len(), 2);
}
