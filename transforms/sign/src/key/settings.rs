//! `keys.NAME` in `config/hub.yaml`.

use std::io::Read;
use std::path::{Path, PathBuf};

use hub_core::Secret;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::key::{KeyError, LocalKey};

/// A key file's size.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where a signing key lies. Paths resolve from the configuration's folder.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum KeySettings {
    /// PEM files.
    Pem {
        /// The private key, not encrypted; the file should be readable by the hub alone.
        key: String,
        /// Its certificate.
        cert: String,
        /// Certificates that lead to a trusted one.
        #[serde(default)]
        chain: Option<String>,
    },
    /// A PKCS#12 file with key and certificates.
    Pkcs12 {
        /// The file (`.p12`, `.pfx`).
        path: String,
        /// Its password.
        password: Secret<String>,
    },
}

impl KeySettings {
    /// Reads the key; `resolve` turns a path of the configuration into one of the machine.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn open(&self, resolve: impl Fn(&str) -> PathBuf) -> Result<LocalKey, KeyError> {
        match self {
            Self::Pem { key, cert, chain } => {
                let opened = LocalKey::from_pem(&read(&resolve(key))?, &read(&resolve(cert))?)?;
                match chain {
                    Some(chain) => opened.with_chain(&read(&resolve(chain))?),
                    None => Ok(opened),
                }
            }
            Self::Pkcs12 { path, password } => LocalKey::from_pkcs12(&read(&resolve(path))?, password.expose()),
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, KeyError> {
    let unreadable = |cause| KeyError::Unreadable { path: path.to_path_buf(), cause };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let read = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if read as u64 > FILE_BYTES_MAX {
        return Err(KeyError::TooLarge { path: path.to_path_buf(), max: FILE_BYTES_MAX });
    }
    Ok(bytes)
}
