//! The backbone against a real Apache Kafka, which `examples/kafka/kafka` starts once for all tests of a run.

mod away;
mod broker;
mod contract;
mod crash;
mod foreign;
mod lives;
mod raw;
mod refused;

use hub_kafka::{Kafka, KafkaSettings};

/// Opens a store, or panics.
async fn open(settings: &KafkaSettings) -> Kafka {
    Kafka::open(settings.clone()).await.expect("the store opens")
}

/// The next life of a store whose hub has ended well.
async fn reopen(store: Kafka, settings: &KafkaSettings) -> Kafka {
    store.close().await;
    drop(store);
    open(settings).await
}
