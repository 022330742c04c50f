//! A certificate, read once.

use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use hub_core::sha256_hex;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use x509_cert::der::{Decode, asn1::ObjectIdentifier};
use x509_cert::ext::pkix::KeyUsage;

use crate::key::{Algorithm, KeyError};

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
/// A certificate's size.
const DER_BYTES_MAX: usize = 64 << 10;

/// An X.509 certificate and what we need of it.
#[derive(Clone, Debug)]
pub struct Certificate {
    der: Vec<u8>,
    subject: String,
    not_before: Timestamp,
    not_after: Timestamp,
    algorithm: Algorithm,
    public_key: Vec<u8>,
    may_sign: bool,
}

impl Certificate {
    /// Reads a certificate. Its signature and its issuer are not judged.
    ///
    /// # Errors
    /// If it cannot be read, or its key is of a kind that our profile does not know.
    pub fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        if der.len() > DER_BYTES_MAX {
            return Err(KeyError::Certificate(format!("it has more than {DER_BYTES_MAX} bytes")));
        }
        let unreadable = |e: x509_cert::der::Error| KeyError::Certificate(format!("it cannot be read: {e}"));
        let read = x509_cert::Certificate::from_der(der).map_err(unreadable)?;
        let tbs = &read.tbs_certificate;
        let time = |time: &x509_cert::time::Time| timestamp(time.to_unix_duration());
        Ok(Self {
            der: der.to_vec(),
            subject: tbs.subject.to_string(),
            not_before: time(&tbs.validity.not_before)?,
            not_after: time(&tbs.validity.not_after)?,
            algorithm: algorithm(&tbs.subject_public_key_info)?,
            public_key: tbs.subject_public_key_info.subject_public_key.raw_bytes().to_vec(),
            may_sign: may_sign(tbs),
        })
    }

    /// The bytes.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The subject, RFC 4514.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// SHA-256 of the bytes.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.der).into()
    }

    /// SHA-256 of the bytes, in hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> String {
        sha256_hex(&self.der)
    }

    /// How its key signs.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// First and last instant of its validity.
    #[must_use]
    pub fn validity(&self) -> (Timestamp, Timestamp) {
        (self.not_before, self.not_after)
    }

    /// Whether its key usage (RFC 5280, 4.2.1.3), if stated, allows signing documents: digitalSignature or
    /// nonRepudiation. Qualified certificates often have the latter alone.
    #[must_use]
    pub fn may_sign(&self) -> bool {
        self.may_sign
    }

    /// The subject's public key: RFC 8017 `RSAPublicKey`, or an uncompressed point.
    pub(crate) fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// Whether `signature` is of these bytes by the key of this certificate.
    #[must_use]
    pub fn verifies(&self, bytes: &[u8], signature: &[u8]) -> bool {
        let algorithm: &'static dyn VerificationAlgorithm = match self.algorithm {
            Algorithm::RsaSha256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Algorithm::EcdsaP256Sha256 => &signature::ECDSA_P256_SHA256_FIXED,
            Algorithm::EcdsaP384Sha384 => &signature::ECDSA_P384_SHA384_FIXED,
        };
        UnparsedPublicKey::new(algorithm, &self.public_key).verify(bytes, signature).is_ok()
    }
}

fn timestamp(since_epoch: std::time::Duration) -> Result<Timestamp, KeyError> {
    let seconds = i64::try_from(since_epoch.as_secs()).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    seconds.ok_or_else(|| KeyError::Certificate("its validity is out of range".into()))
}

fn algorithm(spki: &x509_cert::spki::SubjectPublicKeyInfoOwned) -> Result<Algorithm, KeyError> {
    let curve = || spki.algorithm.parameters.as_ref().and_then(|any| any.decode_as::<ObjectIdentifier>().ok());
    match spki.algorithm.oid {
        RSA => Ok(Algorithm::RsaSha256),
        EC if curve() == Some(P256) => Ok(Algorithm::EcdsaP256Sha256),
        EC if curve() == Some(P384) => Ok(Algorithm::EcdsaP384Sha384),
        oid => Err(KeyError::Certificate(format!("its key (algorithm {oid}) is none of RSA, P-256 and P-384"))),
    }
}

/// A usage extension that cannot be read allows nothing.
fn may_sign(tbs: &x509_cert::TbsCertificate) -> bool {
    match tbs.get::<KeyUsage>() {
        Ok(None) => true,
        Ok(Some((_, usage))) => usage.digital_signature() || usage.non_repudiation(),
        Err(_) => false,
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for Certificate {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Certificate::from_der(&bytes).is_err());
        }
    }

    #[test]
    fn a_damaged_certificate_never_panics() {
        let (_, pem) = crate::key::demo_key_of("Prova", crate::key::DemoKind::EcdsaP256).unwrap();
        let der = crate::key::local::certificates(pem.as_bytes()).unwrap().remove(0);
        let good = Certificate::from_der(&der).unwrap();
        assert_eq!(good.subject(), "CN=Prova");
        for at in 0..der.len() {
            let mut bad = der.clone();
            bad[at] ^= 0x55;
            if let Ok(read) = Certificate::from_der(&bad) {
                assert_ne!(read.sha256(), good.sha256());
                assert!(!read.verifies(b"x", b"y"));
            }
        }
        assert!(read_usage(&good));
    }

    fn read_usage(certificate: &Certificate) -> bool {
        certificate.may_sign() && certificate.validity().0 < certificate.validity().1
    }
}
