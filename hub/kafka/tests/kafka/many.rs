//! The contract where several hubs share one log.

use std::sync::Arc;

use async_trait::async_trait;
use hub_backbone::Backbone;
use hub_backbone::contract::{Hubs, PARTITIONS};
use hub_kafka::{Kafka, KafkaSettings};

use crate::broker::{broker, settings};
use crate::open;

struct OnKafka {
    settings: KafkaSettings,
    hubs: Vec<Arc<Kafka>>,
}

impl OnKafka {
    fn fresh() -> Option<Self> {
        Some(Self { settings: settings(broker()?, PARTITIONS), hubs: Vec::new() })
    }
}

#[async_trait]
impl Hubs for OnKafka {
    async fn join(&mut self) -> Arc<dyn Backbone> {
        let mut settings = self.settings.clone();
        settings.transactional_id = format!("{}-{}", settings.transactional_id, self.hubs.len());
        let hub = Arc::new(open(&settings).await);
        self.hubs.push(Arc::clone(&hub));
        hub
    }
    async fn leave(&mut self, number: usize) {
        self.hubs[number].close().await;
    }
}

mod on_kafka {
    hub_backbone::many_hubs_tests!(async || super::OnKafka::fresh());
}
