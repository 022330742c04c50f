//! A broker with three guarded doors.

use std::path::PathBuf;

use super::papers::Papers;
use crate::broker::{own_folder, run};

/// Stopped and removed when dropped.
pub(super) struct Guarded {
    folder: PathBuf,
    pub(super) papers: Papers,
    /// Addresses: for PLAIN and SCRAM, for OAUTHBEARER, for certificates.
    pub(super) passwords: String,
    pub(super) tokens: String,
    pub(super) certificates: String,
}

impl Guarded {
    /// `None`: Kafka is not to be had here.
    pub(super) fn start() -> Option<Self> {
        let folder = own_folder()?;
        let papers = Papers::write(&folder);
        let lines = folder.join("guarded.properties");
        std::fs::write(&lines, properties(&papers)).expect("a file");
        let said = run("start", &folder, &options(&lines.to_string_lossy())).expect("the broker starts");
        let door = |name: &str| said.lines().find_map(|line| line.strip_prefix(name)).expect("an address").to_owned();
        let (passwords, tokens, certificates) = (door("PASSWORDS="), door("TOKENS="), door("CERTIFICATES="));
        Some(Self { folder, papers, passwords, tokens, certificates })
    }
}

fn options(settings: &str) -> Vec<String> {
    let listeners = ["PASSWORDS=SASL_SSL", "TOKENS=SASL_SSL", "CERTIFICATES=SSL"];
    let mut options: Vec<String> = ["--for", "600", "--settings", settings].map(str::to_owned).to_vec();
    options.extend(listeners.iter().flat_map(|one| ["--listener".to_owned(), (*one).to_owned()]));
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
        options.extend(["--scram".to_owned(), format!("{mechanism}=[name=hub,password={}]", super::PASSWORD)]);
    }
    options
}

fn properties(papers: &Papers) -> String {
    let module = "org.apache.kafka.common.security";
    let password = super::PASSWORD;
    format!(
        "ssl.keystore.type=PEM
ssl.keystore.location={}
ssl.truststore.type=PEM
ssl.truststore.location={}
listener.name.certificates.ssl.client.auth=required
listener.name.passwords.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.passwords.plain.sasl.jaas.config={module}.plain.PlainLoginModule required user_hub=\"{password}\";
listener.name.passwords.scram-sha-256.sasl.jaas.config={module}.scram.ScramLoginModule required;
listener.name.passwords.scram-sha-512.sasl.jaas.config={module}.scram.ScramLoginModule required;
listener.name.tokens.sasl.enabled.mechanisms=OAUTHBEARER
listener.name.tokens.oauthbearer.connections.max.reauth.ms=3600000
listener.name.tokens.oauthbearer.sasl.jaas.config={module}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=\"broker\";
",
        papers.path("broker.both").display(),
        papers.ca().display(),
    )
}

impl Drop for Guarded {
    fn drop(&mut self) {
        drop(run("stop", &self.folder, &[] as &[&str]));
        drop(std::fs::remove_dir_all(&self.folder));
    }
}
