//! The socket: accepts within limits, ends in order.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::staff::Staff;
use crate::state::Desk;
use crate::{AdminSettings, AdminState, Error, router, tls};

/// Connections at once; more wait in the system's queue. Each carries one request at a time.
const CONNECTIONS_MAX: usize = 256;
/// Connections that may watch a stream of events: the others stay for questions.
const WATCHERS_MAX: usize = 64;
/// How long a client may take for the TLS handshake, and for the headers of a request.
const HEADERS_WITHIN: Duration = Duration::from_secs(15);
/// Bytes of all headers of a request.
const HEADER_BYTES_MAX: usize = 16 * 1024;
/// How many header lines a request may have.
const HEADERS_MAX: usize = 64;
/// After this a connection takes no more requests: a client that reads slowly cannot hold its place for ever.
const CONNECTION_AGE_MAX: Duration = Duration::from_secs(600);
/// How long requests under way may take to end.
const END_WITHIN: Duration = Duration::from_secs(10);
/// Between two tidyings of the metrics.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// A running admin API; dropping it stops it without waiting.
#[derive(Debug)]
pub struct Running {
    addr: SocketAddr,
    secure: bool,
    stop: watch::Sender<()>,
    work: JoinHandle<()>,
}

impl Running {
    /// The address that was bound, its real port included.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The address as a URL without a path, for example `http://127.0.0.1:8181`.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://{}", self.addr)
    }

    /// Takes no more requests; requests under way have 10 s to end.
    pub async fn shutdown(self) {
        drop(self.stop);
        if let Err(error) = self.work.await {
            tracing::warn!(%error, "the admin API ended badly");
        }
    }
}

/// Binds and serves the admin API. TLS files resolve from `root`, the configuration's folder.
///
/// # Errors
/// [`Error::Settings`] if the settings are wrong or unsafe (an address beyond loopback without TLS and tokens),
/// [`Error::Tls`] for a certificate or key that cannot be used, [`Error::Bind`] if the address is taken.
pub async fn serve(settings: AdminSettings, state: AdminState, root: &Path) -> Result<Running, Error> {
    let bind = settings.check()?;
    let tls = settings.tls.as_ref().map(|files| tls::acceptor(files, root)).transpose()?;
    let bound = |cause| Error::Bind { bind: settings.bind.clone(), cause };
    let socket = TcpListener::bind(bind).await.map_err(bound)?;
    let addr = socket.local_addr().map_err(bound)?;
    if settings.tokens.is_empty() {
        tracing::warn!("`admin.tokens` is empty: the admin API answers nobody but /health");
    }
    let (stop, stopped) = watch::channel(());
    let upkeep = state.metrics.clone();
    let desk = Desk {
        ledger: state.ledger,
        operate: state.operate,
        metrics: state.metrics,
        staff: Staff::new(&settings.tokens),
        metrics_open: settings.metrics_open,
        watch: state.watch,
        watchers: Arc::new(Semaphore::new(WATCHERS_MAX)),
        stopped: stopped.clone(),
    };
    let server = Server { router: router::router(Arc::new(desk)), tls, stopped };
    let secure = server.tls.is_some();
    let work = tokio::spawn(server.run(socket, upkeep));
    Ok(Running { addr, secure, stop, work })
}

/// What every connection needs.
#[derive(Clone)]
struct Server {
    router: Router,
    tls: Option<TlsAcceptor>,
    /// Changes (or closes) when the API stops.
    stopped: watch::Receiver<()>,
}

impl Server {
    async fn run(mut self, socket: TcpListener, metrics: Option<PrometheusHandle>) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        let mut upkeep = tokio::time::interval(UPKEEP_EVERY);
        loop {
            let accepted = async {
                // never closed
                let place = places.clone().acquire_owned().await.ok();
                socket.accept().await.map(|(stream, _)| (stream, place))
            };
            tokio::select! {
                _ = self.stopped.changed() => break,
                _ = upkeep.tick() => metrics.iter().for_each(PrometheusHandle::run_upkeep),
                Some(_) = connections.join_next() => {}
                accepted = accepted => match accepted {
                    Ok((stream, place)) => {
                        let server = self.clone();
                        let _ = connections.spawn(async move {
                            let _place = place;
                            server.connection(stream).await;
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the admin API cannot accept a connection");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
            }
        }
        drop(socket);
        let ended = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(END_WITHIN, ended).await.is_err() {
            tracing::warn!("requests to the admin API did not end in time and were broken off");
        }
    }

    async fn connection(self, stream: TcpStream) {
        drop(stream.set_nodelay(true));
        let Some(tls) = self.tls.clone() else { return self.http(stream).await };
        match tokio::time::timeout(HEADERS_WITHIN, tls.accept(stream)).await {
            Ok(Ok(stream)) => self.http(stream).await,
            Ok(Err(error)) => tracing::debug!(%error, "tls handshake with the admin API failed"),
            Err(_) => tracing::debug!("tls handshake with the admin API took too long"),
        }
    }

    async fn http<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(mut self, stream: S) {
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADERS_WITHIN)
            .max_buf_size(HEADER_BYTES_MAX)
            .max_headers(HEADERS_MAX)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(self.router));
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            _ = self.stopped.changed() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
            () = tokio::time::sleep(CONNECTION_AGE_MAX) => {
                connection.as_mut().graceful_shutdown();
                tokio::time::timeout(END_WITHIN, connection).await.unwrap_or(Ok(()))
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection to the admin API ended");
        }
    }
}
