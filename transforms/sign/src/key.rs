//! Who signs: a private key and the certificate that names its owner.

mod certificate;
mod demo;
mod local;
mod settings;

use std::fmt;

use async_trait::async_trait;
use hub_core::Cause;

pub use certificate::Certificate;
pub use demo::{DemoKind, demo_key, demo_key_of};
pub use local::LocalKey;
pub use settings::KeySettings;

/// A signature algorithm of our profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256, key of 2048 to 8192 bits. Deterministic.
    RsaSha256,
    /// ECDSA on P-256 with SHA-256. Two signatures of the same bytes differ.
    EcdsaP256Sha256,
    /// ECDSA on P-384 with SHA-384 (the references still use SHA-256). Two signatures of the same bytes differ.
    EcdsaP384Sha384,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::RsaSha256, Self::EcdsaP256Sha256, Self::EcdsaP384Sha384];

    /// The name in documents (RFC 6931).
    #[must_use]
    pub fn uri(self) -> &'static str {
        match self {
            Self::RsaSha256 => "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
            Self::EcdsaP256Sha256 => "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256",
            Self::EcdsaP384Sha384 => "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384",
        }
    }

    /// The name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RsaSha256 => "rsa-sha256",
            Self::EcdsaP256Sha256 => "ecdsa-p256-sha256",
            Self::EcdsaP384Sha384 => "ecdsa-p384-sha384",
        }
    }

    /// The algorithm of a name in a document.
    #[must_use]
    pub fn of_uri(uri: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.uri() == uri)
    }
}

/// Signs bytes; in memory today, a device or a remote service tomorrow.
#[async_trait]
pub trait Signer: Send + Sync + fmt::Debug {
    /// How it signs. Does not change while the signer lives.
    fn algorithm(&self) -> Algorithm;

    /// The certificate of its key.
    fn certificate(&self) -> &Certificate;

    /// Certificates that lead to a trusted one, DER, nearest first; written beside the signer's own.
    fn chain(&self) -> &[Vec<u8>] {
        &[]
    }

    /// Hashes and signs: RSA gives the signature as it is, ECDSA gives r and s side by side (RFC 6931, 2.3.6).
    ///
    /// May be dropped at any await point. An error means "not now": the caller tries again later.
    async fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, Cause>;
}

/// Why a key cannot be used. Never holds key material or a password.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file cannot be read.
    #[error("{path} cannot be read: {cause}")]
    Unreadable {
        /// The file.
        path: std::path::PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// A file is larger than any key file.
    #[error("{path} has more than {max} bytes; it is no key file")]
    TooLarge {
        /// The file.
        path: std::path::PathBuf,
        /// The limit, bytes.
        max: u64,
    },
    /// A PEM file does not hold what it should.
    #[error("no {what} found in PEM: {detail}")]
    Pem {
        /// `private key` or `certificate`.
        what: &'static str,
        /// What was found instead.
        detail: String,
    },
    /// The PKCS#12 file cannot be opened.
    #[error("PKCS#12 cannot be opened: wrong password, or {detail}")]
    Pkcs12 {
        /// What else it may be.
        detail: String,
    },
    /// A kind of key that the profile does not know.
    #[error("private key is none of RSA (2048 to 8192 bits), ECDSA P-256 and ECDSA P-384")]
    Kind,
    /// The certificate cannot be read or may not sign documents.
    #[error("certificate cannot be used: {0}")]
    Certificate(String),
    /// Key and certificate do not belong together.
    #[error("the certificate of `{subject}` belongs to another key")]
    Mismatch {
        /// The certificate's subject.
        subject: String,
    },
    /// A key could not be made.
    #[error("key could not be made: {0}")]
    Make(String),
}
