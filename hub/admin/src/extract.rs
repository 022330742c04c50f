//! Reading requests; whatever does not fit becomes a problem.

use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::Uri;
use axum::http::request::Parts;
use hub_ledger::PageRequest;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// The query of a request.
#[derive(Debug)]
pub(crate) struct Params<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = Query::<T>::try_from_uri(&parts.uri).map_err(|e| Problem::bad_request(e.body_text()))?;
        Ok(Self(query.0))
    }
}

/// The JSON body of a request.
#[derive(Debug)]
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;
    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let body = axum::Json::<T>::from_request(request, state).await;
        body.map(|json| Self(json.0)).map_err(|e: JsonRejection| Problem::of_status(e.status(), e.body_text()))
    }
}

/// What stands behind `prefix` in the path as it was sent, not decoded.
pub(crate) fn raw_tail<'a>(uri: &'a Uri, prefix: &str) -> &'a str {
    uri.path().strip_prefix(prefix).unwrap_or_default()
}

/// Decodes `%2F` and the like.
pub(crate) fn decoded(text: &str) -> Result<String, Problem> {
    let wrong = || Problem::bad_request("the path has a `%` that is not followed by two hexadecimal digits of UTF-8");
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((first, tail)) = rest.split_first() {
        if *first == b'%' {
            let (digits, tail) = tail.split_at_checked(2).ok_or_else(wrong)?;
            bytes.extend(hex::decode(digits).map_err(|_| wrong())?);
            rest = tail;
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

/// An instant (`2026-03-01T10:00:00Z`), or the beginning of a day in Italy (`2026-03-01`).
pub(crate) fn instant(field: &str, text: Option<&str>) -> Result<Option<Timestamp>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let day = || text.parse::<Date>().ok()?.in_tz("Europe/Rome").ok().map(|zoned| zoned.timestamp());
    text.parse::<Timestamp>().ok().or_else(day).map(Some).ok_or_else(|| {
        Problem::bad_request(format!("`{field}` is not a time; write 2026-03-01 or 2026-03-01T10:00:00Z"))
    })
}

/// Which page.
pub(crate) fn page(cursor: Option<String>, limit: Option<usize>) -> PageRequest {
    PageRequest { cursor, limit }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_decoded_once() {
        assert_eq!(decoded("UFAAAA%2F2026%2f1").unwrap(), "UFAAAA/2026/1");
        assert_eq!(decoded("a%252F").unwrap(), "a%2F");
        assert_eq!(decoded("perch%C3%A9").unwrap(), "perché");
        for wrong in ["%", "%2", "%zz", "%ff", "%é"] {
            assert!(decoded(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_day_begins_in_italy() {
        let day = instant("from", Some("2026-07-01")).unwrap().unwrap();
        assert_eq!(day.to_string(), "2026-06-30T22:00:00Z");
        assert!(instant("from", Some("yesterday")).is_err());
    }
}
