//! Judging signatures of our profile.
//!
//! Wrapping attacks pass generic verifiers: what was signed is still somewhere in the document, and the reader takes its
//! data from somewhere else. So the shape is judged first and exactly: where each signature stands, which children each
//! of its elements has, which two references there are. Then the hashes, then the value. And what is returned was read
//! from the nodes that the references resolved to: [`Verified::content`] is the canonical document that was hashed.
//!
//! Refused, among others: signatures that are not children of the root; any third reference; any other transform;
//! qualifying properties anywhere but in their signature; a referenced id that occurs twice; comments and unknown
//! elements or attributes within a signature; digests other than SHA-256; a certificate that the signed properties do not
//! name. Trust in the certificate is not judged.

mod hashes;
mod proof;
mod shape;
mod strict;

use hub_core::Problem;
use jiff::Timestamp;
use transform_xml::Limits;

use crate::canonical::parse;
use crate::key::{Algorithm, Certificate};
use crate::normal::Normal;
use crate::xades::SIGNATURES_MAX;

pub use proof::Proof;

/// What one signature proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The document as it was signed: canonical bytes, without signatures (under XPath Filter 2) or without this one
    /// (under the enveloped-signature transform). Read data from here, not from the file.
    pub content: Vec<u8>,
    /// The time that the signer claims.
    pub signing_time: Timestamp,
    /// The signer's certificate.
    pub certificate: Certificate,
    /// How it was signed.
    pub algorithm: Algorithm,
    /// `Id` of the signature.
    pub id: String,
    /// What other programs can check it with.
    pub proof: Proof,
}

/// Why a document is not accepted as signed.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The document cannot be read within limits.
    #[error("document cannot be read: {0}")]
    Unreadable(Problem),
    /// There is no signature, or another number than asked for.
    #[error("document has {found} signatures, expected {expected}")]
    Count {
        /// How many there are.
        found: usize,
        /// How many were asked for.
        expected: &'static str,
    },
    /// It is not of our profile; signatures are taken in no other shape.
    #[error("signature is not of the accepted profile: {0}")]
    Profile(String),
    /// What was hashed has changed (EN 319 102-1: HASH_FAILURE).
    #[error("{what} was changed after signing: its digest differs")]
    Digest {
        /// `the document`, `the signed properties`.
        what: &'static str,
    },
    /// The certificate is not the one that the signer signed with.
    #[error("certificate cannot be used: {0}")]
    Certificate(String),
    /// The value does not belong to these bytes and this key (EN 319 102-1: SIG_CRYPTO_FAILURE).
    #[error("signature value is wrong")]
    Value,
}

/// Verifies a document with exactly one signature.
///
/// # Errors
/// See [`VerifyError`].
pub fn verify(xml: &[u8], limits: &Limits) -> Result<Verified, VerifyError> {
    let mut all = verify_all(xml, limits)?;
    match (all.pop(), all.len()) {
        (Some(one), 0) => Ok(one),
        (_, others) => Err(VerifyError::Count { found: others + 1, expected: "one" }),
    }
}

/// Verifies a document with one to eight signatures side by side; all of them must be good. In document order.
///
/// # Errors
/// See [`VerifyError`].
pub fn verify_all(xml: &[u8], limits: &Limits) -> Result<Vec<Verified>, VerifyError> {
    let text = transform_xml::read(xml, limits).map_err(VerifyError::Unreadable)?;
    let text = Normal::of(&text);
    let document = parse(&text, limits).map_err(VerifyError::Unreadable)?;
    let signatures = shape::signatures(&document)?;
    if signatures.is_empty() || signatures.len() > SIGNATURES_MAX {
        return Err(VerifyError::Count { found: signatures.len(), expected: "one to eight" });
    }
    signatures.iter().map(|signature| hashes::judge(&document, &signatures, signature)).collect()
}
