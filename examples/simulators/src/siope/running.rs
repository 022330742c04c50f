//! Start and stop.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::clock::RomeClock;
use super::ledger::{Ledger, Shared};
use super::schema::Schema;
use super::settings::{Settings, Tls};
use super::{connection, control, engine};

/// What [`start`] and [`super::certificates`] give.
pub type Result<T> = std::result::Result<T, Error>;

/// Why the simulator does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is taken or not ours.
    #[error("cannot listen on {addr}: {source}")]
    Bind {
        /// What was asked for.
        addr: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The control plane has no authentication, so it stays on this machine.
    #[error("control_bind {0} is not a loopback address, use 127.0.0.1 or ::1")]
    ControlNotLoopback(SocketAddr),
    /// A certificate, a key or an authority cannot be used.
    #[error("cannot use {path} for TLS: {what}")]
    Tls {
        /// The PEM file.
        path: PathBuf,
        /// Why.
        what: String,
    },
    /// Demo certificates cannot be made.
    #[error("cannot make demo certificates at {path}: {what}")]
    Certificates {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        what: String,
    },
    /// The schema cannot be read or compiled.
    #[error("cannot use the schema {path}: {what}")]
    Schema {
        /// The schema file.
        path: PathBuf,
        /// Why.
        what: String,
    },
    /// The state of an earlier run cannot be read, or another process uses it.
    #[error("cannot use the state in {path}: {what}")]
    State {
        /// The folder.
        path: PathBuf,
        /// Why.
        what: String,
    },
    /// Europe/Rome is not in the zone data.
    #[error("the time zone Europe/Rome is not known to this build")]
    Zone,
}

/// A simulator at work. Dropping it stops it without waiting; [`Running::shutdown`] waits.
#[derive(Debug)]
pub struct Running {
    /// Where the SIOPE+ API listens.
    pub addr: SocketAddr,
    /// Where the control plane listens.
    pub control_addr: SocketAddr,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Running {
    /// Stops listening, lets open calls end for a moment and gives the state folder free.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        for task in self.tasks.drain(..) {
            if let Err(why) = task.await {
                tracing::warn!(%why, "a task of the simulator failed");
            }
        }
        if self.shared.with(|_, ledger| ledger.close()).await.is_none() {
            tracing::warn!("the simulator's state was not closed");
        }
    }
}

/// Starts a simulator; when this returns, it answers.
///
/// # Errors
/// [`Error`] says which address, file or folder cannot be used, and why.
pub async fn start(settings: Settings) -> Result<Running> {
    if !settings.control_bind.ip().is_loopback() {
        return Err(Error::ControlNotLoopback(settings.control_bind));
    }
    let shared = Arc::new(prepare(settings).await?);
    let tls = shared.settings.tls.as_ref().map(acceptor).transpose()?;
    let (api, addr) = bind(shared.settings.bind).await?;
    let (control, control_addr) = bind(shared.settings.control_bind).await?;
    let (stop, stopped) = watch::channel(false);
    let tasks = vec![
        tokio::spawn(connection::listen(Arc::clone(&shared), api, tls, stopped.clone())),
        tokio::spawn(control::listen(Arc::clone(&shared), control, addr, stopped.clone())),
        tokio::spawn(engine::run(Arc::clone(&shared), stopped)),
    ];
    tracing::info!(%addr, %control_addr, "siope simulator listens");
    Ok(Running { addr, control_addr, shared, stop, tasks })
}

/// Reads schema and state, which may take a while, off the async threads.
async fn prepare(settings: Settings) -> Result<Shared> {
    let prepared = tokio::task::spawn_blocking(move || {
        let clock = RomeClock::new().ok_or(Error::Zone)?;
        let load = |path: &PathBuf| Schema::load(path).map_err(|what| Error::Schema { path: path.clone(), what });
        let schema = settings.xsd.as_ref().map(load).transpose()?;
        let path = || settings.state_dir.clone().unwrap_or_default();
        let ledger = Ledger::open(&settings).map_err(|what| Error::State { path: path(), what })?;
        Ok(Shared::new(settings, clock, schema, ledger))
    });
    prepared.await.unwrap_or_else(|why| Err(Error::State { path: PathBuf::new(), what: why.to_string() }))
}

async fn bind(addr: SocketAddr) -> Result<(TcpListener, SocketAddr)> {
    let failed = |source| Error::Bind { addr, source };
    let listener = TcpListener::bind(addr).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// A server that demands a client certificate of its authority.
fn acceptor(tls: &Tls) -> Result<TlsAcceptor> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    for ca in chain(&tls.client_ca)? {
        roots.add(ca).map_err(|e| unusable(&tls.client_ca, &e))?;
    }
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .map_err(|e| unusable(&tls.client_ca, &e))?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|e| unusable(&tls.key, &e))?;
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| unusable(&tls.cert, &e))?
        .with_client_cert_verifier(clients)
        .with_single_cert(chain(&tls.cert)?, key)
        .map_err(|e| unusable(&tls.cert, &e))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>);
    read.map_err(|e| unusable(path, &e))
}

fn unusable(path: &Path, what: &dyn std::fmt::Display) -> Error {
    Error::Tls { path: path.to_owned(), what: what.to_string() }
}
