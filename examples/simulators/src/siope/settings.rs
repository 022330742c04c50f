//! What the simulator is started with.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// How a simulator listens, what it checks and how fast it answers. `Settings::default()` is good for a demo.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the SIOPE+ API listens; port 0 takes a free one.
    pub bind: SocketAddr,
    /// Where the control plane (`/_sim`) listens, plain HTTP; must be a loopback address.
    pub control_bind: SocketAddr,
    /// Mutual TLS. `None` serves plain HTTP and believes the `idA2A` of the path.
    pub tls: Option<Tls>,
    /// The schema that uploads are validated against. `None` leaves only the simulator's own reading of the flow.
    pub xsd: Option<PathBuf>,
    /// Folder of the state. `None` keeps it in memory and forgets it at the end.
    pub state_dir: Option<PathBuf>,
    /// From the upload to its ACK.
    pub ack_after: Duration,
    /// From the ACK to the bank's answer to the flow.
    pub esito_flusso_after: Duration,
    /// From the bank's answer to ACQUISITO, and again from there to PAGATO or RISCOSSO.
    pub esiti_after: Duration,
    /// How often the bank publishes outcomes, at least a millisecond: flows that are due meanwhile share a message.
    pub esiti_every: Duration,
    /// What the fault `late_outcomes` adds to `esiti_after`.
    pub late_by: Duration,
    /// `Retry-After` of the faults `status_429` and `status_503`, at least one second on the wire.
    pub retry_after: Duration,
    /// Items on one page of a list, at least 1.
    pub page_size: usize,
    /// The SIOPE codes that exist; others give ACK error 109. `None` takes every well-formed code.
    pub codici_siope: Option<BTreeSet<String>>,
    /// The enabled bodies; others get 401 (path) or 460 (message). `None` takes every body.
    pub enti: Option<Vec<Ente>>,
    /// The known banks; others get 461. `None` takes every bank.
    pub banche: Option<Vec<Banca>>,
    /// How many calls an `idA2A` may make. `None` never throttles (the headers then show a nominal figure).
    pub rate_limit: Option<RateLimit>,
    /// Limits on sizes and counts.
    pub limits: Limits,
    /// Seed of the chances in faults.
    pub seed: u64,
}

/// Where the PEM files of mutual TLS are. A client certificate is demanded; its common name is its `idA2A`.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Certificate chain of the server.
    pub cert: PathBuf,
    /// Private key of the server.
    pub key: PathBuf,
    /// Authorities whose client certificates are accepted.
    pub client_ca: PathBuf,
}

/// An enabled public body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ente {
    /// IPA office code, 6 capitals or digits.
    pub codice: String,
    /// Its A2A identity, `A2A-` and 8 digits.
    pub id_a2a: String,
    /// Its ISTAT (SIOPE) code; when given, a flow that names another gets ACK error 112.
    pub istat: Option<String>,
}

/// A known treasurer bank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Banca {
    /// ABI code, 5 digits.
    pub abi: String,
    /// Its A2A identity.
    pub tramite: String,
}

/// A fixed window of calls per `idA2A`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Calls in one window.
    pub calls: u32,
    /// Length of the window.
    pub per: Duration,
}

/// Limits on what is read and kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of an uploaded zip; more is 413.
    pub zip_bytes_max: usize,
    /// Bytes of the XML inside; more is 422, however small the zip.
    pub xml_bytes_max: usize,
    /// Uploads remembered; beyond, uploads get 503.
    pub uploads_max: usize,
    /// Connections served at once; more wait.
    pub connections_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            bind: any,
            control_bind: any,
            tls: None,
            xsd: Some(PathBuf::from("config/schemas/opi/flusso_ordinativi-1.7.1.xsd")),
            state_dir: None,
            ack_after: Duration::from_millis(300),
            esito_flusso_after: Duration::from_millis(300),
            esiti_after: Duration::from_millis(600),
            esiti_every: Duration::from_millis(100),
            late_by: Duration::from_secs(5),
            retry_after: Duration::from_secs(1),
            page_size: 100,
            codici_siope: None,
            enti: None,
            banche: None,
            rate_limit: None,
            limits: Limits::default(),
            seed: 1,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { zip_bytes_max: 1 << 20, xml_bytes_max: 8 << 20, uploads_max: 100_000, connections_max: 512 }
    }
}
