//! The contract, on both implementations.

use std::sync::Arc;

use async_trait::async_trait;
use hub_backbone::contract::Harness;
use hub_backbone::rusqlite::Connection;
use hub_backbone::{Backbone, Embedded, Memory, Offset, Place};
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

mod memory {
    hub_backbone::contract_tests!(async || super::OnMemory(std::sync::Arc::new(hub_backbone::Memory::new(4))));
}

mod embedded {
    hub_backbone::contract_tests!(async || super::OnEmbedded::fresh());
}
