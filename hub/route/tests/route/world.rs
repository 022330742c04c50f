//! A registry of dummy plug-ins with the configurations of the real ones, and a world for routes to name things of.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use hub_core::plugin::{
    ConfigError, OpenCx, OpenError, Plugin, Registry, SinkConfig, SinkDef, SourceConfig, SourceDef, StepConfig, StepDef,
};
use hub_core::{Bytesize, Entities, Expr, Repeat, Sink, Source, Span, Step};
use hub_route::{CaseModel, Checked, RouteFile, World, check};
use schemars::JsonSchema;
use serde::Deserialize;

macro_rules! source {
    ($(#[$doc:meta])* $name:ident, $kind:literal, { $($fields:tt)* } $(, $check:expr)?) => {
        $(#[$doc])*
        #[derive(Debug, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        #[allow(dead_code)]
        struct $name { $($fields)* }
        #[async_trait]
        impl SourceConfig for $name {
            const KIND: &'static str = $kind;
            $(fn check(&self) -> Vec<ConfigError> { ($check)(self) })?
            async fn open(&self, _: &OpenCx) -> Result<Box<dyn Source>, OpenError> { Err(OpenError("a dummy".into())) }
        }
    };
}

macro_rules! step {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $judges:literal, { $($fields:tt)* }, $files:expr) => {
        $(#[$doc])*
        #[derive(Debug, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        #[allow(dead_code)]
        struct $name { $($fields)* }
        #[async_trait]
        impl StepConfig for $name {
            const KIND: &'static str = $kind;
            const JUDGES: bool = $judges;
            fn files(&self) -> Vec<String> { ($files)(self) }
            async fn open(&self, _: &OpenCx) -> Result<Arc<dyn Step>, OpenError> { Err(OpenError("a dummy".into())) }
        }
    };
}

macro_rules! sink {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $repeat:expr, { $($fields:tt)* }) => {
        $(#[$doc])*
        #[derive(Debug, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        #[allow(dead_code)]
        struct $name { $($fields)* }
        #[async_trait]
        impl SinkConfig for $name {
            const KIND: &'static str = $kind;
            fn repeat(&self) -> Repeat { $repeat }
            async fn open(&self, _: &OpenCx) -> Result<Arc<dyn Sink>, OpenError> { Err(OpenError("a dummy".into())) }
        }
    };
}

/// How senders prove who they are.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Auth {
    /// A client certificate.
    Mtls,
    /// A key.
    ApiKey,
    /// Nothing.
    None,
}

source!(
    /// Takes requests.
    Http, "http", {
        /// The path.
        path: String,
        auth: Auth,
        #[serde(default)]
        listener: Option<String>,
        max: Option<Bytesize>,
        #[serde(default)]
        require_key: bool,
    },
    |http: &Http| match http.path.starts_with('/') {
        true => Vec::new(),
        false => vec![ConfigError::at("/path", "must begin with `/`, for example `/ingest/mandati`")],
    }
);
source!(Ack, "siope.ack", { connection: String, every: Option<Span> });
source!(EsitoFlusso, "siope.esito_flusso", { connection: String, every: Option<Span> });
source!(EsitoApplicativo, "siope.esito_applicativo", { connection: String, every: Option<Span> });
source!(Folder, "file", { folder: String, pattern: Option<String> });
source!(Timer, "timer", { every: Span });

step!(Validate, "validate", true, { json_schema: Option<String>, xsd: Option<String> },
    |v: &Validate| v.json_schema.iter().chain(&v.xsd).cloned().collect::<Vec<_>>());
step!(OpiCheck, "opi.check", true, {}, |_: &OpiCheck| Vec::new());
step!(OpiBuild, "opi.build", false, {
    /// Version of the format.
    version: String,
}, |_: &OpiBuild| Vec::new());
step!(OpiRead, "opi.read", false, {}, |_: &OpiRead| Vec::new());

/// A level.
#[derive(Debug, Default, Deserialize, JsonSchema)]
enum Level {
    /// Baseline B.
    #[default]
    #[serde(rename = "b-b")]
    BaselineB,
}

/// What is signed.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Signed {
    /// All but signatures.
    #[default]
    SubtractSignatures,
}

step!(Sign, "sign.xades", false, {
    key: String,
    #[serde(default)]
    level: Level,
    #[serde(default)]
    scope: Signed,
    /// A reason, computed.
    reason: Option<Expr<String>>,
}, |_: &Sign| Vec::new());

sink!(
    /// Uploads a flow.
    Flusso, "siope.flusso", Repeat::Askable, { connection: String, entity: Expr<String> });
/// A pair of files.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct Pair {
    cert: String,
    key: String,
}

sink!(Post, "http", Repeat::Forbidden, {
    url: String, connection: Option<String>, retries: Option<u8>, tls: Option<Pair>, pairs: Option<Vec<Pair>>,
});
sink!(Write, "file", Repeat::Harmless, { folder: String, name: Expr<String> });

static SOURCES: [SourceDef; 6] = [
    SourceDef::of::<Http>(),
    SourceDef::of::<Ack>(),
    SourceDef::of::<EsitoFlusso>(),
    SourceDef::of::<EsitoApplicativo>(),
    SourceDef::of::<Folder>(),
    SourceDef::of::<Timer>(),
];
static STEPS: [StepDef; 5] = [
    StepDef::of::<Validate>(),
    StepDef::of::<OpiCheck>(),
    StepDef::of::<OpiBuild>(),
    StepDef::of::<OpiRead>(),
    StepDef::of::<Sign>(),
];
static SINKS: [SinkDef; 3] = [SinkDef::of::<Flusso>(), SinkDef::of::<Post>(), SinkDef::of::<Write>()];
static PLUGINS: [Plugin; 1] = [Plugin { name: "dummies", sources: &SOURCES, steps: &STEPS, sinks: &SINKS }];

pub(crate) const REGISTRY: Registry = Registry(&PLUGINS);

/// The folder of the repository.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(file: &str) -> Option<Vec<u8>> {
    match file {
        "schemas/mandato.json" | "schemas/reversale.json" => Some(br#"{"type": "object"}"#.to_vec()),
        "schemas/broken.json" => Some(b"{\"type\": ".to_vec()),
        "schemas/nonsense.json" => Some(br#"{"type": "objekt"}"#.to_vec()),
        "schemas/opi/flusso_ordinativi-1.7.1.xsd" => Some(b"<schema/>".to_vec()),
        _ => None,
    }
}

/// Checks files in the test's world, with the shipped model of cases.
pub(crate) fn checked(files: &[RouteFile]) -> Checked {
    let row = serde_json::json!({ "denominazione": "ASL", "codice_istat": "000700101", "codice_abi_bt": "09991" });
    let entities = Entities(BTreeMap::from([("UFAAAA".to_string(), row)]));
    let cases = CaseModel::parse("cases.yaml", include_str!("../../../../config/cases.yaml")).unwrap();
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_string()).collect::<BTreeSet<_>>();
    let names = BTreeMap::from([
        ("connections".to_string(), set(&["siope", "erp"])),
        ("listeners".to_string(), set(&["default"])),
        ("keys".to_string(), set(&["opi"])),
    ]);
    check(files, &World { registry: REGISTRY, entities: &entities, cases: &cases, names: &names, read: &read })
}

pub(crate) fn file(path: &str, text: &str) -> RouteFile {
    RouteFile { path: path.to_string(), text: text.to_string() }
}

/// Checks one route.
pub(crate) fn checked_text(text: &str) -> Checked {
    checked(&[file("route.yaml", text)])
}

/// Files of a folder of this crate's tests with an extension, sorted.
pub(crate) fn folder(name: &str, extension: &str) -> Vec<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name);
    let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == extension)).collect();
    found.sort();
    found
}
