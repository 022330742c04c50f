//! The whole contract of a backbone: once with the newest records in memory, once with every record read from the broker.

use std::sync::Arc;

use async_trait::async_trait;
use hub_backbone::contract::{Harness, PARTITIONS};
use hub_backbone::{Backbone, Offset, Place};
use hub_core::Bytesize;
use hub_kafka::{Kafka, KafkaSettings};

use crate::broker::{broker, settings};
use crate::{open, raw};

struct OnKafka {
    settings: KafkaSettings,
    store: Arc<Kafka>,
}

impl OnKafka {
    async fn fresh(cache: u64) -> Option<Self> {
        let mut settings = settings(broker()?, PARTITIONS);
        settings.cache = Bytesize(cache);
        let store = Arc::new(open(&settings).await);
        Some(Self { settings, store })
    }
}

#[async_trait]
impl Harness for OnKafka {
    fn backbone(&self) -> Arc<dyn Backbone> {
        Arc::clone(&self.store) as Arc<dyn Backbone>
    }
    async fn reopen(&mut self) {
        self.store.close().await;
        self.store = Arc::new(open(&self.settings).await);
    }
    /// Nothing in a topic can be changed: it is made again from what was in it.
    async fn damage(&mut self, place: Place, offset: Offset) -> bool {
        self.store.close().await;
        raw::rewrite(&self.settings, place, |number, value| {
            if number == offset {
                value[0] ^= 1;
            }
        })
        .await;
        self.store = Arc::new(open(&self.settings).await);
        true
    }
}

mod newest_in_memory {
    hub_backbone::contract_tests!(maybe async || super::OnKafka::fresh(4 << 20).await);
}

mod all_from_the_broker {
    hub_backbone::contract_tests!(maybe async || super::OnKafka::fresh(0).await);
}
