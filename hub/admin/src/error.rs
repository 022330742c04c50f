//! Why the admin API cannot start.

use std::path::PathBuf;

/// Why the admin API cannot start. No text holds a token or a key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings contradict themselves, or would be unsafe.
    #[error("admin.{field}: {detail}")]
    Settings {
        /// Which field of `admin`.
        field: String,
        /// What is wrong, and what to write instead.
        detail: String,
    },
    /// The address cannot be bound.
    #[error("admin.bind: {bind} cannot be bound: {cause}")]
    Bind {
        /// The address.
        bind: String,
        /// What the system says.
        cause: std::io::Error,
    },
    /// A certificate or key cannot be used.
    #[error("admin.tls: {what} `{}`: {detail}", path.display())]
    Tls {
        /// Certificate or key.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
}

impl Error {
    pub(crate) fn settings(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Settings { field: field.into(), detail: detail.into() }
    }
}
