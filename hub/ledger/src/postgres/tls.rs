//! TLS to the database: rustls, as everywhere else in the hub.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::settings::PostgresTls;
use crate::Error;

/// What the connections are made with.
pub(super) fn connector(tls: &PostgresTls, root: &Path) -> Result<MakeRustlsConnect, Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|e| wrong("tls", &e))?.with_root_certificates(authorities(tls, root)?);
    let config = match (&tls.cert, &tls.key) {
        (None, None) => builder.with_no_client_auth(),
        (Some(cert), Some(key)) => {
            let key = PrivateKeyDer::from_pem_file(root.join(key)).map_err(|e| wrong("tls.key", &e))?;
            let chain = certificates(&root.join(cert), "tls.cert")?;
            builder.with_client_auth_cert(chain, key).map_err(|e| wrong("tls.cert", &e))?
        }
        _ => return Err(wrong("tls", &"`cert` and `key` belong together")),
    };
    Ok(MakeRustlsConnect::new(config))
}

fn authorities(tls: &PostgresTls, root: &Path) -> Result<RootCertStore, Error> {
    let mut store = RootCertStore::empty();
    let found = match &tls.ca {
        Some(ca) => certificates(&root.join(ca), "tls.ca")?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    let (known, _) = store.add_parsable_certificates(found);
    match known {
        0 => Err(wrong("tls.ca", &"no authority can be read; name a PEM file")),
        _ => Ok(store),
    }
}

fn certificates(path: &Path, field: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    read.map_err(|e| wrong(field, &format!("{}: {e}", path.display())))
}

fn wrong(field: &str, cause: &dyn std::fmt::Display) -> Error {
    Error::Store(format!("ledger.postgres.{field}: {cause}"))
}
