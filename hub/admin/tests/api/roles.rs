//! Each role at each kind of call.

use hub_admin::Role;
use serde_json::json;

use crate::fixture::Api;

/// The statuses that each role gets: read, metrics, decide, release.
const TABLE: [(Role, [u16; 4]); 6] = [
    (Role::Operatore, [200, 200, 200, 200]),
    (Role::Approvatore, [200, 403, 200, 403]),
    (Role::Controllore, [200, 403, 200, 200]),
    (Role::Integratore, [200, 403, 200, 403]),
    (Role::Amministratore, [200, 200, 200, 200]),
    (Role::Revisore, [200, 200, 403, 403]),
];

#[tokio::test]
async fn each_role_may_do_what_the_table_says() {
    let api = Api::start().await;
    let document = format!("/api/v1/documents/{}", api.flusso);
    let mut reads = vec!["/api/openapi.json".to_string(), document];
    reads.extend(
        [
            "status",
            "routes",
            "alarms",
            "messages",
            "messages/m-UFAAAA",
            "cases",
            "cases/UFAAAA/2026/1",
            "cases/UFAAAA/2026/1/timeline",
            "cases/UFAAAA/2026/1/documents",
            "tasks",
            "tasks/w0-UFAAAA",
            "tasks/w0-UFAAAA/document",
            "parked",
            "parked/o0-UFAAAA",
            "parked/o0-UFAAAA/body",
            "statistics",
        ]
        .map(|path| format!("/api/v1/{path}")),
    );
    for (role, [read, metrics, decide, release]) in TABLE {
        let name = role.name();
        for path in &reads {
            assert_eq!(api.get(path, name).await.status().as_u16(), read, "{name} {path}");
        }
        assert_eq!(api.get("/metrics", name).await.status().as_u16(), metrics, "{name}");
        let word = json!({ "decision": "approve", "sha256": api.flusso });
        let answer = api.post("/api/v1/tasks/w0-UFAAAA/decision", name, word).await;
        assert_eq!(answer.status().as_u16(), decide, "{name}");
        let said = json!({ "action": "delivered", "note": "seen in the portal" });
        let answer = api.post("/api/v1/parked/o0-UFAAAA/release", name, said).await;
        assert_eq!(answer.status().as_u16(), release, "{name}");
    }
    // what was refused at the door never reached the hub
    assert_eq!(api.hub.words.lock().unwrap().len(), 5);
    assert_eq!(api.hub.releases.lock().unwrap().len(), 3);
    api.stop().await;
}

#[tokio::test]
async fn nobody_gets_in_without_a_token_that_is_known() {
    let api = Api::start().await;
    let url = format!("{}/api/v1/cases", api.base);
    for value in ["", "Bearer ", "Bearer x", "Basic YTpi", "bearer secret-token-of-nobody", "Bearer secret-token-of-aa"]
    {
        let answer = api.client.get(&url).header("authorization", value).send().await.unwrap();
        assert_eq!(answer.headers()["www-authenticate"], "Bearer", "{value}");
        let detail = crate::fixture::problem(answer, 401).await;
        assert!(!detail.contains("secret-token"), "{detail}");
    }
    let lower = api.client.get(&url).header("authorization", "bearer secret-token-of-aaa").send().await.unwrap();
    assert_eq!(lower.status(), 200);
    api.stop().await;
}

#[tokio::test]
async fn without_tokens_only_health_answers() {
    let settings = hub_admin::AdminSettings { bind: "127.0.0.1:0".into(), ..Default::default() };
    let api = Api::with(settings).await;
    assert_eq!(api.get("/health/live", "").await.status(), 200);
    assert_eq!(api.get("/health/ready", "").await.status(), 200);
    for path in ["/metrics", "/api/openapi.json", "/api/v1/cases", "/api/v1/routes", "/", "/nothing"] {
        assert_eq!(api.get(path, "").await.status(), 401, "{path}");
    }
    api.stop().await;
}

#[tokio::test]
async fn metrics_may_be_open_on_loopback() {
    let settings = hub_admin::AdminSettings { metrics_open: true, ..crate::fixture::settings() };
    let api = Api::with(settings).await;
    assert_eq!(api.get("/metrics", "").await.status(), 200);
    assert_eq!(api.get("/metrics", "approvatore").await.status(), 200);
    assert_eq!(api.get("/api/v1/cases", "").await.status(), 401);
    api.stop().await;
}
