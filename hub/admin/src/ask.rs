//! Reading requests: parameters, ids, JSON bodies. Whatever does not fit becomes a [`Problem`].

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{StatusCode, Uri};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::{IntoParams, ToSchema};

use crate::problem::Problem;
use crate::staff::Person;

/// Largest body of a request.
pub(crate) const BODY_BYTES_MAX: usize = 64 * 1024;
/// Longest text that a person may write down.
pub(crate) const WORDS_MAX: usize = 4_000;
/// Longest id.
const ID_BYTES_MAX: usize = 1_000;

/// Parameters behind the `?`.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        params(&parts.uri).map(Self)
    }
}

/// The parameters of an address.
pub(crate) fn params<T: DeserializeOwned>(uri: &Uri) -> Result<T, Problem> {
    let wrong = |error: QueryRejection| {
        let cause = std::error::Error::source(&error).map_or_else(|| error.body_text(), ToString::to_string);
        Problem::bad(format!("the parameters cannot be read: {cause}; /api/openapi.json describes them"))
    };
    Ok(Query::<T>::try_from_uri(uri).map_err(wrong)?.0)
}

/// An id in the path; a slash in it is written `%2F`.
pub(crate) struct Id(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(id) =
            Path::<String>::from_request_parts(parts, state).await.map_err(|e| Problem::bad(e.body_text()))?;
        checked(id).map(Self)
    }
}

fn checked(id: String) -> Result<String, Problem> {
    match id.is_empty() || id.len() > ID_BYTES_MAX {
        true => Err(Problem::bad(format!("an id has 1 to {ID_BYTES_MAX} bytes"))),
        false => Ok(id),
    }
}

/// Reads `%XX` in a path. A slash may stand as it is.
pub(crate) fn decoded(raw: &str) -> Result<String, Problem> {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first != b'%' {
            bytes.push(first);
            rest = tail;
            continue;
        }
        let digits = tail.split_at_checked(2).and_then(|(two, after)| Some((hex::decode(two).ok()?, after)));
        let wrong = || Problem::bad(format!("`{raw}` has a `%` without two hexadecimal digits"));
        let (byte, after) = digits.ok_or_else(wrong)?;
        bytes.extend(byte);
        rest = after;
    }
    checked(String::from_utf8(bytes).map_err(|_| Problem::bad(format!("`{raw}` is not UTF-8")))?)
}

/// The person who asks; the guard has recognised them.
impl<S: Sync> FromRequestParts<S> for Person {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let person = parts.extensions.get::<Arc<Person>>().ok_or_else(Problem::unauthorized)?;
        Ok(Person::clone(person))
    }
}

/// A JSON body: UTF-8, at most 64 kB, no key twice, no field that is not known.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;
    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let mime = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !mime.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
            let (status, detail) = (StatusCode::UNSUPPORTED_MEDIA_TYPE, "`Content-Type` must be application/json");
            return Err(Problem::new(status, "media-type", "unsupported content", detail));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| unread(rejection.status()))?;
        let value = hub_core::read_json(&bytes, BODY_BYTES_MAX).map_err(Problem::bad)?;
        T::deserialize(value).map(Self).map_err(|error| Problem::invalid(error.to_string()))
    }
}

fn unread(status: StatusCode) -> Problem {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let detail = format!("at most {BODY_BYTES_MAX} bytes are taken here");
            Problem::new(status, "too-large", "the body is too large", detail)
        }
        _ => Problem::bad("the body broke off; send the request again"),
    }
}

/// Refuses texts that are longer than anyone writes.
pub(crate) fn words(field: &str, text: &str) -> Result<(), Problem> {
    match text.len() > WORDS_MAX {
        true => Err(Problem::invalid(format!("`{field}` has {} bytes, at most {WORDS_MAX} are allowed", text.len()))),
        false => Ok(()),
    }
}

/// Refuses a decision without a reason.
pub(crate) fn note(text: &str) -> Result<(), Problem> {
    words("note", text)?;
    match text.trim().is_empty() {
        true => Err(Problem::invalid("`note` is empty; write the proof or the reason, it is kept with the decision")),
        false => Ok(()),
    }
}

/// Parameters of reads that give one thing.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct After {
    /// Waits until the answer includes this position, which a write returned.
    pub(crate) after: Option<String>,
}

/// Which of a list of things that are open at first and closed at last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Which {
    /// Those that wait for someone.
    #[default]
    Open,
    /// Those that are over.
    Closed,
    /// Both.
    All,
}

impl Which {
    pub(crate) fn open(self) -> Option<bool> {
        match self {
            Self::Open => Some(true),
            Self::Closed => Some(false),
            Self::All => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_with_and_without_escapes() {
        assert_eq!(decoded("UFAAAA%2F2026%2f1").unwrap(), "UFAAAA/2026/1");
        assert_eq!(decoded("UFAAAA/2026/1").unwrap(), "UFAAAA/2026/1");
        assert_eq!(decoded("%C3%A8").unwrap(), "è");
        for bad in ["%", "%2", "%zz", "%FF", ""] {
            assert_eq!(decoded(bad).unwrap_err().status(), StatusCode::BAD_REQUEST, "{bad}");
        }
    }
}
