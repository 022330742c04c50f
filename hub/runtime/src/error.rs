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
