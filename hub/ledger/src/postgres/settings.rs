//! What an authority says about its database. The doc comments are the manual.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hub_core::{Secret, Span};
use serde::Deserialize;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::connection::Link;
use super::tls;
use crate::Error;

/// A ledger in PostgreSQL 13 or later.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostgresSettings {
    /// Where: `postgresql://user@host:5432/database`, or `host=/var/run/postgresql user=raccordo dbname=raccordo`. The database
    /// must be there (encoding UTF8), and the user must be allowed to make tables in it; their names begin with `ledger_`.
    pub url: Secret<String>,
    /// The password, unless it stands in `url`.
    #[serde(default)]
    pub password: Option<Secret<String>>,
    /// How the server is known. Without it: by the machine's authorities. A server on this machine (loopback, a socket) is
    /// spoken to in plain text; for another one write `sslmode=disable` in `url` if you really want that.
    #[serde(default)]
    pub tls: PostgresTls,
    /// Connections of this hub, 2 to 100.
    #[serde(default = "default_connections")]
    pub connections: usize,
    /// How long connecting, and one statement, may take.
    #[serde(default = "default_timeout")]
    pub timeout: Span,
}

/// How the server is known, and how this hub shows who it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PostgresTls {
    /// PEM file with the authorities that may have signed the server's certificate.
    pub ca: Option<PathBuf>,
    /// PEM file with this hub's certificate, if the server asks for one.
    pub cert: Option<PathBuf>,
    /// PEM file with its key.
    pub key: Option<PathBuf>,
}

fn default_connections() -> usize {
    8
}
fn default_timeout() -> Span {
    Span(Duration::from_secs(10))
}

/// The settings, understood.
pub(super) struct Target {
    config: Config,
    tls: Option<MakeRustlsConnect>,
    /// Host and database, for people.
    pub(super) at: String,
    /// How long a statement may take.
    pub(super) within: Duration,
    pub(super) connections: usize,
}

impl Target {
    pub(super) fn new(settings: &PostgresSettings, root: &Path) -> Result<Self, Error> {
        let wrong = |text: &str| Err(Error::Store(format!("ledger.postgres: {text}")));
        let Ok(mut config) = settings.url.expose().parse::<Config>() else {
            return wrong("`url` cannot be read; write for example postgresql://raccordo@db.example:5432/raccordo");
        };
        if config.get_hosts().is_empty() || config.get_dbname().is_none() {
            return wrong("`url` must name a host and a database");
        }
        if !(2..=100).contains(&settings.connections) {
            return wrong("`connections` must be 2 to 100");
        }
        let within = settings.timeout.0;
        if within < Duration::from_millis(100) {
            return wrong("`timeout` must be at least 100ms");
        }
        let plain = config.get_hosts().iter().all(is_here) || config.get_ssl_mode() == SslMode::Disable;
        let tls = if plain { None } else { Some(tls::connector(&settings.tls, root)?) };
        bound(&mut config, settings, plain);
        Ok(Self { at: name_of(&config), config, tls, within, connections: settings.connections })
    }

    /// One more connection.
    pub(super) async fn connect(&self) -> Result<Link, Error> {
        let connecting = async {
            match &self.tls {
                Some(tls) => self.config.connect(tls.clone()).await.map(|(client, line)| Link::new(client, line)),
                None => self.config.connect(NoTls).await.map(|(client, line)| Link::new(client, line)),
            }
        };
        let connected = tokio::time::timeout(self.within, connecting).await;
        let connected = connected.map_err(|_| self.away(&format!("no connection within {:?}", self.within)))?;
        connected.map_err(|error| self.away(&super::connection::words(&error)))
    }

    /// The database does not answer.
    pub(super) fn away(&self, detail: &dyn fmt::Display) -> Error {
        Error::Away { at: self.at.clone(), detail: detail.to_string() }
    }
}

/// The limits on both sides: a server that still works for a client that has gone would hold its locks.
fn bound(config: &mut Config, settings: &PostgresSettings, plain: bool) {
    let within = settings.timeout.0;
    let ms = within.as_millis();
    let limits = format!("-c statement_timeout={ms} -c idle_in_transaction_session_timeout={}", 3 * ms);
    let options = config.get_options().map_or(limits.clone(), |own| format!("{own} {limits}"));
    let _ = config.options(options).application_name("raccordo").connect_timeout(within).tcp_user_timeout(within);
    let _ = config.ssl_mode(if plain { SslMode::Disable } else { SslMode::Require });
    if let Some(password) = &settings.password {
        let _ = config.password(password.expose());
    }
}

fn is_here(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()),
    }
}

fn name_of(config: &Config) -> String {
    let host = |host: &Host| match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(path) => path.display().to_string(),
    };
    let hosts: Vec<_> = config.get_hosts().iter().map(host).collect();
    format!("{}/{}", hosts.join(","), config.get_dbname().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> PostgresSettings {
        serde_json::from_str(text).expect("settings")
    }

    fn target(url: &str) -> Result<Target, Error> {
        Target::new(&settings(&serde_json::json!({ "url": url }).to_string()), Path::new("."))
    }

    #[test]
    fn only_a_server_on_this_machine_is_spoken_to_in_plain_text() {
        for plain in
            ["postgresql://u@127.0.0.1/l", "host=/run/pg user=u dbname=l", "postgresql://u@db/l?sslmode=disable"]
        {
            assert!(target(plain).expect("a target").tls.is_none(), "{plain}");
        }
        for safe in ["postgresql://u@db/l", "postgresql://u@127.0.0.1,db/l", "postgresql://u@10.0.0.1/l?sslmode=prefer"]
        {
            let target = target(safe).expect("a target");
            assert!(target.tls.is_some(), "{safe}");
            assert_eq!(target.config.get_ssl_mode(), SslMode::Require, "{safe}");
        }
    }

    #[test]
    fn what_cannot_be_right_is_named_and_secrets_are_not_shown() {
        for wrong in ["postgresql://u:s3cret@db:x/l", "postgresql://u:s3cret@db", "host=db password=s3cret x=y"] {
            let error = target(wrong).err().expect("it is wrong").to_string();
            assert!(error.contains("`url`") && !error.contains("s3cret"), "{error}");
        }
        let mut few = settings(r#"{ "url": "host=/run dbname=l password=s3cret", "password": "s3cret" }"#);
        assert!(!format!("{few:?}").contains("s3cret"));
        few.connections = 1;
        let error = Target::new(&few, Path::new(".")).err().expect("it is wrong").to_string();
        assert!(error.contains("`connections`"), "{error}");
        let unknown = serde_json::from_str::<PostgresSettings>(r#"{ "url": "", "pasword": "" }"#);
        assert!(unknown.is_err_and(|error| error.to_string().contains("pasword")));
    }

    #[test]
    fn a_name_holds_no_user() {
        assert_eq!(target("postgresql://u:s3cret@127.0.0.1:5433/ledger").expect("a target").at, "127.0.0.1/ledger");
    }
}
