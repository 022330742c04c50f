//! The sink: what is sent, and what each end of an exchange means.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use hub_core::{Attempt, Crossing, Outgoing, Repeat, SendError, Sink, sha256_hex};
use hub_testkit::{SinkBench, bench, cut_everywhere};
use serde_json::json;
use simulators::siope::{Settings, certificates, start};

use crate::support::{A2A, Bench, OTHER, WallClock, attempt, entities, flow, outgoing, patient, sink};

#[tokio::test]
async fn a_flow_arrives_byte_for_byte() {
    let bench = Bench::new().await;
    let sink = bench.sink(json!({})).await;
    let xml = flow("F-1", "UFAAAA", 1);
    let receipt = sink.send(&outgoing("UFAAAA", &xml), &attempt()).await.unwrap();
    let flows = bench.flows().await;
    assert_eq!((&flows[0]["result"], &flows[0]["sha256"]), (&json!("taken"), &json!(sha256_hex(xml.as_bytes()))));
    assert_eq!(receipt.remote_id.as_deref(), flows[0]["progFlusso"].as_str());
    assert_eq!(receipt.reply["prog_flusso"], flows[0]["progFlusso"]);
    assert_eq!(receipt.reply["data_upload"].as_str().unwrap().len(), 23);
    assert!(receipt.reply["location"].as_str().unwrap().contains("/flusso/"));
    // Sent again it is the same zip, too.
    let _ = sink.send(&outgoing("UFAAAA", &xml), &attempt()).await.unwrap();
    let flows = bench.flows().await;
    assert_eq!(flows[0]["sha256_zip"], flows[1]["sha256_zip"]);
}

#[tokio::test]
async fn the_sink_says_how_careful_one_must_be() {
    let bench = Bench::new().await;
    let sink =
        bench.sink(json!({ "timeout": "7s", "settles_after": "3s", "patience": "9s", "resolve_every": "2s" })).await;
    assert_eq!(sink.repeat(), Repeat::Askable);
    assert_eq!(sink.lane(&outgoing("UFAAAA", "")).as_deref(), Some("siope/UFAAAA"));
    let limits = sink.limits();
    assert!(limits.doubt_holds_lane);
    let seconds = [limits.attempt, limits.patience, limits.resolve_every, sink.settles_after()].map(|d| d.as_secs());
    assert_eq!((seconds, limits.in_flight), ([7, 9, 2, 3], 16));
}

async fn error(sink: &Arc<dyn Sink>, n: u32) -> (SendError, Attempt) {
    let attempt = attempt();
    let xml = flow(&format!("F-{n}"), "UFAAAA", n);
    (sink.send(&outgoing("UFAAAA", &xml), &attempt).await.unwrap_err(), attempt)
}

#[tokio::test]
async fn each_fault_ends_as_it_must() {
    let bench = Bench::new().await;
    for (n, (fault, taken)) in (1..).zip([
        ("status_500", false),
        ("status_500_after_taken", true),
        ("reset_after_taken", true),
        ("timeout_after_taken", true),
    ]) {
        let sink = bench.sink(json!({ "timeout": "1500ms" })).await;
        bench.faults(json!({ fault: { "count": 1 } })).await;
        let (error, attempt) = error(&sink, n).await;
        assert!(matches!(error, SendError::InDoubt { .. }), "{fault}: {error}");
        assert!(attempt.crossing.crossed());
        let flows = bench.flows().await;
        assert_eq!(flows.last().unwrap()["result"] == "taken", taken, "{fault}");
    }
    bench.faults(json!({ "reset_before_body": { "count": 1 } })).await;
    let (error, attempt) = error(&bench.sink(json!({})).await, 9).await;
    assert_eq!(matches!(error, SendError::NotSent { .. }), !attempt.crossing.crossed(), "{error}");
    assert_ne!(bench.flows().await.last().unwrap()["result"], "taken");
}

#[tokio::test]
async fn a_wish_to_wait_is_kept() {
    let bench = Bench::with(Settings { retry_after: std::time::Duration::from_secs(60), ..patient() }).await;
    let sink = bench.sink(json!({})).await;
    bench.faults(json!({ "status_503": { "count": 1 } })).await;
    let SendError::NotSent { retry_after: Some(wish), .. } = error(&sink, 1).await.0 else { panic!("503 is not sent") };
    assert_eq!(wish.to_string(), "1m");
    bench.faults(json!({ "status_429": { "count": 1 } })).await;
    let SendError::NotSent { retry_after: Some(wish), .. } = error(&sink, 1).await.0 else { panic!("429 is not sent") };
    assert_eq!(wish.to_string(), "1m");
    // The next one does not even knock.
    let seen = bench.flows().await.len();
    let SendError::NotSent { retry_after: Some(_), .. } = error(&sink, 1).await.0 else { panic!("it must wait") };
    assert_eq!(bench.flows().await.len(), seen);
}

#[tokio::test]
async fn refusals_carry_their_code_and_reason() {
    let bench = Bench::new().await;
    let sink = bench.sink(json!({})).await;
    let broken = flow("F-1", "UFAAAA", 1).replace("<causale>fattura 1</causale>", "");
    let error = sink.send(&outgoing("UFAAAA", &broken), &attempt()).await.unwrap_err();
    assert!(matches!(&error, SendError::Rejected { code, .. } if code == "422"), "{error}");
    assert!(error.to_string().len() < 1000);
    // Who is not who they say never reaches SIOPE+.
    let before = bench.flows().await.len();
    for (ente, xml) in
        [("UFBBBB", flow("F-1", "UFAAAA", 1)), ("UFZZZZ", flow("F-1", "UFZZZZ", 1)), ("UFAAAA", "{}".into())]
    {
        let error = sink.send(&outgoing(ente, &xml), &attempt()).await.unwrap_err();
        assert!(matches!(&error, SendError::Rejected { code, .. } if code == "flow"), "{error}");
    }
    assert_eq!(bench.flows().await.len(), before);
}

#[tokio::test]
async fn the_wrong_certificate_sends_nothing() {
    let bench = Bench::new().await;
    // One that SIOPE+ knows, of somebody else.
    let other = json!({ "client_cert": format!("{OTHER}.pem"), "client_key": format!("{OTHER}.key") });
    let (refused, _) = error(&bench.sink(other).await, 1).await;
    assert!(matches!(&refused, SendError::Rejected { code, .. } if code == "401"), "{refused}");
    // One that nobody vouches for: TLS 1.3 tells after our first data, and takes none of it.
    let folder = tempfile::tempdir().unwrap();
    let strangers = certificates(folder.path(), &[A2A]).unwrap();
    let (cert, key) = strangers.client(A2A);
    let seen = bench.flows().await.len();
    let (unsent, _) = error(&bench.sink(json!({ "client_cert": cert, "client_key": key })).await, 1).await;
    assert!(matches!(&unsent, SendError::NotSent { .. }), "{unsent}");
    // A server that nobody vouches for gets nothing at all.
    let (unsent, attempt) = error(&bench.sink(json!({ "ca": strangers.ca() })).await, 1).await;
    assert!(matches!(&unsent, SendError::NotSent { .. }) && !attempt.crossing.crossed(), "{unsent}");
    assert_eq!(bench.flows().await.len(), seen);
}

#[tokio::test]
async fn a_closed_fence_uploads_nothing() {
    let bench = Bench::new().await;
    let fenced = bench::attempt(&WallClock, Crossing::new(|| Err("its time is over".into())));
    let error =
        bench.sink(json!({})).await.send(&outgoing("UFAAAA", &flow("F-1", "UFAAAA", 1)), &fenced).await.unwrap_err();
    assert!(matches!(&error, SendError::NotSent { .. }) && error.to_string().contains("its time is over"), "{error}");
    assert!(bench.flows().await.iter().all(|flow| flow["result"] != "taken"));
}

struct Cut {
    sim: simulators::siope::Running,
}

#[async_trait]
impl SinkBench for Cut {
    fn receiver(&self) -> SocketAddr {
        self.sim.addr
    }
    async fn sink(&self, via: SocketAddr) -> Arc<dyn Sink> {
        let cx = bench::open_cx(Arc::new(WallClock), std::path::Path::new("."));
        let settings = json!({ "base_url": format!("http://{via}/v1") });
        let mut cx = bench::with_settings(cx, "connections", "siope", settings);
        cx.entities = entities(&[("UFAAAA", A2A)]);
        sink(&cx).await
    }
    fn outgoing(&self) -> Outgoing {
        outgoing("UFAAAA", &flow("F-1", "UFAAAA", 1))
    }
    fn attempt(&self) -> Attempt {
        attempt()
    }
    async fn taken(&self) -> usize {
        let url = format!("http://{}/_sim/health", self.sim.control_addr);
        let health: hub_core::Value = reqwest::get(url).await.unwrap().json().await.unwrap();
        usize::try_from(health["flows"].as_u64().unwrap()).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_at_any_byte_is_told_as_it_was() {
    let sim = start(Settings { xsd: None, ..patient() }).await.unwrap();
    let observed = cut_everywhere(&Cut { sim }).await;
    // A small flow crosses at once: cuts within the request are doubts about something that was not taken.
    assert!(observed.taken > 100 && observed.in_doubt > 500 && observed.receipts >= 1, "{observed:?}");
}
