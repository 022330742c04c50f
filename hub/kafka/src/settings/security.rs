//! How brokers are reached: TLS, and what says who the hub is.

use std::path::PathBuf;

use hub_backbone::Error;
use hub_core::Secret;
use rdkafka::ClientConfig;
use serde::Deserialize;

use super::token::TokenSource;
use crate::tokens::Tokens;

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

/// Name and password, or a token.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sasl {
    /// How the hub proves who it is.
    pub mechanism: Mechanism,
    /// The name; not with OAUTHBEARER, whose token says it.
    pub username: Option<String>,
    /// The password.
    pub password: Option<Secret<String>>,
    /// Where tokens come from, with OAUTHBEARER.
    pub token: Option<TokenSource>,
    /// The token at hand, shared by all clients that are made from these settings.
    #[serde(skip)]
    pub(crate) tokens: Tokens,
}

/// How a hub proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Mechanism {
    /// The password is sent as it is: only over TLS.
    #[serde(rename = "PLAIN")]
    Plain,
    /// The password is proved without being sent.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// The password is proved without being sent.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
    /// A token that somebody else gives out, and that expires: only over TLS.
    #[serde(rename = "OAUTHBEARER")]
    OauthBearer,
}

impl Mechanism {
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::OauthBearer => "OAUTHBEARER",
        }
    }
    /// Whether who listens on the wire would have what proves the hub.
    fn shows_all(self) -> bool {
        matches!(self, Self::Plain | Self::OauthBearer)
    }
}

impl Sasl {
    /// Name and password.
    #[must_use]
    pub fn password(mechanism: Mechanism, username: impl Into<String>, password: impl Into<String>) -> Self {
        let (username, password) = (Some(username.into()), Some(Secret::new(password.into())));
        Self { mechanism, username, password, token: None, tokens: Tokens::default() }
    }

    /// Tokens.
    #[must_use]
    pub fn token(source: TokenSource) -> Self {
        let mechanism = Mechanism::OauthBearer;
        Self { mechanism, username: None, password: None, token: Some(source), tokens: Tokens::default() }
    }

    fn problem(&self) -> Option<&'static str> {
        let named = self.username.is_some() || self.password.is_some();
        match self.mechanism {
            Mechanism::OauthBearer if self.token.is_none() => {
                Some("OAUTHBEARER needs `token: { file: ... }` or `endpoint`")
            }
            Mechanism::OauthBearer if named => {
                Some("OAUTHBEARER has no `username` and `password`: its token says who it is")
            }
            Mechanism::OauthBearer => self.token.as_ref().and_then(TokenSource::problem),
            _ if self.token.is_some() => Some("`token` is for `mechanism: OAUTHBEARER`"),
            _ if self.username.is_none() || self.password.is_none() => {
                Some("`username` and `password` are both needed")
            }
            _ => None,
        }
    }
}

impl Security {
    /// Finds what cannot be right whatever the cluster says.
    ///
    /// # Errors
    /// [`Error::Io`] that names the field and what to write.
    pub fn check(&self) -> Result<(), Error> {
        let fault = |at: &str, text: &str| Err(Error::Io(format!("backbone.kafka.security.{at}: {text}")));
        if let Some(sasl) = &self.sasl {
            if let Some(problem) = sasl.problem() {
                return fault("sasl", problem);
            }
            if self.tls.is_none() && sasl.mechanism.shows_all() {
                return fault("sasl", "PLAIN and OAUTHBEARER show their secret on the wire; write `tls`, too");
            }
        }
        match &self.tls {
            Some(tls) if tls.certificate.is_some() != tls.key.is_some() => {
                fault("tls", "`certificate` and `key` belong together")
            }
            _ => Ok(()),
        }
    }

    /// Whether the files are there: the C library says only that something was wrong with one.
    pub(crate) fn check_files(&self) -> Result<(), Error> {
        let Some(tls) = &self.tls else { return Ok(()) };
        let files = [("ca", &tls.ca), ("certificate", &tls.certificate), ("key", &tls.key)];
        let mut named = files.iter().filter_map(|(name, path)| Some((name, path.as_ref()?)));
        named.try_for_each(|(name, path)| match std::fs::File::open(path) {
            Ok(_) => Ok(()),
            Err(error) => Err(Error::Io(format!("backbone.kafka.security.tls.{name}: {}: {error}", path.display()))),
        })
    }

    /// Where tokens come from, if that is how this hub proves who it is.
    pub(crate) fn tokens(&self) -> Option<(&TokenSource, &Tokens)> {
        let sasl = self.sasl.as_ref()?;
        Some((sasl.token.as_ref()?, &sasl.tokens))
    }

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
            sasl.apply(config);
        }
    }
}

impl Sasl {
    fn apply(&self, config: &mut ClientConfig) {
        let _ = config.set("sasl.mechanisms", self.mechanism.name());
        if let (Some(username), Some(password)) = (&self.username, &self.password) {
            let _ = config.set("sasl.username", username).set("sasl.password", password.expose());
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

    fn read(text: &str) -> Security {
        serde_json::from_str(text).expect("security")
    }

    #[test]
    fn secrets_reach_the_client_and_nothing_else() {
        let text = r#"{"tls": {"ca": "/ca.pem"}, "sasl": {"mechanism": "SCRAM-SHA-512", "username": "hub", "password": "hunter2"}}"#;
        let security = read(text);
        assert!(security.check().is_ok());
        assert!(!format!("{security:?}").contains("hunter2"));
        let mut config = ClientConfig::new();
        security.apply(&mut config);
        assert_eq!(config.get("security.protocol"), Some("sasl_ssl"));
        assert_eq!(config.get("sasl.mechanisms"), Some("SCRAM-SHA-512"));
        assert_eq!(config.get("sasl.password"), Some("hunter2"));
        assert_eq!(config.get("ssl.ca.location"), Some("/ca.pem"));
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn what_cannot_be_right_is_named() {
        let text = |text: &str| read(text).check().expect_err("it is wrong").to_string();
        assert!(text(r#"{"sasl": {"mechanism": "PLAIN", "username": "a", "password": "b"}}"#).contains("write `tls`"));
        assert!(text(r#"{"sasl": {"mechanism": "SCRAM-SHA-256", "username": "a"}}"#).contains("both needed"));
        assert!(text(r#"{"tls": {}, "sasl": {"mechanism": "OAUTHBEARER"}}"#).contains("token: { file"));
        assert!(text(r#"{"tls": {"certificate": "/c.pem"}}"#).contains("belong together"));
        let token = r#"{"tls": {}, "sasl": {"mechanism": "PLAIN", "token": {"file": "/t"}}}"#;
        assert!(text(token).contains("mechanism: OAUTHBEARER"));
        assert!(read(r#"{"tls": {}, "sasl": {"mechanism": "OAUTHBEARER", "token": {"file": "/t"}}}"#).check().is_ok());
    }
}
