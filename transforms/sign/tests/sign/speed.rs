//! How fast it is, on request: `RACCORDO_MEASURE=1 cargo test --release -p transform-sign speed -- --nocapture`.

use std::time::{Duration, Instant};

use transform_sign::xades::sign;
use transform_xml::Limits;

use crate::support::{flow, now, rsa};

#[tokio::test]
async fn signatures_a_second() {
    if std::env::var_os("RACCORDO_MEASURE").is_none() {
        println!("skipped: set RACCORDO_MEASURE=1, in a release build");
        return;
    }
    for orders in [1, 45, 220] {
        let xml = flow(orders);
        let (mut count, start) = (0u32, Instant::now());
        while start.elapsed() < Duration::from_secs(2) {
            let signed = sign(xml.as_bytes(), "m", now(), &rsa().key, &Limits::default()).await.unwrap();
            assert!(signed.xml.len() > xml.len());
            count += 1;
        }
        println!("{} bytes: {:.0} signatures/s", xml.len(), f64::from(count) / start.elapsed().as_secs_f64());
    }
}

#[tokio::test]
async fn hostile_documents_cost_no_more_than_their_size() {
    let namespaces: String = (0..30).map(|i| format!(" xmlns:p{i}='urn:p{i}'")).collect();
    let xml = format!("<r{namespaces}>{}</r>", "<a/>".repeat(130_000));
    let start = Instant::now();
    sign(xml.as_bytes(), "m", now(), &rsa().key, &Limits::default()).await.unwrap();
    println!("30 namespaces, 130000 elements: {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(60), "a generous bound for a loaded machine");
}
