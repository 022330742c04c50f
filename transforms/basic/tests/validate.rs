//! The step `validate`: what its configuration may be, and what a sender is told.

#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

use std::collections::HashMap;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use hub_core::plugin::{OpenCx, Shared, StepDef};
use hub_core::{
    Body, Case, Clock, Entities, Headers, Lane, Media, Message, MessageId, Problem, Scope, Step, StepError, Value,
};
use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;
use transform_basic::PLUGIN;

#[derive(Debug)]
struct Frozen;

impl Clock for Frozen {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH
    }
    fn sleep_until(&self, _: jiff::Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::pending())
    }
}

fn cx(root: &Path) -> OpenCx {
    OpenCx {
        clock: Arc::new(Frozen),
        root: root.to_path_buf(),
        route: "test".into(),
        cursor: Value::Null,
        entities: Arc::new(Entities::default()),
        named: Arc::new(HashMap::new()),
        shared: Arc::new(Shared::default()),
    }
}

fn def() -> &'static StepDef {
    &PLUGIN.steps[0]
}

/// Problems of a configuration: those of the types and those of `check`.
fn config_problems(config: &Value) -> Vec<String> {
    match (def().parse)(config) {
        Ok(parsed) => parsed.problems.iter().map(ToString::to_string).collect(),
        Err(error) => vec![error],
    }
}

async fn open(root: &Path, config: &Value) -> Result<Arc<dyn Step>, String> {
    (def().parse)(config).unwrap().opens.open(&cx(root)).await.map_err(|e| e.to_string())
}

async fn judge(step: &Arc<dyn Step>, media: Media, body: &str) -> Result<(), Vec<Problem>> {
    let id = MessageId::derive(&["test"]);
    let case = Case::of_message(&id);
    let body = Body::new(media, body.as_bytes().to_vec());
    let message = Message { id, lane: Lane("l".into()), case, headers: Headers::new(), body };
    let scope =
        Scope { now: jiff::Timestamp::UNIX_EPOCH, entity: &Value::Null, params: &Value::Null, bound: &Value::Null };
    match step.apply(message.clone(), &scope).await {
        Ok(applied) => {
            assert_eq!((applied.message, applied.result), (message, Value::Null));
            Ok(())
        }
        Err(StepError::Invalid(problems)) => Err(problems),
        Err(error) => panic!("{error}"),
    }
}

fn schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object", "additionalProperties": false, "required": ["codice_ente", "importo"],
        "properties": {
            "codice_ente": { "type": "string", "pattern": "^[A-Z0-9]{6}$", "description": "IPA code of the body, six characters." },
            "importo": { "type": "number", "exclusiveMinimum": 0, "multipleOf": 0.01, "maximum": 999999999999.99 },
            "tipo": { "enum": ["INSERIMENTO", "ANNULLO", "VARIAZIONE"] },
            "data": { "type": "string", "format": "date" },
            "righe": { "type": "array", "items": { "$ref": "#/$defs/riga" } },
            "pagamento": { "oneOf": [
                { "title": "bonifico", "type": "object", "required": ["tipo", "iban"], "additionalProperties": false,
                  "properties": { "tipo": { "const": "BONIFICO" }, "iban": { "type": "string", "minLength": 15 } } },
                { "title": "cassa", "type": "object", "required": ["tipo"], "additionalProperties": false,
                  "properties": { "tipo": { "const": "CASSA" }, "sportello": { "type": "integer" } } } ] }
        },
        "$defs": { "riga": { "type": "object", "required": ["cig"], "properties": { "cig": { "type": "string" } }, "additionalProperties": false } }
    })
}

async fn json_step(extra: Value) -> (TempDir, Arc<dyn Step>) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("schemas")).unwrap();
    std::fs::write(folder.path().join("schemas/o.json"), schema().to_string()).unwrap();
    let mut config = json!({ "json_schema": "schemas/o.json" });
    config.as_object_mut().unwrap().extend(extra.as_object().cloned().unwrap_or_default());
    let step = open(folder.path(), &config).await.unwrap();
    (folder, step)
}

async fn told(body: &str) -> Vec<(String, String)> {
    let (_folder, step) = json_step(json!({})).await;
    let problems = judge(&step, Media::Json, body).await.err().unwrap_or_default();
    assert!(problems.iter().all(|p| p.code == "json-schema"), "{problems:?}");
    problems.into_iter().map(|p| (p.field, p.detail)).collect()
}

#[test]
fn the_configuration_names_one_schema() {
    assert!(def().judges);
    assert!(config_problems(&json!({})).iter().any(|p| p.contains("names no schema")));
    assert!(config_problems(&json!({ "json_schema": "a", "xsd": "b" })).iter().any(|p| p.contains("two schemas")));
    assert!(config_problems(&json!({ "json_schema": " " })).iter().any(|p| p.contains("names no file")));
    assert!(config_problems(&json!({ "xsd": "a", "max": "1GiB" })).iter().any(|p| p.contains("256MiB")));
    assert!(config_problems(&json!({ "schema": "a" })).iter().any(|p| p.contains("unknown field")));
    assert_eq!(config_problems(&json!({ "xsd": "a.xsd", "max": "5MiB" })), [""; 0]);
    assert_eq!((def().parse)(&json!({ "xsd": "a.xsd" })).unwrap().files, ["a.xsd"]);
    let schema = serde_json::to_string(&(def().schema)()).unwrap();
    assert!(schema.contains("draft 2020-12"), "{schema}");
}

#[tokio::test]
async fn unusable_schemas_are_named_when_opened() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("broken.json", "{");
    write("wrong.json", r#"{"type": "strnig"}"#);
    write("remote.json", r#"{"$ref": "http://localhost:1/x.json"}"#);
    write("file.json", r#"{"$ref": "other.json"}"#);
    for name in ["none.json", "broken.json", "wrong.json", "remote.json", "file.json"] {
        let error = open(folder.path(), &json!({ "json_schema": name })).await.err().unwrap();
        assert!(error.contains(name), "{error}");
    }
    let error = open(folder.path(), &json!({ "xsd": "none.xsd" })).await.err().unwrap();
    assert!(error.contains("none.xsd"), "{error}");
}

#[tokio::test]
async fn a_good_order_passes_unchanged() {
    let good = r#"{"codice_ente": "UFAAAA", "importo": 12.50, "tipo": "ANNULLO", "data": "2026-11-24",
        "righe": [{"cig": "x"}], "pagamento": {"tipo": "CASSA", "sportello": 3}}"#;
    assert_eq!(told(good).await, []);
}

#[tokio::test]
async fn each_problem_says_what_to_write() {
    let bad = r#"{"codice_ente": "uf", "tipo": "INSERIMETO", "importo": "12,50", "data": "24/11/2026", "importo_": 1, "zzz": 2,
        "righe": [{"cig": "x"}, {"cgi": "x"}]}"#;
    let told = told(bad).await;
    let at =
        |field: &str| told.iter().filter(|(f, _)| f == field).map(|(_, d)| d.as_str()).collect::<Vec<_>>().join("; ");
    assert!(
        at("/codice_ente").contains("must match `^[A-Z0-9]{6}$` (IPA code of the body, six characters)"),
        "{told:#?}"
    );
    assert!(
        at("/tipo").contains("did you mean \"INSERIMENTO\"? accepted are \"INSERIMENTO\", \"ANNULLO\""),
        "{told:#?}"
    );
    assert!(at("/importo").contains("\"12,50\" is text: write a number without quotes"), "{told:#?}");
    assert!(at("/data").contains("not a valid date"), "{told:#?}");
    assert!(at("/importo_").contains("field `importo_` is not known here: did you mean `importo`?"), "{told:#?}");
    assert!(at("/zzz").contains("known are `codice_ente`, `importo`"), "{told:#?}");
    assert!(at("/righe/1/cig").contains("field `cig` is missing"), "{told:#?}");
    assert!(at("/righe/1/cgi").contains("did you mean `cig`?"), "{told:#?}");
    assert_eq!(told.len(), 8, "{told:#?}");
}

#[tokio::test]
async fn a_missing_field_is_shown_with_its_description() {
    let told = told(r#"{"importo": 1}"#).await;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].0, "/codice_ente");
    assert!(told[0].1.contains("is missing (IPA code"), "{told:#?}");
}

#[tokio::test]
async fn alternatives_are_explained_by_the_nearest() {
    let told = told(r#"{"codice_ente": "UFAAAA", "importo": 1, "pagamento": {"tipo": "BONIFICO", "ibam": "IT60X0542811101000000123456"}}"#).await;
    assert_eq!(
        told.iter().map(|(field, _)| field.as_str()).collect::<Vec<_>>(),
        ["/pagamento/iban", "/pagamento/ibam"],
        "{told:#?}"
    );
    assert!(told.iter().all(|(_, detail)| detail.contains("in the form `bonifico`")), "{told:#?}");
}

#[tokio::test]
async fn money_is_judged_exactly() {
    let (_folder, step) = json_step(json!({})).await;
    for (importo, right) in [
        ("0.01", true),
        ("0.07", true),
        ("0.29", true),
        ("1.1", true),
        ("4.35", true),
        ("1234567890.15", true),
        ("999999999999.99", true),
        ("999999999999.990", true),
        ("1.23e2", true),
        ("0", false),
        ("0.001", false),
        ("0.015", false),
        ("1000000000000.00", false),
        ("999999999999.991", false),
        ("999999999999.9900000000000001", false),
        ("0.0000000000000000000000001", false),
        ("-0.01", false),
    ] {
        let body = format!(r#"{{"codice_ente": "UFAAAA", "importo": {importo}}}"#);
        assert_eq!(judge(&step, Media::Json, &body).await.is_ok(), right, "{importo}");
    }
}

#[tokio::test]
async fn unreadable_bodies_have_their_own_code() {
    let (_folder, step) = json_step(json!({ "max": "200B" })).await;
    let code = async |body: &str| judge(&step, Media::Json, body).await.unwrap_err()[0].code.clone();
    assert_eq!(code("{").await, "json");
    assert_eq!(code("").await, "json");
    assert_eq!(code(r#"{"a": 1, "a": 2}"#).await, "json");
    assert_eq!(code(&" ".repeat(201)).await, "json");
    assert_eq!(code(r#"{"codice_ente": "UFAAAA", "importo": 1e999999999}"#).await, "json");
    assert_eq!(code(r#"{"codice_ente": "UFAAAA", "importo": 1e-999999999}"#).await, "json");
}

#[tokio::test]
async fn problems_are_bounded() {
    let fields: String = (0..500).map(|i| format!(", \"x{i}\": 1")).collect();
    assert_eq!(told(&format!("{{\"importo\": 1{fields}}}")).await.len(), transform_basic::PROBLEMS_MAX);
}

#[tokio::test]
async fn an_xsd_judges_xml() {
    let folder = tempfile::tempdir().unwrap();
    let xsd = "<xs:schema xmlns:xs='http://www.w3.org/2001/XMLSchema'><xs:element name='n' type='xs:int'/></xs:schema>";
    std::fs::write(folder.path().join("n.xsd"), xsd).unwrap();
    let step = open(folder.path(), &json!({ "xsd": "n.xsd", "max": "100B" })).await.unwrap();
    judge(&step, Media::Xml, "<n>1</n>").await.unwrap();
    let code = async |body: &str| judge(&step, Media::Xml, body).await.unwrap_err()[0].code.clone();
    assert_eq!(code("<n>x</n>").await, "xsd");
    assert_eq!(code("<!DOCTYPE n><n>1</n>").await, "xml.doctype");
    assert_eq!(code(&format!("<n>1</n>{}", " ".repeat(100))).await, "xml.size");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_text_without_the_required_fields_passes(body in "\\{?[\\[\\]{}\":,a-z0-9.eE+\\- ]{0,60}\\}?") {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (_folder, step) = json_step(json!({})).await;
            assert!(!judge(&step, Media::Json, &body).await.unwrap_err().is_empty());
        });
    }
}
