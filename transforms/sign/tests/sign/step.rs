//! The step `sign.xades`, opened from a configuration.

use std::collections::HashMap;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use hub_core::plugin::{OpenCx, Shared};
use hub_core::{Body, Case, Clock, Entities, Headers, Lane, Media, Message, MessageId, Scope, Step, StepError, Value};
use jiff::Timestamp;
use serde_json::json;
use transform_sign::PLUGIN;
use transform_sign::verify::verify;
use transform_xml::Limits;

use crate::support::{flow, now, rsa};

#[derive(Debug)]
struct Frozen;

impl Clock for Frozen {
    fn now(&self) -> Timestamp {
        now()
    }
    fn sleep_until(&self, _: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::pending())
    }
}

fn cx(root: &Path, keys: &[(&str, Value)]) -> OpenCx {
    let keys = keys.iter().map(|(name, settings)| ((*name).to_string(), settings.clone())).collect();
    OpenCx {
        clock: Arc::new(Frozen),
        root: root.to_path_buf(),
        route: "test".into(),
        cursor: Value::Null,
        entities: Arc::new(Entities::default()),
        named: Arc::new(HashMap::from([("keys".to_string(), keys)])),
        shared: Arc::new(Shared::default()),
    }
}

async fn open(config: Value, cx: &OpenCx) -> Result<Arc<dyn Step>, String> {
    let parsed = (PLUGIN.steps[0].parse)(&config)?;
    if let Some(problem) = parsed.problems.first() {
        return Err(problem.to_string());
    }
    parsed.opens.open(cx).await.map_err(|e| e.to_string())
}

async fn apply(step: &Arc<dyn Step>, xml: &str, at: Timestamp) -> Result<(Message, Value), StepError> {
    let id = MessageId::derive(&["test"]);
    let body = Body::new(Media::Xml, xml.as_bytes().to_vec());
    let message = Message { lane: Lane("l".into()), case: Case::of_message(&id), headers: Headers::new(), id, body };
    let scope = Scope { now: at, entity: &Value::Null, params: &Value::Null, bound: &Value::Null };
    step.apply(message, &scope).await.map(|applied| (applied.message, applied.result))
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key.pem"), &rsa().key_pem).unwrap();
    std::fs::write(folder.path().join("cert.pem"), &rsa().cert_pem).unwrap();
    folder
}

#[tokio::test]
async fn a_message_is_signed_and_the_facts_are_bound() {
    let folder = folder();
    let cx = cx(folder.path(), &[("opi", json!({ "pem": { "key": "key.pem", "cert": "cert.pem" } }))]);
    let step = open(json!({ "key": "opi", "level": "b-b", "scope": "subtract_signatures" }), &cx).await.unwrap();
    let (message, result) = apply(&step, &flow(1), now()).await.unwrap();
    let verified = verify(&message.body.bytes, &Limits::default()).unwrap();
    assert_eq!(message.body.media, Media::Xml);
    assert_eq!(
        result,
        json!({
            "algorithm": "rsa-sha256", "certificate_sha256": verified.certificate.sha256(),
            "subject": "CN=Azienda Sanitaria di Prova", "signed_at": "2026-11-24T09:30:15Z",
        })
    );
    let (again, _) = apply(&step, &flow(1), now()).await.unwrap();
    assert_eq!(again.body, message.body, "a repetition after a crash gives the same bytes");
}

#[tokio::test]
async fn a_wrong_document_is_the_senders_matter() {
    let folder = folder();
    let cx = cx(folder.path(), &[("opi", json!({ "pem": { "key": "key.pem", "cert": "cert.pem" } }))]);
    let step = open(json!({ "key": "opi" }), &cx).await.unwrap();
    match apply(&step, "<!DOCTYPE a><a/>", now()).await {
        Err(StepError::Invalid(problems)) => assert_eq!(problems[0].code, "xml.doctype"),
        other => panic!("{other:?}"),
    }
    let late = "2051-01-01T00:00:00Z".parse().unwrap();
    let error = apply(&step, &flow(1), late).await.unwrap_err();
    assert!(
        matches!(error, StepError::Unavailable(_)) && error.to_string().contains("configure another key"),
        "{error}"
    );
}

#[tokio::test]
async fn wrong_configurations_are_explained() {
    let folder = folder();
    let pem = |key: &str| json!({ "pem": { "key": key, "cert": "cert.pem" } });
    let p12 = json!({ "pkcs12": { "path": "key.pem", "password": "hunter2" } });
    let number = json!({ "pkcs12": { "path": "key.pem", "password": 47_114_711 } });
    let cx = cx(
        folder.path(),
        &[("opi", pem("none.pem")), ("file", p12), ("odd", json!({ "hsm": {} })), ("number", number)],
    );
    let error = async |config: Value| open(config, &cx).await.err().unwrap();
    assert!(error(json!({ "key": "" })).await.contains("key: opi"));
    assert!(error(json!({ "key": "opi", "level": "b-lta" })).await.contains("expected `b-b`"));
    assert!(error(json!({ "key": "opi", "lvel": "b-b" })).await.contains("unknown field"));
    assert!(error(json!({ "key": "opo" })).await.contains("known: file, number, odd, opi"));
    assert!(error(json!({ "key": "opi" })).await.contains("none.pem cannot be read"));
    assert!(error(json!({ "key": "odd" })).await.contains("expected `pem` or `pkcs12`"));
    assert!(!error(json!({ "key": "number" })).await.contains("47114711"));
    let text = error(json!({ "key": "file" })).await;
    assert!(text.contains("PKCS#12") && !text.contains("hunter2"), "{text}");
}
