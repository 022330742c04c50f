//! Messages that go well, and what the language can do with them.

use std::time::Duration;

use hub_core::journal::What;
use hub_core::{Value, sha256_hex};
use serde_json::json;

use super::outside::{Act, Feed};
use super::world::{World, order_id, told};

/// Send, wait for the answer of another route, done.
pub(crate) const ORDERS: &str = r#"
route: ordini
from: { test: { name: ordini } }
case: { kind: pratica, id: "'c' + string(body.n)" }
lane: body.corsia
idempotent: { key: "'op' + string(body.n)", remember: 400d }
steps:
  - to: { test.sink: { name: banca, repeat: askable, to: "'conto ' + string(body.n)" }, as: invio }
  - state: inviata
  - await: { name: esito, keys: ["'e' + string(body.n)", invio.id], within: 2h, as: esito }
  - log: "'esito ' + esito.testo"
  - state: chiusa
"#;

/// Answers for [`ORDERS`].
pub(crate) const ANSWERS: &str = r#"
route: esiti
from: { test: { name: esiti } }
steps:
  - resume: { name: esito, key: body.chiave, answer: body }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_sent_answered_and_finished() {
    let world = World::started(&[ORDERS, ANSWERS]).await;
    world.order(1, json!({})).await;
    let opened = world.see("the wait", |e| matches!(e.what, What::WaitOpened { .. })).await;
    let What::WaitOpened { keys, .. } = &opened.what else { unreachable!("it fits") };
    assert_eq!(keys.len(), 2, "one key of the order, one of the receipt: {keys:?}");
    world.answer("e1", "accettato").await;
    world.finished(1).await;

    let events = world.events().await;
    let of_case: Vec<_> = events.iter().filter(|e| e.case.id == "c1").map(|e| name(&e.what)).collect();
    let wanted = [
        "state ricevuta",
        "received",
        "intended",
        "delivered",
        "state inviata",
        "wait",
        "answered",
        "logged esito accettato",
        "state chiusa",
        "finished",
    ];
    assert_eq!(of_case, wanted, "{}", told(&events));
    let calls = world.outside.calls();
    assert_eq!(calls.len(), 1);
    assert_eq!((calls[0].to.as_str(), calls[0].number), (Some("conto 1"), 1));
    assert_eq!((calls[0].sink.as_str(), calls[0].case.as_str()), ("banca", "c1"));
    assert_eq!(calls[0].message, order_id(1));
}

fn name(what: &What) -> String {
    match what {
        What::Received { .. } => "received".into(),
        What::State { to, moved: true, .. } => format!("state {to}"),
        What::State { to, note, .. } => format!("state {to} not moved: {note}"),
        What::SendIntended { .. } => "intended".into(),
        What::SendSettled { outcome, .. } => format!("{outcome:?}").to_lowercase(),
        What::WaitOpened { .. } => "wait".into(),
        What::WaitAnswered { .. } => "answered".into(),
        What::Logged { text } => format!("logged {text}"),
        What::Finished => "finished".into(),
        other => format!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_on_the_embedded_backbone_over_a_restart() {
    let mut world = World::embedded(&[ORDERS, ANSWERS]);
    world.start().await;
    for n in 1..=20 {
        world.order(n, json!({})).await;
    }
    for n in 1..=10 {
        world.answer(&format!("e{n}"), "ok").await;
        world.finished(n).await;
    }
    world.restart().await;
    for n in 11..=20 {
        world.answer(&format!("e{n}"), "ok").await;
        world.finished(n).await;
    }
    assert_eq!(world.outside.calls().len(), 20);
}

const SPLIT: &str = r#"
route: ordini
from: { test: { name: ordini } }
lane: body.corsia
steps:
  - set: { grande: body.testo }
  - split:
      each: body.righe
      as: r
      case: { kind: pratica, id: "'s' + string(r.k)" }
      steps:
        - choice:
            - when: r.k == 2
              steps:
                - to: { test.sink: { name: due, repeat: forbidden, to: "string(r.k)" } }
            - otherwise:
                - log: "'riga ' + string(r.k) + ' di ' + string(body.n) + ', ' + string(size(vars.grande))"
        - state: inviata
  - log: "'padre'"
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_split_makes_messages_of_their_own_and_the_parent_goes_on_once() {
    let world = World::started(&[SPLIT]).await;
    // Large enough that children share what their parent had bound.
    let text = "x".repeat(5000);
    world.order(1, json!({ "righe": [{ "k": 1 }, { "k": 2 }, { "k": 3 }], "testo": text })).await;
    world.finished(1).await;
    world.nth("four messages to finish", 4, |e| e.what == What::Finished).await;
    let logs = |e: &hub_core::journal::Event| match &e.what {
        What::Logged { text } => Some(format!("{} {text}", e.case.id)),
        _ => None,
    };
    let mut logs: Vec<_> = world.events().await.iter().filter_map(logs).collect();
    logs.sort();
    assert_eq!(logs[1..], ["s1 riga 1 di 1, 5000", "s3 riga 3 di 1, 5000"]);
    assert!(logs[0].ends_with("padre"));
    let calls = world.outside.calls();
    assert_eq!((calls.len(), &calls[0].case, &calls[0].to), (1, &"s2".to_string(), &json!("2")));
    let moved =
        |e: &hub_core::journal::Event| matches!(&e.what, What::State { to, moved: true, .. } if to == "inviata");
    assert_eq!(world.count(moved).await, 3, "every child is behind its choice once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_split_of_many_large_messages_neither_stops_the_hub_nor_fills_it() {
    let world = World::started(&[SPLIT]).await;
    let rows: Vec<Value> = (10..1010).map(|k| json!({ "k": k })).collect();
    world.order(1, json!({ "righe": rows, "testo": "y".repeat(1_500_000) })).await;
    world.nth("all children to finish", 1001, |e| e.what == What::Finished).await;
}

const BRANCHES: &str = r#"
route: ordini
from: { test: { name: ordini } }
case: { kind: pratica, id: "'c' + string(body.n)" }
lane: body.corsia
steps:
  - filter: body.n < 100
  - choice:
      - when: body.n == 1
        steps: [ { set: { via: "'uno'" } } ]
      - otherwise: [ { set: { via: "'altro'" } } ]
  - choice:
      - when: body.n == 2
        steps:
          - to: { test.sink: { name: a, repeat: forbidden } }
          - to: { test.sink: { name: b, repeat: forbidden } }
      - when: body.n == 3
        steps: [ { log: "'niente'" } ]
  - archive: { class: atti, retain: 10y, name: "vars.via + '.json'" }
  - map: { via: vars.via, caso: case.id }
  - to: { test.sink: { name: fine, repeat: forbidden } }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn choices_filters_archive_and_map() {
    let world = World::started(&[BRANCHES]).await;
    for n in [1, 2, 3, 100] {
        world.order(n, json!({})).await;
    }
    for n in [1, 2, 3] {
        world.finished(n).await;
    }
    let dropped = world.see("the filtered one", |e| matches!(e.what, What::Dropped { .. })).await;
    assert_eq!(dropped.case.id, "c100");
    let calls = world.outside.calls();
    let of = |case: &str| calls.iter().filter(|c| c.case == case).map(|c| c.sink.as_str()).collect::<Vec<_>>();
    assert_eq!((of("c1"), of("c2"), of("c3")), (vec!["fine"], vec!["a", "b", "fine"], vec!["fine"]));
    let last = calls.iter().find(|c| c.case == "c1").expect("it was sent");
    assert_eq!(last.body, json!({ "via": "uno", "caso": "c1" }));
    let archived = world.see("the document", |e| matches!(&e.what, What::Archived(d) if d.name == "uno.json")).await;
    let What::Archived(document) = archived.what else { unreachable!("it fits") };
    let bytes = world.operate().blobs().get(&document.sha256).await.expect("blobs work").expect("it is kept");
    assert_eq!((sha256_hex(&bytes), bytes.len() as u64), (document.sha256, document.bytes));
    assert_eq!(serde_json::from_slice::<Value>(&bytes).expect("JSON")["n"], 1);
}

const STATES: &str = r#"
route: ordini
from: { test: { name: ordini } }
case: { kind: pratica, id: "'caso'" }
lane: body.corsia
steps:
  - state: { of: body.stato }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_state_is_recorded_and_moves_nothing_back() {
    let world = World::started(&[STATES]).await;
    for (n, state) in ["inviata", "ricevuta", "chiusa", "inviata", "respinto", "boh"].into_iter().enumerate() {
        let n = u32::try_from(n).expect("small") + 1;
        world.order(n, json!({ "stato": state })).await;
        world.finished(n).await;
    }
    let states = |e: &hub_core::journal::Event| match &e.what {
        What::State { to, from, moved, .. } => Some(format!("{from} > {to} {moved}")),
        _ => None,
    };
    let states: Vec<_> = world.events().await.iter().filter_map(states).collect();
    let wanted = [
        " > ricevuta true",
        "ricevuta > inviata true",
        "inviata > ricevuta false",
        "inviata > chiusa true",
        "chiusa > inviata false",
        "chiusa > respinto false",
        "chiusa > boh false",
    ];
    assert_eq!(states, wanted);
}

const ONCE: &str = r#"
route: ordini
from: { test: { name: ordini } }
lane: body.corsia
steps:
  - test.step: { name: prima }
  - idempotent: { key: body.chiave, remember: 30d }
  - test.step: { name: dopo }
  - to: { test.sink: { name: banca, repeat: forbidden } }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_in_the_middle_of_a_route_passes_once_over_all_partitions() {
    let world = World::started(&[ONCE]).await;
    for round in 0..10 {
        let batch = |n: u32| {
            let body = json!({ "n": n, "corsia": format!("l{n}"), "chiave": format!("k{round}") });
            Feed::new(&format!("o{n}"), body)
        };
        let _ = world.feed("ordini", (round * 16..round * 16 + 16).map(batch).collect()).await;
    }
    world.nth("the repetitions to end", 150, |e| matches!(e.what, What::Dropped { .. })).await;
    world.nth("the first ones to finish", 10, |e| e.what == What::Finished).await;
    assert_eq!(world.outside.calls().len(), 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_not_used_up_by_a_message_that_was_parked_before_its_commit() {
    use super::outside::Does;
    let world = World::started(&[ONCE]).await;
    world.outside.does("dopo", &[Does::Invalid]);
    world.order(1, json!({ "chiave": "k" })).await;
    world.parked(hub_core::journal::ParkedKind::Step).await;
    world.order(2, json!({ "chiave": "k" })).await;
    world.finished(2).await;
    let parked = world.parked(hub_core::journal::ParkedKind::Step).await;
    assert!(world.release(&parked.id, hub_life::outbound::Action::Retry).await.done);
    world.see("the first one to be dropped", |e| matches!(e.what, What::Dropped { .. })).await;
    assert_eq!(world.outside.arrived(), ["2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_that_stops_ends_a_send_under_way_and_records_its_outcome() {
    let mut world = World::started(&[ORDERS, ANSWERS]).await;
    world.outside.script(&[Act::SlowAnswer]);
    world.order(1, json!({})).await;
    world.until("the send", || world.outside.calls().len() == 1).await;
    let outside = world.outside.clone();
    let opens = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        outside.release();
    });
    world.stop().await.expect("the hub stops well");
    opens.await.expect("the gate opens");
    world.reopen().await;
    world.start().await;
    world.answer("e1", "ok").await;
    world.finished(1).await;
    assert_eq!((world.outside.calls().len(), world.outside.asked()), (1, 0), "no doubt was left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_does_not_wait_for_ever() {
    let mut world = World::new(&[ORDERS, ANSWERS]);
    world.limits.grace = Duration::from_millis(100);
    world.start().await;
    world.outside.script(&[Act::Hang { arrived: true }]);
    world.order(1, json!({})).await;
    world.until("the send", || world.outside.calls().len() == 1).await;
    world.stop().await.expect("the hub stops well");
    world.reopen().await;
    world.start().await;
    world.see_later("the doubt to be settled", |e| matches!(e.what, What::WaitOpened { .. })).await;
    world.answer("e1", "ok").await;
    world.finished(1).await;
    assert_eq!(world.outside.arrived(), ["1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_finishes_on_the_version_it_began_on() {
    let mut world = World::started(&[ORDERS, ANSWERS]).await;
    world.order(1, json!({})).await;
    world.see("the wait", |e| matches!(e.what, What::WaitOpened { .. })).await;
    world.stop().await.expect("the hub stops well");
    let newer = ORDERS.replace("'esito ' +", "'nuovo ' +");
    world.reroute(&[&newer, ANSWERS]);
    world.reopen().await;
    world.start().await;
    world.order(2, json!({})).await;
    world.answer("e1", "ok").await;
    world.answer("e2", "ok").await;
    world.finished(1).await;
    world.finished(2).await;
    world.see("the old words", |e| e.case.id == "c1" && e.what == What::Logged { text: "esito ok".into() }).await;
    world.see("the new words", |e| e.case.id == "c2" && e.what == What::Logged { text: "nuovo ok".into() }).await;
}
