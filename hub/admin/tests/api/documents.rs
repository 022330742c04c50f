//! Documents leave as they are, and only to those who may see them.

use crate::fixture::{Api, FLUSSO, problem};

#[tokio::test]
async fn documents_are_downloads_of_the_exact_bytes() {
    let api = Api::start().await;
    let document = format!("/api/v1/documents/{}", api.flusso);
    for path in [document.as_str(), "/api/v1/tasks/w0-UFAAAA/document", "/api/v1/parked/o0-UFAAAA/body"] {
        let answer = api.get(path, "aaa").await;
        assert_eq!(answer.status(), 200, "{path}");
        let headers = answer.headers().clone();
        assert_eq!(headers["content-type"], "application/xml");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["cache-control"], "no-store");
        assert!(headers["content-disposition"].to_str().unwrap().starts_with("attachment"));
        assert_eq!(answer.bytes().await.unwrap(), FLUSSO);
    }
    let name = api.get(&document, "aaa").await.headers()["content-disposition"].clone();
    assert_eq!(name, "attachment; filename=\"flusso__1_.xml\"");
    api.stop().await;
}

#[tokio::test]
async fn documents_of_others_do_not_exist() {
    let mut settings = crate::fixture::settings();
    settings.tokens.push(crate::fixture::person("ccc", &[hub_admin::Role::Approvatore], Some(&["UFCCCC"])));
    let api = Api::with(settings).await;
    let document = format!("/api/v1/documents/{}", api.flusso);
    for path in [document.as_str(), "/api/v1/tasks/w0-UFAAAA/document", "/api/v1/parked/o0-UFAAAA/body"] {
        let _ = problem(api.get(path, "ccc").await, 404).await;
        let _ = problem(api.get(path, "").await, 401).await;
    }
    let _ = problem(api.get("/api/v1/documents/0000", "revisore").await, 404).await;
    api.stop().await;
}
