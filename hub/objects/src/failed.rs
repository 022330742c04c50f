//! What people are told when the object store does not do what it is asked.

use hub_backbone::Error as Told;
use object_store::Error;

use crate::S3Settings;

/// Characters of the store's own words that are shown.
const REASON_CHARS_MAX: usize = 300;

/// An error for people. The words of a refusal are left out: they repeat what was signed.
pub(crate) fn failed(settings: &S3Settings, what: &str, key: &str, error: &Error) -> Told {
    let S3Settings { endpoint, bucket, .. } = settings;
    let reason = match error {
        Error::Unauthenticated { .. } | Error::PermissionDenied { .. } => {
            "it refuses `access_key` and `secret_key`, or they may not do this".to_owned()
        }
        Error::NotFound { .. } => format!("there is no bucket `{bucket}`: make it, or correct `bucket`"),
        other => words(settings, other),
    };
    Told::Io(format!("the object store {endpoint} (`blobs.s3`), bucket `{bucket}`: {key} cannot be {what}: {reason}"))
}

/// Whether it is the bucket that is missing; a missing object is an answer.
pub(crate) fn no_bucket(error: &Error) -> bool {
    matches!(error, Error::NotFound { source, .. } if chain(&**source).any(|text| text.contains("NoSuchBucket")))
}

/// The store's words on one line, without anything that is ours to keep. The innermost cause says most.
fn words(settings: &S3Settings, error: &Error) -> String {
    let mut text = chain(error).last().unwrap_or_default();
    for secret in [settings.secret_key.expose(), settings.access_key.expose()] {
        text = text.replace(secret.as_str(), "***");
    }
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(REASON_CHARS_MAX).collect()
}

/// An error and its causes.
fn chain(error: &dyn std::error::Error) -> impl Iterator<Item = String> {
    std::iter::successors(Some(error), |cause| cause.source()).map(ToString::to_string)
}
