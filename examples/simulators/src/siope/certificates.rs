//! A demo authority: its own certificate, one for the server, one for each client. Nothing for production.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};

use super::running::{Error, Result};
use super::settings::Tls;

/// Where the demo certificates are, all PEM.
#[derive(Clone, Debug)]
pub struct Certificates {
    dir: PathBuf,
}

impl Certificates {
    /// The authority's certificate: what clients and server trust.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// Certificate and key of one client.
    #[must_use]
    pub fn client(&self, common_name: &str) -> (PathBuf, PathBuf) {
        pair(&self.dir, common_name)
    }

    /// The server's side, as [`super::Settings`] wants it.
    #[must_use]
    pub fn server(&self) -> Tls {
        let (cert, key) = pair(&self.dir, "server");
        Tls { cert, key, client_ca: self.ca() }
    }
}

/// Makes what is missing in `dir`: `ca.pem`, `server.pem` (localhost, 127.0.0.1, ::1) and `NAME.pem` for each common
/// name, each with its `.key` beside it. What is there stays, so that running clients keep working; a new authority
/// replaces all.
///
/// # Errors
/// [`Error::Certificates`] when a name is no plain file name, a key cannot be read or a file cannot be written.
pub fn certificates(dir: &Path, clients: &[&str]) -> Result<Certificates> {
    fs::create_dir_all(dir).map_err(|e| failed(dir, &e))?;
    let (ca_cert, _) = pair(dir, "ca");
    let anew = !ca_cert.exists();
    let ca = authority(dir)?;
    let hosts = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    leaf(dir, "server", hosts, ExtendedKeyUsagePurpose::ServerAuth, &ca, anew)?;
    for name in clients {
        let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if !plain || ["ca", "server"].contains(name) {
            return Err(failed(dir, &format!("{name:?} cannot be a client's name, use letters, digits, - and _")));
        }
        leaf(dir, name, Vec::new(), ExtendedKeyUsagePurpose::ClientAuth, &ca, anew)?;
    }
    Ok(Certificates { dir: dir.to_owned() })
}

/// The authority, from its key file or with a new key.
fn authority(dir: &Path) -> Result<Issuer<'static, KeyPair>> {
    let (cert, key_file) = pair(dir, "ca");
    let key = if cert.exists() {
        let pem = fs::read_to_string(&key_file).map_err(|e| failed(&key_file, &e))?;
        KeyPair::from_pem(&pem).map_err(|e| failed(&key_file, &e))?
    } else {
        KeyPair::generate().map_err(|e| failed(&key_file, &e))?
    };
    let mut params = params("Raccordo demo CA", Vec::new()).map_err(|e| failed(&cert, &e))?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    if !cert.exists() {
        let signed = params.self_signed(&key).map_err(|e| failed(&cert, &e))?;
        write(&key_file, &key.serialize_pem())?;
        write(&cert, &signed.pem())?;
    }
    Ok(Issuer::new(params, key))
}

fn leaf(
    dir: &Path,
    name: &str,
    hosts: Vec<String>,
    usage: ExtendedKeyUsagePurpose,
    ca: &Issuer<'_, KeyPair>,
    anew: bool,
) -> Result<()> {
    let (cert, key_file) = pair(dir, name);
    if cert.exists() && !anew {
        return Ok(());
    }
    let make = || -> std::result::Result<(String, String), rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = params(name, hosts)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let signed = params.signed_by(&key, ca)?;
        Ok((signed.pem(), key.serialize_pem()))
    };
    let (signed, key) = make().map_err(|e| failed(&cert, &e))?;
    write(&key_file, &key)?;
    write(&cert, &signed)
}

fn params(common_name: &str, hosts: Vec<String>) -> std::result::Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(hosts)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    (params.not_before, params.not_after) = (date_time_ymd(2025, 1, 1), date_time_ymd(2049, 12, 31));
    Ok(params)
}

fn pair(dir: &Path, name: &str) -> (PathBuf, PathBuf) {
    (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")))
}

/// Writes a file whole or not at all, readable by its owner only.
fn write(path: &Path, text: &str) -> Result<()> {
    let fresh = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&fresh).map_err(|e| failed(&fresh, &e))?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|e| failed(&fresh, &e))?;
    fs::rename(&fresh, path).map_err(|e| failed(path, &e))
}

fn failed(path: &Path, what: &dyn std::fmt::Display) -> Error {
    Error::Certificates { path: path.to_owned(), what: what.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_stays_and_what_is_missing_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let first = certificates(dir.path(), &["A2A-00000001"]).unwrap();
        let read = |path: &Path| fs::read_to_string(path).unwrap();
        let before = (read(&first.ca()), read(&first.client("A2A-00000001").0), read(&first.server().cert));
        let second = certificates(dir.path(), &["A2A-00000001", "A2A-00000002"]).unwrap();
        let after = (read(&second.ca()), read(&second.client("A2A-00000001").0), read(&second.server().cert));
        assert_eq!(before, after);
        assert!(second.client("A2A-00000002").1.exists());
        fs::remove_file(second.ca()).unwrap();
        let third = certificates(dir.path(), &["A2A-00000001"]).unwrap();
        assert_ne!(before.1, read(&third.client("A2A-00000001").0));
    }

    #[test]
    fn names_that_leave_the_folder_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["../x", "", "ca", "a b"] {
            assert!(certificates(dir.path(), &[name]).is_err(), "{name:?}");
        }
    }
}
