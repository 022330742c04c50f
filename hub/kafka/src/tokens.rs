//! Tokens for OAUTHBEARER: got, kept while they are good, handed to clients.

mod endpoint;
mod jwt;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use hub_backbone::Error;
use rdkafka::ClientContext;
use rdkafka::client::{Client, OAuthToken};

use crate::settings::{Security, TokenSource};

/// A larger token does not fit into the headers of those who give and take them.
const TOKEN_BYTES_MAX: u64 = 64 << 10;

/// A token, and for how long it is good.
#[derive(Clone)]
pub(crate) struct Token {
    value: String,
    principal: String,
    expires: SystemTime,
    /// From then on it is looked for a newer one.
    renew: SystemTime,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").field("value", &"***").field("expires", &self.expires).finish_non_exhaustive()
    }
}

/// The token at hand. Clones share it: an endpoint is asked once for all clients of a hub.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tokens(Arc<Mutex<Option<Token>>>);

impl Tokens {
    /// A token that is good for a while: the one at hand, or a new one. May block for [`endpoint::PATIENCE`].
    fn take(&self, source: &TokenSource) -> Result<Token, String> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = now();
        if let Some(token) = held.as_ref().filter(|token| token.renew > now) {
            return Ok(token.clone());
        }
        match fetch(source, now) {
            Ok(token) => Ok(held.insert(token).clone()),
            // the old one does until it expires: an endpoint may be away for a moment
            Err(reason) => match held.as_ref().filter(|token| token.expires > now) {
                Some(token) => {
                    tracing::warn!(target: "kafka", "the token cannot be renewed, the old one is used on: {reason}");
                    Ok(token.clone())
                }
                None => Err(reason),
            },
        }
    }
}

/// Tokens expire by the wall clock of those who give them out.
#[allow(clippy::disallowed_methods)]
fn now() -> SystemTime {
    SystemTime::now()
}

fn fetch(source: &TokenSource, now: SystemTime) -> Result<Token, String> {
    let token = match &source.file {
        Some(path) => of_file(path, now)?,
        None => endpoint::ask(source, now)?,
    };
    match token.expires > now {
        true => Ok(token),
        false => Err(format!("the token from {} has expired: whoever gives it out must renew it", place(source))),
    }
}

/// For people.
fn place(source: &TokenSource) -> String {
    match (&source.file, &source.endpoint) {
        (Some(path), _) => path.display().to_string(),
        (None, endpoint) => endpoint.clone().unwrap_or_default(),
    }
}

fn of_file(path: &Path, now: SystemTime) -> Result<Token, String> {
    let fault = |text: String| format!("the token in {}: {text}", path.display());
    let size = std::fs::metadata(path).map_err(|error| fault(error.to_string()))?.len();
    if size > TOKEN_BYTES_MAX {
        return Err(fault(format!("the file has {size} bytes, at most {TOKEN_BYTES_MAX} are a token")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| fault(error.to_string()))?;
    let claims = jwt::claims(text.trim()).map_err(&fault)?;
    Ok(token(text.trim().to_owned(), claims.sub, now, claims.exp))
}

/// A token is renewed after three quarters of what is left of its life.
fn token(value: String, principal: Option<String>, now: SystemTime, expires: SystemTime) -> Token {
    let left = expires.duration_since(now).unwrap_or(Duration::ZERO);
    let principal = principal.filter(|name| !name.is_empty()).unwrap_or_else(|| "raccordo".to_owned());
    Token { value, principal, expires, renew: now + left * 3 / 4 }
}

impl Security {
    /// A token as the C library takes it.
    pub(crate) fn oauth_token(&self) -> Result<OAuthToken, String> {
        let (source, tokens) = self.tokens().ok_or("no tokens are configured")?;
        let token = tokens.take(source)?;
        let lifetime = token.expires.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis();
        let lifetime_ms = i64::try_from(lifetime).unwrap_or(i64::MAX);
        Ok(OAuthToken { token: token.value, principal_name: token.principal, lifetime_ms })
    }

    /// Gives a client the token at hand, where tokens are how this hub proves who it is. For clients that nobody polls (yet):
    /// the library asks for tokens only when it is polled.
    pub(crate) fn hand_over<C: ClientContext>(&self, client: &Client<C>) -> Result<(), Error> {
        if self.tokens().is_none() {
            return Ok(());
        }
        let handed = self.oauth_token().and_then(|token| hub_kafka_token::hand_over(client, token));
        handed.map_err(|reason| Error::Io(format!("Kafka: there is no token for OAUTHBEARER: {reason}")))
    }
}
