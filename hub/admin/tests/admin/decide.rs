//! What one changes.

use std::sync::Arc;
use std::time::Duration;

use hub_core::journal::Decision;
use hub_life::outbound::Action;
use hub_life::task::Refusal;
use hub_runtime::{OperateError, Released};
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{POSITION, World, counts, problem};

const DECISION: &str = "/api/v1/tasks/w0-a/decision";
const RELEASE: &str = "/api/v1/parked/o0-a/release";

fn yes(world: &World) -> Value {
    json!({ "decision": "approve", "comment": "visto", "sha256": world.flow })
}

#[tokio::test]
async fn a_word_reaches_its_owner_with_the_person_behind_the_token() {
    let world = World::new().await;
    let response = world.post("limited", DECISION, yes(&world)).await;
    assert_eq!(response.status(), 200);
    let verdict: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    assert_eq!(verdict, json!({ "approvals": 1, "people": 2, "outcome": null, "position": POSITION }));
    let words = world.hub.words.lock().unwrap();
    let (task, word) = &words[0];
    assert_eq!((task.as_str(), word.person.as_str(), word.comment.as_str()), ("w0-a", "limited.persona", "visto"));
    assert_eq!(word.roles, ["approvatore", "controllore"]);
    assert_eq!(word.entities, ["UFAAAA"]);
    assert_eq!((word.decision, &word.sha256), (Decision::Approve, &world.flow));
}

#[tokio::test]
async fn a_word_that_does_not_count_is_a_problem_with_its_reason() {
    let world = World::new().await;
    for (refusal, status, kind) in [
        (Refusal::Unknown, 404, "not-found"),
        (Refusal::NotOpen, 409, "not-open"),
        (Refusal::WrongRole, 403, "wrong-role"),
        (Refusal::WrongEntity, 403, "wrong-entity"),
        (Refusal::Requester, 403, "requester"),
        (Refusal::SamePerson, 409, "same-person"),
        (Refusal::OtherDocument, 409, "other-document"),
        (Refusal::WrongDecision, 409, "wrong-decision"),
    ] {
        *world.hub.decided.lock().unwrap() = Ok(hub_runtime::Decided { refused: Some(refusal), ..counts() });
        let refused = problem(world.post("approvatore", DECISION, yes(&world)).await, status).await;
        assert_eq!(refused["type"], format!("urn:raccordo:problem:{kind}"));
    }
    for (error, status) in [
        (OperateError::Stopped("disk /var/lib/secret is gone".into()), 503),
        (OperateError::Late(Duration::from_secs(10)), 504),
        (OperateError::Bad("no such thing".into()), 400),
    ] {
        *world.hub.decided.lock().unwrap() = Err(error);
        let refused = problem(world.post("approvatore", DECISION, yes(&world)).await, status).await;
        assert!(!refused.to_string().contains("/var/lib"), "{refused}");
    }
}

#[tokio::test]
async fn what_one_may_not_see_one_cannot_decide() {
    let world = World::new().await;
    for id in ["w0-b", "w0-c", "none"] {
        let _ = problem(world.post("limited", &format!("/api/v1/tasks/{id}/decision"), yes(&world)).await, 404).await;
    }
    let body = json!({ "action": "give_up", "note": "mine" });
    for id in ["o0-b", "o0-c", "none"] {
        let _ = problem(world.post("limited", &format!("/api/v1/parked/{id}/release"), body.clone()).await, 404).await;
    }
    assert!(world.hub.words.lock().unwrap().is_empty());
    assert!(world.hub.releases.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_release_reaches_its_owner_and_a_refusal_comes_back() {
    let world = World::new().await;
    for (name, action) in [
        ("retry", Action::Retry),
        ("delivered", Action::Delivered),
        ("not_delivered", Action::NotDelivered),
        ("give_up", Action::GiveUp),
    ] {
        let response = world.post("limited", RELEASE, json!({ "action": name, "note": "the bank says so" })).await;
        assert_eq!(response.status(), 200);
        let done: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        assert_eq!(done, json!({ "done": true, "position": POSITION }));
        let release = world.hub.releases.lock().unwrap().pop().unwrap();
        assert_eq!((release.parked.as_str(), release.action, release.by.as_str()), ("o0-a", action, "limited.persona"));
        assert_eq!((release.entities, release.note.as_str()), (vec!["UFAAAA".to_string()], "the bank says so"));
    }
    let refusal = Released { done: false, reason: "somebody was faster".into(), position: POSITION.into() };
    *world.hub.released.lock().unwrap() = refusal;
    let refused = problem(world.post("limited", RELEASE, json!({ "action": "retry", "note": "x" })).await, 409).await;
    assert_eq!(refused["detail"], "somebody was faster");
}

#[tokio::test]
async fn bodies_that_do_not_fit_are_refused_before_anything_happens() {
    let world = World::new().await;
    let long = "x".repeat(4_001);
    let huge = "x".repeat(70_000);
    let flow = world.flow.clone();
    for (path, body, status, word) in [
        (DECISION, "{".to_string(), 400, "line 1"),
        (DECISION, "[".repeat(80), 400, "deeper"),
        (DECISION, format!(r#"{{"decision":"approve","decision":"reject","sha256":"{flow}"}}"#), 400, "duplicate key"),
        (DECISION, r#"{"decision":"approve"}"#.into(), 422, "sha256"),
        (DECISION, format!(r#"{{"decision":"perhaps","sha256":"{flow}"}}"#), 422, "perhaps"),
        (DECISION, format!(r#"{{"decision":"approve","sha256":"{flow}","person":"boss"}}"#), 422, "person"),
        (DECISION, format!(r#"{{"decision":"approve","sha256":"{flow}","comment":"{long}"}}"#), 422, "4000"),
        (DECISION, format!(r#"{{"decision":"approve","sha256":"{huge}"}}"#), 413, "65536"),
        (RELEASE, r#"{"action":"resend","note":"x"}"#.into(), 422, "not_delivered"),
        (RELEASE, r#"{"action":"retry"}"#.into(), 422, "note"),
        (RELEASE, r#"{"action":"retry","note":" "}"#.into(), 422, "note"),
    ] {
        let request = world.request(Method::POST, "amministratore", path).header("content-type", "application/json");
        let refused = problem(request.body(body.clone()).send().await.unwrap(), status).await;
        assert!(refused["detail"].as_str().unwrap().contains(word), "{body}: {refused}");
    }
    let request = world.request(Method::POST, "approvatore", DECISION).header("content-type", "text/plain");
    let _ = problem(request.body(yes(&world).to_string()).send().await.unwrap(), 415).await;
    assert!(world.hub.words.lock().unwrap().is_empty());
    assert!(world.hub.releases.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_caller_who_hangs_up_does_not_break_off_a_command() {
    let world = Arc::new(World::new().await);
    world.hub.gate.forget_permits(1_000);
    let caller = tokio::spawn({
        let world = world.clone();
        async move {
            drop(world.post("approvatore", DECISION, yes(&world)).await);
        }
    });
    world.hub.arrived.acquire().await.unwrap().forget();
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    // The connection is closed now; a request on a new one shows that the server has gone on.
    let _ = world.read("", "/health/live").await;
    world.hub.gate.add_permits(1);
    let finished = tokio::time::timeout(Duration::from_secs(10), world.hub.finished.acquire()).await;
    finished.expect("the command was broken off").unwrap().forget();
    assert_eq!(world.hub.words.lock().unwrap().len(), 1);
}
