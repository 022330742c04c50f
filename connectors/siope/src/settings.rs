//! `connections.NAME` for SIOPE+.

use std::net::IpAddr;
use std::time::Duration;

use hub_core::Span;
use hub_core::plugin::OpenError;
use reqwest::Url;
use schemars::JsonSchema;
use serde::Deserialize;

/// The shortest interval of polls: below it a source is a busy loop.
const EVERY_MIN: Duration = Duration::from_millis(100);

/// Where SIOPE+ is, who we are, and how patient: `connections.NAME` in `config/hub.yaml`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectionSettings {
    /// The address before `idA2A`, for example `https://a2a.siopeplus.it/v1`. `http` only on this machine.
    pub base_url: String,
    /// PEM file of the authorities that may vouch for the server. Default: those that the system trusts.
    pub ca: Option<String>,
    /// PEM file of the A2A client certificate, with its chain.
    pub client_cert: Option<String>,
    /// PEM file of its key.
    pub client_key: Option<String>,
    /// The A2A identity of the client certificate (`A2A-` and 8 digits): only entities whose `codice_tramite_ente` it is
    /// are sent and polled through this connection. Default: all entities.
    pub id_a2a: Option<String>,
    /// How long one HTTP exchange may take.
    #[serde(default = "timeout")]
    pub timeout: Span,
    /// How often lists are polled.
    #[serde(default = "every")]
    pub every: Span,
    /// How long after the end of an upload the lists may still not show it.
    #[serde(default = "settles_after")]
    pub settles_after: Span,
    /// How long an upload in doubt is looked for before a person is asked.
    #[serde(default = "patience")]
    pub patience: Span,
    /// How often an upload in doubt is looked for; shorter than `patience`.
    #[serde(default = "resolve_every")]
    pub resolve_every: Span,
}

fn timeout() -> Span {
    Span(Duration::from_secs(30))
}
fn every() -> Span {
    Span(Duration::from_secs(30))
}
fn settles_after() -> Span {
    Span(Duration::from_secs(120))
}
fn patience() -> Span {
    Span(Duration::from_secs(600))
}
fn resolve_every() -> Span {
    Span(Duration::from_secs(5))
}

impl ConnectionSettings {
    /// The base address, once everything that the types cannot express has been checked.
    ///
    /// # Errors
    /// The first thing that is wrong, with its field and what to write instead.
    pub fn checked(&self) -> Result<Url, OpenError> {
        if self.resolve_every >= self.patience {
            return Err(OpenError(format!(
                "`resolve_every` ({}) must be shorter than `patience` ({})",
                self.resolve_every, self.patience
            )));
        }
        if self.every.0 < EVERY_MIN || self.resolve_every.0 < EVERY_MIN || self.timeout.0 < EVERY_MIN {
            return Err(OpenError("`every`, `resolve_every` and `timeout` must be at least 100ms".into()));
        }
        if self.id_a2a.as_deref().is_some_and(|id| !crate::entities::is_a2a(id)) {
            return Err(OpenError("`id_a2a` must be `A2A-` and 8 digits".into()));
        }
        let url = Url::parse(&self.base_url).map_err(|e| OpenError(format!("`base_url` is not a URL: {e}")))?;
        self.check_scheme(&url)?;
        Ok(url)
    }

    fn check_scheme(&self, url: &Url) -> Result<(), OpenError> {
        let bare = url.username().is_empty() && url.password().is_none() && url.query().is_none();
        if !bare || url.fragment().is_some() {
            return Err(OpenError("`base_url` must be a plain address without password, query or fragment".into()));
        }
        match url.scheme() {
            "https" if self.client_cert.is_some() && self.client_key.is_some() => Ok(()),
            "https" => Err(OpenError(
                "SIOPE+ knows its callers by certificate: `client_cert` and `client_key` are missing".into(),
            )),
            "http" if is_loopback(url) => Ok(()),
            _ => Err(OpenError("`base_url` must be `https`; `http` is for 127.0.0.1 only".into())),
        }
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(change: serde_json::Value) -> String {
        let mut settings = serde_json::json!({ "base_url": "https://x/v1", "client_cert": "c", "client_key": "k" });
        for (name, value) in change.as_object().unwrap() {
            settings[name] = value.clone();
        }
        let read = serde_json::from_value::<ConnectionSettings>(settings).map_err(|e| OpenError(e.to_string()));
        read.and_then(|settings| settings.checked()).err().map(|e| e.to_string()).unwrap_or_default()
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(problem(serde_json::json!({})), "");
        assert!(problem(serde_json::json!({ "resolve_every": "10m" })).contains("shorter than `patience`"));
        assert!(problem(serde_json::json!({ "base_url": "http://a2a.siopeplus.it" })).contains("must be `https`"));
        assert!(problem(serde_json::json!({ "base_url": "https://u:secret@x" })).contains("without password"));
        assert!(!problem(serde_json::json!({ "base_url": "https://u:secret@x" })).contains("secret"));
        assert_eq!(problem(serde_json::json!({ "base_url": "http://127.0.0.1:9/v1" })), "");
        assert_eq!(problem(serde_json::json!({ "base_url": "http://[::1]:9/v1" })), "");
        assert!(problem(serde_json::json!({ "client_key": null })).contains("certificate"));
        assert!(problem(serde_json::json!({ "id_a2a": "40000001" })).contains("8 digits"));
        assert!(problem(serde_json::json!({ "timeot": "3s" })).contains("timeot"));
        assert!(problem(serde_json::json!({ "every": "1ms" })).contains("at least 100ms"));
    }
}
