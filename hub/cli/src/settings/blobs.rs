//! `blobs:` of `config/hub.yaml`: where large bodies and documents stand.

use hub_objects::S3Settings;
use serde::Deserialize;

/// A blob store of its own. Without it, blobs are files below `data`: for one hub.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum BlobSettings {
    /// An object store with an S3 API: for many hubs.
    S3(Box<S3Settings>),
}
