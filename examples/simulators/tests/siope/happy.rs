//! All goes well: every call, both kinds of orders, lists, pages, downloads.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{A2A, Bench, ENTE, Flow, mandato, pack, reversale, settings, value};

#[tokio::test]
async fn a_flow_is_taken_answered_and_paid() {
    let bench = Bench::new().await;
    let mut flow = Flow::of(7);
    flow.orders.insert(0, reversale("INSERIMENTO", 3, "22.50"));
    let zip = pack(flow.xml().as_bytes());
    let reply = bench.post(zip.clone()).send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::CREATED);
    assert_eq!(reply.headers()["x-ratelimit-remaining"], "99999");
    assert!(reply.headers().contains_key("x-ratelimit-limit") && reply.headers().contains_key("x-ratelimit-reset"));
    let body: Value = reply.json().await.unwrap();
    let prog = body["progFlusso"].as_str().unwrap();
    assert_eq!(body["download"], false);
    assert_eq!(body["dataUpload"].as_str().unwrap().len(), 23);
    bench.settled().await;

    let acks = bench.list("flusso/ack/").await;
    assert_eq!((&acks["numRisultati"], &acks["numPagine"]), (&json!(1), &json!(1)));
    let item = &acks["risultati"][0];
    assert_eq!((&item["progFlusso"], &item["download"]), (&json!(prog), &json!(false)));
    let ack = bench.download(&item["location"]).await;
    assert_eq!((value(&ack, "identificativo_flusso"), value(&ack, "stato_flusso")), ("F-7", "OK"));
    assert_eq!(value(&ack, "descrizione_ente"), "Azienda sanitaria &amp; à");
    assert_eq!(bench.list("flusso/ack").await["risultati"][0]["download"], true);
    assert_eq!(bench.list("flusso/ack?download=false").await["numRisultati"], 0);
    assert_eq!(bench.download(&item["location"]).await, ack);

    let banks = bench.list("flusso/esitoflusso").await;
    let taken = bench.download(&banks["risultati"][0]["location"]).await;
    assert!(taken.contains("<messaggio_ricezione_flusso>"), "{taken}");
    assert_eq!(value(&taken, "identificativo_flusso"), "F-7");

    let outcomes = bench.list("esitoapplicativo/").await;
    assert_eq!(outcomes["numRisultati"], 2);
    let acquired = bench.download(&outcomes["risultati"][0]["location"]).await;
    assert_eq!(acquired.matches("<esito_operazione>ACQUISITO<").count(), 2);
    let paid = bench.download(&outcomes["risultati"][1]["location"]).await;
    let mandato = value(&paid, "esito_mandati");
    assert_eq!((value(mandato, "numero_mandato"), value(mandato, "progressivo_beneficiario")), ("7", "1"));
    assert_eq!((value(mandato, "importo"), value(mandato, "esito_operazione")), ("100.00", "PAGATO"));
    let reversale = value(&paid, "esito_reversali");
    assert_eq!((value(reversale, "importo"), value(reversale, "esito_operazione")), ("22.50", "RISCOSSO"));

    for empty in ["giornale/", "disponibilita"] {
        assert_eq!(bench.list(empty).await["risultati"], json!([]), "{empty}");
    }
    check_books(&bench, &flow, &zip, prog).await;
    bench.sim.shutdown().await;
}

async fn check_books(bench: &Bench, flow: &Flow, zip: &[u8], prog: &str) {
    let flows = bench.flows().await;
    let [seen] = flows.as_slice() else { panic!("{flows:?}") };
    assert_eq!(seen["progFlusso"], prog);
    assert_eq!((&seen["result"], &seen["ack_state"], &seen["ente"]), (&json!("taken"), &json!("OK"), &json!(ENTE)));
    assert_eq!(seen["sha256"], hex::encode(Sha256::digest(flow.xml())));
    assert_eq!(seen["sha256_zip"], hex::encode(Sha256::digest(zip)));
    let orders = seen["orders"].as_array().unwrap();
    assert!(orders.len() == 2 && orders.iter().all(|o| o["paid"] == true), "{orders:?}");
    let orders = bench.orders().await;
    assert!(orders.len() == 2 && orders.iter().all(|o| o["insertions"] == 1 && o["paid"] == true), "{orders:?}");
    let url = format!("http://{}/_sim/flows/0/zip", bench.sim.control_addr);
    assert_eq!(reqwest::get(url).await.unwrap().bytes().await.unwrap(), zip);
}

#[tokio::test]
async fn lists_have_pages_and_filters() {
    let bench = Bench::with(simulators::siope::Settings { page_size: 2, ..settings() }).await;
    let mut sent = Vec::new();
    for numero in 1..=5 {
        sent.push(bench.send(&Flow::of(numero)).await);
    }
    bench.settled().await;
    let (mut seen, mut dates) = (Vec::new(), Vec::new());
    for page in 1..=3 {
        let list = bench.list(&format!("flusso/ack?pagina={page}")).await;
        assert_eq!((&list["numRisultati"], &list["numPagine"]), (&json!(5), &json!(3)));
        assert_eq!((&list["pagina"], &list["risultatiPerPagina"]), (&json!(page), &json!(2)));
        for item in list["risultati"].as_array().unwrap() {
            seen.push(item["progFlusso"].as_str().unwrap().to_owned());
            dates.push(item["dataProduzione"].as_str().unwrap().to_owned());
        }
    }
    seen.sort();
    assert_eq!(seen, sent);
    assert_eq!(bench.list("flusso/ack?pagina=4").await["risultati"], json!([]));
    dates.sort();
    let last = &dates[4];
    let list = bench.list(&format!("flusso/ack?dataProduzioneDa={last}")).await;
    assert_eq!(list["dataProduzioneDa"], *last);
    let expected = dates.iter().filter(|date| *date >= last).count();
    assert_eq!(list["numRisultati"], expected);
    assert_eq!(bench.list("flusso/ack?dataProduzioneA=2020-01-01T00:00:00.000").await["numRisultati"], 0);
    for name in ["dataUploadDa", "dataProduzioneDa"] {
        let list = bench.list(&format!("flusso/esitoflusso?{name}=2020-01-01T00:00:00.000")).await;
        assert_eq!(list["numRisultati"], 5, "{name}");
    }
    assert_eq!(bench.list("esitoapplicativo?dataUploadA=2020-01-01T00:00:00.000").await["numRisultati"], 0);
}

#[tokio::test]
async fn flows_close_in_time_share_a_message() {
    let fast = Duration::from_millis(5);
    let esiti_after = Duration::from_millis(900);
    let bench = Bench::with(simulators::siope::Settings { ack_after: fast, esiti_after, ..settings() }).await;
    let mut orders = 0;
    for numero in 1..=30 {
        let _ = bench.send(&Flow::of(numero)).await;
        orders += 1;
    }
    bench.settled().await;
    let messages = bench.list("esitoapplicativo").await["numRisultati"].as_u64().unwrap();
    assert!(messages < 2 * orders, "{messages} messages for {orders} flows");
    assert!(bench.orders().await.iter().all(|o| o["paid"] == true));
}

#[tokio::test]
async fn an_annulment_stops_the_payment_or_comes_too_late() {
    let slow = Duration::from_secs(3600);
    let bench = Bench::with(simulators::siope::Settings { esiti_after: slow, ..settings() }).await;
    let _ = bench.send(&Flow::of(1)).await;
    let annul = |id: &str| Flow::new(id, vec![mandato("ANNULLO", 1, "100.00", &[])]);
    bench.acknowledged("F-1").await;
    let _ = bench.send(&annul("F-1-A")).await;
    bench.acknowledged("F-1-A").await;
    let _ = bench.control(Method::POST, "tick", Value::Null).await;
    bench.settled().await;
    let orders = bench.orders().await;
    assert_eq!(
        (&orders[0]["annulled"], &orders[0]["paid"], &orders[0]["in_force"]),
        (&json!(true), &json!(false), &json!(false))
    );

    let mut again = Flow::of(1);
    again.id = "F-1-R2".to_owned();
    let _ = bench.send(&again).await;
    let _ = bench.control(Method::POST, "tick", Value::Null).await;
    let _ = bench.send(&annul("F-1-A2")).await;
    let _ = bench.control(Method::POST, "tick", Value::Null).await;
    let orders = bench.orders().await;
    assert_eq!((&orders[0]["annulled"], &orders[0]["paid"]), (&json!(false), &json!(true)));
    let list = bench.list("esitoapplicativo").await;
    let last = list["risultati"].as_array().unwrap().last().unwrap().clone();
    assert!(bench.download(&last["location"]).await.contains("NON ANNULLATO"));
}

#[tokio::test]
async fn one_message_answers_several_flows_of_a_body() {
    let slow = Duration::from_secs(3600);
    let bench = Bench::with(simulators::siope::Settings { ack_after: slow, ..settings() }).await;
    for numero in 1..=3 {
        let _ = bench.send(&Flow::of(numero)).await;
    }
    let _ = bench.control(Method::POST, "tick", Value::Null).await;
    let list = bench.list("esitoapplicativo").await;
    assert_eq!(list["numRisultati"], 2);
    let paid = bench.download(&list["risultati"][1]["location"]).await;
    for id in ["F-1", "F-2", "F-3"] {
        assert!(paid.contains(&format!("<identificativo_flusso>{id}</identificativo_flusso>")), "{paid}");
    }
}

#[tokio::test]
async fn delays_can_be_changed_while_running() {
    let slow = Duration::from_secs(3600);
    let bench = Bench::with(simulators::siope::Settings { ack_after: slow, ..settings() }).await;
    let prog = bench.send(&Flow::of(1)).await;
    assert_eq!(bench.get(&format!("flusso/{prog}/ack"), "application/zip").await.status(), StatusCode::NOT_FOUND);
    assert_eq!(bench.flows().await[0]["ack_state"], "pending");
    let now = bench.control(Method::POST, "settings", json!({ "ack_after_ms": 1 })).await;
    assert_eq!(now["ack_after_ms"], 1);
    let _ = bench.send(&Flow::of(2)).await;
    bench.acknowledged("F-2").await;
    assert_eq!(bench.flows().await[0]["ack_state"], "pending");
    let client = reqwest::Client::new();
    for wrong in ["{", "[]", r#"{"ack_after_ms":-1}"#, r#"{"boh_ms":1}"#] {
        let url = format!("http://{}/_sim/settings", bench.sim.control_addr);
        assert_eq!(client.post(url).body(wrong).send().await.unwrap().status(), StatusCode::BAD_REQUEST, "{wrong}");
    }
}

impl Bench {
    /// Waits until the flow of this id has an ACK.
    pub(crate) async fn acknowledged(&self, id: &str) {
        for _ in 0..1000 {
            let flows = self.flows().await;
            if flows.iter().any(|f| f["identificativo_flusso"] == id && f["ack_state"] != "pending") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{id} has no ACK ({A2A})");
    }
}
