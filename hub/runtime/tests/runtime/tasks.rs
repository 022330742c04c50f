//! Decisions of people: four eyes, the document that they saw, escalation, deadlines.

use std::time::Duration;

use hub_core::journal::{Decision, Event, ParkedKind, What};
use hub_life::outbound::Action;
use hub_life::task::Refusal;
use serde_json::json;

use super::world::{World, word};

fn route(more: &str) -> String {
    format!(
        r#"
route: ordini
from: {{ test: {{ name: ordini }} }}
case: {{ kind: pratica, id: "'c' + string(body.n)", entity: "'UFA'" }}
lane: body.corsia
steps:
  - approve:
      role: approvatore
      people: 2
      within: 4h
      escalate: {{ after: 3h, to: controllore }}
      title: "'Ordine ' + string(body.n)"
      requester: body.richiedente
      as: decisione
{more}
  - state: approvata
  - log: "'esito ' + decisione.outcome + ', ' + string(size(decisione.words)) + ' persone'"
"#
    )
}

async fn started() -> World {
    World::started(&[&route("")]).await
}

fn closed(outcome: &str) -> impl Fn(&Event) -> bool {
    move |e| matches!(&e.what, What::TaskClosed { outcome: o, .. } if o == outcome)
}

fn logged(text: &str) -> impl Fn(&Event) -> bool {
    move |e| matches!(&e.what, What::Logged { text: t } if t == text)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_distinct_people_of_the_role_approve_what_they_saw() {
    let mut world = started().await;
    world.order(1, json!({ "richiedente": "Rita" })).await;
    let task = world.task(1).await;
    assert_eq!((task.title.as_str(), task.requester.as_str(), task.people), ("Ordine 1", "Rita", 2));
    let document = world.operate().blobs().get(&task.sha256).await.expect("blobs work");
    assert!(document.is_some(), "the document can be shown");

    let refused = |refusal| move |decided: hub_runtime::Decided| assert_eq!(decided.refused, Some(refusal));
    let a = || word(&task, "anna", Decision::Approve);
    let mut other_role = a();
    other_role.roles = vec!["operatore".into()];
    refused(Refusal::WrongRole)(world.word(&task, other_role).await);
    let mut not_yet = a();
    not_yet.roles = vec!["controllore".into()];
    refused(Refusal::WrongRole)(world.word(&task, not_yet).await);
    let mut other_entity = a();
    other_entity.entities = vec!["UFB".into()];
    refused(Refusal::WrongEntity)(world.word(&task, other_entity).await);
    let mut other_document = a();
    other_document.sha256 = "0".repeat(64);
    refused(Refusal::OtherDocument)(world.word(&task, other_document).await);
    refused(Refusal::Requester)(world.say(&task, "rita ", Decision::Approve).await);
    refused(Refusal::WrongDecision)(world.say(&task, "anna", Decision::Done).await);

    let first = world.say(&task, "anna", Decision::Approve).await;
    assert_eq!((first.refused, first.approvals, first.people, first.outcome), (None, 1, 2, None));
    refused(Refusal::SamePerson)(world.say(&task, "Anna", Decision::Approve).await);
    world.crash().await;
    refused(Refusal::SamePerson)(world.say(&task, "anna", Decision::Approve).await);
    let second = world.say(&task, "bruno", Decision::Approve).await;
    assert_eq!((second.refused, second.approvals, second.outcome.as_deref()), (None, 2, Some("approved")));
    refused(Refusal::Unknown)(world.say(&task, "carla", Decision::Approve).await);
    world.see("two words", logged("esito approved, 2 persone")).await;
    world.operate().wait_until_seen(&second.position).await.expect("the view sees it");
    let decided = |e: &Event| matches!(e.what, What::TaskDecided { .. });
    assert_eq!(world.count(decided).await, 2, "refused words leave no trace in the case");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_words_at_once_count_as_two() {
    let world = started().await;
    world.order(1, json!({ "richiedente": "" })).await;
    let task = world.task(1).await;
    let operate = world.operate();
    let says = (0..100).map(|i| {
        let (operate, task) = (operate.clone(), task.clone());
        let word = word(&task, &format!("p{}", i % 5), Decision::Approve);
        tokio::spawn(async move { operate.decide(&task.id, word).await.expect("a verdict") })
    });
    let mut counted = 0;
    for said in says.collect::<Vec<_>>() {
        counted += u32::from(said.await.expect("no panic").refused.is_none());
    }
    assert_eq!(counted, 2);
    world.finished(1).await;
    assert_eq!(world.count(|e| e.what == What::Finished).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejection_ends_the_message_or_takes_another_way() {
    let world = started().await;
    world.order(1, json!({ "richiedente": "" })).await;
    let task = world.task(1).await;
    let decided = world.say(&task, "anna", Decision::Reject).await;
    assert_eq!(decided.outcome.as_deref(), Some("rejected"));
    world.see("the end", |e| matches!(e.what, What::Dropped { .. })).await;
    world.see("the state", |e| matches!(&e.what, What::State { to, moved: true, .. } if to == "respinto")).await;
    assert_eq!(world.count(|e| e.what == What::Finished).await, 0);

    let other = route("      on_reject: [ { log: \"'no: ' + body.richiedente\" } ]");
    let world = World::started(&[&other]).await;
    world.order(1, json!({ "richiedente": "rita" })).await;
    let task = world.task(1).await;
    let _ = world.say(&task, "rita", Decision::Reject).await;
    world.see("the other way", logged("no: rita")).await;
    world.finished(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_escalates_once_also_over_a_restart() {
    let mut world = started().await;
    world.order(1, json!({ "richiedente": "" })).await;
    let task = world.task(1).await;
    world.quiet().await;
    world.restart().await;
    world.clock.advance(Duration::from_secs(3 * 3600));
    world.see("the escalation", |e| matches!(&e.what, What::TaskEscalated { to, .. } if to == "controllore")).await;
    world.restart().await;
    let mut word = word(&task, "carla", Decision::Approve);
    word.roles = vec!["controllore".into()];
    assert_eq!(world.word(&task, word).await.refused, None);
    assert_eq!(world.say(&task, "anna", Decision::Approve).await.outcome.as_deref(), Some("approved"));
    assert_eq!(world.count(|e| matches!(e.what, What::TaskEscalated { .. })).await, 1);
    world.finished(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_task_is_parked_and_begins_again_from_nothing() {
    let mut world = started().await;
    world.order(1, json!({ "richiedente": "" })).await;
    let task = world.task(1).await;
    assert_eq!(world.say(&task, "anna", Decision::Approve).await.approvals, 1);
    world.quiet().await;
    world.clock.advance(Duration::from_secs(4 * 3600));
    world.see("the end", closed("expired")).await;
    let parked = world.parked(ParkedKind::Wait).await;
    assert!(parked.evidence["words"][0]["person"] == "anna", "{parked:?}");
    assert_eq!(world.say(&task, "bruno", Decision::Approve).await.refused, Some(Refusal::Unknown));
    world.restart().await;
    assert!(!world.release(&parked.id, Action::NotDelivered).await.done);
    assert!(world.release(&parked.id, Action::Retry).await.done);
    let again = world.task(2).await;
    assert_ne!(again.id, task.id);
    world.quiet().await;
    world.restart().await;
    world.clock.advance(Duration::from_secs(3 * 3600));
    world.see("the escalation of the new round", |e| matches!(e.what, What::TaskEscalated { .. })).await;
    let first = world.say(&again, "anna", Decision::Approve).await;
    assert_eq!((first.refused, first.approvals), (None, 1), "the first round does not count");
    let _ = world.say(&again, "bruno", Decision::Approve).await;
    world.see("two words", logged("esito approved, 2 persone")).await;
    assert!(!world.release(&parked.id, Action::Retry).await.done);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_task_may_be_given_up() {
    let world = started().await;
    world.order(1, json!({ "richiedente": "" })).await;
    let _ = world.task(1).await;
    world.quiet().await;
    world.clock.advance(Duration::from_secs(5 * 3600));
    let parked = world.parked(ParkedKind::Wait).await;
    assert!(world.release(&parked.id, Action::GiveUp).await.done);
    world.quiet().await;
    assert_eq!(world.count(|e| e.what == What::Finished).await, 0);
    for space in ["task", "expired"] {
        assert_eq!(world.keys(hub_backbone::Topic::WAITS, space).await, [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_of_another_entity_release_nothing() {
    let world = started().await;
    world.order(1, json!({ "richiedente": "" })).await;
    let _ = world.task(1).await;
    world.quiet().await;
    world.clock.advance(Duration::from_secs(5 * 3600));
    let parked = world.parked(ParkedKind::Wait).await;
    let release = hub_runtime::Release {
        parked: parked.id.clone(),
        action: Action::Retry,
        by: "zoe".into(),
        entities: vec!["UFB".into()],
        note: String::new(),
    };
    let released = world.operate().release(release).await.expect("a verdict");
    assert!(!released.done && released.reason.contains("entity"), "{released:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_ids_are_answered_and_change_nothing() {
    let world = started().await;
    world.order(1, json!({ "richiedente": "" })).await;
    let task = world.task(1).await;
    let operate = world.operate();
    for id in ["", "w", "w0", "w0-", "w99-x", "i0-x", "é-x", "w-1", "w0-nobody"] {
        let decided = operate.decide(id, word(&task, "anna", Decision::Approve)).await;
        assert!(decided.map_or(true, |d| d.refused == Some(Refusal::Unknown)), "{id}");
        let (by, note) = ("anna".to_string(), String::new());
        let release = hub_runtime::Release { parked: id.into(), action: Action::Retry, by, entities: vec![], note };
        assert!(operate.release(release).await.map_or(true, |released| !released.done), "{id}");
    }
    for position in ["", "cases/0", "cases/99@1", "nothing/0@1", "cases/0@x"] {
        assert!(operate.wait_until_seen(position).await.is_err(), "{position}");
    }
}
