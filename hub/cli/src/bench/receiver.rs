//! A receiver that counts: an HTTP server that remembers how often each body came, and can be neither asked nor keyed.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What came, and how often.
#[derive(Debug)]
pub(crate) struct Receiver {
    address: SocketAddr,
    book: Arc<Book>,
    work: JoinHandle<std::io::Result<()>>,
}

#[derive(Debug)]
struct Book {
    /// From a receipt to its answer.
    answer_after: Duration,
    receipts: Mutex<HashMap<String, u64>>,
    count: watch::Sender<u64>,
}

impl Book {
    fn receipts(&self) -> MutexGuard<'_, HashMap<String, u64>> {
        self.receipts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Receiver {
    /// Listens on loopback; each body is counted at once and answered after a while.
    ///
    /// # Errors
    /// When it cannot listen.
    pub(crate) async fn start(answer_after: Duration) -> anyhow::Result<Self> {
        let socket = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
        let address = socket.local_addr()?;
        let (receipts, count) = (Mutex::default(), watch::Sender::new(0));
        let book = Arc::new(Book { answer_after, receipts, count });
        let router = Router::new().route("/", post(take)).with_state(book.clone());
        let work = tokio::spawn(axum::serve(socket, router).into_future());
        Ok(Self { address, book, work })
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// How many receipts there were, repetitions included.
    pub(crate) fn count(&self) -> u64 {
        *self.book.count.borrow()
    }

    /// How often a body came.
    pub(crate) fn times(&self, body: &str) -> u64 {
        self.book.receipts().get(body).copied().unwrap_or(0)
    }

    /// How many different bodies came.
    pub(crate) fn distinct(&self) -> usize {
        self.book.receipts().len()
    }

    /// How many bodies came more than once.
    pub(crate) fn twice(&self) -> usize {
        self.book.receipts().values().filter(|times| **times > 1).count()
    }

    /// Waits until there have been more than `count` receipts; says whether it was so in time.
    pub(crate) async fn beyond(&self, count: u64, within: Duration) -> bool {
        let mut counted = self.book.count.subscribe();
        let beyond = counted.wait_for(|now| *now > count);
        matches!(tokio::time::timeout(within, beyond).await, Ok(Ok(_)))
    }

    /// Waits until so many different bodies have come; how long it took since `begun`, if it was in time.
    pub(crate) async fn has(&self, bodies: usize, begun: Instant, within: Duration) -> Option<Duration> {
        let mut counted = self.book.count.subscribe();
        let all = async { while self.distinct() < bodies && counted.changed().await.is_ok() {} };
        tokio::time::timeout(within, all).await.ok().map(|()| begun.elapsed())
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.work.abort();
    }
}

async fn take(State(book): State<Arc<Book>>, body: String) -> StatusCode {
    *book.receipts().entry(body).or_default() += 1;
    book.count.send_modify(|count| *count += 1);
    tokio::time::sleep(book.answer_after).await;
    StatusCode::OK
}

#[cfg(test)]
mod tests {
    use super::super::http::Wire;
    use super::*;

    #[tokio::test]
    async fn bodies_are_counted_each_time_they_come() {
        let receiver = Receiver::start(Duration::ZERO).await.unwrap();
        let mut wire = Wire::connect(receiver.address).await.unwrap();
        for body in ["a", "b", "a"] {
            assert_eq!(wire.post("/", "", body.as_bytes()).await.unwrap().status, 200);
        }
        assert!(receiver.beyond(2, Duration::from_secs(5)).await);
        assert_eq!((receiver.count(), receiver.distinct(), receiver.twice(), receiver.times("a")), (3, 2, 1, 2));
    }
}
