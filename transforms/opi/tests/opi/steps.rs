//! The steps, as the runtime calls them.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use hub_core::plugin::{OpenCx, Shared};
use hub_core::{Applied, Body, Case, Clock, Entities, Lane, Media, Message, MessageId, Scope, Step, StepError, Value};
use jiff::Timestamp;
use serde_json::json;
use transform_opi::PLUGIN;

use crate::world::{entities, example, now, root};

#[derive(Debug)]
struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        now()
    }
    fn sleep_until(&self, _: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::pending())
    }
}

fn context() -> OpenCx {
    OpenCx {
        clock: Arc::new(Stopped),
        root: root().join("config"),
        route: "test".into(),
        cursor: Value::Null,
        entities: Arc::new(Entities(entities())),
        named: Arc::new(HashMap::new()),
        shared: Arc::new(Shared::default()),
    }
}

async fn open(kind: &str, config: &Value) -> Arc<dyn Step> {
    let def = PLUGIN.steps.iter().find(|def| def.kind == kind).unwrap();
    let parsed = (def.parse)(config).unwrap();
    assert_eq!(parsed.problems, []);
    parsed.opens.open(&context()).await.unwrap()
}

fn message(body: Body, entity: Option<&str>) -> Message {
    let id = MessageId::derive(&["test"]);
    let case = Case { entity: entity.map(str::to_string), ..Case::of_message(&id) };
    Message {
        id,
        lane: Lane("l".into()),
        case,
        headers: [("origin".to_string(), "ack-7.xml".to_string())].into(),
        body,
    }
}

async fn run(kind: &str, config: Value, message: Message) -> Result<Applied, StepError> {
    let row = message.case.entity.as_ref().and_then(|code| entities().remove(code)).unwrap_or(Value::Null);
    let scope = Scope { now: now(), entity: &row, params: &Value::Null, bound: &Value::Null };
    open(kind, &config).await.apply(message, &scope).await
}

fn codes(result: Result<Applied, StepError>) -> Vec<String> {
    match result {
        Err(StepError::Invalid(problems)) => problems.into_iter().map(|problem| problem.code).collect(),
        other => panic!("expected problems, got {other:?}"),
    }
}

fn order() -> Value {
    let mut order = example("buoni", "001-farmaci.json");
    order["numero"] = json!(123);
    order
}

#[tokio::test]
async fn build_gives_the_flow_and_its_name() {
    let sent = message(Body::json(&order()), Some("UFAAAA"));
    let done = run("opi.build", json!({"version": "1.7.1"}), sent.clone()).await.unwrap();
    assert_eq!(done.message.body.media, Media::Xml);
    assert_eq!(done.message.case, sent.case);
    let result = &done.result;
    assert_eq!(result["identificativo"], "2026-UFAAAA-M0000123-I1");
    assert_eq!(result["sha256"], done.message.body.sha256());
    assert_eq!((&result["esercizio"], &result["ente"]), (&json!(2026), &json!("UFAAAA")));
    assert_eq!(hub_core::decimal_of(&result["importo"]), hub_core::decimal_of(&order()["importo"]));
    assert_eq!(result["ordini"][0]["tipo_operazione"], "INSERIMENTO");
    let again = run("opi.build", json!({"version": "1.7.1"}), sent).await.unwrap();
    assert_eq!(again.message.body, done.message.body, "running again after a crash gives the same bytes");
}

#[tokio::test]
async fn check_judges_and_leaves_the_body() {
    let sent = message(Body::json(&order()), Some("UFAAAA"));
    let done = run("opi.check", json!({}), sent.clone()).await.unwrap();
    assert_eq!((done.message.body, done.result), (sent.body, Value::Null));
    let mut wrong = order();
    wrong["importo"] = json!("1.00");
    wrong["beneficiari"][0]["causale"] = json!(" ");
    let wrong = message(Body::json(&wrong), Some("UFAAAA"));
    assert_eq!(
        codes(run("opi.check", json!({}), wrong).await),
        ["opi.testo"],
        "sums wait until all fields can be read"
    );
    let judges: Vec<_> = PLUGIN.steps.iter().filter(|def| def.judges).map(|def| def.kind).collect();
    assert_eq!(judges, ["opi.check"]);
}

#[tokio::test]
async fn orders_of_other_or_unknown_bodies_are_refused() {
    let body = Body::json(&order());
    assert_eq!(codes(run("opi.check", json!({}), message(body.clone(), Some("UFBBBB"))).await), ["opi.ente"]);
    assert_eq!(codes(run("opi.check", json!({}), message(body.clone(), None)).await), ["opi.entita"]);
    assert_eq!(codes(run("opi.check", json!({"max": "10B"}), message(body, Some("UFAAAA"))).await), ["json"]);
}

#[tokio::test]
async fn read_binds_the_answer_and_names_the_file_in_problems() {
    let xml = std::fs::read(root().join("transforms/opi/tests/samples/ack_ko.xml")).unwrap();
    let sent = message(Body::new(Media::Xml, xml), None);
    let done = run("opi.read", json!({}), sent.clone()).await.unwrap();
    assert_eq!(done.message, sent);
    assert_eq!((&done.result["tipo"], &done.result["errori"][0]["codice"]), (&json!("ack"), &json!(106)));
    let bad = run("opi.read", json!({}), message(Body::new(Media::Xml, "<a/>"), None)).await;
    assert!(bad.unwrap_err().to_string().contains("from ack-7.xml"));
}

#[test]
fn configurations_are_checked() {
    let def = |kind: &str| PLUGIN.steps.iter().find(|def| def.kind == kind).unwrap();
    let old = (def("opi.build").parse)(&json!({"version": "1.6.1"})).unwrap();
    assert_eq!(old.problems[0].field, "/version");
    assert!((def("opi.build").parse)(&json!({})).unwrap_err().contains("version"));
    assert!((def("opi.read").parse)(&json!({"max": "1MiB"})).unwrap_err().contains("max"));
}
