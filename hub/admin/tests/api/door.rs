//! Who may listen where; TLS; the end.

use std::path::PathBuf;
use std::sync::Arc;

use hub_admin::{AdminSettings, Role, TlsSettings, serve};
use hub_backbone::Blobs;
use hub_core::Secret;

use crate::fixture::{Api, person, settings, state_of, token_of};
use crate::hub::PlayedHub;

async fn refusal(settings: &AdminSettings) -> String {
    let folder = tempfile::tempdir().unwrap();
    let hub = Arc::new(PlayedHub::default());
    let flusso = hub.blobs.put(b"x").await.unwrap();
    serve(settings, state_of(folder.path(), hub, &flusso)).await.unwrap_err().to_string()
}

fn tls_files(folder: &std::path::Path) -> (TlsSettings, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_string()]).unwrap();
    let tls = TlsSettings { cert: folder.join("cert.pem"), key: folder.join("key.pem") };
    std::fs::write(&tls.cert, made.cert.pem()).unwrap();
    std::fs::write(&tls.key, made.signing_key.serialize_pem()).unwrap();
    (tls, made.cert.pem())
}

#[tokio::test]
async fn a_bind_beyond_loopback_needs_tls_and_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let (tls, _) = tls_files(folder.path());
    let open = AdminSettings { bind: "0.0.0.0:0".into(), ..AdminSettings::default() };
    let cases = [
        (open.clone(), "`admin.tls` and `admin.tokens`"),
        (AdminSettings { tokens: settings().tokens, ..open.clone() }, "set `admin.tls`"),
        (AdminSettings { tls: Some(tls.clone()), ..open.clone() }, "set `admin.tokens`"),
        (AdminSettings { tls: Some(tls), tokens: settings().tokens, metrics_open: true, ..open }, "metrics_open"),
    ];
    for (settings, text) in cases {
        let error = refusal(&settings).await;
        assert!(error.contains("0.0.0.0:0 is not loopback") && error.contains(text), "{error}");
    }
}

#[tokio::test]
async fn mistakes_in_tokens_are_all_named_and_never_quoted() {
    let mut wrong = settings();
    wrong.tokens = vec![
        person("anna", &[], None),
        person("anna", &[Role::Revisore], Some(&[])),
        person("", &[Role::Revisore], Some(&["UFAAAA", ""])),
    ];
    wrong.tokens[2].token = Secret::new("hunter2".into());
    let error = refusal(&wrong).await;
    for text in [
        "[0]: `roles` is empty",
        "[1]: `entities` is empty",
        "[1]: this token stands above",
        "[2]: the token is shorter",
        "[2]: `person`",
        "[2]: `entities`",
    ] {
        assert!(error.contains(text), "{text} is missing in {error}");
    }
    assert!(!error.contains("hunter2") && !error.contains(&token_of("anna")), "{error}");
    assert!(!format!("{wrong:?}").contains("hunter2"));
}

#[tokio::test]
async fn an_unusable_certificate_or_address_is_named() {
    let missing = TlsSettings { cert: PathBuf::from("/nowhere/cert.pem"), key: PathBuf::from("/nowhere/key.pem") };
    let error = refusal(&AdminSettings { tls: Some(missing), ..settings() }).await;
    assert!(error.contains("/nowhere/cert.pem"), "{error}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let bind = taken.local_addr().unwrap().to_string();
    let error = refusal(&AdminSettings { bind: bind.clone(), ..settings() }).await;
    assert!(error.contains(&bind), "{error}");
}

#[tokio::test]
async fn it_speaks_tls() {
    let folder = tempfile::tempdir().unwrap();
    let (tls, cert) = tls_files(folder.path());
    let mut api = Api::with(AdminSettings { bind: "0.0.0.0:0".into(), tls: Some(tls), ..settings() }).await;
    let root = reqwest::Certificate::from_pem(cert.as_bytes()).unwrap();
    api.client = reqwest::Client::builder().tls_certs_only([root]).build().unwrap();
    assert_eq!(api.get("/health/live", "").await.status(), 200);
    assert_eq!(api.json("/api/v1/cases", "aaa").await["items"].as_array().unwrap().len(), 1);
    let plain = api.base.replace("https", "http");
    assert!(reqwest::get(format!("{plain}/health/live")).await.is_err());
    api.stop().await;
}

#[tokio::test]
async fn it_ends_gracefully() {
    let api = Api::start().await;
    assert_eq!(api.get("/health/live", "").await.status(), 200); // leaves a connection open for more
    let (base, client) = (api.base.clone(), api.client.clone());
    let begin = std::time::Instant::now();
    api.stop().await;
    assert!(begin.elapsed().as_secs() < 5, "an idle connection held up the end");
    assert!(client.get(format!("{base}/health/live")).send().await.is_err());
}

#[test]
fn settings_read_from_configuration() {
    let settings: AdminSettings = serde_json::from_str(
        r#"{"bind":"127.0.0.1:0","tokens":[{"token":"0123456789abcdef","person":"anna","roles":["approvatore","revisore"]}]}"#,
    )
    .unwrap();
    assert_eq!((settings.problems().len(), settings.tokens[0].roles.len()), (0, 2));
    assert!(settings.tokens[0].entities.is_none());
    let unknown = serde_json::from_str::<AdminSettings>(r#"{"tokenz":[]}"#).unwrap_err().to_string();
    assert!(unknown.contains("tokenz"), "{unknown}");
}
