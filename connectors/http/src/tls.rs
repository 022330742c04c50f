//! Certificates and keys from PEM files: who we are, whom we trust, who the other side is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hub_core::plugin::OpenError;
use rustls::RootCertStore;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_cert::der::Decode;
use x509_cert::der::asn1::ObjectIdentifier;

/// `commonName` (X.520).
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// PEM files of a client, resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ClientFiles {
    /// Whose server certificates are accepted; without it, those that the system trusts.
    pub ca: Option<PathBuf>,
    /// Client certificate chain and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

fn at(path: &Path, what: &str, cause: impl std::fmt::Display) -> OpenError {
    OpenError(format!("{what} `{}`: {cause}", path.display()))
}

fn certificates(path: &Path, what: &str) -> Result<Vec<CertificateDer<'static>>, OpenError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|e| at(path, what, e))?;
    if found.is_empty() { Err(at(path, what, "holds no certificate")) } else { Ok(found) }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// The TLS side of a listener. With a client authority, clients may show a certificate; whether one is required is
/// decided for each path.
///
/// # Errors
/// If a file cannot be read or does not fit; the file is named, its content never shown.
pub fn server(cert: &Path, key: &Path, client_ca: Option<&Path>) -> Result<rustls::ServerConfig, OpenError> {
    let chain = certificates(cert, "server certificate")?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|e| at(key, "server key", e))?;
    let versions = rustls::ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let builder = versions.map_err(|e| at(cert, "server certificate", e))?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let roots = Arc::new(roots(ca)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider()).allow_unauthenticated();
            builder.with_client_cert_verifier(verifier.build().map_err(|e| at(ca, "client authority", e))?)
        }
    };
    let mut config = builder.with_single_cert(chain, secret).map_err(|e| at(cert, "server certificate", e))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn roots(path: &Path) -> Result<RootCertStore, OpenError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(path, "certificate authority")? {
        store.add(certificate).map_err(|e| at(path, "certificate authority", e))?;
    }
    Ok(store)
}

/// Gives a client its certificates.
///
/// # Errors
/// If a file cannot be read or does not fit; the file is named, its content never shown.
pub fn client(builder: reqwest::ClientBuilder, files: &ClientFiles) -> Result<reqwest::ClientBuilder, OpenError> {
    let mut builder = builder;
    if let Some(ca) = &files.ca {
        let pem = std::fs::read(ca).map_err(|e| at(ca, "certificate authority", e))?;
        let found = reqwest::Certificate::from_pem_bundle(&pem).map_err(|e| at(ca, "certificate authority", e))?;
        if found.is_empty() {
            return Err(at(ca, "certificate authority", "holds no certificate"));
        }
        builder = builder.tls_certs_only(found);
    }
    if let Some((cert, key)) = &files.identity {
        // Read apart first, so that the message names the file that is wrong.
        let _ = certificates(cert, "client certificate")?;
        drop(PrivateKeyDer::from_pem_file(key).map_err(|e| at(key, "client key", e))?);
        let mut pem = std::fs::read(key).map_err(|e| at(key, "client key", e))?;
        pem.push(b'\n');
        pem.extend(std::fs::read(cert).map_err(|e| at(cert, "client certificate", e))?);
        builder = builder.identity(reqwest::Identity::from_pem(&pem).map_err(|e| at(cert, "client certificate", e))?);
    }
    Ok(builder)
}

/// The common name in the subject of a certificate; `None` unless there is exactly one, in a readable encoding.
#[must_use]
pub fn common_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let certificate = x509_cert::Certificate::from_der(certificate).ok()?;
    let attributes = certificate.tbs_certificate.subject.0.iter().flat_map(|rdn| rdn.0.iter());
    let mut names = attributes.filter(|attribute| attribute.oid == COMMON_NAME);
    let name = names.next().filter(|_| names.next().is_none())?;
    String::from_utf8(name.value.value().to_vec()).ok().filter(|name| !name.is_empty())
}
