//! The step `validate`.

mod explain;
mod json;

use std::sync::Arc;

use async_trait::async_trait;
use hub_core::plugin::{ConfigError, OpenCx, OpenError, StepConfig};
use hub_core::{Applied, Bytesize, Message, Problem, Scope, Step, StepError, sha256_hex};
use schemars::JsonSchema;
use serde::Deserialize;
use transform_xml::{Limits, Schema};

use crate::validate::json::JsonJudge;

/// Problems that one judgement reports at most.
pub const PROBLEMS_MAX: usize = 20;
/// Body size where the configuration names none: 1 MiB.
const BYTES_MAX: u64 = 1 << 20;
/// The largest size that may be configured; a message is judged in memory.
const BYTES_CEILING: u64 = 256 << 20;

/// Judges the body and leaves it as it is; a body that does not fit is refused with all problems (at most 20).
///
/// At the beginning of a route it runs before the sender is answered, so that the sender gets the problems.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Validate {
    /// A JSON Schema (draft 2020-12) in the configuration's folder, for example `schemas/mandato.json`. References within
    /// the file (`#/$defs/...`) are followed, others are not. `format` is checked.
    #[serde(default)]
    pub json_schema: Option<String>,
    /// An XML Schema (XSD 1.0) in the configuration's folder, for example `schemas/opi/flusso.xsd`. Its includes and
    /// imports must lie in the configuration's folder too; a remote location is read from a file of the same name beside it.
    #[serde(default)]
    pub xsd: Option<String>,
    /// The largest body that is accepted; `1MiB` if not given.
    #[serde(default)]
    pub max: Option<Bytesize>,
}

/// Elements by which an XML Schema reads further files.
const READS_MORE: [&str; 4] = ["include", "import", "redefine", "override"];

/// Whether an XML text may hold an element of this local name, whatever its prefix.
fn holds_element(xml: &[u8], name: &str) -> bool {
    let marked = |found: &[u8]| matches!(found, [b'<' | b':', rest @ ..] if rest == name.as_bytes());
    xml.windows(name.len() + 1).any(marked)
}

impl Validate {
    fn bytes_max(&self) -> usize {
        let bytes = self.max.map_or(BYTES_MAX, |max| max.0).min(BYTES_CEILING);
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    /// What this judge is, so that routes which name the same schema share it: its file, the bytes in it, its limit. A schema
    /// that reads further files has none: they may have changed.
    fn fingerprint(&self, cx: &OpenCx) -> Option<String> {
        let file = cx.path(self.json_schema.as_ref().or(self.xsd.as_ref())?);
        let bytes = std::fs::read(&file).ok()?;
        let alone = self.xsd.is_none() || !READS_MORE.iter().any(|word| holds_element(&bytes, word));
        alone.then(|| format!("{} {} {}", sha256_hex(&bytes), self.bytes_max(), file.display()))
    }

    fn judge(&self, cx: &OpenCx) -> Result<Judge, OpenError> {
        match (&self.json_schema, &self.xsd) {
            (Some(file), None) => JsonJudge::open(&cx.path(file), self.bytes_max()).map(Judge::Json).map_err(OpenError),
            (None, Some(file)) => {
                let schema = Schema::open(&cx.path(file), &cx.root).map_err(|e| OpenError(e.to_string()))?;
                Ok(Judge::Xml(schema.with_limits(Limits::default().with_bytes_max(self.bytes_max()))))
            }
            _ => Err(OpenError("`validate` takes one of `json_schema` and `xsd`".into())),
        }
    }
}

#[async_trait]
impl StepConfig for Validate {
    const KIND: &'static str = "validate";
    const JUDGES: bool = true;

    fn check(&self) -> Vec<ConfigError> {
        let mut problems = Vec::new();
        match (&self.json_schema, &self.xsd) {
            (None, None) => problems.push(ConfigError::at(
                "",
                "names no schema; write `json_schema: schemas/order.json` or `xsd: schemas/order.xsd`",
            )),
            (Some(_), Some(_)) => problems.push(ConfigError::at(
                "/xsd",
                "names two schemas; keep `json_schema` or `xsd`, or write two `validate` steps",
            )),
            _ => {}
        }
        for (field, file) in [("/json_schema", &self.json_schema), ("/xsd", &self.xsd)] {
            if file.as_ref().is_some_and(|file| file.trim().is_empty()) {
                problems.push(ConfigError::at(field, "names no file; write for example `schemas/order.json`"));
            }
        }
        if let Some(max) = self.max.filter(|max| max.0 == 0 || max.0 > BYTES_CEILING) {
            problems
                .push(ConfigError::at("/max", format!("{max} is not between 1B and 256MiB; write for example `5MiB`")));
        }
        problems
    }

    fn files(&self) -> Vec<String> {
        self.json_schema.iter().chain(&self.xsd).cloned().collect()
    }

    async fn open(&self, cx: &OpenCx) -> Result<Arc<dyn Step>, OpenError> {
        let judge: Arc<Judge> = match self.fingerprint(cx) {
            Some(name) => cx.shared.get_or_make(&name, || self.judge(cx))?,
            None => Arc::new(self.judge(cx)?),
        };
        Ok(judge)
    }
}

/// The opened step.
#[derive(Debug)]
enum Judge {
    Json(JsonJudge),
    Xml(Schema),
}

impl Judge {
    fn judge(&self, body: &[u8]) -> Result<(), Vec<Problem>> {
        match self {
            Self::Json(judge) => judge.judge(body),
            Self::Xml(schema) => schema.validate(body),
        }
    }
}

#[async_trait]
impl Step for Judge {
    async fn apply(&self, message: Message, _: &Scope<'_>) -> Result<Applied, StepError> {
        self.judge(&message.body.bytes).map_err(StepError::Invalid)?;
        Ok(Applied::unchanged(message))
    }
}
