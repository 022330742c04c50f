//! Certificates for tests of TLS.

use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair};

/// Makes a certificate authority and certificates with these common names, for servers (`localhost`, `127.0.0.1`) and
/// clients alike, as `CA.pem`, `NAME.pem` and `NAME.key` in a folder.
///
/// # Panics
/// If a file cannot be written.
pub fn certificates(folder: &Path, ca: &str, names: &[&str]) {
    let mut params = params(ca);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, key()).expect("a certificate authority");
    write(folder, &format!("{ca}.pem"), &issuer.pem());
    for name in names {
        let key = key();
        let certificate = self::params(name).signed_by(&key, &issuer).expect("a certificate");
        write(folder, &format!("{name}.pem"), &certificate.pem());
        write(folder, &format!("{name}.key"), &key.serialize_pem());
    }
}

fn params(name: &str) -> CertificateParams {
    let hosts = vec!["localhost".to_string(), "127.0.0.1".to_string()];
    let mut params = CertificateParams::new(hosts).expect("names of hosts");
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

fn write(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join(name), text).expect("a writable folder");
}
