//! Clusters that cannot keep what the hub promises are refused at the start, with what to do.

use std::time::Duration;

use hub_core::Span;
use hub_kafka::{Kafka, KafkaSettings};

use crate::broker::{broker, settings};
use crate::{open, raw};

async fn refusal(settings: KafkaSettings) -> String {
    Kafka::open(settings).await.expect_err("it must be refused").to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn weak_clusters_are_refused() {
    let Some(broker) = broker() else { return };
    let mut strict = settings(broker, 1);
    (strict.replication, strict.min_insync_replicas, strict.relaxed) = (3, 2, false);
    let text = refusal(strict.clone()).await;
    assert!(text.contains("cannot be made"), "three copies on one broker: {text}");
    let relaxed = settings(broker, 1);
    open(&relaxed).await.close().await;
    strict.prefix.clone_from(&relaxed.prefix);
    let text = refusal(strict).await;
    assert!(text.contains("min.insync.replicas") && text.contains("has 1 copies"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_topics_are_refused() {
    let Some(broker) = broker() else { return };
    let mut settings = settings(broker, 1);
    raw::make(&settings, &format!("{}.outbox", settings.prefix), &[("retention.ms", "60000")]).await;
    raw::make(&settings, &format!("{}.waits.state", settings.prefix), &[]).await;
    let text = refusal(settings.clone()).await;
    for part in ["outbox: retention.ms is `60000`", "waits.state: cleanup.policy is `delete`", "max.message.bytes"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    settings.partitions = 2;
    assert!(refusal(settings).await.contains("has 1 partitions, the configuration says 2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_is_said_in_time() {
    let mut settings = settings("127.0.0.1:9", 1);
    settings.timeouts.open = Span(Duration::from_secs(2));
    let begun = std::time::Instant::now();
    let text = refusal(settings).await;
    assert!(text.contains("no broker answers") && begun.elapsed() < Duration::from_secs(20), "{text}");
}
