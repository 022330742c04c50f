//! The contract of sinks that send over a network: what they say must fit what the receiver knows.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use hub_core::{Attempt, Outgoing, Receipt, SendError, Sink};

use crate::{FaultProxy, Limit};

/// A sink under test, together with its receiver.
#[async_trait]
pub trait SinkBench: Send + Sync {
    /// Where the receiver really listens.
    fn receiver(&self) -> SocketAddr;
    /// The sink, opened so that it reaches its receiver at this address.
    async fn sink(&self, via: SocketAddr) -> Arc<dyn Sink>;
    /// The message to send.
    fn outgoing(&self) -> Outgoing;
    /// A fresh attempt.
    fn attempt(&self) -> Attempt;
    /// How many messages the receiver has taken so far, by its own account. Asked when no connection is open.
    async fn taken(&self) -> usize;
}

/// How many sends ended which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Ended with a receipt.
    pub receipts: usize,
    /// Ended `NotSent`.
    pub not_sent: usize,
    /// Ended `InDoubt`.
    pub in_doubt: usize,
    /// Messages that the receiver took.
    pub taken: usize,
}

/// Compares what a sink said with the crossing point and with what the receiver knows.
///
/// # Panics
/// If the sink said "not sent" of a message that crossed or was taken, "delivered" of one that was not taken, or "in
/// doubt" of one that had not crossed.
pub fn check_outcome(outcome: &Result<Receipt, SendError>, attempt: &Attempt, taken: bool, place: &str) {
    let crossed = attempt.crossing.crossed();
    assert!(!taken || crossed, "{place}: the receiver acted before the crossing point");
    match outcome {
        Ok(_) => assert!(taken, "{place}: a receipt for a message that nobody took"),
        Err(SendError::NotSent { .. }) => {
            assert!(!taken, "{place}: `NotSent`, but the receiver took it");
            assert!(!crossed, "{place}: `NotSent` after the crossing point");
        }
        Err(SendError::InDoubt { .. }) => assert!(crossed, "{place}: in doubt before the crossing point"),
        Err(SendError::Rejected { code, .. }) => panic!("{place}: a cut connection is no rejection ({code})"),
    }
}

/// Cuts the connection at every byte of the request and of the answer, and checks each outcome.
///
/// # Panics
/// If an outcome does not fit ([`check_outcome`]), or a send without a fault does not work.
pub async fn cut_everywhere(bench: &dyn SinkBench) -> Observed {
    let proxy = FaultProxy::start(bench.receiver()).await.expect("a free port");
    let mut observed = Observed::default();
    send(bench, &proxy, Limit::None, &mut observed).await;
    assert_eq!(observed.receipts, 1, "without a fault the send works");
    let (request, answer) = (proxy.to_server(), proxy.to_client());
    for bytes in 0..request {
        send(bench, &proxy, Limit::CutToServer(bytes), &mut observed).await;
    }
    for bytes in 0..answer {
        send(bench, &proxy, Limit::CutToClient(bytes), &mut observed).await;
    }
    observed
}

async fn send(bench: &dyn SinkBench, proxy: &FaultProxy, limit: Limit, observed: &mut Observed) {
    proxy.limit(limit);
    let sink = bench.sink(proxy.address()).await;
    let (before, attempt) = (bench.taken().await, bench.attempt());
    let outcome = sink.send(&bench.outgoing(), &attempt).await;
    drop(sink);
    proxy.idle().await;
    let taken = bench.taken().await - before;
    assert!(taken <= 1, "{limit:?}: one attempt was taken {taken} times");
    check_outcome(&outcome, &attempt, taken == 1, &format!("{limit:?}"));
    observed.taken += taken;
    match outcome {
        Ok(_) => observed.receipts += 1,
        Err(SendError::InDoubt { .. }) => observed.in_doubt += 1,
        Err(_) => observed.not_sent += 1,
    }
}
