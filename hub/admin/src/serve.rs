//! The socket: who may listen where, TLS, limits, graceful end.

mod tls;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::router::{AdminState, App, router};
use crate::settings::AdminSettings;

/// Connections at a time; more wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 256;
/// Longest time for a TLS handshake, and for the head of a request.
const HEAD_MAX: Duration = Duration::from_secs(10);
/// Longest wait for open calls at the end.
const GRACE: Duration = Duration::from_secs(10);
/// Pause after a failed accept (no file handles left), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the admin API cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The settings would open the hub to others, or are wrong.
    #[error("{0}")]
    Settings(String),
    /// The certificate or the key cannot be used.
    #[error("admin.tls: {0}")]
    Tls(String),
    /// The address cannot be taken.
    #[error("admin.bind {bind}: {source}")]
    Bind {
        /// The address.
        bind: String,
        /// The operating system's reason.
        source: std::io::Error,
    },
}

/// The running admin API. Dropping it stops accepting and lets open calls end by themselves.
pub struct Running {
    addr: SocketAddr,
    stop: watch::Sender<bool>,
    connections: Arc<Semaphore>,
    acceptor: JoinHandle<()>,
}

impl Running {
    /// Where it listens; tells the port if the settings said 0.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Takes no more calls and waits for open ones, at most 10 seconds.
    pub async fn shutdown(self) {
        let _ = self.stop.send_replace(true);
        let all = u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX);
        let ended = async {
            drop(self.acceptor.await);
            drop(self.connections.acquire_many(all).await);
        };
        if tokio::time::timeout(GRACE, ended).await.is_err() {
            tracing::warn!("the admin API ends with open calls");
        }
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("addr", &self.addr).finish_non_exhaustive()
    }
}

/// Starts the admin API. It listens when this returns.
///
/// # Errors
/// If the settings would open it to others without TLS and tokens, or cannot be carried out.
pub async fn serve(settings: &AdminSettings, state: AdminState) -> Result<Running, ServeError> {
    let bind_error = |source| ServeError::Bind { bind: settings.bind.clone(), source };
    let addrs: Vec<SocketAddr> = tokio::net::lookup_host(&settings.bind).await.map_err(bind_error)?.collect();
    check(settings, &addrs)?;
    let tls = settings.tls.as_ref().map(tls::acceptor).transpose()?;
    let listener = TcpListener::bind(addrs.as_slice()).await.map_err(bind_error)?;
    let addr = listener.local_addr().map_err(bind_error)?;
    let (stop, stopping) = watch::channel(false);
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let door = Door { router: router(Arc::new(App::new(settings, state))), tls, stopping };
    let acceptor = tokio::spawn(accept(listener, door, connections.clone()));
    Ok(Running { addr, stop, connections, acceptor })
}

/// Refuses settings that would open the hub to others.
fn check(settings: &AdminSettings, addrs: &[SocketAddr]) -> Result<(), ServeError> {
    let problems = settings.problems();
    if !problems.is_empty() {
        return Err(ServeError::Settings(problems.join("; ")));
    }
    if addrs.iter().all(|addr| addr.ip().is_loopback()) {
        return Ok(());
    }
    let bind = &settings.bind;
    let missing = match (settings.tls.is_none(), settings.tokens.is_empty()) {
        (true, true) => "`admin.tls` and `admin.tokens`",
        (true, false) => "`admin.tls`",
        (false, true) => "`admin.tokens`",
        (false, false) if settings.metrics_open => {
            let detail = format!("admin.bind {bind} is not loopback: `admin.metrics_open` must not be set");
            return Err(ServeError::Settings(detail));
        }
        (false, false) => return Ok(()),
    };
    let detail = format!("admin.bind {bind} is not loopback: set {missing}, or bind to 127.0.0.1");
    Err(ServeError::Settings(detail))
}

/// What each connection gets.
#[derive(Clone)]
struct Door {
    router: Router,
    tls: Option<TlsAcceptor>,
    stopping: watch::Receiver<bool>,
}

async fn accept(listener: TcpListener, door: Door, connections: Arc<Semaphore>) {
    let mut stopping = door.stopping.clone();
    loop {
        let Ok(place) = connections.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped(&mut stopping) => return,
        };
        match accepted {
            Ok((stream, _)) => drop(tokio::spawn(door.clone().connection(stream, place))),
            Err(error) => {
                tracing::warn!(%error, "the admin API cannot take a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Completes at the end, or when [`Running`] was dropped.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    drop(stopping.wait_for(|stop| *stop).await);
}

impl Door {
    async fn connection(self, stream: TcpStream, _place: OwnedSemaphorePermit) {
        let Some(tls) = self.tls.clone() else { return self.speak(stream).await };
        match tokio::time::timeout(HEAD_MAX, tls.accept(stream)).await {
            Ok(Ok(stream)) => self.speak(stream).await,
            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
            Err(_) => tracing::debug!("TLS handshake took too long"),
        }
    }

    async fn speak(mut self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let service = TowerToHyperService::new(self.router);
        let mut http = http1::Builder::new();
        let _ = http.timer(TokioTimer::new()).header_read_timeout(HEAD_MAX);
        let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stopped(&mut self.stopping) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection of the admin API ended badly");
        }
    }
}
