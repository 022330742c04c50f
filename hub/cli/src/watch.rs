//! The hub's operations with the store's own alarms beside those of the hub: a full disk is the store's to tell.

use std::sync::Arc;

use async_trait::async_trait;
use hub_backbone::embedded::AlarmKind;
use hub_backbone::{Blobs, Embedded, FileBlobs};
use hub_life::task::Word;
use hub_runtime::{Alarm, Decided, Operate, OperateError, Release, Released, RouteStatus};

/// A hub and the store it runs on.
pub(crate) struct Watched {
    pub(crate) hub: Arc<dyn Operate>,
    pub(crate) store: Arc<Embedded>,
    pub(crate) files: FileBlobs,
}

#[async_trait]
impl Operate for Watched {
    async fn decide(&self, task: &str, word: Word) -> Result<Decided, OperateError> {
        self.hub.decide(task, word).await
    }

    async fn release(&self, release: Release) -> Result<Released, OperateError> {
        self.hub.release(release).await
    }

    fn routes(&self) -> Vec<RouteStatus> {
        self.hub.routes()
    }

    fn alarms(&self) -> Vec<Alarm> {
        let path = self.store.path().display().to_string();
        let of_store = |alarm: hub_backbone::Alarm| Alarm {
            name: name_of(alarm.kind).into(),
            subject: path.clone(),
            detail: alarm.text,
        };
        let mut alarms = self.hub.alarms();
        alarms.extend(self.store.alarms().into_iter().chain(self.files.alarms()).map(of_store));
        alarms
    }

    fn is_ready(&self) -> bool {
        self.hub.is_ready()
    }

    async fn wait_until_seen(&self, position: &str) -> Result<(), OperateError> {
        self.hub.wait_until_seen(position).await
    }

    fn blobs(&self) -> Arc<dyn Blobs> {
        self.hub.blobs()
    }
}

fn name_of(kind: AlarmKind) -> &'static str {
    match kind {
        AlarmKind::DiskFull => "disk-full",
        AlarmKind::Busy => "store-busy",
        AlarmKind::Failed => "store-failed",
    }
}
