//! A store of its own on the brokers that are measured: its names, and the settings of those who work on it.

use hub_core::Value;
use hub_kafka::KafkaSettings;
use serde_json::json;

/// Topics under a prefix that nobody else has.
#[derive(Debug, Clone)]
pub(super) struct Store {
    prefix: String,
    brokers: Vec<String>,
    /// Slots, and partitions of each topic.
    pub(super) partitions: u16,
    /// Copies of each partition.
    replication: u16,
}

impl Store {
    /// `brokers`: addresses, with commas between them.
    pub(super) fn new(brokers: &str, partitions: u16, replication: u16) -> Self {
        let prefix = format!("bench{}", uuid::Uuid::now_v7().simple());
        let brokers = brokers.split(',').map(|address| address.trim().to_string()).collect();
        Self { prefix, brokers, partitions, replication }
    }

    /// The name of a topic.
    pub(super) fn topic(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }

    /// What `backbone` in `hub.yaml` says for the hub with this name.
    pub(super) fn backbone(&self, hub: &str) -> Value {
        json!({ "kafka": {
            "brokers": self.brokers, "prefix": self.prefix, "transactional_id": format!("{}-{hub}", self.prefix),
            "partitions": self.partitions, "replication": self.replication,
            "min_insync_replicas": self.min_insync(), "relaxed": self.replication < 3,
            // long: a machine that is busy with other work shall not end a measurement
            "timeouts": { "transaction": "45s" },
        } })
    }

    /// The same for this process.
    ///
    /// # Errors
    /// Never, as long as [`Store::backbone`] writes what [`KafkaSettings`] reads.
    pub(super) fn settings(&self, hub: &str) -> anyhow::Result<KafkaSettings> {
        Ok(serde_json::from_value(self.backbone(hub)["kafka"].clone())?)
    }

    fn min_insync(&self) -> u16 {
        if self.replication > 2 { 2 } else { 1 }
    }
}
