//! Several hubs over one log: whoever is asked, whoever owns what, and whatever moves meanwhile.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use hub_backbone::{Place, Topic};
use hub_core::Verdict;
use hub_core::journal::{Decision, ParkedKind, SendOutcome, What};
use hub_life::outbound::Action;
use hub_route::plan::Plan;
use hub_runtime::{Release, Versions};
use serde_json::{Value, json};

use super::flow::ANSWERS;
use super::many_world::{Many, SLOTS};
use super::outside::{Act, Feed, Says};
use super::world::word;

/// Orders through a door of each hub; answers are polled by the hub that owns that.
const ORDERS: &str = r#"
route: ordini
from: { test.door: { name: ordini } }
case: { kind: pratica, id: "'c' + string(body.n)" }
lane: body.corsia
idempotent: { key: "'op' + string(body.n)", remember: 400d }
steps:
  - to: { test.sink: { name: banca, repeat: askable, patience: 1h }, as: invio }
  - await: { name: esito, keys: ["'e' + string(body.n)"], within: 5d, as: esito }
"#;

fn stored(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Stored { again: false, .. })
}

fn doubt(outcome: &SendOutcome) -> bool {
    matches!(outcome, SendOutcome::InDoubt)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_come_in_anywhere_and_each_goes_out_once() {
    let many = Many::started(&["a", "b", "c"], &[ORDERS, ANSWERS]).await;
    let doors = ["a", "b", "c"];
    for n in 0..24 {
        let verdict = many.order(doors[n as usize % 3], n, json!({})).await;
        assert!(stored(&verdict), "{n}: {verdict:?}");
    }
    many.until("24 sends", || many.outside.arrived().len() == 24).await;
    for n in 0..24 {
        let answer = Feed::new(&format!("a{n}"), json!({ "chiave": format!("e{n}") }));
        assert!(stored(&many.feed("esiti", vec![answer]).await[0]));
    }
    for n in 0..24 {
        many.finished(n).await;
    }
    let sent: BTreeSet<String> = many.outside.arrived().into_iter().collect();
    assert_eq!((sent.len(), many.outside.arrived().len()), (24, 24));
    many.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_unique_whoever_is_asked() {
    let many = Many::started(&["a", "b", "c"], &[ORDERS]).await;
    for n in 0..8 {
        assert!(stored(&many.order("a", n, json!({})).await));
        for door in ["b", "c", "a"] {
            let again = many.order(door, n, json!({})).await;
            assert!(matches!(again, Verdict::Stored { again: true, .. }), "{n} at {door}: {again:?}");
            let changed = many.order(door, n, json!({ "importo": "2" })).await;
            assert!(
                matches!(&changed, Verdict::Conflict { detail } if detail.contains("other content")),
                "{changed:?}"
            );
            let body = json!({ "n": n, "corsia": "altra" });
            let other = many.feed(&format!("ordini@{door}"), vec![Feed::new(&format!("x{n}{door}"), body)]).await;
            assert!(matches!(&other[0], Verdict::Conflict { detail } if detail.contains("was taken")), "{other:?}");
        }
    }
    // A key whose operation was refused is free for another order.
    let verdict = many.feed("ordini@b", vec![Feed::new("x0b", json!({ "n": 99, "corsia": "l" }))]).await;
    assert!(stored(&verdict[0]), "{verdict:?}");
    many.until("9 sends", || many.outside.arrived().len() == 9).await;
    many.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_told_to_its_sender_is_parked_by_the_owner_of_its_key() {
    let many = Many::started(&["a", "b"], &[ORDERS]).await;
    for n in 0..6 {
        assert!(stored(&many.order("a", n, json!({})).await));
        let twice = Feed::new(&format!("t{n}"), json!({ "n": n, "corsia": "l" })).silent();
        assert!(matches!(many.feed("ordini@b", vec![twice]).await[0], Verdict::Parked { .. }));
        let wrong = Feed { body: b"no json".to_vec(), ..Feed::new(&format!("w{n}"), json!({})).silent() };
        assert!(matches!(many.feed("ordini@a", vec![wrong]).await[0], Verdict::Parked { .. }));
    }
    let parked = |kind: ParkedKind| {
        let events = many.events();
        events.iter().filter(|e| matches!(&e.what, What::Parked(p) if p.kind == kind)).count()
    };
    many.until("12 parked", || parked(ParkedKind::Refused) == 12).await;
    for event in many.events() {
        if let What::Parked(parked) = event.what {
            let kept = many.operate("b").blobs().get(&parked.sha256).await.expect("a store of blobs");
            assert!(kept.is_some(), "{} is there byte for byte", parked.id);
        }
    }
    many.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_without_slots_takes_orders_and_peoples_words() {
    const APPROVED: &str = r#"
route: ordini
from: { test.door: { name: ordini } }
case: { kind: pratica, id: "'c' + string(body.n)" }
lane: body.corsia
steps:
  - approve: { role: approvatore, people: 1, within: 4d }
  - to: { test.sink: { name: banca, repeat: forbidden } }
"#;
    let mut many = Many::started(&["a", "b"], &[APPROVED]).await;
    many.join("c").await;
    many.outside.script(&[Act::Rejected]);
    assert!(stored(&many.order("c", 1, json!({})).await));
    let opened = many.see("the task", |e| matches!(e.what, What::TaskOpened(_))).await;
    let What::TaskOpened(task) = opened.what else { unreachable!("it fits") };
    let decided = many.operate("c").decide(&task.id, word(&task, "anna", Decision::Approve)).await.expect("a verdict");
    assert_eq!((decided.refused, decided.approvals), (None, 1));
    let parked = many.see("the refusal", |e| matches!(e.what, What::Parked(_))).await;
    let What::Parked(parked) = parked.what else { unreachable!("it fits") };
    let (by, note) = ("anna".to_string(), "mended".to_string());
    let release = Release { parked: parked.id, action: Action::Retry, by, entities: Vec::new(), note };
    assert!(many.operate("c").release(release).await.expect("a verdict").done);
    many.finished(1).await;
    assert_eq!(many.outside.arrived(), ["1"]);
    many.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_in_the_middle_of_a_route_are_unique_and_keep_the_order_of_the_lane() {
    const ONCE: &str = r#"
route: ordini
from: { test.door: { name: ordini } }
lane: body.corsia
steps:
  - idempotent: { key: body.chiave, remember: 30d }
  - to: { test.sink: { name: banca, repeat: harmless } }
"#;
    let many = Many::started(&["a", "b", "c"], &[ONCE]).await;
    for n in 0..30 {
        let body = json!({ "n": n, "corsia": "una", "chiave": format!("k{}", n % 20) });
        assert!(stored(&many.feed("ordini@b", vec![Feed::new(&format!("o{n}"), body)]).await[0]));
    }
    let ended = || many.events().iter().filter(|e| matches!(e.what, What::Finished | What::Dropped { .. })).count();
    many.until("30 ends", || ended() == 30).await;
    let wanted: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    assert_eq!(many.outside.arrived(), wanted, "each key once, in the order of the lane");
    many.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_send_of_a_lost_slot_does_not_cross_and_its_owner_asks() {
    let mut many = Many::started(&["a", "b"], &[ORDERS]).await;
    many.give_all("a");
    many.outside.script(&[Act::Gate]);
    many.outside.usually_says(Says::Truth);
    assert!(stored(&many.order("a", 1, json!({})).await));
    many.until("the send", || {
        many.outside.calls().len() == 1 || !many.outside.arrived().is_empty() || intents(&many) == 1
    })
    .await;
    many.give_all("b");
    many.see("the doubt", |e| matches!(&e.what, What::SendSettled { outcome, .. } if doubt(outcome))).await;
    many.outside.release();
    // While the first hub lives, "not there" proves nothing: it may be frozen before its first byte.
    many.see_later("a question", |_| many.outside.asked() > 1).await;
    assert_eq!(many.outside.arrived(), Vec::<String>::new());
    many.kill("a");
    many.until("the repetition", || {
        many.clock.advance(Duration::from_secs(1));
        !many.outside.arrived().is_empty()
    })
    .await;
    assert_eq!(many.outside.arrived(), ["1"]);
    many.stop().await;
}

fn intents(many: &Many) -> usize {
    many.events().iter().filter(|e| matches!(e.what, What::SendIntended { .. })).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_comes_back_finds_its_own_send_under_way_and_does_not_repeat_it() {
    let many = Many::started(&["a", "b"], &[ORDERS]).await;
    many.give_all("a");
    // It has arrived, but the answer is late; and the receiver does not show it yet.
    many.outside.script(&[Act::SlowAnswer]);
    many.outside.usually_says(Says::Unknown);
    assert!(stored(&many.order("a", 1, json!({})).await));
    many.until("the send", || many.outside.arrived().len() == 1).await;
    many.give_all("b");
    many.give_all("a");
    many.see("the doubt", |e| matches!(&e.what, What::SendSettled { outcome, .. } if doubt(outcome))).await;
    many.see_later("questions", |_| many.outside.asked() > 2).await;
    many.outside.usually_says(Says::Truth);
    many.see_later("the proof", |e| matches!(&e.what, What::SendSettled { outcome: SendOutcome::Delivered, .. })).await;
    many.outside.release();
    assert_eq!(many.outside.arrived(), ["1"]);
    many.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_polling_source_moves_with_its_slot_and_its_cursor() {
    let many = Many::started(&["a", "b"], &[ANSWERS]).await;
    let slot = Many::slot_of(Topic::INBOX, "esiti");
    for round in 0..6_u64 {
        many.give(slot, if round % 2 == 0 { "a" } else { "b" });
        let answer = Feed::new(&format!("a{round}"), json!({ "chiave": "nessuno" }));
        assert!(stored(&many.feed("esiti", vec![answer]).await[0]));
        let last = many.outside.cursors("esiti").last().cloned().unwrap_or(Value::Null);
        assert_eq!(last.as_u64().unwrap_or_default(), round, "who opens it goes on where the other stood");
    }
    many.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_that_move_all_the_time_lose_nothing_and_double_nothing() {
    let mut many = Many::started(&["a", "b", "c"], &[ORDERS, ANSWERS]).await;
    many.outside.usually_says(Says::Truth);
    let mut dice = 7_u64;
    let mut roll = move |sides: u64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (dice >> 33) % sides
    };
    let names = ["a", "b", "c"];
    let mut n = 0;
    while n < 40 {
        let verdict = many.order(names[roll(3) as usize], n, json!({})).await;
        assert!(matches!(verdict, Verdict::Stored { .. }), "{n}: {verdict:?}");
        n += 1;
        many.give(u16::try_from(roll(u64::from(SLOTS))).unwrap_or_default(), names[roll(3) as usize]);
        many.clock.advance(Duration::from_millis(500));
    }
    // A doubt under the epoch of a hub that lives is never repeated; what arrived is found by asking.
    many.until("all but the doubtful to be delivered", || {
        many.clock.advance(Duration::from_secs(1));
        delivered(&many) >= many.outside.arrived().len()
    })
    .await;
    for name in ["a", "b"] {
        many.kill(name);
    }
    many.give_all("c");
    many.until("all to be delivered", || {
        many.clock.advance(Duration::from_secs(1));
        delivered(&many) == 40
    })
    .await;
    let sent: BTreeSet<String> = many.outside.arrived().into_iter().collect();
    assert_eq!((sent.len(), many.outside.arrived().len()), (40, 40), "each once");
    many.stop().await;
}

/// What is known of versions, as far as the news have come.
#[derive(Default)]
struct Known(Mutex<Vec<Arc<Plan>>>);

#[async_trait]
impl Versions for Known {
    async fn find(&self, route: &str, version: &str) -> Result<Option<Arc<Plan>>, String> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(known.iter().find(|plan| plan.route == route && plan.version == version).cloned())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_finishes_what_came_on_a_version_that_another_one_brought() {
    let known = Arc::new(Known::default());
    let mut many = Many::started(&[], &[ORDERS, ANSWERS]).await;
    many.join_with("a", Some(known.clone())).await;
    many.give_all("a");
    let newer = ORDERS.replace("patience: 1h", "patience: 2h");
    let plans = many.bring(&[&newer, ANSWERS]);
    many.join("b").await;
    // The first message is on its way before the news of its version.
    let (taken, ()) = tokio::join!(many.order("b", 1, json!({})), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        known.0.lock().unwrap_or_else(PoisonError::into_inner).extend(plans);
    });
    assert!(stored(&taken), "{taken:?}");
    many.until("the send", || many.outside.arrived() == ["1"]).await;
    // A hub that knows nothing of it gets the slots while the message waits to be sent.
    many.outside.script(&[Act::Gate]);
    assert!(stored(&many.order("b", 2, json!({})).await));
    many.see("the intent", |e| e.case.id == "c2" && matches!(e.what, What::SendIntended { .. })).await;
    many.join_with("c", Some(known.clone())).await;
    many.give_all("c");
    many.outside.release();
    many.see_later("the doubt", |e| matches!(&e.what, What::SendSettled { outcome, .. } if doubt(outcome))).await;
    many.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_nobody_knows_parks_its_message_alone() {
    let mut many = Many::started(&[], &[ORDERS, ANSWERS]).await;
    many.join_with("a", Some(Arc::new(Known::default()))).await;
    many.give_all("a");
    let _plans = many.bring(&[&ORDERS.replace("patience: 1h", "patience: 2h"), ANSWERS]);
    many.join("b").await;
    assert!(stored(&many.order("b", 1, json!({})).await));
    let parked = many.see("it to be parked", |e| matches!(e.what, What::Parked(_))).await;
    assert!(format!("{:?}", parked.what).contains("load it, then retry"), "{parked:?}");
    assert!(stored(&many.order("a", 2, json!({})).await));
    many.until("its neighbour to go on", || many.outside.arrived() == ["2"]).await;
    many.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_whose_journal_cannot_be_read_is_tried_again() {
    let many = Many::started(&["a", "b"], &[ORDERS, ANSWERS]).await;
    many.give_all("a");
    assert!(stored(&many.order("a", 1, json!({})).await));
    many.until("the first send", || many.outside.arrived() == ["1"]).await;
    many.see("its wait", |e| matches!(e.what, What::WaitOpened { .. })).await;
    let journal = Place::new(Topic::JOURNAL, Many::slot_of(Topic::CASES, "c1"));
    let last = many.cluster.records(journal).len() as u64 - 1;
    assert!(many.hubs["b"].memory.damage(journal, last));
    many.give_all("b");
    // A slot after the damaged one is worked on: by then that one was tried, and is tried again from time to time.
    assert!(Many::slot_of(Topic::OUTBOX, "l2") > journal.partition, "the test's premise");
    assert!(stored(&many.order("b", 2, json!({})).await));
    many.until("a send from another slot", || {
        many.clock.advance(Duration::from_secs(1));
        many.outside.arrived() == ["1", "2"]
    })
    .await;
    // What was turned is turned back: the journal can be read again.
    assert!(many.hubs["b"].memory.damage(journal, last));
    let answer = Feed::new("a1", json!({ "chiave": "e1" }));
    assert!(stored(&many.feed("esiti", vec![answer]).await[0]));
    many.see_later("the first order to finish", |e| e.case.id == "c1" && e.what == What::Finished).await;
    many.stop().await;
}

/// Cases whose order was delivered, as far as the journal knows.
fn delivered(many: &Many) -> usize {
    let events = many.events();
    let fits = |e: &&hub_core::journal::Event| matches!(e.what, What::WaitOpened { .. });
    events.iter().filter(fits).map(|e| e.case.id.clone()).collect::<BTreeSet<_>>().len()
}
