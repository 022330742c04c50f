//! Keys for demonstrations and tests. Real ones come from a trust service provider.

use rcgen::{
    CertificateParams, DistinguishedName, DnType, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256, date_time_ymd,
};

use crate::key::KeyError;

/// What kind of key to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DemoKind {
    /// RSA, 2048 bits: what banks expect.
    #[default]
    Rsa2048,
    /// ECDSA on P-256.
    EcdsaP256,
    /// ECDSA on P-384.
    EcdsaP384,
}

/// Makes an RSA key; see [`demo_key_of`].
///
/// # Errors
/// If the key cannot be made.
pub fn demo_key(subject: &str) -> Result<(String, String), KeyError> {
    demo_key_of(subject, DemoKind::Rsa2048)
}

/// Makes a key and a certificate that it signed itself (valid from 2020 to 2049, for signing documents): both PEM, key
/// first. `subject` is the common name.
///
/// # Errors
/// If the key cannot be made.
pub fn demo_key_of(subject: &str, kind: DemoKind) -> Result<(String, String), KeyError> {
    let algorithm = match kind {
        DemoKind::Rsa2048 => &PKCS_RSA_SHA256,
        DemoKind::EcdsaP256 => &PKCS_ECDSA_P256_SHA256,
        DemoKind::EcdsaP384 => &PKCS_ECDSA_P384_SHA384,
    };
    let failed = |e: rcgen::Error| KeyError::Make(e.to_string());
    let key = KeyPair::generate_for(algorithm).map_err(failed)?;
    let certificate = params(subject).self_signed(&key).map_err(failed)?;
    Ok((key.serialize_pem(), certificate.pem()))
}

fn params(subject: &str) -> CertificateParams {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, subject);
    let mut params = CertificateParams::default();
    params.distinguished_name = name;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::ContentCommitment];
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2049, 12, 31);
    params
}
