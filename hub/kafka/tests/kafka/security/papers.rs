//! Certificates and tokens of the test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

/// A folder with an authority, what it has certified, and another authority.
pub(super) struct Papers(PathBuf);

impl Papers {
    pub(super) fn write(folder: &Path) -> Self {
        let papers = Self(folder.to_owned());
        let authority = authority("raccordo test");
        papers.keep("ca.pem", &authority.0);
        papers.keep("other.pem", &self::authority("a stranger").0);
        for (name, expired) in [("broker", false), ("client", false), ("expired", true)] {
            let (certificate, key) = certified(name, expired, &authority.1);
            papers.keep(&format!("{name}.pem"), &certificate);
            papers.keep(&format!("{name}.key"), &key);
            // as Kafka wants it: one file
            papers.keep(&format!("{name}.both"), &format!("{key}{certificate}"));
        }
        papers.lock();
        papers
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
    pub(super) fn ca(&self) -> PathBuf {
        self.path("ca.pem")
    }
    pub(super) fn other_ca(&self) -> PathBuf {
        self.path("other.pem")
    }
    /// Certificate and key.
    pub(super) fn client(&self) -> (PathBuf, PathBuf) {
        (self.path("client.pem"), self.path("client.key"))
    }
    pub(super) fn expired(&self) -> (PathBuf, PathBuf) {
        (self.path("expired.pem"), self.path("expired.key"))
    }
    /// The client's again, with a password on the key.
    pub(super) fn locked(&self) -> (PathBuf, PathBuf) {
        (self.path("client.pem"), self.path("locked.key"))
    }

    fn keep(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("a file");
    }

    fn lock(&self) {
        let mut openssl = Command::new("openssl");
        let options = ["pkcs8", "-topk8", "-in", "client.key", "-out", "locked.key", "-passout"];
        let done = openssl.current_dir(&self.0).args(options).arg(format!("pass:{}", super::PASSWORD)).status();
        assert!(done.is_ok_and(|status| status.success()), "openssl locks a key");
    }
}

fn authority(name: &str) -> (String, Issuer<'static, KeyPair>) {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate");
    (certificate.pem(), Issuer::new(params, key))
}

fn certified(name: &str, expired: bool, authority: &Issuer<'static, KeyPair>) -> (String, String) {
    let mut params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("parameters");
    params.distinguished_name.push(DnType::CommonName, name);
    if expired {
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    }
    let key = KeyPair::generate().expect("a key");
    (params.signed_by(&key, authority).expect("a certificate").pem(), key.serialize_pem())
}

/// A token without a signature, as this broker takes it, good for so many seconds.
#[allow(clippy::disallowed_methods)]
pub(super) fn token(sub: &str, seconds: i64) -> String {
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).expect("time").as_secs()).expect("seconds");
    let part = |text: String| URL_SAFE_NO_PAD.encode(text);
    let sub = if sub.is_empty() { String::new() } else { format!(r#""sub":"{sub}","#) };
    let payload = format!(r#"{{{sub}"iat":{},"exp":{}}}"#, now - 120, now + seconds);
    format!("{}.{}.", part(r#"{"alg":"none"}"#.to_owned()), part(payload))
}
