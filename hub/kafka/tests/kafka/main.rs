//! The backbone against a real Apache Kafka, which `examples/kafka/kafka` starts once for all tests of a run.

mod broker;
mod contract;

use hub_kafka::{Kafka, KafkaSettings};

/// Opens a store, or panics.
async fn open(settings: &KafkaSettings) -> Kafka {
    Kafka::open(settings.clone()).await.expect("the store opens")
}
