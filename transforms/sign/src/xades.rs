//! Making a signature: XAdES baseline B (ETSI EN 319 132-1), enveloped.
//!
//! The profile, as banks use it on OPI flows: `ds:Signature` is appended as last child of the root; the document is
//! referenced by `URI=""`, minus all signatures (XPath Filter 2, subtract `/descendant::ds:Signature`), in Canonical XML
//! 1.0; `SignedInfo` is in Canonical XML 1.1; digests are SHA-256. Because all signatures are subtracted, several stand
//! side by side: each new one leaves the earlier ones valid.
//!
//! The bytes of the document before and after the inserted element stay as they are.

mod document;
mod parts;

use hub_core::{Cause, Problem, sha256_hex};
use jiff::Timestamp;
use transform_xml::Limits;

use crate::key::{Algorithm, Signer};
use crate::verify;
use crate::xades::document::Target;
use crate::xades::parts::Parts;

/// Signatures that one document may carry.
pub const SIGNATURES_MAX: usize = 8;

/// A signed document and the facts about its newest signature.
#[derive(Clone, Debug)]
pub struct Signed {
    /// The document with the signature in it.
    pub xml: Vec<u8>,
    /// How it was signed.
    pub algorithm: Algorithm,
    /// SHA-256 of the signing certificate, hexadecimal.
    pub certificate_sha256: String,
    /// The certificate's subject, RFC 4514.
    pub subject: String,
    /// The signing time that stands in the signature: whole seconds.
    pub signed_at: Timestamp,
}

/// Why a document was not signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The document cannot carry this signature.
    #[error("document cannot be signed: {0}")]
    Document(Problem),
    /// The certificate is not valid at the signing time.
    #[error("certificate of `{subject}` is valid from {from} to {to}, not at {at}; configure another key")]
    Expired {
        /// Whose certificate.
        subject: String,
        /// Begin of its validity.
        from: Timestamp,
        /// End of its validity.
        to: Timestamp,
        /// The signing time.
        at: Timestamp,
    },
    /// The signer could not sign now.
    #[error("signer is not available: {0}")]
    Signer(Cause),
    /// What was made does not verify: a broken device or a defect. The document was not let out.
    #[error("the signature that was made does not verify: {0}")]
    Defect(verify::VerifyError),
}

/// Signs a document. `message` makes the ids inside the signature its own; with an RSA key, the same arguments give the
/// same bytes (ECDSA is randomised: the signature value differs).
///
/// The result is verified before it is returned. Dropping the future is safe.
///
/// # Errors
/// See [`SignError`]. Documents are refused beyond `limits`, with a DOCTYPE, in another encoding than UTF-8, with `ds` or
/// `xades` bound to something else on the root, with `xml:base` on the root, and with more than seven signatures.
pub async fn sign(
    xml: &[u8],
    message: &str,
    at: Timestamp,
    signer: &dyn Signer,
    limits: &Limits,
) -> Result<Signed, SignError> {
    let at = Timestamp::from_second(at.as_second()).unwrap_or(at);
    judge_validity(signer, at)?;
    let (target, parts) = prepare(xml, message, at, signer, limits).map_err(SignError::Document)?;
    let value = signer.sign(parts.signed_info_canonical()).await.map_err(SignError::Signer)?;
    let signed = target.with(&parts.element(&value));
    check_result(&signed, limits)?;
    Ok(Signed {
        xml: signed,
        algorithm: signer.algorithm(),
        certificate_sha256: signer.certificate().sha256(),
        subject: signer.certificate().subject().to_string(),
        signed_at: at,
    })
}

fn judge_validity(signer: &dyn Signer, at: Timestamp) -> Result<(), SignError> {
    let (from, to) = signer.certificate().validity();
    if (from..=to).contains(&at) {
        return Ok(());
    }
    Err(SignError::Expired { subject: signer.certificate().subject().to_string(), from, to, at })
}

/// Everything up to the private key. The tree is dropped here: it does not cross an await point.
fn prepare<'a>(
    xml: &'a [u8],
    message: &str,
    at: Timestamp,
    signer: &dyn Signer,
    limits: &Limits,
) -> Result<(Target<'a>, Parts), Problem> {
    let target = Target::read(xml, limits)?;
    let id = format!("xades-{}", &sha256_hex(format!("{message}\n{}", sha256_hex(xml)).as_bytes())[..32]);
    let parts = Parts::build(&id, &target, at, signer)?;
    Ok((target, parts))
}

/// Nothing leaves that a strict reader would refuse.
fn check_result(signed: &[u8], limits: &Limits) -> Result<(), SignError> {
    // The signature itself may carry the document over the limit of what is accepted from outside.
    let limits = limits.with_bytes_max(signed.len().max(limits.bytes_max));
    verify::verify_all(signed, &limits).map(drop).map_err(SignError::Defect)
}
