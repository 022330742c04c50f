//! A network that fails where it is told to.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What happens to a connection, counted in bytes of one direction. Holds for connections made after it was set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Limit {
    /// Everything passes.
    #[default]
    None,
    /// After this many bytes from client to server the connection is cut on both sides; the rest is never delivered.
    CutToServer(usize),
    /// After this many bytes from server to client the connection is cut on both sides; 0: when the answer begins.
    CutToClient(usize),
    /// After this many bytes from server to client nothing comes any more, but the connection stays open.
    StallToClient(usize),
}

/// A TCP proxy on a free port of the loopback interface; ends when it is dropped.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    state: Arc<State>,
    accept: JoinHandle<()>,
}

#[derive(Debug)]
struct State {
    upstream: SocketAddr,
    limit: Mutex<Limit>,
    connections: AtomicUsize,
    to_server: AtomicUsize,
    to_client: AtomicUsize,
    open: watch::Sender<usize>,
}

impl FaultProxy {
    /// Starts a proxy in front of `upstream`.
    ///
    /// # Errors
    /// If no port can be bound.
    pub async fn start(upstream: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let zero = || AtomicUsize::new(0);
        let (limit, connections) = (Mutex::default(), zero());
        let open = watch::channel(0).0;
        let state = Arc::new(State { upstream, limit, connections, to_server: zero(), to_client: zero(), open });
        let accept = tokio::spawn(accept(listener, state.clone()));
        Ok(Self { address, state, accept })
    }

    /// Where the proxy listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets the fault of the connections to come, and begins to count anew.
    pub fn limit(&self, limit: Limit) {
        *self.state.limit.lock().unwrap_or_else(PoisonError::into_inner) = limit;
        for counter in [&self.state.connections, &self.state.to_server, &self.state.to_client] {
            counter.store(0, Ordering::SeqCst);
        }
    }

    /// Bytes passed from clients to the server since [`FaultProxy::limit`].
    #[must_use]
    pub fn to_server(&self) -> usize {
        self.state.to_server.load(Ordering::SeqCst)
    }

    /// Bytes passed from the server to clients since [`FaultProxy::limit`].
    #[must_use]
    pub fn to_client(&self) -> usize {
        self.state.to_client.load(Ordering::SeqCst)
    }

    /// Completes when no connection is open on the server's side: whatever reached the server has been handled.
    pub async fn idle(&self) {
        drop(self.state.open.subscribe().wait_for(|open| *open == 0).await);
    }

    /// Connections since [`FaultProxy::limit`].
    #[must_use]
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((client, _)) = listener.accept().await else { continue };
        let limit = *state.limit.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = state.connections.fetch_add(1, Ordering::SeqCst);
        state.open.send_modify(|open| *open += 1);
        let state = state.clone();
        let _ = connections.spawn(async move {
            drop(connection(client, &state, limit).await);
            state.open.send_modify(|open| *open -= 1);
        });
    }
}

async fn connection(client: TcpStream, state: &State, limit: Limit) -> io::Result<()> {
    let server = TcpStream::connect(state.upstream).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = pump(&mut from_client, &mut to_server, Gate::to_server(limit), &state.to_server);
    let down = pump(&mut from_server, &mut to_client, Gate::to_client(limit), &state.to_client);
    both(up, down).await;
    // The client sees the end first; then the server does, and what it still says is heard by nobody.
    drop((from_client, to_client));
    drop(to_server.shutdown().await);
    drop(tokio::io::copy(&mut from_server, &mut tokio::io::sink()).await);
    Ok(())
}

/// Runs both directions: a cut ends both, and so does the end of the answers; the end of the requests does not.
async fn both(up: impl Future<Output = io::Result<Ended>>, down: impl Future<Output = io::Result<Ended>>) {
    tokio::pin!(up, down);
    let mut up_open = true;
    while up_open {
        tokio::select! {
            ended = &mut up => match ended { Ok(Ended::Orderly) => up_open = false, _ => return },
            _ = &mut down => return,
        }
    }
    drop(down.await);
}

enum Ended {
    Cut,
    Orderly,
}

/// What passes in one direction.
#[derive(Clone, Copy)]
struct Gate {
    bytes_max: usize,
    stalls: bool,
}

impl Gate {
    const OPEN: Self = Self { bytes_max: usize::MAX, stalls: false };

    fn to_server(limit: Limit) -> Self {
        if let Limit::CutToServer(bytes_max) = limit { Self { bytes_max, stalls: false } } else { Self::OPEN }
    }

    fn to_client(limit: Limit) -> Self {
        match limit {
            Limit::CutToClient(bytes_max) => Self { bytes_max, stalls: false },
            Limit::StallToClient(bytes_max) => Self { bytes_max, stalls: true },
            Limit::None | Limit::CutToServer(_) => Self::OPEN,
        }
    }
}

/// Passes bytes on until the byte after the last allowed one arrives.
async fn pump(from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf, gate: Gate, count: &AtomicUsize) -> io::Result<Ended> {
    let (mut buffer, mut passed) = (vec![0u8; 16 * 1024], 0usize);
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            to.shutdown().await?;
            return Ok(Ended::Orderly);
        }
        let allowed = read.min(gate.bytes_max - passed);
        to.write_all(&buffer[..allowed]).await?;
        passed += allowed;
        let _ = count.fetch_add(allowed, Ordering::SeqCst);
        if allowed < read && gate.stalls {
            std::future::pending::<()>().await;
        }
        if allowed < read {
            return Ok(Ended::Cut);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers each connection's four bytes with four bytes.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut four = [0u8; 4];
                if stream.read_exact(&mut four).await.is_ok() {
                    stream.write_all(&four).await.unwrap();
                }
            }
        }));
        address
    }

    async fn ask(proxy: &FaultProxy) -> Vec<u8> {
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        stream.write_all(b"ping").await.unwrap();
        let mut got = Vec::new();
        drop(stream.read_to_end(&mut got).await);
        got
    }

    #[tokio::test]
    async fn it_passes_counts_and_cuts() {
        let proxy = FaultProxy::start(echo().await).await.unwrap();
        assert_eq!(ask(&proxy).await, b"ping");
        assert_eq!((proxy.connections(), proxy.to_server(), proxy.to_client()), (1, 4, 4));
        proxy.limit(Limit::CutToServer(3));
        assert_eq!(ask(&proxy).await, b"");
        assert_eq!((proxy.to_server(), proxy.to_client()), (3, 0));
        proxy.limit(Limit::CutToClient(2));
        assert_eq!(ask(&proxy).await, b"pi");
    }
}
