//! Sockets, TLS and one HTTP connection at a time, each of which a handler can cut.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use x509_cert::der::Decode;
use x509_cert::der::asn1::ObjectIdentifier;

use super::answer::{Refusal, Reply};
use super::call::{self, Call, Target};
use super::documents;
use super::faults::{Fault, On, PAUSE_MAX};
use super::ledger::{Ledger, Rate, Shared};
use super::upload::{self, Arrival, Fate};

const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// Longer than clients keep idle connections: a server that closes first would put their next send in doubt.
const NEXT_REQUEST_WITHIN: Duration = Duration::from_secs(180);
/// How long open connections may end by themselves when the simulator stops.
const GOODBYE: Duration = Duration::from_secs(2);
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// Accepts connections until `stop` changes, then lets them end for a moment.
pub(crate) async fn listen(
    shared: Arc<Shared>,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    mut stop: watch::Receiver<bool>,
) {
    let slots = Arc::new(Semaphore::new(shared.settings.limits.connections_max.max(1)));
    let mut open = JoinSet::new();
    loop {
        let accepted = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot, listener.accept().await)
        };
        tokio::select! {
            _ = stop.changed() => break,
            Some(_) = open.join_next(), if !open.is_empty() => {}
            (slot, tcp) = accepted => match tcp {
                Ok((tcp, _)) => {
                    let connection = serve(Arc::clone(&shared), tcp, tls.clone(), stop.clone());
                    drop(open.spawn(async move {
                        connection.await;
                        drop(slot);
                    }));
                }
                Err(why) => {
                    tracing::warn!(%why, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
    let ended = async { while open.join_next().await.is_some() {} };
    if tokio::time::timeout(GOODBYE, ended).await.is_err() {
        open.shutdown().await;
    }
}

async fn serve(shared: Arc<Shared>, tcp: TcpStream, tls: Option<TlsAcceptor>, stop: watch::Receiver<bool>) {
    if let Err(why) = tcp.set_nodelay(true) {
        tracing::debug!(%why, "a connection without TCP_NODELAY");
    }
    let abort = Arc::new(Abort::default());
    let socket = Socket { tcp, abort: Arc::clone(&abort) };
    let Some(tls) = tls else {
        return http(shared, socket, Caller { certified: None, abort }, stop).await;
    };
    match tokio::time::timeout(HANDSHAKE_WITHIN, tls.accept(socket)).await {
        Ok(Ok(stream)) => {
            let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
            let name = certificate.and_then(|c| common_name(c)).unwrap_or_default();
            http(shared, stream, Caller { certified: Some(name), abort }, stop).await;
        }
        Ok(Err(why)) => tracing::debug!(%why, "TLS handshake refused"),
        Err(_) => tracing::debug!("TLS handshake took too long"),
    }
}

/// The common name in a certificate's subject.
fn common_name(der: &[u8]) -> Option<String> {
    let certificate = x509_cert::Certificate::from_der(der).ok()?;
    let mut attributes = certificate.tbs_certificate.subject.0.iter().flat_map(|rdn| rdn.0.iter());
    let name = attributes.find(|a| a.oid == COMMON_NAME)?;
    std::str::from_utf8(name.value.value()).ok().map(str::to_owned)
}

/// Who is at the other end.
#[derive(Clone, Debug)]
struct Caller {
    /// The common name of its certificate; nothing on a plain listener.
    certified: Option<String>,
    abort: Arc<Abort>,
}

async fn http<S>(shared: Arc<Shared>, io: S, caller: Caller, mut stop: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let abort = Arc::clone(&caller.abort);
    let service = service_fn(move |request| {
        let (shared, caller) = (Arc::clone(&shared), caller.clone());
        Box::pin(async move { Ok::<_, Infallible>(answer(&shared, &caller, request).await) })
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(NEXT_REQUEST_WITHIN).max_buf_size(64 << 10);
    let mut connection = pin!(server.serve_connection(TokioIo::new(io), service));
    let mut stopping = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(why) = ended {
                    tracing::debug!(%why, "connection ended");
                }
                return;
            }
            () = abort.fired() => return,
            _ = stop.changed(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// The reply to a request; never returns when the connection is to die instead.
async fn answer(shared: &Arc<Shared>, caller: &Caller, request: Request<Incoming>) -> Reply {
    match handle(shared, caller, request).await {
        Fate::Reply(reply) => return reply,
        Fate::Abort => {}
        Fate::Hang => tokio::time::sleep(PAUSE_MAX).await,
    }
    caller.abort.fire();
    std::future::pending().await
}

async fn handle(shared: &Arc<Shared>, caller: &Caller, request: Request<Incoming>) -> Fate {
    let (head, body) = request.into_parts();
    let target = call::parse(&head.method, head.uri.path());
    let stranger = target.as_ref().ok().and_then(|target| identity(shared, caller, target).err());
    let on = if head.method == Method::POST { On::Post } else { On::Get };
    let greeting = match (&target, &stranger) {
        (Ok(target), None) => greet(shared, target, on).await,
        _ => Greeting::default(),
    };
    let refusal = stranger.or(greeting.refusal);
    let bytes_max = shared.settings.limits.zip_bytes_max;
    let (reset, rate) = (greeting.fault == Some(Fault::ResetBeforeBody), greeting.rate);
    let fate = match target {
        Ok(target) if target.call == Call::Upload => {
            let arrival = Arrival { target, headers: head.headers, refusal, fault: greeting.fault, rate };
            if reset {
                return upload::cut_short(shared, arrival).await;
            }
            let body = upload::read_body(body, bytes_max).await;
            upload::receive(shared, arrival, body).await
        }
        _ if reset => return Fate::Abort,
        target => {
            drop(upload::read_body(body, 0).await);
            let refused = refusal.map_or(Ok(()), Err);
            let call = target.and_then(|target| refused.map(|()| target));
            let reply = match call {
                Ok(target) => read(shared, target, &head).await,
                Err(refusal) => Err(refusal),
            };
            Fate::Reply(reply.unwrap_or_else(|refusal| refusal.reply(rate)))
        }
    };
    tokio::time::sleep(greeting.pause).await;
    fate
}

async fn read(shared: &Arc<Shared>, target: Target, head: &hyper::http::request::Parts) -> Result<Reply, Refusal> {
    match target.call {
        Call::List(kind) => documents::list(shared, target, kind, &head.uri, &head.headers).await,
        Call::Download(kind, prog) => documents::download(shared, target, (kind, prog), &head.headers).await,
        Call::Upload => Err(Refusal::new(405, "use POST")),
    }
}

/// 401 unless the certificate, the path and the list of enabled bodies agree.
fn identity(shared: &Shared, caller: &Caller, target: &Target) -> Result<(), Refusal> {
    if let Some(name) = &caller.certified
        && *name != target.id_a2a
    {
        return Err(Refusal::new(401, format!("the certificate is not that of {}", target.id_a2a)));
    }
    let enabled = |enti: &Vec<super::Ente>| enti.iter().any(|e| e.codice == target.ente && e.id_a2a == target.id_a2a);
    if shared.settings.enti.as_ref().is_none_or(enabled) {
        return Ok(());
    }
    Err(Refusal::new(401, format!("{} is not enabled for {}", target.id_a2a, target.ente)))
}

/// What is decided at the head of a call: its place in the rate limit, and the faults that strike it.
#[derive(Debug, Default)]
struct Greeting {
    refusal: Option<Refusal>,
    fault: Option<Fault>,
    rate: Option<Rate>,
    pause: Duration,
}

async fn greet(shared: &Arc<Shared>, target: &Target, on: On) -> Greeting {
    let caller = target.id_a2a.clone();
    let greeting = shared.with(move |shared, ledger| Greeting::new(shared, ledger, &caller, on)).await;
    greeting.unwrap_or_else(|| Greeting {
        refusal: Some(Refusal::new(503, "the simulator failed").retry_after(60)),
        ..Greeting::default()
    })
}

impl Greeting {
    fn new(shared: &Shared, ledger: &mut Ledger, caller: &str, on: On) -> Self {
        if let Some(why) = &ledger.broken {
            return Self { refusal: Some(Refusal::new(503, why.clone()).retry_after(60)), ..Self::default() };
        }
        let rate = ledger.count_call(caller, shared.settings.rate_limit);
        let retry_after_s = shared.settings.retry_after.as_secs();
        let statuses = [Fault::ResetBeforeBody, Fault::Status429, Fault::Status503, Fault::Status500];
        let fault = ledger.faults.first(&statuses, on);
        let injected = |status| Refusal::new(status, "injected by the simulator");
        let refusal = match fault {
            Some(Fault::Status429) => Some(injected(429).retry_after(retry_after_s)),
            Some(Fault::Status503) => Some(injected(503).retry_after(retry_after_s)),
            Some(Fault::Status500) => Some(injected(500)),
            _ if rate.exceeded => Some(Refusal::new(429, "too many calls").retry_after(rate.reset_s)),
            _ => None,
        };
        let slow = ledger.faults.strikes(Fault::SlowMs, on);
        let fault = fault.or(slow.map(|_| Fault::SlowMs));
        Self { refusal, fault, rate: Some(rate), pause: slow.unwrap_or_default() }
    }
}

/// The wish of a handler that its connection be reset.
#[derive(Debug, Default)]
struct Abort {
    fired: AtomicBool,
    told: Notify,
}

impl Abort {
    fn fire(&self) {
        self.fired.store(true, Ordering::SeqCst);
        self.told.notify_one();
    }

    async fn fired(&self) {
        while !self.fired.load(Ordering::SeqCst) {
            self.told.notified().await;
        }
    }
}

/// A TCP stream that ends with a reset instead of a farewell when its handler wished so.
#[derive(Debug)]
struct Socket {
    tcp: TcpStream,
    abort: Arc<Abort>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.abort.fired.load(Ordering::SeqCst)
            && let Err(why) = self.tcp.set_zero_linger()
        {
            tracing::warn!(%why, "an injected reset may look like an orderly end");
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
