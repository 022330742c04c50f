//! The hub's operations with the alarms and sizes of store and ledger beside those of the hub: a full disk is the store's to
//! tell.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use hub_backbone::Blobs;
use hub_backbone::embedded::Counts;
use hub_ledger::Watermark;
use hub_life::task::Word;
use hub_runtime::{
    Alarm, Decided, Figures, Operate, OperateError, RecoveryReport, Release, Released, RouteStatus, StoreFigures,
};

use crate::blobs::BlobStore;
use crate::books;
use crate::store::{Store, alarm_of};

/// A hub and the store it runs on.
pub(crate) struct Watched {
    pub(crate) hub: Arc<dyn Operate>,
    pub(crate) store: Store,
    pub(crate) files: Arc<BlobStore>,
    /// Of a ledger in a store of its own.
    pub(crate) ledger: Option<Watermark>,
}

#[async_trait]
impl Operate for Watched {
    async fn decide(&self, task: &str, word: Word) -> Result<Decided, OperateError> {
        self.hub.decide(task, word).await
    }

    async fn release(&self, release: Release) -> Result<Released, OperateError> {
        self.hub.release(release).await
    }

    async fn recovery(&self) -> Result<Option<RecoveryReport>, OperateError> {
        self.hub.recovery().await
    }

    async fn release_lane(&self, lane: &str, by: &str, note: &str) -> Result<Released, OperateError> {
        self.hub.release_lane(lane, by, note).await
    }

    /// The hub's word first: if the store's mark stays behind, the next start finds every lane open, and the mark is ended
    /// again.
    async fn end_recovery(&self, by: &str, note: &str) -> Result<Released, OperateError> {
        let released = self.hub.end_recovery(by, note).await?;
        let over = released.done || self.hub.recovery().await?.is_none();
        if over && self.store.recovery().is_some() {
            let stopped = |e: hub_backbone::Error| OperateError::Stopped(e.to_string());
            self.store.end_recovery().await.map_err(stopped)?;
            return Ok(Released { done: true, reason: String::new(), ..released });
        }
        Ok(released)
    }

    fn routes(&self) -> Vec<RouteStatus> {
        self.hub.routes()
    }

    fn alarms(&self) -> Vec<Alarm> {
        let files = self.files.alarms().into_iter().map(|alarm| alarm_of("blobs", alarm));
        let mut alarms = self.hub.alarms();
        alarms.extend(self.store.alarms().into_iter().chain(files));
        alarms.extend(self.ledger.iter().flat_map(books::alarms));
        alarms
    }

    async fn figures(&self) -> Result<Figures, OperateError> {
        let figures = self.hub.figures().await?;
        Ok(Figures { store: self.store.figures().await, ..figures })
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

/// Sizes of the store's files and of what is left on their disk.
pub(crate) fn store_figures(path: &Path, counts: Counts) -> StoreFigures {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let bytes = |ending: &str| {
        let mut name = OsString::from(path);
        name.push(ending);
        std::fs::metadata(name).map_or(0, |meta| meta.len())
    };
    StoreFigures {
        folder: folder.display().to_string(),
        bytes: ["", "-wal", "-shm"].into_iter().map(bytes).sum(),
        disk_free: disk_free(folder),
        commits: counts.commits,
        records: counts.records,
        transactions: counts.transactions,
    }
}

/// What this user may still write to the disk below a folder.
fn disk_free(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    disk.f_bavail.checked_mul(disk.f_frsize)
}
