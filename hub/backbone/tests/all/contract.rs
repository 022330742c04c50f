//! The contract, on both implementations.

use std::sync::Arc;

use async_trait::async_trait;
use hub_backbone::contract::{Harness, Hubs, PARTITIONS};
use hub_backbone::rusqlite::Connection;
use hub_backbone::{Backbone, Cluster, Embedded, Memory, Offset, Place};
use tempfile::TempDir;

use crate::{file, folder, open};

struct OnMemory(Arc<Memory>);

#[async_trait]
impl Harness for OnMemory {
    fn backbone(&self) -> Arc<dyn Backbone> {
        Arc::clone(&self.0) as Arc<dyn Backbone>
    }
    async fn reopen(&mut self) {
        self.0 = Arc::new(self.0.reopen());
    }
    async fn damage(&mut self, place: Place, offset: Offset) -> bool {
        self.0.damage(place, offset)
    }
}

struct OnEmbedded {
    folder: TempDir,
    store: Arc<Embedded>,
}

impl OnEmbedded {
    fn fresh() -> Self {
        let folder = folder();
        let store = Arc::new(open(&folder));
        Self { folder, store }
    }
}

#[async_trait]
impl Harness for OnEmbedded {
    fn backbone(&self) -> Arc<dyn Backbone> {
        Arc::clone(&self.store) as Arc<dyn Backbone>
    }
    async fn reopen(&mut self) {
        self.store.close().await;
        self.store = Arc::new(open(&self.folder));
    }
    async fn damage(&mut self, place: Place, offset: Offset) -> bool {
        self.store.close().await;
        let conn = Connection::open(file(&self.folder)).expect("the file opens");
        let sql = "UPDATE records SET bytes = x'00' WHERE id = \
                   (SELECT id << 40 | ?3 FROM heads WHERE topic = ?1 AND partition = ?2)";
        let changed = conn.execute(sql, (place.topic.0, place.partition, offset.cast_signed())).expect("an update");
        drop(conn);
        self.store = Arc::new(open(&self.folder));
        changed == 1
    }
}

/// Hubs on a log in memory; the slots are dealt out by hand.
struct InMemory {
    cluster: Cluster,
    hubs: Vec<Arc<Memory>>,
    alive: Vec<usize>,
}

impl InMemory {
    fn fresh() -> Self {
        Self { cluster: Cluster::new(PARTITIONS), hubs: Vec::new(), alive: Vec::new() }
    }
    /// Gives each hub that lives its part, in their order.
    fn deal(&self) {
        for slot in 0..PARTITIONS {
            let turn = usize::from(slot) * self.alive.len() / usize::from(PARTITIONS);
            let hub = self.alive.get(turn).map(|number| &*self.hubs[*number]);
            self.cluster.assign(slot, hub);
        }
    }
}

#[async_trait]
impl Hubs for InMemory {
    async fn join(&mut self) -> Arc<dyn Backbone> {
        let hub = Arc::new(self.cluster.join());
        self.alive.push(self.hubs.len());
        self.hubs.push(Arc::clone(&hub));
        self.deal();
        hub
    }
    async fn leave(&mut self, number: usize) {
        self.hubs[number].bury();
        self.alive.retain(|alive| *alive != number);
        self.deal();
    }
}

mod many_in_memory {
    hub_backbone::many_hubs_tests!(async || Some(super::InMemory::fresh()));
}

mod memory {
    hub_backbone::contract_tests!(async || super::OnMemory(std::sync::Arc::new(hub_backbone::Memory::new(4))));
}

mod embedded {
    hub_backbone::contract_tests!(async || super::OnEmbedded::fresh());
}
