//! Versions of routes that become known while the hub runs: another hub of the log was started with them. The runtime compiles
//! no routes: whoever starts the hub hands this in.

use std::sync::Arc;

use async_trait::async_trait;
use hub_route::plan::Plan;

/// Finds versions of routes that the hub was not started with.
///
/// Who brings a version makes it known to all hubs of the log before its first message is taken. So a version that nobody
/// knows is one whose news is still on its way, or whose record is lost.
#[async_trait]
pub trait Versions: Send + Sync {
    /// The plan of a version; `None`: nobody has made it known here yet.
    ///
    /// # Errors
    /// In words, if it is known and this hub cannot run it.
    async fn find(&self, route: &str, version: &str) -> Result<Option<Arc<Plan>>, String>;
}
