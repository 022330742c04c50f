//! What an authority says about its cluster. The doc comments are the manual.

mod security;
mod token;

use std::path::PathBuf;
use std::time::Duration;

use hub_backbone::Error;
use hub_core::{Bytesize, Span};
use serde::Deserialize;

use crate::wire;

pub use security::{Mechanism, Sasl, Security, Tls};
pub use token::TokenSource;

/// A hub on Apache Kafka 4.x.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KafkaSettings {
    /// Brokers to begin with, as `host:port`; the others are found through them.
    pub brokers: Vec<String>,
    /// How to reach them. Without it: plain text and no password, for a broker on the same machine.
    #[serde(default)]
    pub security: Security,
    /// What the names of all topics of this store begin with.
    #[serde(default = "default_prefix")]
    pub prefix: String,
    /// Partitions of each topic, 1 to 1024. Fixed when the topics are made: keys belong to partitions.
    #[serde(default = "default_partitions")]
    pub partitions: u16,
    /// Which hub this is, stable over its restarts and its alone: a second process under the same name ends the first.
    pub transactional_id: String,
    /// Copies of each partition that new topics get, and that topics must have unless `relaxed`.
    #[serde(default = "default_replication")]
    pub replication: u16,
    /// Copies that must have a record before it counts as written.
    #[serde(default = "default_min_insync")]
    pub min_insync_replicas: u16,
    /// Accepts a cluster that can lose what it took: fewer than three copies, retention by time, leaders that are behind.
    #[serde(default)]
    pub relaxed: bool,
    /// A file that the hub locks while it lives, on a disk of this machine. With it a restart knows that the life before
    /// is over, and may repeat what that one had begun to send; without it only a person knows.
    #[serde(default)]
    pub lock: Option<PathBuf>,
    /// The newest version of records that this hub knows, 1 or 2. Left out, it is the newest there is; a hub with an older one
    /// is as a hub of an older release. Hubs write the newest version that all of them know, and never go back.
    #[serde(default = "default_version")]
    pub record_version: u8,
    /// Opens a store that says that it is being moved, which a hub must not. Only `raccordo migrate` says so.
    #[serde(skip)]
    pub moving: bool,
    /// How long things may take.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// How much of the newest records is kept in memory, so that workers need not ask a broker for what was just written.
    #[serde(default = "default_cache")]
    pub cache: Bytesize,
}

/// How long things may take.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// A transaction that is open for longer is ended by the cluster, and the hub with it.
    pub transaction: Span,
    /// A hub that is silent for longer loses its slots to the others. Brokers allow 6 s and more, unless
    /// `group.min.session.timeout.ms` says otherwise.
    pub session: Span,
    /// Making topics, joining the group and reading state back, when the hub starts.
    pub open: Span,
    /// Reading one page of a log.
    pub read: Span,
}

impl Default for Timeouts {
    fn default() -> Self {
        let seconds = |seconds| Span(Duration::from_secs(seconds));
        Self { transaction: seconds(5), session: seconds(6), open: seconds(120), read: seconds(30) }
    }
}

fn default_version() -> u8 {
    wire::NEWEST
}
fn default_prefix() -> String {
    "raccordo".to_owned()
}
fn default_partitions() -> u16 {
    16
}
fn default_replication() -> u16 {
    3
}
fn default_min_insync() -> u16 {
    2
}
fn default_cache() -> Bytesize {
    Bytesize(32 << 20)
}

impl KafkaSettings {
    /// The usual settings for a cluster of three or more brokers.
    #[must_use]
    pub fn new(brokers: impl IntoIterator<Item = String>, transactional_id: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into_iter().collect(),
            security: Security::default(),
            prefix: default_prefix(),
            partitions: default_partitions(),
            transactional_id: transactional_id.into(),
            replication: default_replication(),
            min_insync_replicas: default_min_insync(),
            relaxed: false,
            lock: None,
            record_version: default_version(),
            moving: false,
            timeouts: Timeouts::default(),
            cache: default_cache(),
        }
    }

    /// Finds what cannot be right whatever the cluster says.
    ///
    /// # Errors
    /// [`Error::Io`] that names the field and what to write.
    pub fn check(&self) -> Result<(), Error> {
        let problem = [
            (self.brokers.is_empty(), "`brokers` names none; write for example `[\"kafka1:9092\"]`"),
            (!is_name(&self.prefix), "`prefix` must be 1 to 200 letters, digits, `.`, `_` or `-`"),
            (!is_name(&self.transactional_id), "`transactional_id` must be 1 to 200 letters, digits, `.`, `_` or `-`"),
            (!(1..=1024).contains(&self.partitions), "`partitions` must be 1 to 1024"),
            (
                !(wire::OLDEST..=wire::NEWEST).contains(&self.record_version),
                "`record_version` must be 1 or 2; leave it out, unless hubs of an older release are to join again",
            ),
            (self.replication == 0, "`replication` must be at least 1"),
            (
                self.min_insync_replicas == 0 || self.min_insync_replicas > self.replication,
                "`min_insync_replicas` must be between 1 and `replication`",
            ),
            (
                !self.relaxed && (self.replication < 3 || self.min_insync_replicas < 2),
                "fewer than 3 copies, or 2 of them in step, can lose what was taken; write `relaxed: true` to accept it",
            ),
        ];
        let found = problem.into_iter().find(|(wrong, _)| *wrong);
        found.map_or_else(|| self.security.check(), |(_, text)| Err(Error::Io(format!("backbone.kafka: {text}"))))
    }
}

/// What Kafka allows in the name of a topic; there is room left for what we add.
fn is_name(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !text.is_empty() && text.len() <= 200 && text.bytes().all(known) && text != "." && text != ".."
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> KafkaSettings {
        serde_json::from_str(text).expect("settings")
    }

    #[test]
    fn little_need_be_said() {
        let settings = read(r#"{"brokers": ["a:9092", "b:9092"], "transactional_id": "hub-1"}"#);
        assert!(settings.check().is_ok());
        assert_eq!((settings.prefix.as_str(), settings.partitions), ("raccordo", 16));
        assert_eq!(settings.timeouts.transaction, Span(Duration::from_secs(5)));
        let unknown = serde_json::from_str::<KafkaSettings>(r#"{"brokers": [], "transactional": "x"}"#);
        assert!(unknown.is_err_and(|error| error.to_string().contains("transactional")));
    }

    #[test]
    fn what_cannot_be_right_is_named() {
        let good = read(r#"{"brokers": ["a:1"], "transactional_id": "hub-1"}"#);
        let text = |change: fn(&mut KafkaSettings)| {
            let mut settings = good.clone();
            change(&mut settings);
            settings.check().expect_err("it is wrong").to_string()
        };
        assert!(text(|s| s.brokers.clear()).contains("`brokers`"));
        assert!(text(|s| s.prefix = "a b".to_owned()).contains("`prefix`"));
        assert!(text(|s| s.transactional_id.clear()).contains("`transactional_id`"));
        assert!(text(|s| s.partitions = 0).contains("`partitions`"));
        assert!(text(|s| s.min_insync_replicas = 4).contains("`min_insync_replicas`"));
        assert!(text(|s| s.replication = 2).contains("relaxed: true"));
    }
}
