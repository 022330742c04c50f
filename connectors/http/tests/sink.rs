//! The sink against a real server, behind a network that fails at every byte.

#![allow(clippy::unwrap_used, reason = "a test panics when something is wrong")]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use connector_http::PLUGIN;
use hub_core::{Attempt, Body, Crossing, Media, Outgoing, Receipt, Repeat, SendError, Sink, Value};
use hub_testkit::{FaultProxy, Limit, ManualClock, SinkBench, bench, cut_everywhere};
use serde_json::json;

#[derive(Default)]
struct Seen {
    taken: AtomicUsize,
    last: Mutex<Option<(Method, HeaderMap, Bytes)>>,
}

/// `/STATUS` answers with that status; a request counts as taken when its body has arrived to the end.
async fn server() -> (SocketAddr, Arc<Seen>) {
    async fn answer(
        Path(status): Path<u16>,
        State(seen): State<Arc<Seen>>,
        method: Method,
        headers: HeaderMap,
        body: Bytes,
    ) -> Response {
        *seen.last.lock().unwrap() = Some((method, headers, body));
        let _ = seen.taken.fetch_add(1, Ordering::SeqCst);
        let headers = [("retry-after", "7"), ("location", "/things/1"), ("content-type", "application/json")];
        (StatusCode::from_u16(status).unwrap(), headers, r#"{"n":12345678901234567890.10}"#).into_response()
    }
    let seen = Arc::new(Seen::default());
    let app = Router::new().route("/{status}", any(answer)).with_state(seen.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(tokio::spawn(async move { axum::serve(listener, app).await }));
    (address, seen)
}

async fn sink(url: String, more: Value) -> Arc<dyn Sink> {
    let mut config = json!({ "url": url });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let parsed = (PLUGIN.sinks[0].parse)(&config).unwrap();
    assert_eq!(parsed.problems, []);
    let clock = Arc::new(ManualClock::working_day());
    parsed.opens.open(&bench::open_cx(clock, std::path::Path::new("."))).await.unwrap()
}

fn attempt() -> Attempt {
    bench::attempt(&ManualClock::working_day(), Crossing::unfenced())
}

fn order() -> Outgoing {
    bench::outgoing(Body::new(Media::Json, r#"{"ordine":1}"#), json!({}))
}

async fn send(url: String, more: Value) -> Result<Receipt, SendError> {
    sink(url, more).await.send(&order(), &attempt()).await
}

struct Cut {
    receiver: SocketAddr,
    seen: Arc<Seen>,
}

#[async_trait]
impl SinkBench for Cut {
    fn receiver(&self) -> SocketAddr {
        self.receiver
    }
    async fn sink(&self, via: SocketAddr) -> Arc<dyn Sink> {
        sink(format!("http://{via}/201"), json!({})).await
    }
    fn outgoing(&self) -> Outgoing {
        order()
    }
    fn attempt(&self) -> Attempt {
        attempt()
    }
    async fn taken(&self) -> usize {
        self.seen.taken.load(Ordering::SeqCst)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_at_any_byte_is_told_as_it_was() {
    let (receiver, seen) = server().await;
    let observed = cut_everywhere(&Cut { receiver, seen }).await;
    // Cuts within the request are never taken; cuts within the answer always are.
    assert!(observed.taken > 50 && observed.in_doubt > 50, "{observed:?}");
    assert!(observed.receipts >= 1, "{observed:?}");
}

#[tokio::test]
async fn answers_mean_what_the_manual_says() {
    let (address, _) = server().await;
    for status in [200, 201, 204] {
        let receipt = send(format!("http://{address}/{status}"), json!({})).await.unwrap();
        assert_eq!(receipt.remote_id.as_deref(), Some("/things/1"));
        if status == 201 {
            assert_eq!(receipt.reply.to_string(), r#"{"n":12345678901234567890.10}"#);
        }
    }
    for status in [429, 503, 408] {
        let error = send(format!("http://{address}/{status}"), json!({})).await.unwrap_err();
        let SendError::NotSent { retry_after: Some(wish), .. } = error else { panic!("{status}: {error}") };
        assert_eq!(wish.to_string(), "7s");
    }
    for status in [500, 502, 504, 507] {
        let error = send(format!("http://{address}/{status}"), json!({})).await.unwrap_err();
        assert!(matches!(error, SendError::InDoubt { .. }), "{status}: {error}");
    }
    for status in [400, 404, 422, 302] {
        let error = send(format!("http://{address}/{status}"), json!({})).await.unwrap_err();
        assert!(matches!(&error, SendError::Rejected { code, .. } if *code == status.to_string()), "{status}: {error}");
    }
    let doubtful = json!({ "doubtful_statuses": [503], "not_taken_statuses": [500] });
    let error = send(format!("http://{address}/503"), doubtful.clone()).await.unwrap_err();
    assert!(matches!(error, SendError::InDoubt { .. }), "{error}");
    let error = send(format!("http://{address}/500"), doubtful).await.unwrap_err();
    assert!(matches!(error, SendError::NotSent { .. }), "{error}");
}

#[tokio::test]
async fn requests_carry_what_was_configured() {
    let (address, seen) = server().await;
    let more = json!({ "method": "put", "idempotency_header": true, "headers": { "x-a": "b" } });
    let _ = send(format!("http://{address}/200"), more).await.unwrap();
    let (method, headers, body) = seen.last.lock().unwrap().take().unwrap();
    assert_eq!((method, &body[..]), (Method::PUT, &br#"{"ordine":1}"#[..]));
    assert_eq!((&headers["x-a"], &headers["idempotency-key"]), (&"b".parse().unwrap(), &"test-key-1".parse().unwrap()));
    assert_eq!(
        (&headers["content-length"], &headers["content-type"]),
        (&"12".parse().unwrap(), &"application/json".parse().unwrap())
    );
}

#[tokio::test]
async fn a_closed_fence_leaves_the_receiver_without_a_request() {
    let (address, seen) = server().await;
    let proxy = FaultProxy::start(address).await.unwrap();
    for body in ["", "x", "a longer body"] {
        let sink = sink(format!("http://{}/200", proxy.address()), json!({})).await;
        let fenced = bench::attempt(&ManualClock::working_day(), Crossing::new(|| Err("its time is over".into())));
        let error = sink.send(&bench::outgoing(Body::new(Media::Text, body), json!({})), &fenced).await.unwrap_err();
        assert!(
            matches!(error, SendError::NotSent { .. }) && error.to_string().contains("its time is over"),
            "{error}"
        );
        drop(sink);
        proxy.idle().await;
        assert_eq!(seen.taken.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test]
async fn a_connection_that_was_not_made_is_not_sent() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    for body in ["", "x"] {
        let sink = sink(format!("http://{address}/200"), json!({})).await;
        let error = sink.send(&bench::outgoing(Body::new(Media::Text, body), json!({})), &attempt()).await.unwrap_err();
        assert!(matches!(error, SendError::NotSent { .. }), "{error}");
    }
}

#[tokio::test]
async fn an_answer_that_does_not_come_in_time_is_in_doubt() {
    let (address, seen) = server().await;
    let proxy = FaultProxy::start(address).await.unwrap();
    proxy.limit(Limit::StallToClient(0));
    let error = send(format!("http://{}/200", proxy.address()), json!({ "timeout": "300ms" })).await.unwrap_err();
    assert!(matches!(error, SendError::InDoubt { .. }), "{error}");
    assert_eq!(seen.taken.load(Ordering::SeqCst), 1);
}

/// The receiver does not read until the sender has given up, then reads to the end. The HTTP client's task sends on meanwhile;
/// all but the last byte may come. (That the gate alone is enough, whatever the client's task does, is tested beside it.)
#[tokio::test]
async fn whoever_gave_up_before_the_crossing_does_not_cross_later() {
    for is_dropped in [false, true] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sink = sink(format!("http://{}/200", listener.local_addr().unwrap()), json!({ "timeout": "500ms" })).await;
        let size = 16 * 1024 * 1024;
        let (large, attempt) = (bench::outgoing(Body::new(Media::Bytes, vec![b'x'; size]), json!({})), attempt());
        let limit = std::time::Duration::from_millis(if is_dropped { 200 } else { 60_000 });
        let outcome = tokio::time::timeout(limit, sink.send(&large, &attempt)).await;
        assert_eq!(outcome.is_err(), is_dropped);
        assert!(!attempt.crossing.crossed());
        if let Ok(outcome) = outcome {
            assert!(matches!(outcome, Err(SendError::NotSent { .. })), "{outcome:?}");
        }
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut received = Vec::new();
        drop(tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut received).await);
        let head = received.windows(4).position(|four| four == b"\r\n\r\n").map_or(0, |at| at + 4);
        assert!(received.len() - head < size, "the whole body came after all");
        assert!(!attempt.crossing.crossed());
    }
}

/// A receiver that answers after the headers, without waiting for the body.
#[tokio::test]
async fn an_answer_that_comes_before_the_request_is_complete_is_no_receipt() {
    for (status, code) in [("200 OK", None), ("413 Too Large", Some("413"))] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 1024]).await.unwrap();
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
            tokio::io::AsyncWriteExt::write_all(&mut stream, answer.as_bytes()).await.unwrap();
            stream
        });
        let (large, attempt) =
            (bench::outgoing(Body::new(Media::Bytes, vec![b'x'; 16 * 1024 * 1024]), json!({})), attempt());
        let error = sink(format!("http://{address}/x"), json!({})).await.send(&large, &attempt).await.unwrap_err();
        match code {
            None => assert!(matches!(error, SendError::NotSent { .. }), "{error}"),
            Some(code) => assert!(matches!(&error, SendError::Rejected { code: c, .. } if c == code), "{error}"),
        }
        assert!(!attempt.crossing.crossed());
        drop(server.await.unwrap());
    }
}

#[tokio::test]
async fn repeating_means_what_the_configuration_says() {
    let url = || "http://localhost:1/x".to_string();
    assert_eq!(sink(url(), json!({})).await.repeat(), Repeat::Forbidden);
    assert_eq!(sink(url(), json!({ "method": "put" })).await.repeat(), Repeat::Harmless);
    assert_eq!(sink(url(), json!({ "idempotency_header": true })).await.repeat(), Repeat::Keyed);
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_gets_nothing() {
    let folder = tempfile::tempdir().unwrap();
    hub_testkit::certificates(folder.path(), "ca", &["client"]);
    let (address, seen) = server().await;
    let config = json!({ "url": format!("https://{address}/200"), "connection": "c" });
    let parsed = (PLUGIN.sinks[0].parse)(&config).unwrap();
    let cx = bench::open_cx(Arc::new(ManualClock::working_day()), folder.path());
    let settings = json!({ "ca": "ca.pem", "client_cert": "client.pem", "client_key": "client.key" });
    let cx = bench::with_settings(cx, "connections", "c", settings);
    let error = parsed.opens.open(&cx).await.unwrap().send(&order(), &attempt()).await.unwrap_err();
    assert!(matches!(error, SendError::NotSent { .. }), "{error}");
    assert_eq!(seen.taken.load(Ordering::SeqCst), 0);
    let missing = bench::with_settings(cx, "connections", "c", json!({ "ca": "nowhere.pem" }));
    let error = parsed.opens.open(&missing).await.err().unwrap().to_string();
    assert!(error.contains("nowhere.pem"), "{error}");
}

#[test]
fn mistakes_in_the_configuration_are_found() {
    let problems = |config: Value| {
        let parsed = (PLUGIN.sinks[0].parse)(&config).unwrap();
        parsed.problems.into_iter().map(|problem| problem.field).collect::<Vec<_>>()
    };
    assert_eq!(problems(json!({ "url": "ftp://x" })), ["/url"]);
    assert_eq!(problems(json!({ "url": "https://u:p@x" })), ["/url"]);
    assert_eq!(problems(json!({ "url": "https://x", "headers": { "a b": "c" } })), ["/headers/a b"]);
    assert_eq!(problems(json!({ "url": "https://x", "doubtful_statuses": [503] })), ["/not_taken_statuses"]);
}
