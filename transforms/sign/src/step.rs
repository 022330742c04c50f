//! The step `sign.xades`.

use std::sync::Arc;

use async_trait::async_trait;
use hub_core::plugin::{ConfigError, OpenCx, OpenError, StepConfig};
use hub_core::{Applied, Body, Message, Scope, Step, StepError};
use schemars::JsonSchema;
use serde::Deserialize;
use transform_xml::Limits;

use crate::key::{KeySettings, Signer};
use crate::xades::{SignError, sign};

/// Signs the XML body with XAdES, enveloped: the signature becomes the last child of the root, and every other byte stays
/// as it is. Binds `algorithm`, `certificate_sha256`, `subject` and `signed_at`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignXades {
    /// The key's name under `keys` in `config/hub.yaml`.
    pub key: String,
    /// The level of ETSI EN 319 132-1; `b-b` if not given.
    #[serde(default)]
    pub level: Level,
    /// What is signed; `subtract_signatures` if not given.
    #[serde(default)]
    pub scope: SignedScope,
}

/// A baseline level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Level {
    /// Baseline B: signing time, signing certificate and format are signed along.
    #[default]
    #[serde(rename = "b-b")]
    BaselineB,
}

/// What of the document is signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignedScope {
    /// All but signatures, so that several people can sign one after another.
    #[default]
    SubtractSignatures,
}

#[async_trait]
impl StepConfig for SignXades {
    const KIND: &'static str = "sign.xades";

    fn check(&self) -> Vec<ConfigError> {
        if self.key.trim().is_empty() {
            return vec![ConfigError::at("/key", "names no key; write for example `key: opi`")];
        }
        Vec::new()
    }

    async fn open(&self, cx: &OpenCx) -> Result<Arc<dyn Step>, OpenError> {
        let settings: KeySettings = cx.settings("keys", &self.key)?;
        let key = settings.open(|path| cx.path(path));
        let key = key.map_err(|e| OpenError(format!("key `{}`: {e}", self.key)))?;
        Ok(Arc::new(XadesStep { signer: Arc::new(key), limits: Limits::default() }))
    }
}

/// The opened step: key and certificate stay parsed.
#[derive(Debug)]
struct XadesStep {
    signer: Arc<dyn Signer>,
    limits: Limits,
}

#[async_trait]
impl Step for XadesStep {
    async fn apply(&self, message: Message, scope: &Scope<'_>) -> Result<Applied, StepError> {
        let signed = sign(&message.body.bytes, message.id.as_str(), scope.now, &*self.signer, &self.limits).await;
        let signed = signed.map_err(step_error)?;
        let result = serde_json::json!({
            "algorithm": signed.algorithm.name(),
            "certificate_sha256": signed.certificate_sha256,
            "subject": signed.subject,
            "signed_at": signed.signed_at.to_string(),
        });
        let body = Body::new(message.body.media, signed.xml);
        Ok(Applied { message: Message { body, ..message }, result })
    }
}

/// A document that cannot be signed is the sender's matter; keys and devices are ours, and may be better later.
fn step_error(error: SignError) -> StepError {
    match error {
        SignError::Document(problem) => StepError::Invalid(vec![problem]),
        other => StepError::Unavailable(Box::new(other)),
    }
}
