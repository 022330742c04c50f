//! Starting, refusing to start, stopping.

use std::path::Path;
use std::sync::Arc;

use hub_admin::{AdminSettings, Error, serve};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::{World, settings, token, tokens};

async fn refused(world: &World, admin: Value, root: &Path) -> String {
    let error = serve(settings(admin), world.state(), root).await.expect_err("must not start");
    let text = error.to_string();
    assert!(!text.contains("secret-token"), "{text}");
    text
}

#[tokio::test]
async fn settings_that_would_be_unsafe_are_refused_with_a_way_out() {
    let world = World::new().await;
    let tls = json!({ "cert": "c.pem", "key": "k.pem" });
    let one = |field: &str, value: Value| {
        let mut token = tokens()[0].clone();
        token[field] = value;
        json!({ "bind": "127.0.0.1:0", "tokens": [token] })
    };
    for (admin, words) in [
        (json!({ "bind": "0.0.0.0:0" }), ["admin.bind", "tls"]),
        (json!({ "bind": "0.0.0.0:0", "tokens": tokens() }), ["admin.bind", "tls"]),
        (json!({ "bind": "[::]:0", "tokens": tokens() }), ["admin.bind", "tls"]),
        (json!({ "bind": "0.0.0.0:0", "tls": tls }), ["admin.bind", "tokens"]),
        (
            json!({ "bind": "0.0.0.0:0", "tls": tls, "tokens": tokens(), "metrics_open": true }),
            ["admin.metrics_open", "loopback"],
        ),
        (json!({ "bind": "localhost" }), ["admin.bind", "127.0.0.1:8181"]),
        (json!({ "bind": "127.0.0.1:0", "tls": tls }), ["admin.tls", "c.pem"]),
        (one("token", json!("short")), ["admin.tokens[0].token", "20"]),
        (one("person", json!(" ")), ["admin.tokens[0].person", "empty"]),
        (one("roles", json!([])), ["admin.tokens[0].roles", "operatore"]),
        (one("entities", json!([])), ["admin.tokens[0].entities", "leave it out"]),
        (json!({ "tokens": [tokens()[0], tokens()[0]] }), ["admin.tokens[1].token", "somebody else"]),
    ] {
        let text = refused(&world, admin, Path::new("/nowhere")).await;
        assert!(words.iter().all(|word| text.contains(word)), "{text} lacks {words:?}");
    }
    let taken = json!({ "bind": world.running.addr().to_string(), "tokens": tokens() });
    let error = serve(settings(taken), world.state(), Path::new(".")).await.expect_err("the address is taken");
    assert!(matches!(error, Error::Bind { .. }), "{error}");
}

#[test]
fn settings_that_nobody_knows_are_named() {
    for (admin, word) in [
        (json!({ "bnid": "x" }), "bnid"),
        (json!({ "tokens": [{ "token": "t", "person": "p", "roles": ["boss"] }] }), "boss"),
        (json!({ "tokens": [{ "token": "t", "person": "p", "roles": [], "role": "x" }] }), "`role`"),
        (json!({ "tls": { "cert": "c" } }), "key"),
    ] {
        let error = AdminSettings::deserialize(admin).expect_err("unknown").to_string();
        assert!(error.contains(word), "{error} lacks {word}");
    }
}

#[tokio::test]
async fn with_a_certificate_it_speaks_tls_on_any_address() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into()]).unwrap();
    std::fs::write(folder.path().join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let admin = json!({ "bind": "0.0.0.0:0", "tls": { "cert": "cert.pem", "key": "key.pem" }, "tokens": tokens() });
    let running = serve(settings(admin.clone()), world.state(), folder.path()).await.unwrap();
    assert!(running.url().starts_with("https://0.0.0.0:"));
    let port = running.addr().port();

    let root = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let http = reqwest::Client::builder().tls_certs_only([root]).build().unwrap();
    let ask =
        |scheme: &str| http.get(format!("{scheme}://127.0.0.1:{port}/api/v1/status")).bearer_auth(token("revisore"));
    assert_eq!(ask("https").send().await.unwrap().status(), 200);
    assert!(ask("http").send().await.is_err());
    running.shutdown().await;

    std::fs::write(folder.path().join("key.pem"), "no key").unwrap();
    let text = refused(&world, admin, folder.path()).await;
    assert!(text.contains("key.pem") && !text.contains("no key"), "{text}");
}

#[tokio::test]
async fn stopping_lets_a_request_end_and_takes_no_more() {
    let world = World::new().await;
    world.hub.gate.forget_permits(1_000);
    let World { hub, running, flow, .. } = &world;
    let body = json!({ "decision": "approve", "sha256": flow });
    let request = world.request(Method::POST, "approvatore", "/api/v1/tasks/w0-a/decision");
    let request = request.header("content-type", "application/json").body(body.to_string());
    let under_way = tokio::spawn(request.send());
    hub.arrived.acquire().await.unwrap().forget();

    let (addr, hub) = (running.addr(), Arc::clone(hub));
    let World { running, .. } = world;
    let stopping = tokio::spawn(running.shutdown());
    // The listening socket is closed before the requests under way are waited for.
    while tokio::net::TcpStream::connect(addr).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!stopping.is_finished());
    hub.gate.add_permits(1);
    assert_eq!(under_way.await.unwrap().unwrap().status(), 200);
    stopping.await.unwrap();
}

#[tokio::test]
async fn headers_beyond_the_limit_are_refused_and_the_next_caller_is_served() {
    let world = World::new().await;
    let mut stream = tokio::net::TcpStream::connect(world.running.addr()).await.unwrap();
    let request = format!("GET /health/live HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", "a".repeat(40_000));
    // The server may close while we still write: that is fine too.
    drop(stream.write_all(request.as_bytes()).await);
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer).await);
    assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(world.get("", "/health/live").await.status(), 200);
}
