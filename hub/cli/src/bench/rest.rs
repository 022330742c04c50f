//! When a hub has nothing more to do.

use std::time::{Duration, Instant};

use super::process::Process;

/// How long a hub may take to work off what it has taken.
const RESTS_WITHIN: Duration = Duration::from_secs(600);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// CPU time between two looks that still counts as rest, in seconds.
const RESTING: f64 = 0.015;
/// Looks in a row that have to agree: a hub that waits for its disk uses no CPU either.
const LOOKS: u32 = 3;

/// Waits until the hub has worked off what it took: it uses no CPU any more.
///
/// # Errors
/// When it does not come to rest, or ends.
pub(super) async fn rest(hub: &Process) -> anyhow::Result<()> {
    let (begun, mut before, mut resting) = (Instant::now(), hub.usage()?.cpu_s, 0);
    while resting < LOOKS {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = hub.usage()?.cpu_s;
        resting = if now - before < RESTING { resting + 1 } else { 0 };
        before = now;
        anyhow::ensure!(begun.elapsed() < RESTS_WITHIN, "the hub does not come to rest:\n{}", hub.log_end());
    }
    Ok(())
}
