//! The checks behind the ACK, through the wire.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use simulators::siope::{Ente, Settings};

use crate::support::{A2A, Bench, ENTE, Flow, mandato, settings, value};

/// Sends a flow, waits, and gives the codes of its ACK.
async fn codes(bench: &Bench, flow: &Flow) -> Vec<Value> {
    let prog = bench.send(flow).await;
    bench.settled().await;
    let flows = bench.flows().await;
    let seen = flows.iter().find(|f| f["progFlusso"] == prog).unwrap();
    let codes = seen["ack_codes"].as_array().unwrap().clone();
    assert_eq!(seen["ack_state"], if codes.is_empty() { "OK" } else { "KO" });
    let location = bench.url(&format!("flusso/{prog}/ack"));
    let ack = bench.download(&json!(location)).await;
    assert_eq!(value(&ack, "stato_flusso"), if codes.is_empty() { "OK" } else { "KO" });
    for code in &codes {
        assert!(ack.contains(&format!("<errore><codice>{code}</codice><descrizione>")), "{ack}");
    }
    codes
}

fn with(id: &str, order: String) -> Flow {
    Flow::new(id, vec![order])
}

#[tokio::test]
async fn each_wrong_flow_gets_its_code_and_changes_nothing() {
    let allowed = Some(BTreeSet::from(["3101".to_owned(), "3102".to_owned()]));
    let ente = Ente { codice: ENTE.to_owned(), id_a2a: A2A.to_owned(), istat: Some("000123456".to_owned()) };
    let bench = Bench::with(Settings { codici_siope: allowed, enti: Some(vec![ente]), ..settings() }).await;
    assert_eq!(codes(&bench, &Flow::of(1)).await, [0; 0]);

    let other_order = |numero| mandato("INSERIMENTO", numero, "10.00", &[("10.00", "3101")]);
    assert_eq!(codes(&bench, &with("F-1", other_order(2))).await, [101]);
    assert_eq!(codes(&bench, &Flow { istat: "000999999", ..with("F-2", other_order(2)) }).await, [112]);
    let wrong_total = other_order(2).replace("<importo_mandato>10.00", "<importo_mandato>10.01");
    assert_eq!(codes(&bench, &with("F-3", wrong_total)).await, [106]);
    let wrong_lines = mandato("INSERIMENTO", 2, "10.00", &[("5.00", "3101"), ("4.99", "3101")]);
    assert_eq!(codes(&bench, &with("F-4", wrong_lines)).await, [106]);
    assert_eq!(codes(&bench, &with("F-5", mandato("INSERIMENTO", 2, "10.00", &[]))).await, [109]);
    assert_eq!(codes(&bench, &with("F-6", mandato("INSERIMENTO", 2, "10.00", &[("10.00", "9999")]))).await, [109]);
    assert_eq!(codes(&bench, &with("F-7", other_order(1))).await, [120]);
    assert_eq!(codes(&bench, &Flow::new("F-8", vec![other_order(2), other_order(2)])).await, [120]);
    assert_eq!(codes(&bench, &with("F-9", mandato("ANNULLO", 2, "10.00", &[]))).await, [121]);

    let orders = bench.orders().await;
    let [only] = orders.as_slice() else { panic!("{orders:?}") };
    assert_eq!((&only["numero"], &only["insertions"], &only["paid"]), (&json!(1), &json!(1), &json!(true)));
    assert_eq!(codes(&bench, &with("F-10", other_order(2))).await, [0; 0]);
}

#[tokio::test]
async fn the_same_bytes_sent_again_are_taken_and_then_ko() {
    let bench = Bench::new().await;
    let _ = bench.send(&Flow::of(1)).await;
    let _ = bench.send(&Flow::of(1)).await;
    bench.settled().await;
    let flows = bench.flows().await;
    assert_eq!(flows[0]["ack_state"], "OK");
    assert_eq!(flows[1]["ack_codes"], json!([101, 120]));
    assert_eq!(flows[0]["sha256"], flows[1]["sha256"]);
    assert_eq!((&flows[0]["orders"][0]["paid"], &flows[1]["orders"][0]["paid"]), (&json!(true), &json!(false)));
}
