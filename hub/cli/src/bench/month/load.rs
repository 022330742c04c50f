//! The accounting systems: offer every order over mutual TLS until the hub says "taken".

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};

use super::orders::Offer;
use super::place::Place;

/// Tries of one order before the bench gives up.
const TRIES: usize = 10_000;
/// Pause when the hub asks for patience: shorter than it asks for, since a bench has no other work.
const PAUSE: Duration = Duration::from_millis(50);

/// Offers everything over so many connections; each repeats with the same key until it hears yes.
pub(super) async fn offer(place: &Place, offers: &[Offer], senders: usize) -> anyhow::Result<()> {
    let client = place.sender().await?;
    let url = place.ingest().await?;
    let next = Arc::new(AtomicUsize::new(0));
    let offers: Arc<[Offer]> = offers.into();
    let mut work = tokio::task::JoinSet::new();
    for _ in 0..senders {
        let (client, url, next, offers) = (client.clone(), url.clone(), next.clone(), offers.clone());
        let _ = work.spawn(async move {
            while let Some(offer) = offers.get(next.fetch_add(1, Ordering::Relaxed)) {
                one(&client, &url, offer).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = work.join_next().await {
        ended??;
    }
    Ok(())
}

async fn one(client: &reqwest::Client, url: &str, offer: &Offer) -> anyhow::Result<()> {
    for _ in 0..TRIES {
        let request = client.post(url).header("content-type", "application/json");
        let sent = request.header("idempotency-key", &offer.key).body(offer.bytes.clone()).send().await;
        let response = sent.with_context(|| format!("{} is not answered", offer.key))?;
        let status = response.status().as_u16();
        let text = response.text().await?;
        match status {
            202 => return Ok(()),
            429 | 503 => tokio::time::sleep(PAUSE).await,
            _ => bail!("{} is refused with {status}: {text}", offer.key),
        }
    }
    bail!("{} finds no room in {TRIES} tries", offer.key)
}
