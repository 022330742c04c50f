//! The contract of blobs, on objects.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use hub_backbone::{Alarm, AlarmKind, BLOB_BYTES_MAX, Blobs, Error};
use object_store::ObjectStoreExt;
use object_store::aws::AmazonS3;
use object_store::path::Path;
use sha2::{Digest, Sha256};

use crate::S3Settings;
use crate::failed::{failed, no_bucket};
use crate::store::connect;

/// Objects that one call writes at the same time.
const TOGETHER: usize = 8;
/// A request that takes longer is told to people.
const SLOW: Duration = Duration::from_secs(10);
/// What an opening writes and reads back.
const PROBE: &[u8] = b"raccordo was here";

/// Blobs as objects `PREFIX/ab/abcdef...`, named by their SHA-256.
///
/// A `put` writes the object, whether it is there or not: that renews its time, and heals a damaged one. S3 answers when the
/// object is durable, and shows it whole or not at all.
#[derive(Clone, Debug)]
pub struct ObjectBlobs {
    store: Arc<AmazonS3>,
    settings: Arc<S3Settings>,
    /// Requests that wait for the store.
    waiting: Arc<Mutex<usize>>,
}

impl ObjectBlobs {
    /// Connects, writes a small object and reads it back.
    ///
    /// # Errors
    /// [`Error::Io`] that says which setting is wrong, or that the store does not answer, refuses us or has no such bucket.
    pub async fn open(settings: S3Settings) -> Result<Self, Error> {
        settings.check()?;
        let store = Arc::new(connect(&settings)?);
        let opened = Self { store, settings: Arc::new(settings), waiting: Arc::default() };
        let name = opened.put(PROBE).await?;
        match opened.get(&name).await? {
            Some(_) => Ok(opened),
            None => Err(Error::Io(format!(
                "the object store {} (`blobs.s3`) does not show what was just written: it is not consistent, and cannot be used",
                opened.settings.endpoint
            ))),
        }
    }

    /// What people must know about now: requests that wait for the store. Empty when all is well.
    #[must_use]
    pub fn alarms(&self) -> Vec<Alarm> {
        let waiting = *self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let text = format!("the object store {} is slow or away; {waiting} requests wait", self.settings.endpoint);
        if waiting > 0 { vec![Alarm { kind: AlarmKind::Busy, text }] } else { Vec::new() }
    }

    /// Where a blob lies. The name has been checked.
    fn key(&self, sha256: &str) -> Path {
        Path::from(format!("{}/{}/{sha256}", self.settings.prefix.trim_matches('/'), &sha256[..2]))
    }

    /// Waits for a request, and says so when it takes long.
    async fn ask<T>(&self, request: impl Future<Output = T>) -> T {
        let mut request = std::pin::pin!(request);
        match tokio::time::timeout(SLOW, &mut request).await {
            Ok(done) => done,
            Err(_) => {
                tracing::warn!(endpoint = self.settings.endpoint, "the object store is slow or away: waiting");
                let _waits = Waits::begin(&self.waiting);
                request.await
            }
        }
    }

    async fn write(&self, bytes: Bytes) -> Result<String, Error> {
        check_size(bytes.len())?;
        let name = hash(&bytes);
        let key = self.key(&name);
        let put = self.ask(self.store.put(&key, bytes.into())).await;
        put.map(|_| name).map_err(|error| failed(&self.settings, "written", key.as_ref(), &error))
    }

    async fn read(&self, key: &Path) -> Result<Option<Bytes>, object_store::Error> {
        let found = match self.store.get(key).await {
            Err(error @ object_store::Error::NotFound { .. }) if !no_bucket(&error) => return Ok(None),
            other => other?,
        };
        // what is too large is not one of ours: its first bytes show that as well as all of them
        match found.meta.size > BLOB_BYTES_MAX as u64 {
            true => Ok(Some(Bytes::new())),
            false => found.bytes().await.map(Some),
        }
    }

    fn damaged(&self, key: &Path, name: &str) -> Error {
        let S3Settings { endpoint, bucket, .. } = &*self.settings;
        let detail = "what was read has another hash".to_owned();
        Error::Corrupt { file: format!("{endpoint}/{bucket}/{key}"), place: format!("blob {name}"), offset: 0, detail }
    }
}

#[async_trait]
impl Blobs for ObjectBlobs {
    async fn put(&self, bytes: &[u8]) -> Result<String, Error> {
        check_size(bytes.len())?;
        self.write(Bytes::copy_from_slice(bytes)).await
    }

    /// As [`Self::put`], several at the same time.
    async fn put_all(&self, blobs: &[Bytes]) -> Result<(), Error> {
        blobs.iter().try_for_each(|bytes| check_size(bytes.len()))?;
        let puts = stream::iter(blobs.iter().cloned().map(|bytes| self.write(bytes)));
        puts.buffer_unordered(TOGETHER).try_for_each(|_| async { Ok(()) }).await
    }

    async fn get(&self, sha256: &str) -> Result<Option<Bytes>, Error> {
        if !is_name(sha256) {
            return Ok(None);
        }
        let key = self.key(sha256);
        let found = self.ask(self.read(&key)).await.map_err(|e| failed(&self.settings, "read", key.as_ref(), &e))?;
        match found {
            Some(bytes) if hash(&bytes) != sha256 => Err(self.damaged(&key, sha256)),
            other => Ok(other),
        }
    }
}

/// Counts a request that waits, until it is over or given up.
struct Waits(Arc<Mutex<usize>>);

impl Waits {
    fn begin(waiting: &Arc<Mutex<usize>>) -> Self {
        *waiting.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Self(Arc::clone(waiting))
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
    }
}

fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Only names that we give: nothing else may become a key.
fn is_name(sha256: &str) -> bool {
    sha256.len() == 64 && sha256.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn check_size(bytes: usize) -> Result<(), Error> {
    match bytes > BLOB_BYTES_MAX {
        true => {
            Err(Error::TooLarge { key: format!("for the blob store (which has room for {BLOB_BYTES_MAX})"), bytes })
        }
        false => Ok(()),
    }
}
