//! The blob store that the configuration names: files, or objects.

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use hub_backbone::{Alarm, Blobs, Collect, Error, FileBlobs};
use hub_objects::{ObjectBlobs, S3Settings};

use crate::settings::{BlobSettings, Config};

/// Where large bodies and documents stand.
#[derive(Debug)]
pub(crate) enum BlobStore {
    Files(FileBlobs),
    Objects(ObjectBlobs),
}

impl BlobStore {
    pub(crate) async fn open(config: &Config) -> Result<Arc<Self>, Error> {
        Ok(Arc::new(match &config.settings.blobs {
            None => Self::Files(FileBlobs::open(config.blobs())?),
            Some(BlobSettings::S3(settings)) => {
                let mut settings = S3Settings::clone(settings);
                settings.ca = settings.ca.map(|path| config.path(&path));
                Self::Objects(ObjectBlobs::open(settings).await?)
            }
        }))
    }

    /// What people must know about now.
    pub(crate) fn alarms(&self) -> Vec<Alarm> {
        match self {
            Self::Files(files) => files.alarms(),
            Self::Objects(objects) => objects.alarms(),
        }
    }

    fn inner(&self) -> &dyn Blobs {
        match self {
            Self::Files(files) => files,
            Self::Objects(objects) => objects,
        }
    }
}

#[async_trait]
impl Blobs for BlobStore {
    async fn put(&self, bytes: &[u8]) -> Result<String, Error> {
        self.inner().put(bytes).await
    }
    async fn put_all(&self, blobs: &[Bytes]) -> Result<(), Error> {
        self.inner().put_all(blobs).await
    }
    async fn get(&self, sha256: &str) -> Result<Option<Bytes>, Error> {
        self.inner().get(sha256).await
    }
}

/// Objects are never collected (the crate `hub-objects` says why): no object is old.
#[async_trait]
impl Collect for BlobStore {
    async fn old(
        &self,
        shard: u8,
        before: SystemTime,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, Error> {
        match self {
            Self::Files(files) => files.old(shard, before, after, limit).await,
            Self::Objects(_) => Ok(Vec::new()),
        }
    }
    async fn discard(&self, sha256: &str, before: SystemTime, now: SystemTime) -> Result<bool, Error> {
        match self {
            Self::Files(files) => files.discard(sha256, before, now).await,
            Self::Objects(_) => Ok(false),
        }
    }
    async fn empty_trash(&self, shard: u8, before: SystemTime) -> Result<(u64, u64), Error> {
        match self {
            Self::Files(files) => files.empty_trash(shard, before).await,
            Self::Objects(_) => Ok((0, 0)),
        }
    }
}
