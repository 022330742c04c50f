//! Documents, byte for byte.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, ETAG};
use axum::response::Response;

use crate::Right;
use crate::ask::{After, Id, Params};
use crate::problem::Problem;
use crate::staff::Person;
use crate::state::Desk;

/// Longest file name that is proposed for a download.
const NAME_CHARS_MAX: usize = 120;

/// The bytes of a document, if a case names it that you may see.
#[utoipa::path(get, path = "/api/v1/documents/{sha256}", operation_id = "download_document", tag = "documents",
    params(("sha256" = String, Path, description = "SHA-256 of the bytes, hexadecimal"), After), responses(
    (status = 200, description = "The bytes as they were kept, under their own MIME type", content_type = "application/octet-stream"),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn download(
    State(desk): State<Arc<Desk>>,
    person: Person,
    Id(sha256): Id,
    Params(query): Params<After>,
) -> Result<Response, Problem> {
    person.must(Right::View)?;
    desk.seen(query.after.as_deref()).await?;
    let found = desk.ledger.document(&sha256, person.visible()).await?;
    let row = found.ok_or_else(|| Problem::not_found(format!("no case that you may see has a document `{sha256}`")))?;
    bytes(&desk, &row.sha256, &row.mime, &row.name).await
}

/// The bytes of a hash as a file to save. The blob store compares them with their hash when it reads them.
pub(crate) async fn bytes(desk: &Desk, sha256: &str, mime: &str, name: &str) -> Result<Response, Problem> {
    let found =
        desk.operate.blobs().get(sha256).await.map_err(|e| Problem::failed("the document cannot be read", &e))?;
    let found = found.ok_or_else(|| {
        Problem::failed("the document is not in the blob store; bring it back from the backup", &sha256)
    })?;
    let mut response = Response::new(Body::from(found));
    let headers = response.headers_mut();
    let mime = HeaderValue::from_str(mime).ok().filter(|mime| !mime.is_empty());
    let _ = headers.insert(CONTENT_TYPE, mime.unwrap_or(HeaderValue::from_static("application/octet-stream")));
    let _ = headers.insert(CONTENT_DISPOSITION, disposition(name));
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{sha256}\"")) {
        let _ = headers.insert(ETAG, tag);
    }
    Ok(response)
}

/// A proposal for the file's name: plain letters for old clients, the whole name for others (RFC 6266, RFC 8187).
fn disposition(name: &str) -> HeaderValue {
    let name: String =
        name.chars().take(NAME_CHARS_MAX).map(|c| if matches!(c, '/' | '\\') { '_' } else { c }).collect();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let plain: String = name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    let whole: String = name
        .bytes()
        .map(|b| if is_plain(char::from(b)) { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect();
    HeaderValue::from_str(&format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{whole}"))
        .unwrap_or(HeaderValue::from_static("attachment"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_header() {
        let value = disposition("../è \"x\"\r\nSet-Cookie: a=b.xml");
        let text = value.to_str().unwrap();
        assert!(text.starts_with("attachment; filename=\".._"), "{text}");
        assert!(text.contains("%C3%A8"), "{text}");
        assert!(!text.contains('\r') && !text.contains("\"x\""), "{text}");
    }
}
