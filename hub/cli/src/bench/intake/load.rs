//! Clients that send one message after the other, each with its own key.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use rand::Rng;
use rand::distr::Alphanumeric;
use tokio::task::JoinSet;

use super::super::Run;
use super::super::http::Wire;
use super::super::percentiles::Times;
use super::Options;

/// The load of one run.
#[derive(Debug, Clone)]
pub(super) struct Load {
    to: SocketAddr,
    clients: u16,
    /// Everything of a body but its number.
    filling: Arc<str>,
    next: Arc<AtomicU64>,
}

impl Load {
    pub(super) fn new(to: SocketAddr, options: &Options, run: &Run) -> Self {
        let length = usize::try_from(options.bytes).unwrap_or(usize::MAX).saturating_sub(body(0, "").len());
        let filling: String = run.random().sample_iter(Alphanumeric).take(length).map(char::from).collect();
        Self { to, clients: options.clients, filling: filling.into(), next: Arc::new(AtomicU64::new(1)) }
    }

    /// All clients send for a while; gives the time of each answer and how long it took in all.
    ///
    /// # Errors
    /// When a message is not taken.
    pub(super) async fn run(&self, turn: Duration) -> anyhow::Result<(Times, Duration)> {
        let mut wires = Vec::new();
        for _ in 0..self.clients {
            wires.push(Wire::connect(self.to).await?);
        }
        let begun = Instant::now();
        let mut clients = JoinSet::new();
        for wire in wires {
            let load = self.clone();
            let _handle = clients.spawn(async move { load.client(wire, begun + turn).await });
        }
        let mut all = Times::default();
        while let Some(times) = clients.join_next().await {
            all.merge(times??);
        }
        Ok((all, begun.elapsed()))
    }

    async fn client(&self, mut wire: Wire, until: Instant) -> anyhow::Result<Times> {
        let mut times = Times::default();
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let (body, key) = (body(number, &self.filling), format!("idempotency-key: {number:012}\r\n"));
            let sent = Instant::now();
            if sent >= until {
                return Ok(times);
            }
            let reply = wire.post("/intake", &key, body.as_bytes()).await?;
            ensure!(reply.status == 202, "not taken: {} {}", reply.status, String::from_utf8_lossy(&reply.body));
            times.add(sent.elapsed());
        }
    }
}

fn body(number: u64, filling: &str) -> String {
    // A JSON number has no leading zeros.
    format!("{{\"numero\":1{number:012},\"testo\":\"{filling}\"}}")
}
