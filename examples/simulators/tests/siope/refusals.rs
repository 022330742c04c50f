//! Every status that says no, and that nothing was taken then.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use simulators::siope::{Banca, Limits, RateLimit, Settings};

use crate::support::{A2A, Bench, Flow, archive, pack, settings};

/// Posts a zip and gives status and reason; the upload log must agree and nothing be taken.
async fn refused(bench: &Bench, zip: Vec<u8>) -> (u16, String) {
    let before = bench.flows().await.len();
    let reply = bench.post(zip).send().await.unwrap();
    let (status, reason) = (reply.status().as_u16(), reply.text().await.unwrap());
    let flows = bench.uploads(before + 1).await;
    let seen = flows.last().unwrap();
    assert_eq!(
        (&seen["result"], &seen["status"], &seen["progFlusso"]),
        (&json!("refused"), &json!(status), &Value::Null)
    );
    assert_eq!(seen["reason"], reason);
    (status, reason)
}

async fn refused_xml(bench: &Bench, xml: &str) -> (u16, String) {
    refused(bench, pack(xml.as_bytes())).await
}

#[tokio::test]
async fn what_is_no_zip_of_one_document_is_refused() {
    let bench = Bench::new().await;
    let good = Flow::of(1).xml();
    let whole = pack(good.as_bytes());
    assert_eq!(refused(&bench, Vec::new()).await.0, 415);
    assert_eq!(refused(&bench, good.clone().into_bytes()).await.0, 415);
    assert_eq!(refused(&bench, whole[..whole.len() / 2].to_vec()).await.0, 415);
    let two = archive(&[("a.xml", good.as_bytes()), ("b.xml", good.as_bytes())]);
    let (status, reason) = refused(&bench, two).await;
    assert!(status == 422 && reason.contains("2 entries"), "{reason}");
    assert_eq!(refused(&bench, archive(&[])).await.0, 422);
    let mut flipped = whole.clone();
    flipped[60] ^= 0xff;
    assert!([415, 422].contains(&refused(&bench, flipped).await.0));
    let _ = bench.send(&Flow::of(1)).await;
}

#[tokio::test]
async fn bombs_and_long_bodies_are_refused() {
    let limits = Limits { zip_bytes_max: 50_000, xml_bytes_max: 1_000_000, ..Limits::default() };
    let bench = Bench::with(Settings { limits, ..settings() }).await;
    let bomb = pack(&vec![b' '; 20_000_000]);
    assert!(bomb.len() < 50_000);
    let (status, reason) = refused(&bench, bomb).await;
    assert!(status == 422 && reason.contains("longer than 1000000 bytes"), "{reason}");
    assert_eq!(refused(&bench, vec![7; 50_001]).await.0, 413);
    assert_eq!(refused(&bench, vec![7; 3_000_000]).await.0, 413);
}

#[tokio::test]
async fn documents_that_are_dangerous_or_not_valid_are_refused() {
    let bench = Bench::new().await;
    let good = Flow::of(1).xml();
    let unsigned = Flow { signed: false, ..Flow::of(1) }.xml();
    let doctype = good.replace("?><flusso", "?><!DOCTYPE flusso_ordinativi [<!ENTITY a \"b\">]><flusso");
    let deep = format!("{}{}", "<a>".repeat(500), "</a>".repeat(500));
    for (xml, why) in [
        (doctype, "DOCTYPE"),
        (good.replace("F-1<", "F 1<"), "schema error"),
        (good.replace("<esercizio>2026", "<esercizio>duemila"), "esercizio"),
        (good.replace("flusso_ordinativi>", "flusso>"), "root element"),
        (good.replace("</esercizio>", ""), "well-formed"),
        (good.replace(">100.00<", ">100,00<"), "mandato 1: importo_mandato"),
        (good.replace("numero_mandato>1<", "numero_mandato>uno<"), "numero_mandato"),
        (good.replace("&amp;", "&boh;"), "boh"),
        (good.replace("?><flusso", "?>\u{0}<flusso"), ""),
        (unsigned, "not signed"),
        (deep, "levels"),
        (String::new(), "empty"),
    ] {
        let (status, reason) = refused_xml(&bench, &xml).await;
        assert!(status == 422 && reason.contains(why), "{status} {reason} for {xml}");
    }
    let mut latin = good.replace("UTF-8", "ISO-8859-1").into_bytes();
    let at = latin.windows(2).position(|w| w == "à".as_bytes()).unwrap();
    let _ = latin.splice(at..at + 2, [0xE0]);
    assert_eq!(refused(&bench, pack(&[latin.as_slice(), b"x"].concat())).await.0, 422);
    assert_eq!(bench.post(pack(&latin)).send().await.unwrap().status(), StatusCode::CREATED);
}

#[tokio::test]
async fn wrong_parties_inside_the_message_are_460_and_461() {
    let banks = vec![Banca { abi: "01234".to_owned(), tramite: "A2A-00000009".to_owned() }];
    let bench = Bench::with(Settings { banche: Some(banks), ..settings() }).await;
    assert_eq!(refused_xml(&bench, &Flow { ente: "UFBBBB", ..Flow::of(1) }.xml()).await.0, 460);
    let other_a2a =
        Flow::of(1).xml().replace(&format!("codice_tramite_ente>{A2A}"), "codice_tramite_ente>A2A-99999999");
    assert_eq!(refused_xml(&bench, &other_a2a).await.0, 460);
    assert_eq!(refused_xml(&bench, &Flow { abi: "99999", ..Flow::of(1) }.xml()).await.0, 461);
    let _ = bench.send(&Flow::of(1)).await;
}

#[tokio::test]
async fn headers_paths_and_parameters_must_be_right() {
    let bench = Bench::new().await;
    let zip = pack(Flow::of(1).xml().as_bytes());
    let post = |accept: &str, media: &str| {
        let request = bench.client.post(bench.url("flusso")).header("accept", accept).header("content-type", media);
        request.body(zip.clone()).send()
    };
    assert_eq!(post("*/*", "application/zip").await.unwrap().status(), StatusCode::NOT_ACCEPTABLE);
    assert_eq!(
        post("application/json", "multipart/form-data").await.unwrap().status(),
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
    let accepted = post("application/json; charset=UTF-8", "application/zip").await.unwrap();
    assert_eq!(accepted.status(), StatusCode::CREATED);
    bench.settled().await;
    let prog = accepted.json::<Value>().await.unwrap()["progFlusso"].as_str().unwrap().to_owned();
    for (call, accept, status) in [
        ("flusso/ack".to_owned(), "text/html", 406),
        (format!("flusso/{prog}/ack"), "application/json", 406),
        ("flusso/ack?pagina=0".to_owned(), "application/json", 400),
        ("flusso/ack?pagina=x".to_owned(), "application/json", 400),
        ("flusso/ack?download=forse".to_owned(), "application/json", 400),
        ("flusso/ack?dataProduzioneDa=2026-11-24".to_owned(), "application/json", 400),
        ("flusso/ack?dataUploadDa=2026-11-24T00:00:00.000".to_owned(), "application/json", 400),
        ("flusso/ack?boh=1".to_owned(), "application/json", 400),
        ("flusso/9999999999/ack".to_owned(), "application/zip", 404),
        ("esitoapplicativo/abc".to_owned(), "application/zip", 404),
        ("boh".to_owned(), "application/json", 404),
        ("flusso".to_owned(), "application/json", 401),
    ] {
        assert_eq!(bench.get(&call, accept).await.status().as_u16(), status, "{call}");
    }
    let wrong = bench.url("giornale").replace(A2A, "A2A-1");
    let reply = bench.client.get(wrong).header("accept", "application/json").send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::BAD_REQUEST);
    let deleted = bench.client.request(Method::DELETE, bench.url("giornale")).send().await.unwrap();
    assert_eq!(deleted.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn the_rate_limit_counts_calls_and_says_when_to_come_back() {
    let rate_limit = Some(RateLimit { calls: 2, per: Duration::from_secs(3600) });
    let bench = Bench::with(Settings { rate_limit, ..settings() }).await;
    let _ = bench.send(&Flow::of(1)).await;
    assert_eq!(bench.list("giornale").await["numRisultati"], 0);
    let reply = bench.post(pack(Flow::of(2).xml().as_bytes())).send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::TOO_MANY_REQUESTS);
    let header = |name: &str| reply.headers()[name].to_str().unwrap().parse::<u64>().unwrap();
    assert!((1..=3600).contains(&header("retry-after")));
    assert_eq!((header("x-ratelimit-limit"), header("x-ratelimit-remaining")), (2, 0));
    assert_eq!(header("x-ratelimit-reset"), header("retry-after"));
    let flows = bench.flows().await;
    assert_eq!((&flows[1]["result"], &flows[1]["identificativo_flusso"]), (&json!("refused"), &json!("F-2")));
}

#[tokio::test]
async fn a_full_simulator_takes_nothing_more() {
    let limits = Limits { uploads_max: 1, ..Limits::default() };
    let bench = Bench::with(Settings { limits, ..settings() }).await;
    let _ = bench.send(&Flow::of(1)).await;
    let reply = bench.post(pack(Flow::of(2).xml().as_bytes())).send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(bench.flows().await.len(), 1);
}
