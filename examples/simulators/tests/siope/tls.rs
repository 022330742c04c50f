//! Who may call.

use reqwest::StatusCode;
use simulators::siope::{Ente, Error, Settings, Tls, start};

use crate::support::{A2A, Bench, ENTE, Flow, client, pack, settings};

#[tokio::test]
async fn a_client_without_certificate_gets_no_connection() {
    let bench = Bench::new().await;
    let nobody = client(&bench.certs, None);
    let refused = nobody.get(bench.url("giornale")).header("accept", "application/json").send().await;
    assert!(refused.is_err(), "{refused:?}");
    let plain = reqwest::get(format!("http://{}/v1/{A2A}/PA/{ENTE}/giornale", bench.sim.addr)).await;
    assert!(plain.is_err(), "{plain:?}");
    assert_eq!(bench.list("giornale").await["numRisultati"], 0);
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused() {
    let bench = Bench::new().await;
    let folder = tempfile::tempdir().unwrap();
    let strangers = simulators::siope::certificates(folder.path(), &[A2A]).unwrap();
    let (cert, key) = strangers.client(A2A);
    let pem = [std::fs::read(cert).unwrap(), std::fs::read(key).unwrap()].concat();
    let ca = reqwest::Certificate::from_pem(&std::fs::read(bench.certs.ca()).unwrap()).unwrap();
    let identity = reqwest::Identity::from_pem(&pem).unwrap();
    let stranger = reqwest::Client::builder().tls_certs_only([ca]).identity(identity).build().unwrap();
    assert!(stranger.get(bench.url("giornale")).header("accept", "application/json").send().await.is_err());
}

#[tokio::test]
async fn the_certificate_must_be_that_of_the_path() {
    let bench = Bench::new().await;
    let other = client(&bench.certs, Some("A2A-00000002"));
    let get = other.get(bench.url("flusso/ack")).header("accept", "application/json").send().await.unwrap();
    assert_eq!(get.status(), StatusCode::UNAUTHORIZED);
    let post = other
        .post(bench.url("flusso"))
        .header("content-type", "application/zip")
        .header("accept", "application/json")
        .body(pack(Flow::of(1).xml().as_bytes()));
    assert_eq!(post.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let flows = bench.flows().await;
    assert_eq!((&flows[0]["result"], &flows[0]["status"]), (&"refused".into(), &401.into()));
    assert_eq!(flows[0]["identificativo_flusso"], "F-1");
}

#[tokio::test]
async fn only_enabled_bodies_may_call() {
    let ente = Ente { codice: "UFZZZZ".to_owned(), id_a2a: A2A.to_owned(), istat: None };
    let bench = Bench::with(Settings { enti: Some(vec![ente]), ..settings() }).await;
    assert_eq!(bench.get("giornale", "application/json").await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_start_that_cannot_work_says_why() {
    let control = Settings { control_bind: "0.0.0.0:0".parse().unwrap(), ..settings() };
    assert!(matches!(start(control).await, Err(Error::ControlNotLoopback(_))));
    let missing = || "/nonexistent/x.pem".into();
    let tls = Settings { tls: Some(Tls { cert: missing(), key: missing(), client_ca: missing() }), ..settings() };
    assert!(start(tls).await.unwrap_err().to_string().contains("/nonexistent/x.pem"));
    let xsd = Settings { xsd: Some("/nonexistent/x.xsd".into()), ..settings() };
    assert!(start(xsd).await.unwrap_err().to_string().contains("schema /nonexistent/x.xsd"));
    let running = start(settings()).await.unwrap();
    let taken = Settings { bind: running.addr, ..settings() };
    assert!(matches!(start(taken).await, Err(Error::Bind { .. })));
}
