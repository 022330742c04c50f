//! What stops a loop of the runtime.

/// Why a loop cannot go on. All of them stop the hub: it recovers from the backbone at the next start.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The backbone failed, is damaged, or is no longer ours.
    #[error(transparent)]
    Backbone(#[from] hub_backbone::Error),
    /// A record is not what a hub of this version can read.
    #[error("{0}")]
    Format(String),
    /// A route could not be opened.
    #[error("route {route}: {detail}")]
    Open {
        /// Which route.
        route: String,
        /// What happened and what to do.
        detail: String,
    },
    /// The hub is stopping.
    #[error("the hub is stopping")]
    Stopping,
}

impl Error {
    /// The same, saying what could not be worked on: the partition, and the record if there is one.
    pub(crate) fn met_by(self, what: &str) -> Self {
        match self {
            Self::Format(text) if !text.starts_with(what) => Self::Format(format!("{what}: {text}")),
            Self::Backbone(hub_backbone::Error::Corrupt { file, place, offset, detail })
                if place != what && !detail.contains("(needed by") =>
            {
                let detail = format!("{detail} (needed by {what})");
                Self::Backbone(hub_backbone::Error::Corrupt { file, place, offset, detail })
            }
            other => other,
        }
    }
}

/// A blob that a record names is gone.
pub(crate) fn missing_blob(sha256: &str) -> Error {
    let folder = sha256.get(..2).unwrap_or_default();
    Error::Format(format!("blob {sha256} is missing: bring blobs/{folder}/{sha256} back from a backup"))
}
