//! How long a message takes when the hub is not full: from the HTTP door until a consumer of its own has the result.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::hubs::site;
use super::load::{body, number};
use super::store::Store;
use super::tools::{Follower, Tools};
use crate::bench::Run;
use crate::bench::http::Wire;
use crate::bench::percentiles::Times;

/// Connections that offer.
const CLIENTS: u32 = 32;
/// How long the last results may take.
const LAST_WITHIN: Duration = Duration::from_secs(60);
/// How long the consumer may take until it sees its first result.
const JOINED_WITHIN: Duration = Duration::from_secs(60);
/// Between two messages that are sent to see whether it does.
const WARM_EVERY: Duration = Duration::from_millis(250);

/// When results were seen, by number.
type Arrivals = Arc<Mutex<HashMap<u32, Instant>>>;

/// Offers messages `first..first + count` by HTTP, `rate` a second, on the store of hub 1; gives their times. A message counts
/// from the moment at which it was due, so that a hub that keeps its senders waiting does not look faster.
///
/// # Errors
/// When the hub does not take a message, or a result does not come.
pub(super) async fn times(
    run: &Run,
    tools: &Tools,
    store: &Store,
    (first, count): (u32, u32),
    rate: f64,
) -> anyhow::Result<Times> {
    let site = site(run, store, "hub1")?;
    let (hub, _) = site.start().await?;
    let door = site.listener().await?;
    let arrivals = Arrivals::default();
    let watcher = tokio::spawn(watch(tools.follow(&store.topic("journal"), false)?, arrivals.clone()));
    let first = warm(door, &arrivals, first).await?;
    let begun = Instant::now();
    let due = move |number: u32| begun + Duration::from_secs_f64(f64::from(number - first) / rate);
    let mut all = JoinSet::new();
    for client in 0..CLIENTS {
        let _handle = all.spawn(offer(door, (first + client..first + count).step_by(CLIENTS as usize), due));
    }
    while let Some(done) = all.join_next().await {
        done??;
    }
    let mut times = Times::default();
    for number in first..first + count {
        times.add(arrival(&arrivals, number, LAST_WITHIN).await?.saturating_duration_since(due(number)));
    }
    watcher.abort();
    hub.end().await?;
    Ok(times)
}

async fn watch(mut follower: Follower, arrivals: Arrivals) -> anyhow::Result<()> {
    while let Some((_, value)) = follower.next().await? {
        if let Some(number) = number(&value) {
            let _first = arrivals.lock().await.entry(number).or_insert_with(Instant::now);
        }
    }
    Ok(())
}

/// Sends messages until the consumer sees one; gives the next free number.
async fn warm(door: std::net::SocketAddr, arrivals: &Arrivals, first: u32) -> anyhow::Result<u32> {
    let (begun, mut next) = (Instant::now(), first);
    let mut wire = Wire::connect(door).await?;
    while arrivals.lock().await.is_empty() {
        ensure!(begun.elapsed() < JOINED_WITHIN, "the consumer saw no result within {JOINED_WITHIN:?}");
        post(&mut wire, next).await?;
        next += 1;
        tokio::time::sleep(WARM_EVERY).await;
    }
    Ok(next)
}

async fn offer(
    door: std::net::SocketAddr,
    numbers: impl Iterator<Item = u32>,
    due: impl Fn(u32) -> Instant,
) -> anyhow::Result<()> {
    let mut wire = Wire::connect(door).await?;
    for number in numbers {
        tokio::time::sleep_until(due(number).into()).await;
        post(&mut wire, number).await?;
    }
    Ok(())
}

async fn post(wire: &mut Wire, number: u32) -> anyhow::Result<()> {
    let reply = wire.post("/ordini", &format!("idempotency-key: {number}\r\n"), body(number).as_bytes()).await?;
    ensure!(reply.status == 202, "message {number} was not taken: {}", String::from_utf8_lossy(&reply.body));
    Ok(())
}

async fn arrival(arrivals: &Arrivals, number: u32, within: Duration) -> anyhow::Result<Instant> {
    let wait = async {
        loop {
            if let Some(at) = arrivals.lock().await.get(&number) {
                return *at;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(within, wait).await.with_context(|| format!("no result of message {number} within {within:?}"))
}
