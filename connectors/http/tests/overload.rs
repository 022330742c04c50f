//! Senders that are slow, silent or too many: they get their part, and their neighbours are served meanwhile.

#![allow(clippy::unwrap_used, reason = "a test panics when something is wrong")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use connector_http::{PLUGIN, address};
use hub_core::{Source, Value};
use hub_testkit::{ManualClock, bench, stored};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

const REQUEST: &str = "POST /in HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n";

/// A listener whose only route takes everything at once.
struct Door {
    address: SocketAddr,
    runtime: tokio::task::JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Door {
    async fn open(more: Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = json!({ "bind": "127.0.0.1:0" });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let cx = bench::open_cx(Arc::new(ManualClock::working_day()), folder.path());
        let cx = bench::with_settings(cx, "listeners", "default", settings);
        let config = json!({ "path": "/in", "auth": "none" });
        let mut source: Box<dyn Source> = (PLUGIN.sources[0].parse)(&config).unwrap().opens.open(&cx).await.unwrap();
        let address = address(&cx.shared, "default").unwrap();
        let runtime = tokio::spawn(async move {
            while let Ok(Some(intake)) = source.next().await {
                source.settle(stored(&intake.messages)).await.unwrap();
            }
        });
        Self { address, runtime, _folder: folder }
    }

    /// A connection from 127.0.0.`last`: another machine, as far as the listener can tell.
    async fn connect(&self, last: u8) -> std::io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from(([127, 0, 0, last], 0)))?;
        socket.connect(self.address).await
    }

    /// A neighbour who sends one request; gives the status.
    async fn neighbour(&self, last: u8) -> u16 {
        let mut stream = self.connect(last).await.unwrap();
        let status = async {
            stream.write_all(format!("{REQUEST}connection: close\r\n\r\n{{}}").as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            std::io::Result::Ok(answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0))
        };
        tokio::time::timeout(Duration::from_secs(20), status).await.expect("an answer in time").unwrap()
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.runtime.abort();
    }
}

/// Whether the other side has closed a connection (within a moment).
async fn is_closed(stream: &mut TcpStream) -> bool {
    let read = tokio::time::timeout(Duration::from_millis(200), stream.read(&mut [0; 64])).await;
    matches!(read, Ok(Ok(0) | Err(_)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_half_sent_headers_leave_neighbours_their_place() {
    let door = Door::open(json!({ "connections": 200, "connections_per_address": 50 })).await;
    let mut lorises = Vec::new();
    for n in 0..2_000_u32 {
        // One machine that opens most of them, and some more that help it.
        let from = if n % 4 == 0 { 2 + u8::try_from(n / 4 % 100).unwrap() } else { 1 };
        let Ok(mut stream) = door.connect(from).await else { continue };
        if stream.write_all(REQUEST.as_bytes()).await.is_ok() {
            lorises.push(stream);
        }
        if n % 200 == 0 {
            assert_eq!(door.neighbour(200).await, 202, "a neighbour, after {n} connections");
        }
    }
    assert_eq!(door.neighbour(200).await, 202);
    assert_eq!(door.neighbour(1).await, 202, "one that shares the greedy machine's address");
    let mut open = 0;
    for stream in &mut lorises {
        open += usize::from(!is_closed_now(stream));
    }
    assert!(open <= 200, "{open} of {} are still open", lorises.len());
}

/// Whether the other side has closed a connection, as far as it is known here and now.
fn is_closed_now(stream: &TcpStream) -> bool {
    match stream.try_read(&mut [0; 64]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_never_end_take_no_more_than_their_part() {
    let door = Door::open(json!({ "in_flight": 8 })).await;
    let mut slow = Vec::new();
    for _ in 0..8 {
        let mut stream = door.connect(1).await.unwrap();
        stream.write_all(format!("{REQUEST}\r\n{{").as_bytes()).await.unwrap();
        slow.push(stream);
    }
    // Six are held; the others have heard that they are too many.
    let mut refused = 0;
    while refused < 2 {
        for stream in &mut slow {
            let mut head = [0; 12];
            let answer = tokio::time::timeout(Duration::from_millis(20), stream.read(&mut head)).await;
            refused += usize::from(matches!(answer, Ok(Ok(12)) if &head == b"HTTP/1.1 429"));
        }
    }
    assert_eq!(door.neighbour(2).await, 202, "another machine is served meanwhile");
    assert_eq!(door.neighbour(1).await, 429, "the same machine has its part already");
    drop(slow);
    let mut status = 429;
    while status == 429 {
        status = door.neighbour(1).await;
    }
    assert_eq!(status, 202, "what was held is free again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_that_never_reads_its_answers_is_not_written_for_for_ever() {
    let door = Door::open(json!({})).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut deaf = socket.connect(door.address).await.unwrap();
    // It sends on and on; its answers fill all buffers on the way, and then nothing is read from it any more. When the patience
    // of the listener is at its end, it lets go, and the next byte finds nobody.
    let many = format!("{REQUEST}\r\n{{}}").repeat(200);
    let begun = Instant::now();
    let cut = async {
        let mut sent = 0_usize;
        while deaf.write_all(many.as_bytes()).await.is_ok() {
            sent += 200;
            assert!(sent < 2_000_000, "somebody takes it all");
        }
    };
    let mut served = 0;
    let neighbours = async {
        // A pace, so that they do not take the machine from the one that is looked at.
        let mut pace = tokio::time::interval(Duration::from_millis(100));
        loop {
            pace.tick().await;
            assert_eq!(door.neighbour(2).await, 202);
            served += 1;
        }
    };
    let watched = async {
        tokio::select! { () = cut => {}, () = neighbours => {} }
    };
    tokio::time::timeout(Duration::from_secs(100), watched).await.expect("the connection ends");
    assert!(begun.elapsed() >= Duration::from_secs(30), "it was cut off too soon");
    assert!(served >= 20, "only {served} neighbours were served meanwhile");
    let mut fresh = door.connect(1).await.unwrap();
    assert!(!is_closed(&mut fresh).await);
}
