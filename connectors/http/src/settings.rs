//! What `config/hub.yaml` says about listeners and connections.

use std::time::Duration;

use hub_core::{Bytesize, Secret, Span};
use schemars::JsonSchema;
use serde::Deserialize;

/// `listeners.NAME`: a socket that routes take requests from.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListenerSettings {
    /// Address and port, for example `127.0.0.1:8080`; port 0 takes a free one.
    pub bind: String,
    /// Certificates; without them the listener speaks plain HTTP.
    pub tls: Option<ServerTls>,
    /// Who may send.
    #[serde(default)]
    pub clients: Vec<ClientSettings>,
    /// The largest body, unless a route says less.
    #[serde(default = "max_body")]
    pub max_body: Bytesize,
    /// Requests under way at once; more are answered 429. Bounds the memory: at most `in_flight` bodies are held. One
    /// address gets at most three quarters of it.
    #[serde(default = "in_flight")]
    pub in_flight: usize,
    /// Connections at once. When all are taken, the one that has waited longest for a request gives way to a new one.
    #[serde(default = "connections")]
    pub connections: usize,
    /// Connections of one address at once.
    #[serde(default = "connections_per_address")]
    pub connections_per_address: usize,
    /// A file that the bound address is written to, for scripts that use port 0.
    pub address_file: Option<String>,
}

/// Certificates of a listener, PEM files.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerTls {
    /// The certificate chain, own certificate first.
    pub cert: String,
    /// The private key.
    pub key: String,
    /// Whose client certificates are accepted; needed for `auth: mtls`.
    pub client_ca: Option<String>,
}

/// One sender that a listener knows.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientSettings {
    /// The sender's name, as it appears in messages, logs and statistics.
    pub name: String,
    /// Its API key, at least 16 characters.
    pub api_key: Option<Secret<String>>,
    /// The common name (CN) in the subject of its client certificate.
    pub certificate_subject_cn: Option<String>,
    /// Its roles, which routes may ask for.
    #[serde(default)]
    pub roles: Vec<String>,
}

/// `connections.NAME`: how to reach a service. All fields may be left out.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectionSettings {
    /// Whose server certificates are accepted (PEM); without it, those that the system trusts.
    pub ca: Option<String>,
    /// Client certificate chain (PEM); together with `client_key`.
    pub client_cert: Option<String>,
    /// Client key (PEM); together with `client_cert`.
    pub client_key: Option<String>,
    /// Sent as `Authorization: Bearer ...`.
    pub bearer: Option<Secret<String>>,
    /// How long establishing a connection may take.
    #[serde(default = "connect_timeout")]
    pub connect_timeout: Span,
}

fn max_body() -> Bytesize {
    Bytesize(1024 * 1024)
}
fn connections() -> usize {
    1024
}
fn connections_per_address() -> usize {
    256
}
fn in_flight() -> usize {
    256
}
pub(crate) fn connect_timeout() -> Span {
    Span(Duration::from_secs(10))
}
