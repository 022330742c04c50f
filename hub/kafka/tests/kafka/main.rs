//! The backbone against a real Apache Kafka, which `examples/kafka/kafka` starts once for all tests of a run.

mod away;
mod broker;
mod contract;
mod crash;
mod faults;
mod foreign;
mod lives;
mod many;
mod raw;
mod refused;
mod rolling;
mod security;

use hub_kafka::{Kafka, KafkaSettings};

/// Opens a store, or panics. What the backbone says goes to the test's output.
async fn open(settings: &KafkaSettings) -> Kafka {
    let _again = tracing_subscriber::fmt().with_env_filter("kafka=debug,warn").with_test_writer().try_init();
    Kafka::open(settings.clone()).await.expect("the store opens")
}

/// The next life of a store whose hub has ended well.
async fn reopen(store: Kafka, settings: &KafkaSettings) -> Kafka {
    store.close().await;
    drop(store);
    open(settings).await
}
