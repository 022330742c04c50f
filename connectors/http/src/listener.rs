//! A socket that several routes share.

mod patient;
mod places;
mod request;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hub_core::plugin::{OpenCx, OpenError, Shared};
use hub_core::{Clock, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio_rustls::TlsAcceptor;

use crate::answer::Answer;
use crate::auth::{self, Client};
use crate::settings::ListenerSettings;
use crate::source::Auth;
use crate::tls;

use patient::Patient;
pub(crate) use places::Permit;
use places::{InFlight, Place, Places};

/// How long a client may take for the TLS handshake, and for the headers of a request (idle time included).
const HEADERS_WITHIN: Duration = Duration::from_secs(15);
/// How long a client may read nothing of its answer.
const READ_WITHIN: Duration = Duration::from_secs(30);
/// Bytes of all headers of a request.
const HEADER_BYTES_MAX: usize = 16 * 1024;
/// How many header lines a request may have.
const HEADERS_MAX: usize = 64;

/// A bound socket; ends with its last user, and lets requests under way finish.
pub struct Listener {
    pub(crate) core: Arc<Core>,
    _stop: watch::Sender<()>,
}

/// What connections see of their listener.
pub(crate) struct Core {
    name: String,
    address: SocketAddr,
    clock: Arc<dyn Clock>,
    clients: Vec<Client>,
    takes_certificates: bool,
    bytes_max: u64,
    in_flight: usize,
    permits: Arc<InFlight>,
    places: Arc<Places>,
    /// Path to door; `None` for a path whose route is not running at the moment (a reload).
    doors: Mutex<HashMap<String, Option<Arc<Door>>>>,
}

/// One path: what it asks of requests, and where they go.
pub(crate) struct Door {
    pub(crate) route: String,
    pub(crate) path: String,
    pub(crate) auth: Auth,
    pub(crate) allow: Vec<String>,
    pub(crate) bytes_max: u64,
    pub(crate) require_key: bool,
    pub(crate) accept: Vec<String>,
    pub(crate) keep_headers: Vec<String>,
    pub(crate) queue: mpsc::Sender<Waiting>,
}

/// A request on its way to the runtime.
pub(crate) struct Waiting {
    pub(crate) message: Incoming,
    pub(crate) answer: oneshot::Sender<Answer>,
    pub(crate) permit: Permit,
}

/// The address that a listener is bound to, if it is open.
#[must_use]
pub fn address(shared: &Shared, listener: &str) -> Option<SocketAddr> {
    let listener = shared.get_or_make::<Listener>(listener, || Err(OpenError("not open".into())));
    listener.ok().map(|listener| listener.address())
}

impl Listener {
    /// The listener of this name, opened the first time. Needs a running tokio runtime.
    ///
    /// # Errors
    /// If the settings are missing or wrong, certificates cannot be read, or the address cannot be bound.
    pub fn open(cx: &OpenCx, name: &str) -> Result<Arc<Self>, OpenError> {
        cx.shared.get_or_make(name, || Self::bind(cx, name))
    }

    fn bind(cx: &OpenCx, name: &str) -> Result<Self, OpenError> {
        let settings: ListenerSettings = cx.settings("listeners", name)?;
        let problem = |detail: String| OpenError(format!("listener `{name}`: {detail}"));
        let bind: SocketAddr = settings.bind.parse().map_err(|_| {
            problem(format!(
                "`bind: {}` is not an address and a port; write for example `127.0.0.1:8080`",
                settings.bind
            ))
        })?;
        let acceptor = acceptor(cx, &settings)?;
        let socket = socket(bind).map_err(|e| problem(format!("cannot bind {bind}: {e}")))?;
        let address = socket.local_addr().map_err(|e| problem(e.to_string()))?;
        if let Some(file) = &settings.address_file {
            std::fs::write(cx.path(file), address.to_string()).map_err(|e| problem(format!("`address_file`: {e}")))?;
        }
        let core = Arc::new(Core {
            name: name.into(),
            address,
            clock: cx.clock.clone(),
            clients: auth::clients(&settings.clients, name)?,
            takes_certificates: settings.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some()),
            bytes_max: settings.max_body.0,
            in_flight: settings.in_flight.clamp(1, Semaphore::MAX_PERMITS),
            permits: InFlight::new(settings.in_flight.clamp(1, Semaphore::MAX_PERMITS)),
            places: Places::new(settings.connections, settings.connections_per_address),
            doors: Mutex::default(),
        });
        let (stop, stopped) = watch::channel(());
        drop(tokio::spawn(accept(socket, acceptor, core.clone(), stopped)));
        tracing::info!(listener = name, %address, tls = settings.tls.is_some(), "listening");
        Ok(Self { core, _stop: stop })
    }

    /// The address that is bound.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.core.address
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.core.in_flight
    }

    pub(crate) fn bytes_max(&self) -> u64 {
        self.core.bytes_max
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener").field("name", &self.core.name).field("address", &self.core.address).finish()
    }
}

fn acceptor(cx: &OpenCx, settings: &ListenerSettings) -> Result<Option<TlsAcceptor>, OpenError> {
    let Some(files) = &settings.tls else { return Ok(None) };
    let ca = files.client_ca.as_ref().map(|ca| cx.path(ca));
    let config = tls::server(&cx.path(&files.cert), &cx.path(&files.key), ca.as_deref())?;
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}

fn socket(bind: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = std::net::TcpListener::bind(bind)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket)
}

impl Core {
    pub(crate) fn doors(&self) -> MutexGuard<'_, HashMap<String, Option<Arc<Door>>>> {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A path that belongs to a source; given back when it is dropped.
pub(crate) struct Registration {
    listener: Arc<Listener>,
    door: Arc<Door>,
}

impl Registration {
    /// # Errors
    /// If the path belongs to another route, or the way of authentication does not fit the listener.
    pub(crate) fn new(listener: &Arc<Listener>, door: Arc<Door>) -> Result<Self, OpenError> {
        let core = &listener.core;
        let problem = |detail: &str| OpenError(format!("path `{}` on listener `{}`: {detail}", door.path, core.name));
        if door.auth == Auth::None && !core.address.ip().is_loopback() {
            return Err(problem("`auth: none` is only allowed on a loopback address; use `mtls` or `api_key`"));
        }
        if door.auth == Auth::Mtls && !core.takes_certificates {
            return Err(problem("`auth: mtls` needs `tls.client_ca` in the listener's settings"));
        }
        let mut doors = core.doors();
        // The same route may take its path over: during a reload the new version opens before the old one ends.
        if let Some(Some(other)) =
            doors.get(&door.path).filter(|other| other.as_ref().is_some_and(|o| o.route != door.route))
        {
            return Err(problem(&format!("it belongs to route `{}` already", other.route)));
        }
        let _ = doors.insert(door.path.clone(), Some(door.clone()));
        drop(doors);
        Ok(Self { listener: listener.clone(), door })
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut doors = self.listener.core.doors();
        let ours = |now: &Arc<Door>| Arc::ptr_eq(now, &self.door);
        if let Some(slot) = doors.get_mut(&self.door.path).filter(|slot| slot.as_ref().is_some_and(ours)) {
            // Not forgotten: until the route is back its senders are told to wait, not that it never was.
            *slot = None;
        }
    }
}

async fn accept(socket: TcpListener, tls: Option<TlsAcceptor>, core: Arc<Core>, mut stop: watch::Receiver<()>) {
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            _ = stop.changed() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                // Never left in the system's queue: those behind it would wait with it.
                let Some(place) = core.places.take(peer.ip()) else {
                    tracing::debug!(listener = core.name, %peer, "turned away: all connections are at work");
                    continue;
                };
                let peer = Peer { address: peer.ip(), name: None, place };
                let (tls, core, stop) = (tls.clone(), core.clone(), stop.clone());
                drop(tokio::spawn(connection(stream, tls, core, peer, stop)));
            }
            Err(error) => {
                tracing::warn!(listener = core.name, %error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Who is connected.
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    /// The common name in its certificate, if it has shown one.
    pub(crate) name: Option<String>,
    place: Place,
}

async fn connection(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    core: Arc<Core>,
    peer: Peer,
    stop: watch::Receiver<()>,
) {
    drop(stream.set_nodelay(true));
    let stream = Patient::new(stream, READ_WITHIN);
    let Some(tls) = tls else { return serve(stream, peer, core, stop).await };
    let shaken = tokio::select! {
        shaken = tokio::time::timeout(HEADERS_WITHIN, tls.accept(stream)) => shaken,
        () = peer.place.is_lost() => return,
    };
    match shaken {
        Ok(Ok(stream)) => {
            let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
            let name = certificate.and_then(tls::common_name);
            serve(stream, Peer { name, ..peer }, core, stop).await;
        }
        Ok(Err(error)) => tracing::info!(listener = core.name, %error, "tls handshake failed"),
        Err(_) => tracing::info!(listener = core.name, "tls handshake took too long"),
    }
}

async fn serve<S>(stream: S, peer: Peer, core: Arc<Core>, mut stop: watch::Receiver<()>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (name, peer) = (core.name.clone(), Arc::new(peer));
    let place = peer.clone();
    let service = service_fn(move |request| {
        let (core, peer) = (core.clone(), peer.clone());
        async move {
            if !peer.place.works() {
                return Err("the place of this connection was given away");
            }
            let answer = request::handle(&core, &peer, request).await;
            peer.place.waits();
            Ok(answer)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_buf_size(HEADER_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = place.place.is_lost() => return,
        _ = stop.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(listener = name, %error, "connection ended");
    }
}
