//! The listener and its paths, over real sockets; the runtime is played by hand.

#![allow(clippy::unwrap_used, reason = "a test panics when something is wrong")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use connector_http::{PLUGIN, address};
use hub_core::plugin::OpenCx;
use hub_core::{Intake, Problem, Source, Value, Verdict};
use hub_testkit::{ManualClock, bench, stored};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::json;

const KEY: &str = "sap-key-0123456789";

struct Bench {
    folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
    cx: OpenCx,
}

impl Bench {
    /// A context with the listener `default` on a free port and these settings.
    fn new(more: Value) -> Self {
        let (folder, clock) = (tempfile::tempdir().unwrap(), Arc::new(ManualClock::working_day()));
        let clients = json!([
            { "name": "sap", "api_key": KEY, "certificate_subject_cn": "sap-client", "roles": ["contabile"] },
            { "name": "other", "api_key": "other-key-0123456789", "certificate_subject_cn": "other-client" },
        ]);
        let mut settings = json!({ "bind": "127.0.0.1:0", "clients": clients, "max_body": "1kB" });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let cx = bench::open_cx(clock.clone(), folder.path());
        let cx = bench::with_settings(cx, "listeners", "default", settings);
        Self { folder, clock, cx }
    }

    async fn try_open(&self, route: &str, config: Value) -> Result<Box<dyn Source>, String> {
        let parsed = (PLUGIN.sources[0].parse)(&config)?;
        assert_eq!(parsed.problems, []);
        let mut cx = self.cx.clone();
        cx.route = route.into();
        parsed.opens.open(&cx).await.map_err(|e| e.to_string())
    }

    async fn open(&self, config: Value) -> Box<dyn Source> {
        self.try_open("test", config).await.unwrap()
    }

    fn address(&self) -> SocketAddr {
        address(&self.cx.shared, "default").unwrap()
    }

    fn post(&self, path: &str) -> RequestBuilder {
        let client = Client::builder().no_proxy().build().unwrap();
        client.post(format!("http://{}{path}", self.address())).header("content-type", "application/json")
    }
}

/// Sends a request and plays the runtime: takes the batch, settles it with this verdict.
async fn settled(source: &mut Box<dyn Source>, request: RequestBuilder, verdict: Verdict) -> (Intake, Response) {
    let answer = tokio::spawn(request.send());
    let intake = source.next().await.unwrap().unwrap();
    source.settle(vec![verdict]).await.unwrap();
    (intake, answer.await.unwrap().unwrap())
}

fn taken(again: bool) -> Verdict {
    Verdict::Stored { id: hub_core::MessageId::from_text("m1"), case: "c1".into(), again }
}

async fn body(response: Response) -> Value {
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

#[tokio::test]
async fn a_sender_is_answered_only_when_its_message_is_settled() {
    let bench = Bench::new(json!({}));
    let mut source = bench.open(json!({ "path": "/in", "auth": "api_key", "keep_headers": ["X-Trace"] })).await;
    let request = bench.post("/in").bearer_auth(KEY).header("Idempotency-Key", "k1").header("x-trace", "t").body("{}");
    let answer = tokio::spawn(request.send());
    let intake = source.next().await.unwrap().unwrap();
    assert!(!answer.is_finished());
    let message = &intake.messages[0];
    let expected = [
        ("content-type", "application/json"),
        ("idempotency-key", "k1"),
        ("origin", "/in"),
        ("sender", "sap"),
        ("x-trace", "t"),
    ];
    assert_eq!(message.headers.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect::<Vec<_>>(), expected);
    assert!(message.answerable);
    source.settle(stored(&intake.messages)).await.unwrap();
    let response = answer.await.unwrap().unwrap();
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    assert_eq!(body(response).await["status"], "accepted");
}

#[tokio::test]
async fn a_key_names_a_message_and_no_key_makes_each_request_one() {
    let bench = Bench::new(json!({}));
    let mut source = bench.open(json!({ "path": "/in", "auth": "api_key" })).await;
    let mut ids = Vec::new();
    for (client, key) in
        [(KEY, Some("k")), (KEY, Some("k")), ("other-key-0123456789", Some("k")), (KEY, None), (KEY, None)]
    {
        let mut request = bench.post("/in").header("x-api-key", client).body("{}");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let (intake, response) = settled(&mut source, request, taken(ids.len() == 1)).await;
        assert_eq!(response.headers().contains_key("idempotent-replayed"), ids.len() == 1);
        assert_eq!(intake.messages[0].key.as_ref().map(|k| k.key.as_str()), key);
        ids.push(intake.messages[0].id.clone());
    }
    assert_eq!(ids[0], ids[1]);
    ids.remove(0);
    let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), 4);
}

#[tokio::test]
async fn each_verdict_has_its_answer() {
    let bench = Bench::new(json!({}));
    let mut source = bench.open(json!({ "path": "/in", "auth": "none" })).await;
    let two = vec![Problem::at("opi.iban", "/iban", "is wrong"), Problem::at("opi.cig", "/cig", "is missing")];
    let verdicts = [
        (Verdict::Refused { problems: two }, 422),
        (Verdict::Refused { problems: vec![Problem::at("opi.cig", "/cig", "is missing")] }, 422),
        (Verdict::Refused { problems: vec![Problem::at("json", "", "line 1: eh")] }, 400),
        (Verdict::Conflict { detail: "used before".into() }, 409),
        (Verdict::Busy { retry_after: "1500ms".parse().unwrap() }, 429),
        (Verdict::Parked { id: hub_core::MessageId::from_text("m") }, 202),
    ];
    for (verdict, status) in verdicts {
        let (_, response) = settled(&mut source, bench.post("/in").body("{}"), verdict.clone()).await;
        assert_eq!(response.status().as_u16(), status);
        match &verdict {
            Verdict::Busy { .. } => assert_eq!(response.headers()["retry-after"], "2"),
            Verdict::Refused { problems } => {
                assert_eq!(response.headers()["content-type"], "application/problem+json");
                let body = body(response).await;
                assert_eq!((&body["status"], &body["problems"]), (&json!(status), &json!(problems)));
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn wrong_requests_are_refused_before_they_reach_the_runtime() {
    let bench = Bench::new(json!({}));
    let config = json!({ "path": "/in", "auth": "api_key", "allow": ["contabile"], "require_key": true });
    let _source = bench.open(config).await;
    let good = || bench.post("/in").bearer_auth(KEY).header("idempotency-key", "k");
    let put = Client::new().put(format!("http://{}/in", bench.address())).bearer_auth(KEY);
    let bare = Client::new().post(format!("http://{}/in", bench.address())).bearer_auth(KEY);
    let chunks = futures_util::stream::iter((0..3).map(|_| Ok::<_, std::io::Error>(vec![b'1'; 500])));
    let requests = [
        (bench.post("/elsewhere").bearer_auth(KEY), 404),
        (bench.post("/in"), 401),
        (bench.post("/in").bearer_auth("wrong-key-0123456789"), 401),
        (bench.post("/in").header("x-api-key", ""), 401),
        (bench.post("/in").bearer_auth("other-key-0123456789"), 403),
        (put, 405),
        (bare.header("content-type", "text/csv").body("a;b"), 415),
        (good().header("content-encoding", "gzip").body("x"), 415),
        (bench.post("/in").bearer_auth(KEY).body("{}"), 400),
        (good().header("idempotency-key", "second").body("{}"), 400),
        (bench.post("/in").bearer_auth(KEY).header("idempotency-key", "x".repeat(256)).body("{}"), 400),
        (good().body("1".repeat(1001)), 413),
        (good().body(reqwest::Body::wrap_stream(chunks)), 413),
    ];
    for (index, (request, status)) in requests.into_iter().enumerate() {
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "request {index}");
        assert_eq!(response.headers()["content-type"], "application/problem+json", "request {index}");
        assert!(!body(response).await["detail"].as_str().unwrap().contains(KEY));
    }
}

#[tokio::test]
async fn a_full_listener_asks_to_come_again_and_recovers() {
    let bench = Bench::new(json!({ "in_flight": 1 }));
    let mut source = bench.open(json!({ "path": "/in", "auth": "none" })).await;
    let first = tokio::spawn(bench.post("/in").body("{}").send());
    let intake = source.next().await.unwrap().unwrap();
    let second = bench.post("/in").body("{}").send().await.unwrap();
    assert_eq!((second.status().as_u16(), second.headers()["retry-after"].to_str().unwrap()), (429, "1"));
    source.settle(stored(&intake.messages)).await.unwrap();
    assert_eq!(first.await.unwrap().unwrap().status(), 202);
    let (_, third) = settled(&mut source, bench.post("/in").body("{}"), taken(false)).await;
    assert_eq!(third.status(), 202);
}

#[tokio::test]
async fn what_waits_meanwhile_is_the_next_batch() {
    let bench = Bench::new(json!({}));
    let mut source = bench.open(json!({ "path": "/in", "auth": "none" })).await;
    let answers: Vec<_> = (0..20).map(|_| tokio::spawn(bench.post("/in").body("{}").send())).collect();
    let mut seen = 0;
    while seen < 20 {
        let intake = source.next().await.unwrap().unwrap();
        seen += intake.messages.len();
        source.settle(stored(&intake.messages)).await.unwrap();
    }
    for answer in answers {
        assert_eq!(answer.await.unwrap().unwrap().status(), 202);
    }
}

#[tokio::test]
async fn nobody_waits_for_ever() {
    let bench = Bench::new(json!({}));
    let mut source = bench.open(json!({ "path": "/in", "auth": "none" })).await;
    let answer = tokio::spawn(bench.post("/in").header("idempotency-key", "k").body("{}").send());
    let _never_settled = source.next().await.unwrap().unwrap();
    bench.clock.sleeping(1).await;
    bench.clock.advance(Duration::from_secs(31));
    let response = answer.await.unwrap().unwrap();
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));
    assert!(body(response).await["detail"].as_str().unwrap().contains("same Idempotency-Key"));
}

#[tokio::test]
async fn a_route_that_stops_leaves_its_senders_waiting_not_lost() {
    let bench = Bench::new(json!({}));
    let config = json!({ "path": "/in", "auth": "none" });
    let mut source = bench.open(config.clone()).await;
    let answer = tokio::spawn(bench.post("/in").body("{}").send());
    let _in_flight = source.next().await.unwrap().unwrap();
    drop(source);
    assert_eq!(answer.await.unwrap().unwrap().status(), 503);
    assert_eq!(bench.post("/in").body("{}").send().await.unwrap().status(), 503);
    let mut again = bench.open(config).await;
    assert_eq!(settled(&mut again, bench.post("/in").body("{}"), taken(false)).await.1.status(), 202);
}

#[tokio::test]
async fn a_path_belongs_to_one_route_and_its_new_version_takes_it_over() {
    let bench = Bench::new(json!({}));
    let config = json!({ "path": "/in", "auth": "none" });
    let old = bench.open(config.clone()).await;
    let error = bench.try_open("another", config.clone()).await.err().unwrap();
    assert!(error.contains("route `test`"), "{error}");
    let mut new = bench.open(config).await;
    drop(old);
    assert_eq!(settled(&mut new, bench.post("/in").body("{}"), taken(false)).await.1.status(), 202);
}

#[tokio::test]
async fn the_socket_closes_with_its_last_user() {
    let bench = Bench::new(json!({ "address_file": "address" }));
    let source = bench.open(json!({ "path": "/in", "auth": "none" })).await;
    let address = bench.address();
    assert_eq!(std::fs::read_to_string(bench.folder.path().join("address")).unwrap(), address.to_string());
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    drop((source, bench));
    // The end of the idle connection shows that the listener has gone (a reset, if it had not been accepted yet).
    stream.readable().await.unwrap();
    let ended = stream.try_read(&mut [0]);
    let reset = |e: &std::io::Error| e.kind() == std::io::ErrorKind::ConnectionReset;
    assert!(ended.as_ref().is_ok_and(|read| *read == 0) || ended.as_ref().is_err_and(reset), "{ended:?}");
}

#[tokio::test]
async fn settings_that_would_be_unsafe_do_not_open() {
    let open_to_all = Bench::new(json!({ "bind": "0.0.0.0:0" }));
    let error = open_to_all.try_open("r", json!({ "path": "/in", "auth": "none" })).await.err().unwrap();
    assert!(error.contains("loopback"), "{error}");
    let plain = Bench::new(json!({}));
    let error = plain.try_open("r", json!({ "path": "/in", "auth": "mtls" })).await.err().unwrap();
    assert!(error.contains("client_ca"), "{error}");
    let short = Bench::new(json!({ "clients": [{ "name": "x", "api_key": "short-secret" }] }));
    let error = short.try_open("r", json!({ "path": "/in", "auth": "api_key" })).await.err().unwrap();
    assert!(error.contains("16 characters") && !error.contains("short-secret"), "{error}");
}

fn tls_client(bench: &Bench, identity: Option<&str>) -> Client {
    let read = |name: String| std::fs::read(bench.folder.path().join(name)).unwrap();
    let mut builder = Client::builder().no_proxy();
    builder = builder.tls_certs_only([reqwest::Certificate::from_pem(&read("ca.pem".into())).unwrap()]);
    if let Some(name) = identity {
        let pem = [read(format!("{name}.key")), read(format!("{name}.pem"))].concat();
        builder = builder.identity(reqwest::Identity::from_pem(&pem).unwrap());
    }
    builder.build().unwrap()
}

#[tokio::test]
async fn a_client_certificate_names_the_sender() {
    let tls = json!({ "cert": "server.pem", "key": "server.key", "client_ca": "ca.pem" });
    let bench = Bench::new(json!({ "tls": tls }));
    hub_testkit::certificates(bench.folder.path(), "ca", &["server", "sap-client", "stranger"]);
    hub_testkit::certificates(bench.folder.path(), "wrong-ca", &["forged"]);
    let mut source = bench.open(json!({ "path": "/in", "auth": "mtls" })).await;
    let post = |client: &Client| {
        let url = format!("https://{}/in", bench.address());
        client.post(url).header("content-type", "application/json").body("{}")
    };
    let (intake, response) = settled(&mut source, post(&tls_client(&bench, Some("sap-client"))), taken(false)).await;
    assert_eq!((response.status().as_u16(), intake.messages[0].headers["sender"].as_str()), (202, "sap"));
    assert_eq!(post(&tls_client(&bench, Some("stranger"))).send().await.unwrap().status(), 401);
    let keyed = post(&tls_client(&bench, None)).bearer_auth(KEY).send().await.unwrap();
    assert_eq!(keyed.status(), 401, "a key does not stand in for a certificate");
    assert!(post(&tls_client(&bench, Some("forged"))).send().await.is_err(), "the handshake fails");
}
