//! Keys from PEM and PKCS#12, right and wrong.

use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use transform_sign::key::{DemoKind, KeyError, LocalKey, Signer, demo_key_of};
use transform_sign::verify::verify;
use transform_xml::Limits;

use crate::support::{Owner, owner, rsa, signed};

const PASSWORD: &str = "s3greta-Ètà";

fn pkcs12(owner: &Owner) -> Vec<u8> {
    let key = PrivateKeyDer::from_pem_slice(owner.key_pem.as_bytes()).unwrap();
    let cert = CertificateDer::from_pem_slice(owner.cert_pem.as_bytes()).unwrap();
    let chain = PrivateKeyChain::new(
        vec![1u8, 2, 3],
        PrivateKey::from_der(key.secret_der()).unwrap(),
        [Certificate::from_der(&cert).unwrap()],
    );
    let mut store = KeyStore::new();
    store.add_entry("opi", KeyStoreEntry::PrivateKeyChain(chain));
    store.writer(PASSWORD).write().unwrap()
}

#[test]
fn a_pkcs12_file_signs_like_its_pem() {
    for kind in [DemoKind::Rsa2048, DemoKind::EcdsaP256, DemoKind::EcdsaP384] {
        let owner = owner(kind);
        let key = LocalKey::from_pkcs12(&pkcs12(&owner), PASSWORD).unwrap();
        assert_eq!(key.certificate(), owner.key.certificate());
        verify(signed("<a/>", &key).as_bytes(), &Limits::default()).unwrap();
    }
    let key = LocalKey::from_pkcs12(&pkcs12(rsa()), PASSWORD).unwrap();
    assert_eq!(signed("<a/>", &key), signed("<a/>", &rsa().key));
}

#[test]
fn a_wrong_password_is_refused_and_not_shown() {
    let file = pkcs12(rsa());
    for wrong in ["sbagliata-123", "", "s3greta"] {
        let error = LocalKey::from_pkcs12(&file, wrong).unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(matches!(error, KeyError::Pkcs12 { .. }) && text.contains("wrong password"), "{text}");
        assert!(wrong.is_empty() || !text.contains(wrong), "{text}");
    }
    assert!(LocalKey::from_pkcs12(b"not a file", PASSWORD).is_err());
    for cut in [10, file.len() / 2, file.len() - 1] {
        assert!(LocalKey::from_pkcs12(&file[..cut], PASSWORD).is_err());
    }
}

#[test]
fn a_pkcs12_file_of_openssl_is_read() {
    if !crate::support::has("openssl") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("key.pem"), &rsa().key_pem).unwrap();
    std::fs::write(path("cert.pem"), &rsa().cert_pem).unwrap();
    let made = std::process::Command::new("openssl")
        .args(["pkcs12", "-export", "-passout", "pass:prova", "-name", "opi", "-inkey"])
        .arg(path("key.pem"))
        .arg("-in")
        .arg(path("cert.pem"))
        .arg("-out")
        .arg(path("key.p12"))
        .status()
        .unwrap();
    assert!(made.success());
    let key = LocalKey::from_pkcs12(&std::fs::read(path("key.p12")).unwrap(), "prova").unwrap();
    assert_eq!(key.certificate(), rsa().key.certificate());
}

#[test]
fn keys_that_do_not_fit_are_refused() {
    let other = owner(DemoKind::EcdsaP256);
    let pem = |key: &str, cert: &str| LocalKey::from_pem(key.as_bytes(), cert.as_bytes());
    assert!(matches!(pem(&rsa().key_pem, &other.cert_pem), Err(KeyError::Mismatch { .. })));
    assert!(matches!(pem(&rsa().key_pem, "none"), Err(KeyError::Pem { what: "certificate", .. })));
    assert!(matches!(pem("none", &rsa().cert_pem), Err(KeyError::Pem { what: "private key", .. })));
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    assert!(pem(encrypted, &rsa().cert_pem).unwrap_err().to_string().contains("use PKCS#12"));
    let garbage = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    assert!(matches!(pem(garbage, &rsa().cert_pem), Err(KeyError::Kind)));
}

#[test]
fn nothing_of_a_key_is_shown() {
    let shown = format!("{:?} {:#?}", rsa().key, rsa().key);
    assert!(shown.contains("Azienda Sanitaria"), "{shown}");
    let secret = rsa().key_pem.lines().nth(3).unwrap();
    assert!(!shown.contains(secret) && shown.len() < 300, "{shown}");
}

#[test]
fn a_chain_is_written_beside_the_certificate() {
    let (_, authority) = demo_key_of("Certificatore", DemoKind::EcdsaP256).unwrap();
    let key = LocalKey::from_pem(rsa().key_pem.as_bytes(), rsa().cert_pem.as_bytes()).unwrap();
    let key = key.with_chain(authority.as_bytes()).unwrap();
    let xml = signed("<a/>", &key);
    assert_eq!(xml.matches("<ds:X509Certificate>").count(), 2);
    assert_eq!(&verify(xml.as_bytes(), &Limits::default()).unwrap().certificate, rsa().key.certificate());
}

#[test]
fn demo_certificates_are_for_signing_documents() {
    if !crate::support::has("openssl") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cert.pem");
    std::fs::write(&file, &rsa().cert_pem).unwrap();
    let output =
        std::process::Command::new("openssl").args(["x509", "-noout", "-text", "-in"]).arg(file).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("Digital Signature, Non Repudiation") && text.contains("2048 bit"), "{text}");
}
