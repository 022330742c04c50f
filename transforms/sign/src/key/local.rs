//! Keys in memory, read from files.

use std::fmt;

use async_trait::async_trait;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RsaKeyPair,
};
use hub_core::Cause;
use p12_keystore::{KeyStore, Pkcs12ImportPolicy};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::key::{Algorithm, Certificate, KeyError, Signer};

/// Certificates that one file may hold.
const CERTIFICATES_MAX: usize = 8;

/// A private key in this process's memory, with its certificate.
pub struct LocalKey {
    pair: Pair,
    certificate: Certificate,
    chain: Vec<Vec<u8>>,
}

enum Pair {
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
}

impl LocalKey {
    /// Reads a key (PKCS#8, PKCS#1 or SEC 1, not encrypted) and its certificate; further certificates in `certificates`
    /// are the chain.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn from_pem(key: &[u8], certificates: &[u8]) -> Result<Self, KeyError> {
        let mut found = self::certificates(certificates)?;
        let certificate = found.remove(0);
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|e| {
            let encrypted = key.windows(9).any(|window| window == b"ENCRYPTED");
            let detail = if encrypted {
                "the key is encrypted; use PKCS#12 for keys with a password".into()
            } else {
                e.to_string()
            };
            KeyError::Pem { what: "private key", detail }
        })?;
        Self::new(key.secret_der(), &certificate, found)
    }

    /// Opens a PKCS#12 file that holds one key with its certificates.
    ///
    /// # Errors
    /// See [`KeyError`]; the password is never part of one.
    pub fn from_pkcs12(bytes: &[u8], password: &str) -> Result<Self, KeyError> {
        let failed = |detail: String| KeyError::Pkcs12 { detail: detail.replace(password_or_none(password), "***") };
        let store = KeyStore::from_pkcs12(bytes, password, Pkcs12ImportPolicy::Strict)
            .map_err(|e| failed(format!("the file is damaged ({e})")))?;
        let (_, chain) =
            store.private_key_chain().ok_or_else(|| failed("it holds no key with a certificate".into()))?;
        let mut certificates = chain.certs().iter().map(|certificate| certificate.as_der().to_vec());
        let own = certificates.next().ok_or_else(|| failed("it holds no certificate".into()))?;
        Self::new(chain.key().as_der(), &own, certificates.take(CERTIFICATES_MAX).collect())
    }

    fn new(key: &[u8], certificate: &[u8], chain: Vec<Vec<u8>>) -> Result<Self, KeyError> {
        let certificate = Certificate::from_der(certificate)?;
        let pair = Pair::read(key)?;
        if pair.public_key() != certificate.public_key() {
            return Err(KeyError::Mismatch { subject: certificate.subject().to_string() });
        }
        if !certificate.may_sign() {
            let detail = "its key usage allows neither digitalSignature nor nonRepudiation";
            return Err(KeyError::Certificate(detail.into()));
        }
        Ok(Self { pair, certificate, chain })
    }

    /// Adds certificates (PEM) that lead to a trusted one.
    ///
    /// # Errors
    /// If the PEM holds none, or too many.
    pub fn with_chain(mut self, pem: &[u8]) -> Result<Self, KeyError> {
        self.chain.extend(certificates(pem)?);
        self.chain.truncate(CERTIFICATES_MAX);
        Ok(self)
    }
}

/// What must not show in a text; an empty password shows nothing.
fn password_or_none(password: &str) -> &str {
    if password.is_empty() { "\u{0}" } else { password }
}

/// The certificates of a PEM text, DER; at least one.
pub(super) fn certificates(pem: &[u8]) -> Result<Vec<Vec<u8>>, KeyError> {
    let failed = |detail: String| KeyError::Pem { what: "certificate", detail };
    let found = CertificateDer::pem_slice_iter(pem).take(CERTIFICATES_MAX + 1);
    let found: Vec<_> =
        found.map(|der| der.map(|der| der.to_vec())).collect::<Result<_, _>>().map_err(|e| failed(e.to_string()))?;
    match found.len() {
        0 => Err(failed("there is none".into())),
        n if n > CERTIFICATES_MAX => Err(failed(format!("there are more than {CERTIFICATES_MAX}"))),
        _ => Ok(found),
    }
}

impl Pair {
    /// Reads PKCS#8, PKCS#1 or SEC 1. A key that is too short is refused by the library or here.
    fn read(der: &[u8]) -> Result<Self, KeyError> {
        if let Ok(pair) = RsaKeyPair::from_pkcs8(der).or_else(|_| RsaKeyPair::from_der(der)) {
            let long_enough = pair.public_modulus_len() >= KeySize::Rsa2048.len();
            return if long_enough { Ok(Self::Rsa(pair)) } else { Err(KeyError::Kind) };
        }
        let curves = [&ECDSA_P256_SHA256_FIXED_SIGNING, &ECDSA_P384_SHA384_FIXED_SIGNING];
        let pair = curves.into_iter().find_map(|curve| EcdsaKeyPair::from_private_key_der(curve, der).ok());
        pair.map(Self::Ecdsa).ok_or(KeyError::Kind)
    }

    fn public_key(&self) -> &[u8] {
        match self {
            Self::Rsa(pair) => pair.public_key().as_ref(),
            Self::Ecdsa(pair) => pair.public_key().as_ref(),
        }
    }
}

#[async_trait]
impl Signer for LocalKey {
    fn algorithm(&self) -> Algorithm {
        self.certificate.algorithm()
    }

    fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }

    async fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, Cause> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&signature::RSA_PKCS1_SHA256, &random, bytes, &mut signature)?;
                Ok(signature)
            }
            Pair::Ecdsa(pair) => Ok(pair.sign(&random, bytes)?.as_ref().to_vec()),
        }
    }
}

impl fmt::Debug for LocalKey {
    /// Shows whose key it is, and nothing of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalKey").field("subject", &self.certificate.subject()).finish_non_exhaustive()
    }
}
