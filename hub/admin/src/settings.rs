//! `admin` in `config/hub.yaml`.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use hub_core::Secret;
use serde::Deserialize;

use crate::{Error, Role};

/// Shortest token: below that, guessing becomes thinkable.
const TOKEN_CHARS_MIN: usize = 20;
/// Longest token.
const TOKEN_CHARS_MAX: usize = 512;
/// Most tokens: each request is compared with all of them.
const TOKENS_MAX: usize = 1_000;

/// The admin API.
///
/// ```yaml
/// admin:
///   bind: 127.0.0.1:8181
///   tokens:
///     - { token: "${file:secrets/anna}", person: anna.rossi, roles: [approvatore], entities: [UFAAAA] }
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminSettings {
    /// Address and port, by default `127.0.0.1:8181`; port 0 takes a free one. Beyond loopback it needs `tls` and `tokens`.
    #[serde(default = "usual_bind")]
    pub bind: String,
    /// Certificate and key (PEM). Without it the API speaks plain HTTP, on loopback only.
    #[serde(default)]
    pub tls: Option<TlsSettings>,
    /// Who may ask. Without any, every request but `/health` is refused.
    #[serde(default)]
    pub tokens: Vec<TokenSettings>,
    /// Whether `/metrics` answers without a token; on loopback only.
    #[serde(default)]
    pub metrics_open: bool,
}

/// Certificate and key of the admin API; paths resolve from the configuration's folder.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// Certificate chain, PEM.
    pub cert: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

/// A token, bound to one person.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSettings {
    /// The token, 20 to 512 visible ASCII characters: `${env:NAME}` or `${file:PATH}`.
    pub token: Secret<String>,
    /// Who it stands for; this name is written down with each decision.
    pub person: String,
    /// What the person is.
    pub roles: Vec<Role>,
    /// The entities that the person works for; left out: all.
    #[serde(default)]
    pub entities: Option<Vec<String>>,
}

fn usual_bind() -> String {
    "127.0.0.1:8181".into()
}

impl AdminSettings {
    /// Checks everything that can be checked without touching the outside; gives the address.
    pub(crate) fn check(&self) -> Result<SocketAddr, Error> {
        let bind = self.bind.parse::<SocketAddr>().map_err(|_| {
            Error::settings(
                "bind",
                format!("`{}` is not an address and a port; write for example `127.0.0.1:8181`", self.bind),
            )
        })?;
        if !bind.ip().is_loopback() {
            self.check_exposed(bind)?;
        }
        if self.tokens.len() > TOKENS_MAX {
            return Err(Error::settings(
                "tokens",
                format!("{} tokens, at most {TOKENS_MAX} are allowed", self.tokens.len()),
            ));
        }
        self.tokens.iter().enumerate().try_for_each(|(index, token)| token.check(index))?;
        self.check_distinct().map(|()| bind)
    }

    /// Whoever can reach the port can try: so nothing goes over the wire in clear, and nobody is anonymous.
    fn check_exposed(&self, bind: SocketAddr) -> Result<(), Error> {
        let refuse = |detail: String| Err(Error::settings("bind", detail));
        if self.tls.is_none() {
            return refuse(format!(
                "{bind} is reachable from other machines and needs `tls: {{ cert, key }}`; or bind to 127.0.0.1"
            ));
        }
        if self.tokens.is_empty() {
            return refuse(format!("{bind} is reachable from other machines and needs `tokens`; or bind to 127.0.0.1"));
        }
        if self.metrics_open {
            let detail = "only allowed on a loopback address; give the monitor a token with the role `revisore`";
            return Err(Error::settings("metrics_open", detail));
        }
        Ok(())
    }

    fn check_distinct(&self) -> Result<(), Error> {
        let mut seen = HashSet::new();
        let twice = self.tokens.iter().position(|token| !seen.insert(token.token.expose()));
        match twice {
            Some(index) => {
                let detail = "this token stands for somebody else already; each person needs their own";
                Err(Error::settings(format!("tokens[{index}].token"), detail))
            }
            None => Ok(()),
        }
    }
}

impl TokenSettings {
    fn check(&self, index: usize) -> Result<(), Error> {
        let refuse = |field: &str, detail: String| Err(Error::settings(format!("tokens[{index}].{field}"), detail));
        let token = self.token.expose();
        if !(TOKEN_CHARS_MIN..=TOKEN_CHARS_MAX).contains(&token.len()) || !token.bytes().all(|b| b.is_ascii_graphic()) {
            let detail = format!("write {TOKEN_CHARS_MIN} to {TOKEN_CHARS_MAX} visible ASCII characters, at random");
            return refuse("token", detail);
        }
        if self.person.trim().is_empty() {
            return refuse("person", "is empty; name the person, decisions are written down under it".into());
        }
        if self.roles.is_empty() {
            let names: Vec<_> = Role::ALL.iter().map(|role| role.name()).collect();
            return refuse("roles", format!("is empty; name at least one of {}", names.join(", ")));
        }
        match &self.entities {
            // An empty list means "all" further down: here it can only be a mistake.
            Some(entities) if entities.is_empty() || entities.iter().any(|entity| entity.trim().is_empty()) => {
                refuse("entities", "names no entity; leave it out for all, or write their codes".into())
            }
            _ => Ok(()),
        }
    }
}
