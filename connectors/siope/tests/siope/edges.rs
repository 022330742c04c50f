//! Answers that make no sense, come late or mean harm.

use std::sync::Arc;

use connector_siope::PLUGIN;
use hub_core::plugin::OpenCx;
use hub_core::{Media, SendError, SourceError};
use hub_testkit::stored;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::fake::{Fake, ack, rome};
use crate::support::{A2A, attempt, flow, next, outgoing, sink, source, zip};

fn entry(fake: &Fake, prog: u32, date: &str) {
    let path = format!("flusso/{prog}/ack");
    fake.list("flusso/ack", json!({ "progFlusso": prog, "dataProduzione": date, "location": fake.url(&path) }));
    fake.document(&path, zip(ack(&format!("F-{prog}"), "UFAAAA", "OK", None).as_bytes()));
}

#[tokio::test]
async fn an_entry_published_late_is_found_after_a_restart() {
    let fake = Fake::start().await;
    entry(&fake, 1, &rome(90));
    entry(&fake, 2, &rome(10));
    let mut first = source(&fake.cx(), "siope.ack", json!({})).await;
    let batch = next(&mut first).await;
    assert_eq!(batch.messages.iter().map(|m| m.headers["prog"].as_str()).collect::<Vec<_>>(), ["1", "2"]);
    first.settle(stored(&batch.messages)).await.unwrap();
    entry(&fake, 3, &rome(65));
    let cx = OpenCx { cursor: batch.cursor.unwrap(), ..fake.cx() };
    let late = next(&mut source(&cx, "siope.ack", json!({})).await).await;
    assert!(late.messages.iter().any(|m| m.headers["prog"] == "3"));
    assert!(late.messages.iter().all(|m| m.headers["prog"] != "2"));
    let query = fake.queries("flusso/ack").pop().unwrap();
    let from = query.split('&').find_map(|pair| pair.strip_prefix("dataProduzioneDa=")).unwrap().replace("%3A", ":");
    assert!(from <= rome(65) && from >= rome(75), "{from}");
    assert!(!query.contains("download"), "{query}");
}

#[tokio::test]
async fn poison_goes_to_a_person_and_its_neighbours_go_on() {
    let fake = Fake::start().await;
    for prog in 1..=4 {
        entry(&fake, prog, &rome(10));
    }
    fake.document("flusso/1/ack", b"<html>maintenance</html>".to_vec());
    fake.document("flusso/2/ack", zip(&vec![b' '; 30 << 20]));
    fake.document("flusso/3/ack", vec![b'x'; 9 << 20]);
    let mut source = source(&fake.cx(), "siope.ack", json!({})).await;
    let batch = next(&mut source).await;
    let problem = |n: usize| batch.messages[n].headers.get("siope-problem").cloned().unwrap_or_default();
    assert_eq!(batch.messages.len(), 4);
    assert!(problem(0).contains("not a zip") && batch.messages[0].body.bytes.starts_with(b"<html>"));
    assert!(problem(1).contains("larger than") && batch.messages[1].body.media == Media::Bytes);
    assert!(problem(2).contains("larger than") && batch.messages[2].body.bytes.is_empty());
    assert_eq!((problem(3).as_str(), batch.messages[3].body.media), ("", Media::Xml));
    source.settle(stored(&batch.messages)).await.unwrap();
    entry(&fake, 5, &rome(1));
    assert_eq!(next(&mut source).await.messages.len(), 1);
}

#[tokio::test]
async fn a_document_that_is_not_there_yet_is_not_passed() {
    let fake = Fake::start().await;
    entry(&fake, 1, &rome(200));
    entry(&fake, 2, &rome(10));
    fake.script("flusso/1/ack", 404, &[], "");
    let mut source = source(&fake.cx(), "siope.ack", json!({})).await;
    let batch = next(&mut source).await;
    assert_eq!(batch.messages.iter().map(|m| m.headers["prog"].as_str()).collect::<Vec<_>>(), ["2"]);
    source.settle(stored(&batch.messages)).await.unwrap();
    let batch = next(&mut source).await;
    assert_eq!(batch.messages.iter().map(|m| m.headers["prog"].as_str()).collect::<Vec<_>>(), ["1"]);
    let from = |query: &str| query.split('&').next().unwrap().replace("%3A", ":").replace("dataProduzioneDa=", "");
    assert!(from(&fake.queries("flusso/ack")[1]) < rome(200), "the list was read from before the missing one");
}

async fn failure(fake: &Fake) -> SourceError {
    source(&fake.cx(), "siope.ack", json!({})).await.next().await.unwrap_err()
}

#[tokio::test]
async fn an_error_is_never_nothing_new() {
    let fake = Fake::start().await;
    for (status, body) in
        [(200, "<html>"), (200, "{}"), (200, r#"{"numPagine":1,"risultati":[{}]}"#), (401, ""), (302, "")]
    {
        fake.script("flusso/ack", status, &[], body);
        let error = failure(&fake).await;
        assert!(matches!(error, SourceError::Broken { .. }), "{status} {body}: {error}");
    }
    fake.script("flusso/ack", 200, &[], r#"{"numPagine":5000,"risultati":[]}"#);
    for _ in 0..999 {
        fake.script("flusso/ack", 200, &[], r#"{"numPagine":5000,"risultati":[]}"#);
    }
    assert!(failure(&fake).await.to_string().contains("longer than can be read"));
    for (status, wish) in [(500, None), (503, Some("7s")), (429, Some("7s"))] {
        let headers: &[_] = if wish.is_some() { &[("retry-after", "7")] } else { &[] };
        fake.script("flusso/ack", status, headers, "");
        let SourceError::Unavailable { retry_after, .. } = failure(&fake).await else { panic!("{status}") };
        assert_eq!(retry_after.map(|span| span.to_string()).as_deref(), wish, "{status}");
    }
    drop(fake);
}

#[tokio::test]
async fn our_certificate_is_shown_to_nobody_else() {
    let (fake, stranger) = (Fake::start().await, Fake::start().await);
    fake.document("flusso/7/ack", zip(ack("F-7", "UFAAAA", "OK", None).as_bytes()));
    fake.list(
        "flusso/ack",
        json!({ "progFlusso": "7", "dataProduzione": rome(1), "location": stranger.url("flusso/7/ack") }),
    );
    let batch = next(&mut source(&fake.cx(), "siope.ack", json!({})).await).await;
    assert_eq!(batch.messages[0].headers["location"], fake.url("flusso/7/ack"));
    assert_eq!(stranger.calls("flusso/7/ack"), 0);
}

#[tokio::test]
async fn the_answer_to_an_upload_is_read_with_care() {
    let fake = Fake::start().await;
    let sink = sink(&fake.cx()).await;
    let out = outgoing("UFAAAA", &flow("F-1", "UFAAAA", 1));
    for body in [r#"{"progFlusso":123}"#, r#"{"progFlusso":"123","dataUpload":null}"#] {
        fake.script("flusso", 201, &[], body);
        assert_eq!(sink.send(&out, &attempt()).await.unwrap().remote_id.as_deref(), Some("123"));
    }
    for (status, body) in [
        (201, "<html>"),
        (201, "{}"),
        (201, r#"{"progFlusso":"../1"}"#),
        (200, "{}"),
        (204, ""),
        (302, ""),
        (418, ""),
        (502, ""),
    ] {
        fake.script("flusso", status, &[], body);
        let error = sink.send(&out, &attempt()).await.unwrap_err();
        assert!(matches!(error, SendError::InDoubt { .. }), "{status} {body}: {error}");
    }
    for status in [400, 401, 404, 406, 413, 415, 422, 460, 461] {
        fake.script("flusso", status, &[], &"x".repeat(5000));
        let error = sink.send(&out, &attempt()).await.unwrap_err();
        assert!(matches!(&error, SendError::Rejected { code, .. } if *code == status.to_string()), "{error}");
        assert!(error.to_string().len() < 1000);
    }
    assert_eq!(fake.calls("flusso"), 19);
}

/// A server that answers 500 as soon as it has seen the headers, and then reads on for as long as anybody writes.
#[tokio::test]
async fn an_answer_that_comes_early_is_not_overtaken() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        // The question whether anybody is there comes first, on a connection of its own.
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = [0u8; 4096];
        assert!(stream.read(&mut buffer).await.unwrap() > 0);
        stream.write_all(b"HTTP/1.1 200 ok\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await.unwrap();
        drop(stream);
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut seen = Vec::new();
        while !seen.windows(4).any(|w| w == b"\r\n\r\n") {
            let read = stream.read(&mut buffer).await.unwrap();
            assert_ne!(read, 0, "headers come");
            seen.extend_from_slice(&buffer[..read]);
        }
        stream.write_all(b"HTTP/1.1 500 no\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            seen.extend_from_slice(&buffer[..read]);
        }
        let text = String::from_utf8_lossy(&seen).to_ascii_lowercase();
        let length: usize =
            text.split("content-length: ").nth(1).unwrap().lines().next().unwrap().trim().parse().unwrap();
        let body = seen.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
        seen.len() - body == length
    });
    let cx = hub_testkit::bench::open_cx(Arc::new(crate::support::WallClock), std::path::Path::new("."));
    let settings = json!({ "base_url": format!("http://{address}/v1") });
    let mut cx = hub_testkit::bench::with_settings(cx, "connections", "siope", settings);
    cx.entities = crate::support::entities(&[("UFAAAA", A2A)]);
    let (sink, attempt) = (sink(&cx).await, attempt());
    let error = sink.send(&outgoing("UFAAAA", &flow("F-1", "UFAAAA", 1)), &attempt).await.unwrap_err();
    drop((sink, cx));
    let whole = server.await.unwrap();
    assert_eq!(matches!(error, SendError::InDoubt { .. }), attempt.crossing.crossed(), "{error}");
    assert!(!whole || matches!(error, SendError::InDoubt { .. }), "all bytes arrived after `{error}`");
}

#[test]
fn mistakes_in_the_configuration_are_found() {
    let problems = |config| {
        let parsed = (PLUGIN.sources[0].parse)(&config).unwrap();
        parsed.problems.into_iter().map(|problem| problem.field).collect::<Vec<_>>()
    };
    assert_eq!(problems(json!({ "every": "1ms", "overlap": "5m" })), ["/every", "/overlap"]);
    assert!((PLUGIN.sources[0].parse)(&json!({ "evry": "1s" })).unwrap_err().contains("evry"));
    assert!((PLUGIN.sinks[0].parse)(&json!({})).unwrap_err().contains("entity"));
    let kinds: Vec<_> = PLUGIN.sources.iter().map(|def| def.kind).collect();
    assert_eq!(kinds, ["siope.ack", "siope.esito_flusso", "siope.esito_applicativo"]);
    let schema = serde_json::to_value((PLUGIN.sinks[0].schema)()).unwrap();
    assert!(schema.to_string().contains("\"x-raccordo\":\"expression\""), "{schema}");
}

#[tokio::test]
async fn a_connection_that_cannot_work_says_why() {
    let fake = Fake::start().await;
    let open = async |settings| {
        let cx = hub_testkit::bench::with_settings(fake.cx(), "connections", "siope", settings);
        let parsed = (PLUGIN.sinks[0].parse)(&json!({ "entity": "case.entity" })).unwrap();
        parsed.opens.open(&cx).await.err().map(|e| e.to_string()).unwrap_or_default()
    };
    let missing =
        json!({ "base_url": "https://x/v1", "ca": "nowhere.pem", "client_cert": "c.pem", "client_key": "c.key" });
    assert!(open(missing).await.contains("nowhere.pem"));
    let slow = json!({ "base_url": "http://127.0.0.1:1/", "patience": "5s" });
    assert!(open(slow).await.contains("connection `siope`: `resolve_every` (5s) must be shorter"));
    let unknown = OpenCx { cursor: json!("rubbish"), ..fake.cx() };
    let parsed = (PLUGIN.sources[0].parse)(&json!({})).unwrap();
    assert!(parsed.opens.open(&unknown).await.err().unwrap().to_string().contains("stored position"));
}
