//! Refusals and failures as RFC 9457 problems.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use hub_runtime::OperateError;
use serde::Serialize;
use utoipa::ToSchema;

/// Why a request was not carried out (RFC 9457, `application/problem+json`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Stable name of the kind of problem, `urn:raccordo:problem:` and a word.
    #[serde(rename = "type")]
    kind: String,
    /// The same in words.
    title: String,
    /// The HTTP status again.
    status: u16,
    /// What happened this time, and what to do.
    detail: String,
    /// Several reasons, where there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<String>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, kind: &str, title: &str, detail: impl Into<String>) -> Self {
        let kind = format!("urn:raccordo:problem:{kind}");
        Self { kind, title: title.into(), status: status.as_u16(), detail: detail.into(), reasons: Vec::new() }
    }

    pub(crate) fn with_reasons(self, reasons: Vec<String>) -> Self {
        Self { reasons, ..self }
    }

    pub(crate) fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", "the request makes no sense", detail)
    }

    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "the request is wrong", detail)
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "not found", detail)
    }

    pub(crate) fn forbidden(kind: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, kind, "not allowed", detail)
    }

    pub(crate) fn conflict(kind: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, kind, "it does not count", detail)
    }

    pub(crate) fn unauthorized() -> Self {
        let detail = "send a known token as `Authorization: Bearer TOKEN`";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "who is asking?", detail)
    }

    pub(crate) fn late() -> Self {
        let detail = "no answer in time; if the request changes something, look before you repeat it";
        Self::new(StatusCode::GATEWAY_TIMEOUT, "late", "no answer in time", detail)
    }

    /// A failure of ours: the caller learns that, the log learns why.
    pub(crate) fn failed(what: &str, cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(what, %cause, "the admin API could not answer");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "failed",
            "the hub failed",
            format!("{what}; the hub's log says why"),
        )
    }

    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let text = serde_json::to_string(&self).unwrap_or_default();
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        let _ = headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status() == StatusCode::UNAUTHORIZED {
            let _ = headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<hub_ledger::Error> for Problem {
    fn from(error: hub_ledger::Error) -> Self {
        match error {
            hub_ledger::Error::BadCursor | hub_ledger::Error::BadFilter(_) => Self::bad(error.to_string()),
            hub_ledger::Error::Away { .. } => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "ledger", "the ledger cannot be read", error.to_string())
            }
            other => Self::failed("the ledger cannot be read", &other),
        }
    }
}

impl From<OperateError> for Problem {
    fn from(error: OperateError) -> Self {
        let title = "the hub did not carry it out";
        match &error {
            OperateError::Bad(detail) => Self::bad(detail.clone()),
            OperateError::Ledger(cause) => Self::new(StatusCode::SERVICE_UNAVAILABLE, "ledger", title, cause.clone()),
            OperateError::Late(_) => Self::new(StatusCode::GATEWAY_TIMEOUT, "late", title, error.to_string()),
            OperateError::Stopped(cause) => {
                tracing::warn!(%cause, "the hub is not working, an operation was refused");
                let detail = "the hub is not working; look at /health/ready and the hub's log";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopped", title, detail)
            }
        }
    }
}
