//! Errors as RFC 9457 problems.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hub_runtime::OperateError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A problem, as it is sent (`application/problem+json`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProblemBody {
    /// Stable name of this kind of problem, for example `urn:raccordo:problem:not-found`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind of problem in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened here, and what to do.
    pub detail: String,
}

/// A problem on its way out.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    name: &'static str,
    title: &'static str,
    detail: String,
    header: Option<(HeaderName, &'static str)>,
}

impl Problem {
    fn new(status: StatusCode, name: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self { status, name, title, detail: detail.into(), header: None }
    }

    pub(crate) fn unauthorized(detail: impl Into<String>) -> Self {
        let problem = Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "who are you?", detail);
        Self { header: Some((header::WWW_AUTHENTICATE, "Bearer")), ..problem }
    }

    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "you may not do that", detail)
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "there is no such thing", detail)
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", "the request makes no sense", detail)
    }

    pub(crate) fn conflict(name: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, name, "the decision does not count", detail)
    }

    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "not now", detail);
        Self { header: Some((header::RETRY_AFTER, "1")), ..problem }
    }

    pub(crate) fn internal(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the hub failed", detail)
    }

    /// A refusal of the HTTP layer, with its own status.
    pub(crate) fn of_status(status: StatusCode, detail: impl Into<String>) -> Self {
        let (name, title) = match status {
            StatusCode::METHOD_NOT_ALLOWED => ("method-not-allowed", "this cannot be done here"),
            StatusCode::PAYLOAD_TOO_LARGE => ("too-large", "the body is too large"),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => ("media-type", "the body must be application/json"),
            _ => ("bad-request", "the request makes no sense"),
        };
        Self::new(status, name, title, detail)
    }

    pub(crate) fn late(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, "no-verdict-yet", "recorded, not judged yet", detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = ProblemBody {
            kind: format!("urn:raccordo:problem:{}", self.name),
            title: self.title.into(),
            status: self.status.as_u16(),
            detail: self.detail,
        };
        let mut response = (self.status, axum::Json(body)).into_response();
        let headers = response.headers_mut();
        let _ = headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some((name, value)) = self.header {
            let _ = headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

impl From<hub_ledger::Error> for Problem {
    fn from(error: hub_ledger::Error) -> Self {
        match error {
            hub_ledger::Error::BadCursor | hub_ledger::Error::BadFilter(_) => Self::bad_request(error.to_string()),
            error => {
                tracing::error!(%error, "the ledger cannot be read");
                Self::unavailable("the ledger cannot be read; see the hub's log")
            }
        }
    }
}

impl From<OperateError> for Problem {
    fn from(error: OperateError) -> Self {
        match error {
            OperateError::Stopped(_) => Self::unavailable(error.to_string()),
            OperateError::Late(_) => Self::late(error.to_string()),
            OperateError::Bad(detail) => Self::bad_request(detail),
        }
    }
}
