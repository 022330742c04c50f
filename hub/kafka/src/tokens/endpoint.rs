//! A token for a name and a secret, from an endpoint (RFC 6749, 4.4).

use std::time::{Duration, SystemTime};

use serde::Deserialize;

use super::{TOKEN_BYTES_MAX, Token, jwt, token};
use crate::settings::TokenSource;

/// How long an endpoint may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// For how long a token is taken to be good of which nobody says it.
const USUALLY: Duration = Duration::from_secs(300);

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    expires_in: Option<u64>,
}

/// Asks for a token. Blocks; it has a thread and a runtime of its own, since it is called from within the C library's polls.
pub(super) fn ask(source: &TokenSource, now: SystemTime) -> Result<Token, String> {
    let asked = std::thread::scope(|scope| scope.spawn(|| on_runtime(source)).join());
    let url = source.endpoint.as_deref().unwrap_or_default();
    let answer = asked.unwrap_or_else(|_| Err("asking for it failed".to_owned()));
    let answer = answer.map_err(|reason| format!("the token endpoint {url}: {reason}"))?;
    let claims = jwt::claims(&answer.access_token).ok();
    let said = answer.expires_in.map(Duration::from_secs).map(|left| now + left.min(Duration::from_secs(86_400)));
    let expires = said.or(claims.as_ref().map(|claims| claims.exp)).unwrap_or(now + USUALLY);
    Ok(token(answer.access_token, claims.and_then(|claims| claims.sub), now, expires))
}

fn on_runtime(source: &TokenSource) -> Result<Answer, String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let asked = tokio::time::timeout(PATIENCE, post(source)).await;
        asked.unwrap_or_else(|_| Err(format!("no answer in {} s", PATIENCE.as_secs())))
    })
}

async fn post(source: &TokenSource) -> Result<Answer, String> {
    let scope = source.scope.as_deref().map(|scope| format!("&scope={}", encoded(scope))).unwrap_or_default();
    let secret = source.client_secret.as_ref().map(|secret| secret.expose());
    let request = client(source)?
        .post(source.endpoint.as_deref().unwrap_or_default())
        .basic_auth(source.client_id.as_deref().unwrap_or_default(), secret)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("grant_type=client_credentials{scope}"));
    let answer = request.send().await.map_err(|error| chain(&error))?;
    let status = answer.status();
    if !status.is_success() {
        return Err(format!("it answers {status}; are `client_id`, `client_secret` and `scope` right?"));
    }
    serde_json::from_slice(&body(answer).await?).map_err(|_| "its answer is not JSON with an `access_token`".to_owned())
}

fn client(source: &TokenSource) -> Result<reqwest::Client, String> {
    let mut builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).https_only(true);
    if let Some(path) = &source.ca {
        let fault = |error: &dyn std::fmt::Display| format!("`ca` {}: {error}", path.display());
        let pem = std::fs::read(path).map_err(|error| fault(&error))?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| fault(&error))?;
        builder = builder.tls_certs_only(certificates);
    }
    builder.build().map_err(|error| chain(&error))
}

async fn body(mut answer: reqwest::Response) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| chain(&error))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() as u64 > TOKEN_BYTES_MAX {
            return Err(format!("its answer is larger than {TOKEN_BYTES_MAX} bytes"));
        }
    }
    Ok(bytes)
}

/// As forms are written.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let one = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}

/// An error with its causes: the outermost says only that sending failed.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
