//! What an authority says about its object store. The doc comments are the manual.

use std::path::PathBuf;
use std::time::Duration;

use hub_backbone::Error;
use hub_core::{Secret, Span};
use serde::Deserialize;

/// An object store with an S3 API.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct S3Settings {
    /// Where it answers, `https://host[:port]`. Plain `http://` only with `insecure: true`.
    pub endpoint: String,
    /// The bucket. It must exist, and nothing may expire in it.
    pub bucket: String,
    /// What requests are signed for.
    #[serde(default = "default_region")]
    pub region: String,
    /// What the names of all objects begin with; hubs of one log share it, other logs have another one.
    #[serde(default = "default_prefix")]
    pub prefix: String,
    /// Who the hub is there.
    pub access_key: Secret<String>,
    /// What it signs with.
    pub secret_key: Secret<String>,
    /// Certificates (PEM) of the authorities to trust; without it, those of the machine.
    pub ca: Option<PathBuf>,
    /// Allows `http://`: for a store on the same machine or in the same pod.
    #[serde(default)]
    pub insecure: bool,
    /// How long one request may take.
    #[serde(default = "default_timeout")]
    pub timeout: Span,
    /// For how long a request is tried again while the store does not answer or is too busy.
    #[serde(default = "default_patience")]
    pub patience: Span,
}

fn default_region() -> String {
    "us-east-1".to_owned()
}
fn default_prefix() -> String {
    "raccordo".to_owned()
}
fn default_timeout() -> Span {
    Span(Duration::from_secs(30))
}
fn default_patience() -> Span {
    Span(Duration::from_secs(120))
}

impl S3Settings {
    /// Finds what cannot be right whatever the store says.
    ///
    /// # Errors
    /// [`Error::Io`] that names the field and what to write.
    pub fn check(&self) -> Result<(), Error> {
        let host = self.endpoint.strip_prefix("https://").or_else(|| self.endpoint.strip_prefix("http://"));
        let plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b));
        let problem = [
            (host.is_none_or(str::is_empty), "`endpoint` must be `https://host` or `https://host:port`"),
            (host.is_some_and(|host| host.contains('@')), "`endpoint` must not have a name or a password in it"),
            (
                self.endpoint.starts_with("http://") && !self.insecure,
                "`endpoint` is not encrypted; write `https://`, or `insecure: true` to accept it",
            ),
            (
                self.bucket.is_empty() || !plain(&self.bucket) || self.bucket.contains('/'),
                "`bucket` must be the name of a bucket",
            ),
            (
                self.prefix.is_empty() || self.prefix.len() > 200 || !plain(&self.prefix),
                "`prefix` must be 1 to 200 letters, digits, `.`, `_`, `-` or `/`",
            ),
            (
                self.access_key.expose().is_empty() || self.secret_key.expose().is_empty(),
                "`access_key` and `secret_key` are both needed",
            ),
            (
                self.timeout.0.is_zero() || self.patience.0.is_zero(),
                "`timeout` and `patience` must be longer than nothing",
            ),
        ];
        let found = problem.into_iter().find(|(wrong, _)| *wrong);
        found.map_or(Ok(()), |(_, text)| Err(Error::Io(format!("blobs.s3: {text}"))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> S3Settings {
        serde_json::from_str(text).expect("settings")
    }

    const LEAST: &str =
        r#"{"endpoint": "https://s3.example.org", "bucket": "blobs", "access_key": "hub", "secret_key": "hunter2"}"#;

    #[test]
    fn little_need_be_said_and_nothing_is_shown() {
        let settings = read(LEAST);
        assert!(settings.check().is_ok());
        assert_eq!((settings.region.as_str(), settings.prefix.as_str()), ("us-east-1", "raccordo"));
        assert!(!format!("{settings:?}").contains("hunter2"));
    }

    #[test]
    fn what_cannot_be_right_is_named() {
        let text = |change: fn(&mut S3Settings)| {
            let mut settings = read(LEAST);
            change(&mut settings);
            settings.check().expect_err("it is wrong").to_string()
        };
        assert!(text(|s| s.endpoint = "s3.example.org".to_owned()).contains("`endpoint`"));
        assert!(text(|s| s.endpoint = "http://s3.example.org".to_owned()).contains("insecure: true"));
        assert!(text(|s| s.endpoint = "https://hub:hunter2@s3".to_owned()).contains("password"));
        assert!(!text(|s| s.endpoint = "https://hub:hunter2@s3".to_owned()).contains("hunter2"));
        assert!(text(|s| s.bucket.clear()).contains("`bucket`"));
        assert!(text(|s| s.prefix = "a b".to_owned()).contains("`prefix`"));
        assert!(text(|s| s.secret_key = Secret::new(String::new())).contains("`secret_key`"));
        assert!(text(|s| s.timeout = Span(Duration::ZERO)).contains("`timeout`"));
    }
}
