//! The server's certificate.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::ServeError;
use crate::settings::TlsSettings;

/// An acceptor with this certificate: TLS 1.2 and 1.3.
pub(super) fn acceptor(settings: &TlsSettings) -> Result<TlsAcceptor, ServeError> {
    let certs = CertificateDer::pem_slice_iter(&bytes(&settings.cert)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| unusable(&settings.cert, &e))?;
    if certs.is_empty() {
        return Err(unusable(&settings.cert, &"there is no certificate in it"));
    }
    let key = PrivateKeyDer::from_pem_slice(&bytes(&settings.key)?).map_err(|e| unusable(&settings.key, &e))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(certs, key))
        .map_err(|e| ServeError::Tls(e.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn bytes(path: &Path) -> Result<Vec<u8>, ServeError> {
    std::fs::read(path).map_err(|e| unusable(path, &e))
}

fn unusable(path: &Path, why: &dyn std::fmt::Display) -> ServeError {
    ServeError::Tls(format!("{}: {why}", path.display()))
}
