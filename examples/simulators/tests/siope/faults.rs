//! Trouble on demand: what the client sees, and what the control plane says truly happened.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use simulators::siope::start;

use crate::support::{A2A, Bench, ENTE, Flow, pack, settings};

fn zip(numero: u32) -> Vec<u8> {
    pack(Flow::of(numero).xml().as_bytes())
}

#[tokio::test]
async fn a_reset_before_the_body_takes_nothing() {
    let bench = Bench::new().await;
    bench.faults(json!({ "reset_before_body": { "count": 1 } })).await;
    let error = bench.post(zip(1)).send().await.unwrap_err();
    assert!(!error.is_timeout(), "{error:?}");
    let seen = &bench.flows().await[0];
    assert_eq!((&seen["result"], &seen["fault"]), (&json!("cut"), &json!("reset_before_body")));
    assert_eq!((&seen["progFlusso"], &seen["identificativo_flusso"]), (&Value::Null, &Value::Null));
    let _ = bench.send(&Flow::of(1)).await;
    let faults = bench.control(Method::GET, "faults", Value::Null).await;
    assert_eq!(faults["reset_before_body"], json!({ "remaining": 0, "on": "post", "hits": 1 }));
}

#[tokio::test]
async fn a_reset_after_the_flow_was_taken_counts() {
    let bench = Bench::new().await;
    bench.faults(json!({ "reset_after_taken": { "count": 1 } })).await;
    let error = bench.post(zip(1)).send().await.unwrap_err();
    assert!(!error.is_timeout(), "{error:?}");
    bench.settled().await;
    let seen = &bench.flows().await[0];
    assert_eq!((&seen["result"], &seen["fault"]), (&json!("taken"), &json!("reset_after_taken")));
    assert_eq!((&seen["status"], &seen["orders"][0]["paid"]), (&Value::Null, &json!(true)));
    let acks = bench.list("flusso/ack").await;
    assert_eq!(acks["risultati"][0]["progFlusso"], seen["progFlusso"]);
}

#[tokio::test]
async fn a_reset_is_a_reset_on_the_wire() {
    let sim = start(settings()).await.unwrap();
    let url = format!("http://{}/_sim/faults", sim.control_addr);
    let rule = json!({ "reset_after_taken": { "count": 1 } }).to_string();
    let set = reqwest::Client::new().post(url).body(rule).send().await.unwrap();
    assert_eq!(set.status(), StatusCode::OK);
    let addr = sim.addr;
    let kind = tokio::task::spawn_blocking(move || {
        let mut tcp = TcpStream::connect(addr).unwrap();
        tcp.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        tcp.write_all(&request(&zip(1))).unwrap();
        tcp.read(&mut [0; 64]).unwrap_err().kind()
    });
    assert_eq!(kind.await.unwrap(), std::io::ErrorKind::ConnectionReset);
    sim.shutdown().await;
}

/// A whole POST, as bytes.
fn request(zip: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /{A2A}/PA/{ENTE}/flusso/ HTTP/1.1\r\nhost: x\r\ncontent-type: application/zip\r\n\
         accept: application/json\r\ncontent-length: {}\r\n\r\n",
        zip.len()
    );
    [head.as_bytes(), zip].concat()
}

#[tokio::test]
async fn a_client_that_leaves_before_its_body_ends_was_not_taken() {
    let sim = start(settings()).await.unwrap();
    let addr = sim.addr;
    let cut = tokio::task::spawn_blocking(move || {
        let whole = request(&zip(1));
        let mut tcp = TcpStream::connect(addr).unwrap();
        tcp.write_all(&whole[..whole.len() - 1]).unwrap();
    });
    cut.await.unwrap();
    let url = format!("http://{}/_sim/flows", sim.control_addr);
    for _ in 0..1000 {
        let flows: Value = reqwest::get(&url).await.unwrap().json().await.unwrap();
        if let Some(seen) = flows.get(0) {
            assert_eq!((&seen["result"], &seen["progFlusso"]), (&json!("cut"), &Value::Null));
            return sim.shutdown().await;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the cut upload was not seen");
}

#[tokio::test]
async fn a_timeout_after_the_flow_was_taken_counts() {
    let bench = Bench::new().await;
    bench.faults(json!({ "timeout_after_taken": { "count": 1 } })).await;
    let error = bench.post(zip(1)).timeout(Duration::from_millis(400)).send().await.unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
    bench.settled().await;
    let seen = &bench.flows().await[0];
    assert_eq!((&seen["result"], &seen["fault"]), (&json!("taken"), &json!("timeout_after_taken")));
    bench.sim.shutdown().await;
}

#[tokio::test]
async fn injected_statuses_take_nothing_but_the_one_that_says_so() {
    let bench = Bench::new().await;
    for (fault, status, result) in [
        ("status_429", 429, "refused"),
        ("status_503", 503, "refused"),
        ("status_500", 500, "refused"),
        ("status_500_after_taken", 500, "taken"),
    ] {
        bench.faults(json!({ fault: { "count": 1 } })).await;
        let reply = bench.post(zip(1)).send().await.unwrap();
        assert_eq!(reply.status().as_u16(), status, "{fault}");
        assert_eq!(reply.headers().contains_key("retry-after"), status != 500, "{fault}");
        assert_eq!(reply.headers().contains_key("x-ratelimit-limit"), status == 429, "{fault}");
        let flows = bench.flows().await;
        let seen = flows.last().unwrap();
        assert_eq!((&seen["result"], &seen["fault"], &seen["status"]), (&json!(result), &json!(fault), &json!(status)));
        assert_eq!(seen["identificativo_flusso"], "F-1");
    }
}

#[tokio::test]
async fn lists_can_fail_too_when_asked() {
    let bench = Bench::new().await;
    bench.faults(json!({ "status_503": { "count": 1, "on": "get" }, "reset_before_body": { "count": 0 } })).await;
    let _ = bench.send(&Flow::of(1)).await;
    let reply = bench.get("flusso/ack", "application/json").await;
    assert_eq!(
        (reply.status(), &reply.headers()["retry-after"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"1".parse().unwrap())
    );
    bench.faults(json!({ "reset_before_body": { "count": 1, "on": "any" } })).await;
    let cut = bench.client.get(bench.url("flusso/ack")).header("accept", "application/json").send().await;
    assert!(cut.is_err());
    let _ = bench.list("flusso/ack").await;
}

#[tokio::test]
async fn slow_answers_are_slow_and_taken() {
    let bench = Bench::new().await;
    bench.faults(json!({ "slow_ms": { "count": 1, "ms": 300 } })).await;
    let began = Instant::now();
    let _ = bench.send(&Flow::of(1)).await;
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert_eq!(bench.flows().await[0]["fault"], "slow_ms");
}

#[tokio::test]
async fn the_platform_and_the_bank_can_refuse() {
    let bench = Bench::new().await;
    bench.faults(json!({ "ko": { "count": 1 }, "rifiuto": { "count": 1 }, "non_eseguibile": { "count": 1 } })).await;
    let _ = bench.send(&Flow::of(1)).await;
    bench.settled().await;
    let again = |id: &str| Flow { id: id.to_owned(), ..Flow::of(1) };
    let refused = bench.send(&again("F-1-R")).await;
    bench.settled().await;
    let answer = bench.download(&json!(bench.url(&format!("flusso/{refused}/esitoflusso")))).await;
    assert!(answer.contains("<messaggio_rifiuto_flusso>") && answer.contains("<errore>"), "{answer}");
    let _ = bench.send(&again("F-1-R2")).await;
    bench.settled().await;
    let flows = bench.flows().await;
    assert_eq!(flows[0]["ack_codes"], json!([199]));
    assert_eq!((&flows[1]["ack_state"], &flows[1]["esito_flusso"]), (&json!("OK"), &json!("rifiuto")));
    assert_eq!((&flows[2]["ack_state"], &flows[2]["esito_flusso"]), (&json!("OK"), &json!("ricezione")));
    assert_eq!(flows[2]["orders"][0]["non_eseguibile"], true);
    let orders = bench.orders().await;
    assert_eq!(
        (&orders[0]["insertions"], &orders[0]["paid"], &orders[0]["flows"][0]["refused_by_bank"]),
        (&json!(1), &json!(false), &json!(true))
    );
    let list = bench.list("esitoapplicativo").await;
    assert!(bench.download(&list["risultati"][1]["location"]).await.contains("NON ESEGUIBILE"));
}

#[tokio::test]
async fn outcomes_can_come_twice_or_late() {
    let bench = Bench::new().await;
    bench.faults(json!({ "double_outcomes": { "count": 2 }, "late_outcomes": { "chance": 1.0 } })).await;
    let began = Instant::now();
    let _ = bench.send(&Flow::of(1)).await;
    bench.settled().await;
    assert!(began.elapsed() >= Duration::from_millis(100));
    let list = bench.list("esitoapplicativo").await;
    assert_eq!(list["numRisultati"], 4);
    let mut messages = Vec::new();
    for item in list["risultati"].as_array().unwrap() {
        messages.push(bench.download(&item["location"]).await);
    }
    assert!(messages[0] == messages[1] && messages[2] == messages[3] && messages[0] != messages[2]);
    assert_eq!(bench.orders().await[0]["paid"], true);
}

#[tokio::test]
async fn faults_can_be_cleared_and_wrong_ones_are_explained() {
    let bench = Bench::new().await;
    bench.faults(json!({ "ko": { "chance": 1.0 } })).await;
    assert_eq!(bench.control(Method::DELETE, "faults", Value::Null).await, json!({}));
    let url = format!("http://{}/_sim/faults", bench.sim.control_addr);
    let reply = reqwest::Client::new().post(url).body(r#"{"reset":{"count":1}}"#).send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::BAD_REQUEST);
    assert!(reply.text().await.unwrap().contains("reset_before_body"));
}

#[tokio::test]
async fn a_client_under_many_faults_agrees_with_the_books() {
    let bench = Bench::new().await;
    let chance = json!({ "chance": 0.2 });
    bench.faults(json!({ "reset_before_body": chance, "reset_after_taken": chance, "status_503": chance })).await;
    let mut acknowledged = Vec::new();
    for numero in 1..=60 {
        if let Ok(reply) = bench.post(zip(numero)).send().await
            && reply.status() == StatusCode::CREATED
        {
            acknowledged.push(format!("F-{numero}"));
        }
    }
    bench.settled().await;
    let flows = bench.flows().await;
    let taken = |id: &String| flows.iter().any(|f| f["identificativo_flusso"] == *id && f["result"] == "taken");
    assert!(!acknowledged.is_empty() && acknowledged.iter().all(taken));
    let count = |what: &str| flows.iter().filter(|f| f["result"] == what).count();
    assert!(count("taken") >= acknowledged.len() && count("cut") > 0 && count("refused") > 0);
    assert!(bench.orders().await.iter().all(|o| o["insertions"] == 1 && o["paid"] == true));
}
