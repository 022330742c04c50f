//! The certificate that the API shows.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::{Error, TlsSettings};

/// Reads certificate and key. Errors name the file, never its content.
pub(crate) fn acceptor(settings: &TlsSettings, root: &Path) -> Result<TlsAcceptor, Error> {
    let (cert, key) = (root.join(&settings.cert), root.join(&settings.key));
    let chain = CertificateDer::pem_file_iter(&cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| wrong("certificate", &cert, &e))?;
    if chain.is_empty() {
        return Err(wrong("certificate", &cert, &"holds no certificate"));
    }
    let secret = PrivateKeyDer::from_pem_file(&key).map_err(|e| wrong("key", &key, &e))?;
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| wrong("certificate", &cert, &e))?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|e| wrong("certificate", &cert, &e))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn wrong(what: &'static str, path: &Path, detail: &dyn std::fmt::Display) -> Error {
    Error::Tls { what, path: PathBuf::from(path), detail: detail.to_string() }
}
