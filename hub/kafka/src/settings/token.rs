//! Where tokens come from.

use std::path::PathBuf;

use hub_core::Secret;
use serde::Deserialize;

/// Where tokens come from: a file that somebody renews, or an endpoint that gives one for a name and a secret.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSource {
    /// A file with a JSON Web Token, and nothing else. It is read again each time that a token is needed, and its `exp` says
    /// for how long it is good. (Kubernetes renews such files; so does any agent.)
    pub file: Option<PathBuf>,
    /// A token endpoint (RFC 6749, client credentials), `https://...`.
    pub endpoint: Option<String>,
    /// The name of this hub there.
    pub client_id: Option<String>,
    /// Its secret.
    pub client_secret: Option<Secret<String>>,
    /// What the token is asked for; the endpoint's usual scope without it.
    pub scope: Option<String>,
    /// Certificates (PEM) of the authorities to trust at the endpoint; without it, those of the machine.
    pub ca: Option<PathBuf>,
}

impl TokenSource {
    /// Tokens out of a file.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self { file: Some(path.into()), ..Self::default() }
    }

    /// What is wrong with it, if anything is.
    pub(super) fn problem(&self) -> Option<&'static str> {
        let known = self.client_id.is_some() && self.client_secret.is_some();
        match (&self.file, &self.endpoint) {
            (Some(_), None) if self.client_id.is_none() && self.client_secret.is_none() => None,
            (Some(_), None) => Some("`client_id` and `client_secret` are for `endpoint`, not for `file`"),
            (None, Some(url)) if !url.starts_with("https://") => {
                Some("`endpoint` must begin with `https://`: a secret is sent there")
            }
            (None, Some(_)) if known => None,
            (None, Some(_)) => Some("`endpoint` needs `client_id` and `client_secret`"),
            _ => Some("`token` needs either `file` or `endpoint`"),
        }
    }
}
