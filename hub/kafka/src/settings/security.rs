//! How brokers are reached: TLS, and a name with a password.

use std::path::PathBuf;

use hub_core::Secret;
use rdkafka::ClientConfig;
use serde::Deserialize;

/// How brokers are reached.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Security {
    /// Encrypts, and proves who the broker is.
    pub tls: Option<Tls>,
    /// Says who the hub is.
    pub sasl: Option<Sasl>,
}

/// TLS. The broker's name must be in its certificate; there is no way to switch that off.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Certificates (PEM) of the authorities to trust; without it, those of the machine.
    pub ca: Option<PathBuf>,
    /// The hub's own certificate (PEM), where brokers ask for one.
    pub certificate: Option<PathBuf>,
    /// Its key (PEM).
    pub key: Option<PathBuf>,
    /// The key's password.
    pub key_password: Option<Secret<String>>,
}

/// Name and password.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sasl {
    /// How the password is proved.
    pub mechanism: Mechanism,
    /// The name.
    pub username: String,
    /// The password.
    pub password: Secret<String>,
}

/// How a password is proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Mechanism {
    /// Sent as it is: only over TLS.
    #[serde(rename = "PLAIN")]
    Plain,
    /// Proved without being sent.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// Proved without being sent.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

impl Mechanism {
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

impl Security {
    pub(crate) fn apply(&self, config: &mut ClientConfig) {
        let protocol = match (&self.tls, &self.sasl) {
            (None, None) => "plaintext",
            (Some(_), None) => "ssl",
            (None, Some(_)) => "sasl_plaintext",
            (Some(_), Some(_)) => "sasl_ssl",
        };
        let _ = config.set("security.protocol", protocol);
        if let Some(tls) = &self.tls {
            tls.apply(config);
        }
        if let Some(sasl) = &self.sasl {
            let _ = config
                .set("sasl.mechanisms", sasl.mechanism.name())
                .set("sasl.username", &sasl.username)
                .set("sasl.password", sasl.password.expose());
        }
    }
}

impl Tls {
    fn apply(&self, config: &mut ClientConfig) {
        let files = [("ssl.ca", &self.ca), ("ssl.certificate", &self.certificate), ("ssl.key", &self.key)];
        for (name, path) in files {
            if let Some(path) = path {
                let _ = config.set(format!("{name}.location"), path.to_string_lossy());
            }
        }
        if let Some(password) = &self.key_password {
            let _ = config.set("ssl.key.password", password.expose());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_reach_the_client_and_nothing_else() {
        let text = r#"{"tls": {"ca": "/ca.pem"}, "sasl": {"mechanism": "SCRAM-SHA-512", "username": "hub", "password": "hunter2"}}"#;
        let security: Security = serde_json::from_str(text).expect("security");
        assert!(!format!("{security:?}").contains("hunter2"));
        let mut config = ClientConfig::new();
        security.apply(&mut config);
        assert_eq!(config.get("security.protocol"), Some("sasl_ssl"));
        assert_eq!(config.get("sasl.mechanisms"), Some("SCRAM-SHA-512"));
        assert_eq!(config.get("sasl.password"), Some("hunter2"));
        assert_eq!(config.get("ssl.ca.location"), Some("/ca.pem"));
    }
}
