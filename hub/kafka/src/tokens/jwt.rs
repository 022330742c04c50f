//! What a JSON Web Token says of itself. It is not verified: that is the broker's part.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

/// Until when it is good, and whom it names.
#[derive(Debug)]
pub(super) struct Claims {
    pub(super) exp: SystemTime,
    pub(super) sub: Option<String>,
}

#[derive(Deserialize)]
struct Payload {
    exp: Option<f64>,
    sub: Option<String>,
}

/// Reads a token. The error never has a part of it.
pub(super) fn claims(token: &str) -> Result<Claims, String> {
    let payload = token.split('.').nth(1).filter(|_| token.split('.').count() == 3);
    let payload = payload.ok_or("it is not a JSON Web Token (three parts with dots between them)")?;
    let bytes =
        URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).map_err(|_| "its second part is not base64url")?;
    let payload: Payload =
        serde_json::from_slice(&bytes).map_err(|_| "its second part is not JSON with `exp` and `sub`")?;
    let seconds = payload.exp.ok_or("it has no `exp`: nobody knows for how long it is good")?;
    let after = Duration::try_from_secs_f64(seconds).map_err(|_| "its `exp` is not a time")?;
    let exp = SystemTime::UNIX_EPOCH.checked_add(after).ok_or("its `exp` is not a time")?;
    Ok(Claims { exp, sub: payload.sub })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(payload: &str) -> String {
        format!("e30.{}.", URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn a_token_says_whom_it_names_and_when_it_ends() {
        let claims = claims(&token(r#"{"sub": "hub", "exp": 1900000000, "iss": "x"}"#)).expect("claims");
        assert_eq!(claims.sub.as_deref(), Some("hub"));
        assert_eq!(claims.exp, SystemTime::UNIX_EPOCH + Duration::from_secs(1_900_000_000));
    }

    #[test]
    fn what_is_none_is_refused_without_being_shown() {
        let bad = ["", "hunter2", "a.hunter2", "a.hunt!er2.b", "a.b.c.d"].map(str::to_owned);
        let ends =
            [r#"{"sub": "hunter2"}"#, r#"{"exp": -1}"#, r#"{"exp": 1e300}"#, r#"{"exp": "hunter2"}"#, "[]"].map(token);
        for text in bad.into_iter().chain(ends) {
            let reason = claims(&text).expect_err("it is none");
            assert!(!reason.contains("hunt"), "{reason}");
        }
    }
}
