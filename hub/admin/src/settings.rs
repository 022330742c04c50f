//! The section `admin` of `config/hub.yaml`.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use hub_core::Secret;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::Role;

/// Shortest token that is taken; `openssl rand -hex 32` makes a good one.
const TOKEN_BYTES_MIN: usize = 16;

/// The admin API: where it listens and who may use it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdminSettings {
    /// Address and port; port 0 takes a free one. Beyond loopback `tls` and `tokens` are required.
    #[serde(default = "usual_bind")]
    pub bind: String,
    /// The server's certificate and key; plain HTTP without.
    #[serde(default)]
    pub tls: Option<TlsSettings>,
    /// Who may use it. Without tokens every call except `/health` is refused.
    #[serde(default)]
    pub tokens: Vec<TokenSettings>,
    /// Whether `/metrics` may be read without a token; on loopback only.
    #[serde(default)]
    pub metrics_open: bool,
}

/// A certificate and its key.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// PEM file: the certificate, then those that lead to its root.
    pub cert: PathBuf,
    /// PEM file: the private key.
    pub key: PathBuf,
}

/// A token and the person it stands for.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenSettings {
    /// The token, at least 16 characters: `${env:NAME}` or `${file:PATH}`.
    pub token: Secret<String>,
    /// Who uses it; stands in the history of all they decide.
    pub person: String,
    /// What they may do.
    pub roles: Vec<Role>,
    /// The entities they may see; all if absent.
    #[serde(default)]
    pub entities: Option<Vec<String>>,
}

fn usual_bind() -> String {
    "127.0.0.1:8470".into()
}

impl Default for AdminSettings {
    fn default() -> Self {
        Self { bind: usual_bind(), tls: None, tokens: Vec::new(), metrics_open: false }
    }
}

impl AdminSettings {
    /// Resolves paths from the configuration's folder.
    pub fn resolve(&mut self, root: &Path) {
        if let Some(tls) = &mut self.tls {
            tls.cert = root.join(&tls.cert);
            tls.key = root.join(&tls.key);
        }
    }

    /// All mistakes that can be found without opening anything; never quotes a token.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut seen = HashSet::new();
        let mut problems = Vec::new();
        for (i, token) in self.tokens.iter().enumerate() {
            problems.extend(token.problems().into_iter().map(|problem| format!("admin.tokens[{i}]: {problem}")));
            if !seen.insert(token.token.expose()) {
                problems.push(format!("admin.tokens[{i}]: this token stands above already; give each person their own"));
            }
        }
        problems
    }
}

impl TokenSettings {
    fn problems(&self) -> Vec<String> {
        let token = self.token.expose();
        let checks = [
            (
                token.len() < TOKEN_BYTES_MIN,
                format!("the token is shorter than {TOKEN_BYTES_MIN} characters; make one with `openssl rand -hex 32`"),
            ),
            (
                !token.bytes().all(|b| b.is_ascii_graphic()),
                "the token has characters that cannot stand in a header; use letters and digits".into(),
            ),
            (self.person.trim().is_empty(), "`person` is empty; write who uses the token".into()),
            (self.roles.is_empty(), format!("`roles` is empty; write some of {}", Role::names())),
            // An empty list means "all" to the owners of tasks and sends, so it must not come from here.
            (
                self.entities.as_ref().is_some_and(|list| list.is_empty() || list.iter().any(String::is_empty)),
                "`entities` is empty or has an empty name; leave it out for all entities".into(),
            ),
        ];
        checks.into_iter().filter(|(wrong, _)| *wrong).map(|(_, problem)| problem).collect()
    }
}
