//! Who sends: API keys and client certificates.

use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use hub_core::plugin::OpenError;

use crate::settings::ClientSettings;
use crate::source::Auth;

/// Shorter keys can be guessed.
const KEY_CHARS_MIN: usize = 16;

/// One sender that the listener knows. Keys are kept as their digests.
pub(crate) struct Client {
    pub(crate) name: String,
    roles: Vec<String>,
    key_digest: Option<[u8; 32]>,
    common_name: Option<String>,
}

/// Reads the clients of a listener.
pub(crate) fn clients(settings: &[ClientSettings], listener: &str) -> Result<Vec<Client>, OpenError> {
    let mut clients: Vec<Client> = Vec::new();
    for client in settings {
        let problem = |detail: &str| {
            OpenError(format!("config/hub.yaml, `listeners.{listener}.clients`, client `{}`: {detail}", client.name))
        };
        if client.api_key.as_ref().is_some_and(|key| key.expose().chars().count() < KEY_CHARS_MIN) {
            return Err(problem("its `api_key` has fewer than 16 characters"));
        }
        if client.api_key.is_none() && client.certificate_subject_cn.is_none() {
            return Err(problem("has neither `api_key` nor `certificate_subject_cn`"));
        }
        let client = Client {
            name: client.name.clone(),
            roles: client.roles.clone(),
            key_digest: client.api_key.as_ref().map(|key| Sha256::digest(key.expose()).into()),
            common_name: client.certificate_subject_cn.clone(),
        };
        if clients.iter().any(|other| other.shares_identity(&client)) {
            return Err(problem("has a name, key or certificate that another client has too"));
        }
        clients.push(client);
    }
    Ok(clients)
}

impl Client {
    fn shares_identity(&self, other: &Self) -> bool {
        let same_key = self.key_digest.is_some() && self.key_digest == other.key_digest;
        let same_certificate = self.common_name.is_some() && self.common_name == other.common_name;
        self.name == other.name || same_key || same_certificate
    }

    /// Whether it may use a path that allows these names and roles; an empty list allows everybody who is known.
    pub(crate) fn is_allowed(&self, allow: &[String]) -> bool {
        allow.is_empty() || allow.iter().any(|wanted| *wanted == self.name || self.roles.contains(wanted))
    }
}

/// The client that a request comes from, by the way that its path asks for.
pub(crate) fn identify<'a>(
    clients: &'a [Client],
    auth: Auth,
    headers: &HeaderMap,
    peer_name: Option<&str>,
) -> Option<&'a Client> {
    match auth {
        Auth::None => None,
        Auth::Mtls => clients.iter().find(|client| peer_name.is_some() && client.common_name.as_deref() == peer_name),
        Auth::ApiKey => by_key(clients, headers),
    }
}

fn by_key<'a>(clients: &'a [Client], headers: &HeaderMap) -> Option<&'a Client> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer =
        bearer.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let key = bearer.map(|(_, key)| key.trim()).or_else(|| text("x-api-key"))?;
    let digest: [u8; 32] = Sha256::digest(key).into();
    // All are compared, and each in constant time: how long it takes tells nothing about a key.
    let mut found = None;
    for client in clients {
        let known = client.key_digest.unwrap_or_default();
        if bool::from(known.ct_eq(&digest)) && client.key_digest.is_some() {
            found = Some(client);
        }
    }
    found
}
