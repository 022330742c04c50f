//! A receiver of notices over HTTP that remembers what it got. It reads with its own few lines, not with the hub's client.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// The idempotency keys of the whole requests that came for each notice; empty where the sender gave none.
type Seen = BTreeMap<String, Vec<String>>;

/// Listens on loopback until the test ends.
#[derive(Clone)]
pub(crate) struct Receiver {
    /// Its address.
    pub(crate) url: String,
    seen: Arc<Mutex<Seen>>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let seen = Arc::<Mutex<Seen>>::default();
        let all = seen.clone();
        drop(tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                drop(tokio::spawn(serve(stream, all.clone())));
            }
        }));
        Self { url, seen }
    }

    /// The keys of the requests for a notice.
    pub(crate) fn of(&self, id: &str) -> Vec<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned().unwrap_or_default()
    }
}

/// One request for each connection. Half a request is none.
async fn serve(stream: TcpStream, seen: Arc<Mutex<Seen>>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let (mut length, mut key) = (0usize, String::new());
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok().filter(|bytes| *bytes > 0)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            if line.trim_end().is_empty() {
                break;
            }
            continue;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "idempotency-key" => key = value.trim().to_string(),
            _ => {}
        }
    }
    let mut body = vec![0; length.min(1 << 20)];
    stream.read_exact(&mut body).await.ok()?;
    let id = serde_json::from_slice::<Value>(&body).ok()?["id"].as_str()?.to_string();
    seen.lock().unwrap_or_else(PoisonError::into_inner).entry(id).or_default().push(key);
    stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await.ok()
}
