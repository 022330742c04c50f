//! Who may do what.

use reqwest::Method;
use serde_json::json;

use crate::world::{ROLES, World, problem, settings, token, tokens};

/// Every address with an id that exists.
fn reads(world: &World) -> Vec<String> {
    let paths = [
        "status",
        "routes",
        "alarms",
        "messages",
        "messages/m-UFAAAA_2026_1",
        "cases",
        "cases/UFAAAA%2F2026%2F1",
        "cases/UFAAAA%2F2026%2F1/timeline",
        "cases/UFAAAA%2F2026%2F1/documents",
        "tasks",
        "tasks/w0-a",
        "tasks/w0-a/document",
        "parked",
        "parked/o0-a",
        "parked/o0-a/body",
        "statistics",
    ];
    let own = paths.into_iter().map(|path| format!("/api/v1/{path}"));
    own.chain([format!("/api/v1/documents/{}", world.flow), "/api/openapi.json".into()]).collect()
}

#[tokio::test]
async fn each_role_may_do_what_the_table_says_and_nothing_else() {
    let world = World::new().await;
    let decision = json!({ "decision": "approve", "sha256": world.flow });
    let release = json!({ "action": "give_up", "note": "x" });
    for role in ROLES {
        for path in reads(&world) {
            assert_eq!(world.get(role, &path).await.status(), 200, "{role} {path}");
        }
        // whether the word counts is the owner's to say
        assert_eq!(world.post(role, "/api/v1/tasks/w0-a/decision", decision.clone()).await.status(), 200, "{role}");
        let expected = if ["operatore", "controllore", "amministratore"].contains(&role) { 200 } else { 403 };
        let response = world.post(role, "/api/v1/parked/o0-a/release", release.clone()).await;
        assert_eq!(response.status(), expected, "{role} release");
        let expected = if ["operatore", "revisore", "amministratore"].contains(&role) { 200 } else { 403 };
        assert_eq!(world.get(role, "/metrics").await.status(), expected, "{role} metrics");
    }
    assert_eq!(world.hub.releases.lock().unwrap().len(), 3);
    let refused = problem(world.post("revisore", "/api/v1/parked/o0-a/release", release).await, 403).await;
    assert!(refused["detail"].as_str().unwrap().contains("operatore, controllore, amministratore"), "{refused}");
}

#[tokio::test]
async fn without_a_known_token_nothing_but_health_answers() {
    let world = World::new().await;
    let mut paths = reads(&world);
    paths.extend(["/metrics", "/", "/api/v1/nothing", "/health", "/health/live/x"].map(String::from));
    for path in &paths {
        let response = world.get("", path).await;
        assert_eq!(response.headers()["www-authenticate"], "Bearer", "{path}");
        let _ = problem(response, 401).await;
    }
    for path in ["/api/v1/tasks/w0-a/decision", "/api/v1/parked/o0-a/release"] {
        let _ = problem(world.post("", path, json!({})).await, 401).await;
    }
    let good = token("operatore");
    for header in [
        "Bearer wrong-token-0123456789".to_string(),
        "Bearer".into(),
        "Bearer ".into(),
        format!("Basic {good}"),
        good.clone(),
        format!("Bearer {}", &good[..good.len() - 1]),
        format!("Bearer {good}x"),
    ] {
        let request = world.request(Method::GET, "", "/api/v1/status").header("authorization", &header);
        let _ = problem(request.send().await.unwrap(), 401).await;
    }
    let twice =
        world.request(Method::GET, "operatore", "/api/v1/status").header("authorization", format!("Bearer {good}"));
    let _ = problem(twice.send().await.unwrap(), 401).await;
    let lower = world.request(Method::GET, "", "/api/v1/status").header("authorization", format!("bearer {good}"));
    assert_eq!(lower.send().await.unwrap().status(), 200);
    for path in ["/health/live", "/health/ready"] {
        assert_eq!(world.get("", path).await.status(), 200);
    }
}

#[tokio::test]
async fn without_any_token_nobody_is_let_in() {
    let world = World::with(json!({ "bind": "127.0.0.1:0" })).await;
    assert_eq!(world.get("", "/health/live").await.status(), 200);
    for (who, path) in [("", "/api/v1/status"), ("operatore", "/api/v1/status"), ("", "/metrics")] {
        let _ = problem(world.get(who, path).await, 401).await;
    }
}

#[tokio::test]
async fn metrics_can_be_open_on_loopback() {
    let world = World::with(json!({ "bind": "127.0.0.1:0", "metrics_open": true, "tokens": tokens() })).await;
    assert_eq!(world.get("", "/metrics").await.status(), 200);
    assert_eq!(world.get("approvatore", "/metrics").await.status(), 200);
    let _ = problem(world.get("", "/api/v1/status").await, 401).await;
}

#[tokio::test]
async fn tokens_never_show() {
    let world = World::new().await;
    let shown = format!("{:?}", settings(json!({ "bind": "127.0.0.1:0", "tokens": tokens() })));
    assert!(!shown.contains("secret-token"), "{shown}");
    let mut paths = reads(&world);
    paths.extend(["/metrics", "/api/v1/nothing", "/api/v1/cases?x=1"].map(String::from));
    for path in paths {
        let response = world.get("amministratore", &path).await;
        let headers = format!("{:?}", response.headers());
        let text = headers + &response.text().await.unwrap();
        assert!(!text.contains("secret-token"), "{path}");
    }
}
