//! What people say: it reaches the owner as it was said, and the verdict comes back.

use std::sync::atomic::Ordering;

use hub_core::journal::Decision;
use hub_life::outbound::Action;
use hub_life::task::Refusal;
use reqwest::Method;
use serde_json::{Value, json};

use crate::fixture::{Api, problem};

const DECISION: &str = "/api/v1/tasks/w0-UFAAAA/decision";
const RELEASE: &str = "/api/v1/parked/o0-UFAAAA/release";

#[tokio::test]
async fn a_decision_reaches_the_owner_and_its_verdict_comes_back() {
    let api = Api::start().await;
    let word = json!({ "decision": "approve", "comment": "visto", "sha256": "dd" });
    let answer = api.post(DECISION, "aaa", word).await;
    assert_eq!(answer.status(), 200);
    let verdict: Value = answer.json().await.unwrap();
    assert_eq!(verdict, json!({ "approvals": 1, "people": 2, "outcome": null, "position": "cases/1:7" }));
    let (task, word) = api.hub.words.lock().unwrap().pop().unwrap();
    assert_eq!((task.as_str(), word.person.as_str(), word.decision), ("w0-UFAAAA", "aaa", Decision::Approve));
    assert_eq!(
        (word.roles.as_slice(), word.entities.as_slice()),
        (&["operatore".into(), "approvatore".into()][..], &["UFAAAA".into()][..])
    );
    assert_eq!((word.comment.as_str(), word.sha256.as_str()), ("visto", "dd"));

    let everywhere = json!({ "decision": "reject", "sha256": "dd" });
    assert_eq!(api.post(DECISION, "approvatore", everywhere).await.status(), 200);
    assert!(api.hub.words.lock().unwrap().pop().unwrap().1.entities.is_empty());
    api.stop().await;
}

#[tokio::test]
async fn a_refused_word_says_why() {
    let api = Api::start().await;
    for (refusal, status, text) in [
        (Refusal::Unknown, 404, "no task"),
        (Refusal::WrongRole, 403, "none of the roles"),
        (Refusal::WrongEntity, 403, "entity"),
        (Refusal::Requester, 403, "asked for this payment"),
        (Refusal::NotOpen, 409, "closed"),
        (Refusal::SamePerson, 409, "already"),
        (Refusal::OtherDocument, 409, "another document"),
        (Refusal::WrongDecision, 409, "another word"),
    ] {
        *api.hub.refusal.lock().unwrap() = Some(refusal);
        let answer = api.post(DECISION, "aaa", json!({ "decision": "approve", "sha256": "dd" })).await;
        let detail = problem(answer, status).await;
        assert!(detail.contains(text), "{detail}");
    }
    api.hub.late.store(true, Ordering::SeqCst);
    let answer = api.post(DECISION, "aaa", json!({ "decision": "approve", "sha256": "dd" })).await;
    assert!(problem(answer, 504).await.contains("will be judged"));
    api.stop().await;
}

#[tokio::test]
async fn a_release_reaches_the_owner_and_its_verdict_comes_back() {
    let api = Api::start().await;
    for (name, action) in [
        ("retry", Action::Retry),
        ("delivered", Action::Delivered),
        ("not_delivered", Action::NotDelivered),
        ("give_up", Action::GiveUp),
    ] {
        let answer = api.post(RELEASE, "aaa", json!({ "action": name, "note": "ricevuta 77" })).await;
        assert_eq!(answer.json::<Value>().await.unwrap(), json!({ "position": "cases/1:8" }));
        let release = api.hub.releases.lock().unwrap().pop().unwrap();
        assert_eq!((release.parked.as_str(), release.action, release.by.as_str()), ("o0-UFAAAA", action, "aaa"));
        assert_eq!((release.entities, release.note.as_str()), (vec!["UFAAAA".to_string()], "ricevuta 77"));
    }
    *api.hub.not_released.lock().unwrap() = Some("retry does not fit a message in doubt".into());
    let said = json!({ "action": "retry", "note": "again" });
    assert!(problem(api.post(RELEASE, "aaa", said.clone()).await, 409).await.contains("does not fit"));
    let foreign = api.post("/api/v1/parked/o0-UFBBBB/release", "aaa", said).await;
    assert!(problem(foreign, 404).await.contains("that you may see"));
    api.stop().await;
}

#[tokio::test]
async fn bad_requests_are_problems_and_reach_nobody() {
    let api = Api::start().await;
    for (path, body) in [
        (DECISION, json!({ "decision": "perhaps", "sha256": "dd" })),
        (DECISION, json!({ "decision": "approve" })),
        (DECISION, json!({ "decision": "approve", "sha256": "dd", "person": "anna" })),
        (DECISION, json!({ "decision": "approve", "sha256": "dd", "comment": "x".repeat(5_000) })),
        (RELEASE, json!({ "action": "burn", "note": "x" })),
        (RELEASE, json!({ "action": "retry", "note": "  " })),
        (RELEASE, json!([])),
    ] {
        let answer = api.post(path, "aaa", body.clone()).await;
        let status = answer.status().as_u16();
        assert!([400, 422].contains(&status), "{body}: {status}");
        let _ = problem(answer, status).await;
    }
    let url = format!("{}{DECISION}", api.base);
    let post = |body: String, mime: &'static str| {
        let request = api.client.post(&url).bearer_auth(crate::fixture::token_of("aaa"));
        request.header("content-type", mime).body(body).send()
    };
    let _ = problem(post("{\"decision\":".into(), "application/json").await.unwrap(), 400).await;
    let _ = problem(post("a=b".into(), "text/plain").await.unwrap(), 415).await;
    let large = format!("{{\"comment\":\"{}\"}}", "x".repeat(70_000));
    let _ = problem(post(large, "application/json").await.unwrap(), 413).await;
    assert_eq!(api.hub.words.lock().unwrap().len() + api.hub.releases.lock().unwrap().len(), 0);
    api.stop().await;
}

#[tokio::test]
async fn wrong_paths_methods_and_queries_are_problems() {
    let api = Api::start().await;
    assert!(problem(api.get("/api/v1/nothing", "aaa").await, 404).await.contains("/api/v1/nothing"));
    let _ = problem(api.get("/", "aaa").await, 404).await;
    let wrong = api.call(Method::DELETE, "/api/v1/cases", "aaa", None).await;
    assert_eq!(wrong.headers()["allow"], "GET,HEAD");
    let _ = problem(wrong, 405).await;
    for query in [
        "limit=0",
        "limit=201",
        "limit=x",
        "cursor=%21",
        "from=yesterday",
        "amount_min=1e3",
        "amount_min=0.001",
        "colour=red",
    ] {
        let detail = problem(api.get(&format!("/api/v1/cases?{query}"), "aaa").await, 400).await;
        assert!(!detail.is_empty(), "{query}");
    }
    for path in ["statistics?from=2026-13", "cases/%ff", "cases/A?cursor=x", "tasks?open=maybe"] {
        let _ = problem(api.get(&format!("/api/v1/{path}"), "aaa").await, 400).await;
    }
    api.stop().await;
}
