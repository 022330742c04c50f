//! Documents, byte for byte.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

use super::{AfterQuery, seen};
use crate::auth::Caller;
use crate::extract::Params;
use crate::problem::Problem;
use crate::roles::Act;
use crate::router::App;

/// Longest file name that is offered.
const NAME_MAX: usize = 100;

/// The bytes of a document, if a case names it that the caller may see.
#[utoipa::path(get, path = "/api/v1/documents/{sha256}", tag = "cases",
    params(("sha256" = String, Path, description = "Hash of the document"), AfterQuery),
    responses(
        (status = 200, description = "The bytes, under their own MIME type", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = "4XX", description = "A problem", body = crate::ProblemBody, content_type = "application/problem+json"),
    ))]
pub(crate) async fn document(
    State(app): State<Arc<App>>,
    Caller(person): Caller,
    Path(sha256): Path<String>,
    Params(query): Params<AfterQuery>,
) -> Result<Response, Problem> {
    person.may(Act::View)?;
    seen(&app, query.after.as_deref()).await?;
    let document = app.state.ledger.document(&sha256, person.visible()).await?;
    let document = document.ok_or_else(|| Problem::not_found(format!("there is no document {sha256} that you may see")))?;
    download(&app, &document.sha256, &document.mime, &document.name).await
}

/// The bytes of a blob as a file to keep, never as a page to show.
pub(super) async fn download(app: &App, sha256: &str, mime: &str, name: &str) -> Result<Response, Problem> {
    let found = app.state.operate.blobs().get(sha256).await.map_err(|error| {
        tracing::error!(%error, %sha256, "a document cannot be read");
        Problem::internal(format!("document {sha256} cannot be read; see the hub's log"))
    })?;
    let bytes = found.ok_or_else(|| Problem::not_found(format!("document {sha256} is not in the store of this hub")))?;
    let mime = HeaderValue::from_str(mime).unwrap_or(HeaderValue::from_static("application/octet-stream"));
    let name = file_name(name, sha256);
    let disposition = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""))
        .unwrap_or(HeaderValue::from_static("attachment"));
    Ok(([(header::CONTENT_TYPE, mime), (header::CONTENT_DISPOSITION, disposition)], bytes).into_response())
}

/// A name that is safe on every file system and in every header.
fn file_name(name: &str, sha256: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '_' };
    let name: String = name.chars().take(NAME_MAX).map(safe).collect();
    let name = name.trim_start_matches('.');
    if name.is_empty() { sha256.chars().take(NAME_MAX).map(safe).collect() } else { name.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_tame() {
        assert_eq!(file_name("flusso 1.xml", "ab"), "flusso_1.xml");
        assert_eq!(file_name("../../etc/passwd", "ab"), "_.._etc_passwd");
        assert_eq!(file_name("a\"\r\nX: y", "ab"), "a___X__y");
        assert_eq!(file_name("", "ab"), "ab");
    }
}
