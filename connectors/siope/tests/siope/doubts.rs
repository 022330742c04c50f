//! `resolve`: found in what SIOPE+ and the bank published, or not known. Never "not delivered".

use hub_core::{Resolution, SendError};
use serde_json::json;
use simulators::siope::Settings;

use crate::fake::{Fake, ack, esiti, ricezione};
use crate::support::{Bench, attempt, flow, outgoing, patient, sink};

#[tokio::test]
async fn a_flow_that_was_taken_is_found_by_its_ack() {
    let bench = Bench::new().await;
    let (sink, first) = (bench.sink(json!({})).await, attempt());
    let out = outgoing("UFAAAA", &flow("F-1", "UFAAAA", 1));
    bench.faults(json!({ "reset_after_taken": { "count": 1 } })).await;
    assert!(matches!(sink.send(&out, &first).await, Err(SendError::InDoubt { .. })));
    let Resolution::Unknown { evidence } = sink.resolve(&out, &first).await.unwrap() else { panic!("no ACK yet") };
    assert_eq!(
        (&evidence["identificativo_flusso"], &evidence["looked_at"]["ack"]["listed"]),
        (&json!("F-1"), &json!(0))
    );
    bench.tick().await;
    let Resolution::Delivered(receipt) = sink.resolve(&out, &first).await.unwrap() else { panic!("the ACK is there") };
    assert_eq!(receipt.remote_id.as_deref(), bench.flows().await[0]["progFlusso"].as_str());
    assert_eq!((&receipt.reply["found_in"], &receipt.reply["stato_flusso"]), (&json!("ack"), &json!("OK")));
}

#[tokio::test]
async fn a_refused_flow_was_delivered_too_and_the_first_of_two_counts() {
    let bench = Bench::with(Settings { page_size: 1, ..patient() }).await;
    let (sink, first) = (bench.sink(json!({})).await, attempt());
    let out = outgoing("UFAAAA", &flow("F-1", "UFAAAA", 1));
    bench.faults(json!({ "ko": { "count": 1 } })).await;
    let ko = outgoing("UFAAAA", &flow("F-2", "UFAAAA", 2));
    let refused = sink.send(&ko, &first).await.unwrap();
    bench.tick().await;
    let original = sink.send(&out, &first).await.unwrap();
    bench.tick().await;
    let _ = sink.send(&out, &first).await.unwrap();
    bench.tick().await;
    let flows = bench.flows().await;
    assert_eq!((&flows[0]["ack_state"], &flows[2]["ack_codes"][0]), (&json!("KO"), &json!(101)));
    for (out, sent) in [(ko, refused), (out, original)] {
        let Resolution::Delivered(found) = sink.resolve(&out, &first).await.unwrap() else { panic!("it was taken") };
        assert_eq!(found.remote_id, sent.remote_id);
    }
}

#[tokio::test]
async fn what_was_never_sent_stays_unknown() {
    let bench = Bench::new().await;
    let (sink, first) = (bench.sink(json!({})).await, attempt());
    for n in 2..5 {
        let _ = sink.send(&outgoing("UFAAAA", &flow(&format!("F-{n}"), "UFAAAA", n)), &first).await.unwrap();
    }
    // The same name, of another body.
    let _ = sink.send(&outgoing("UFBBBB", &flow("F-1", "UFBBBB", 1)), &first).await.unwrap();
    bench.tick().await;
    let out = outgoing("UFAAAA", &flow("F-1", "UFAAAA", 1));
    let Resolution::Unknown { evidence } = sink.resolve(&out, &first).await.unwrap() else { panic!("nobody has it") };
    assert_eq!(evidence["looked_at"]["ack"], json!({ "listed": 3, "opened": 3, "unreadable": 0 }));
    assert_eq!(evidence["looked_at"]["esito_flusso"]["opened"], 3);
    assert!(evidence["looked_at"]["esito_applicativo"]["opened"].as_u64().unwrap() >= 1);
}

#[tokio::test]
async fn who_cannot_ask_does_not_answer() {
    let bench = Bench::new().await;
    let sink = bench.sink(json!({})).await;
    bench.faults(json!({ "status_503": { "count": 1, "on": "get" } })).await;
    let out = outgoing("UFAAAA", &flow("F-1", "UFAAAA", 1));
    let error = sink.resolve(&out, &attempt()).await.unwrap_err();
    assert!(error.to_string().contains("could not ask"), "{error}");
    assert!(matches!(sink.resolve(&out, &attempt()).await, Ok(Resolution::Unknown { .. })));
}

#[tokio::test]
async fn the_bank_s_answers_prove_it_as_well() {
    let out = outgoing("UFAAAA", &flow("F-1", "UFAAAA", 1));
    let fake = Fake::start().await;
    let sink = sink(&fake.cx()).await;
    fake.publish("flusso/ack", "progFlusso", json!(7), "flusso/7/ack", &ack("F-9", "UFAAAA", "OK", None));
    fake.publish("flusso/esitoflusso", "progFlusso", json!(8), "flusso/8/esitoflusso", &ricezione("F-1", "UFAAAA"));
    let Resolution::Delivered(found) = sink.resolve(&out, &attempt()).await.unwrap() else { panic!("the bank has it") };
    assert_eq!((found.remote_id.as_deref(), &found.reply["found_in"]), (Some("8"), &json!("esito_flusso")));
    fake.forget("flusso/esitoflusso");
    fake.publish("esitoapplicativo", "progEsitoApplicativo", json!(9), "esitoapplicativo/9", &esiti("F-1", "UFAAAA"));
    let Resolution::Delivered(found) = sink.resolve(&out, &attempt()).await.unwrap() else { panic!("it was acquired") };
    assert_eq!((found.remote_id, &found.reply["found_in"]), (None, &json!("esito_applicativo")));
}

#[tokio::test]
async fn documents_are_opened_once_and_unreadable_ones_are_counted() {
    let fake = Fake::start().await;
    let sink = sink(&fake.cx()).await;
    fake.publish("flusso/ack", "progFlusso", json!("7"), "flusso/7/ack", &ack("F-9", "UFAAAA", "OK", None));
    fake.publish("flusso/ack", "progFlusso", json!("8"), "flusso/8/ack", "<html>");
    let other_year = ack("F-1", "UFAAAA", "OK", None).replace("2026</esercizio>", "2025</esercizio>");
    fake.publish("flusso/ack", "progFlusso", json!("9"), "flusso/9/ack", &other_year);
    let out = outgoing("UFAAAA", &flow("F-1", "UFAAAA", 1));
    for _ in 0..2 {
        let Resolution::Unknown { evidence } = sink.resolve(&out, &attempt()).await.unwrap() else {
            panic!("not ours")
        };
        assert_eq!(evidence["looked_at"]["ack"], json!({ "listed": 3, "opened": 3, "unreadable": 1 }));
    }
    assert_eq!(fake.calls("flusso/7/ack"), 1);
    // A repetition that was refused because the name is known proves that there is a first one.
    fake.publish("flusso/ack", "progFlusso", json!("10"), "flusso/10/ack", &ack("F-1", "UFAAAA", "KO", Some(101)));
    let Resolution::Delivered(found) = sink.resolve(&out, &attempt()).await.unwrap() else { panic!("101 is a proof") };
    assert_eq!(found.reply["repetition"], true);
    fake.publish("flusso/ack", "progFlusso", json!("11"), "flusso/11/ack", &ack("F-1", "UFAAAA", "OK", None));
    let Resolution::Delivered(found) = sink.resolve(&out, &attempt()).await.unwrap() else { panic!("it is there") };
    assert_eq!((found.remote_id.as_deref(), &found.reply["repetition"]), (Some("11"), &json!(false)));
}
