//! Sends numbered messages, some at a time, each until it is taken.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::bail;
use tokio::task::JoinSet;

use super::http::Wire;

/// Pause before a full hub is asked again.
const FULL_PAUSE: Duration = Duration::from_millis(50);

/// Sends one body for each number, by so many clients; each number is its message's key. A full hub is asked again.
///
/// # Errors
/// When a message is refused, or the hub goes away.
pub(super) async fn send_all<F>(
    to: SocketAddr,
    path: &'static str,
    clients: usize,
    numbers: RangeInclusive<u64>,
    body: F,
) -> anyhow::Result<()>
where
    F: Fn(u64) -> String + Copy + Send + 'static,
{
    let next = Arc::new(AtomicU64::new(*numbers.start()));
    let mut all = JoinSet::<anyhow::Result<()>>::new();
    for _ in 0..clients {
        let (next, last, mut wire) = (next.clone(), *numbers.end(), Wire::connect(to).await?);
        let _handle = all.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number > last {
                    return Ok(());
                }
                send(&mut wire, path, number, body(number).as_bytes()).await?;
            }
        });
    }
    while let Some(sent) = all.join_next().await {
        sent??;
    }
    Ok(())
}

async fn send(wire: &mut Wire, path: &str, number: u64, body: &[u8]) -> anyhow::Result<()> {
    let key = format!("idempotency-key: {number}\r\n");
    loop {
        let reply = wire.post(path, &key, body).await?;
        match reply.status {
            202 => return Ok(()),
            429 => tokio::time::sleep(FULL_PAUSE).await,
            other => bail!("message {number} was not taken: {other} {}", String::from_utf8_lossy(&reply.body)),
        }
    }
}
