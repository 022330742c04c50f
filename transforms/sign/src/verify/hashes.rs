//! From shape to proof: digests, certificate, value.

use sha2::{Digest, Sha256};
use uppsala::Document;

use crate::canonical::{subtree, without};
use crate::key::Certificate;
use crate::verify::shape::{Signature, Subtracts};
use crate::verify::{Proof, Verified, VerifyError};

/// Judges one signature; `all` are those of the document, itself included.
pub(super) fn judge(document: &Document<'_>, all: &[Signature], one: &Signature) -> Result<Verified, VerifyError> {
    let content = content(document, all, one)?;
    equal(&content, &one.document.digest, "the document")?;
    let properties = subtree(document, one.properties.node, one.properties.form).map_err(VerifyError::Unreadable)?;
    equal(&properties, &one.properties.digest, "the signed properties")?;
    let certificate = certificate(one)?;
    let signed = subtree(document, one.signed_info, one.signed_info_form).map_err(VerifyError::Unreadable)?;
    if !certificate.verifies(&signed, &one.value) {
        return Err(VerifyError::Value);
    }
    Ok(Verified {
        content,
        signing_time: one.properties.signing_time,
        certificate,
        algorithm: one.algorithm,
        id: one.id.clone(),
        proof: Proof { signed_info: signed, properties, value: one.value.clone() },
    })
}

/// The bytes that the document's reference stands for.
fn content(document: &Document<'_>, all: &[Signature], one: &Signature) -> Result<Vec<u8>, VerifyError> {
    let left_out: Vec<_> = match one.document.subtracts {
        Subtracts::All => all.iter().map(|signature| signature.node).collect(),
        Subtracts::Own => vec![one.node],
    };
    without(document.clone(), &left_out, one.document.form).map_err(VerifyError::Unreadable)
}

fn equal(bytes: &[u8], digest: &[u8], what: &'static str) -> Result<(), VerifyError> {
    if Sha256::digest(bytes).as_slice() == digest { Ok(()) } else { Err(VerifyError::Digest { what }) }
}

/// The certificate, if the signed properties name it and its key is of the stated kind.
fn certificate(one: &Signature) -> Result<Certificate, VerifyError> {
    let certificate = Certificate::from_der(&one.certificate).map_err(|e| VerifyError::Certificate(e.to_string()))?;
    if certificate.digest().as_slice() != one.properties.certificate_digest {
        return Err(VerifyError::Certificate("it is not the one that the signer names".into()));
    }
    if certificate.algorithm() != one.algorithm {
        return Err(VerifyError::Certificate("its key is not of the kind that the signature method states".into()));
    }
    Ok(certificate)
}
