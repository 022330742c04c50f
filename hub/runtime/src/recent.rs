//! Blobs that were kept or read a moment ago: a flow is archived, sent, and looked at again for each answer to it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use hub_backbone::{Blobs, Error};
use hub_core::sha256_hex;

/// Bytes that are remembered.
const BYTES_MAX: usize = 8 << 20;
/// The largest blob that is.
const BLOB_MAX: usize = 256 << 10;

/// A blob store behind a small memory. What is durable, and when, is the store's; a blob is remembered only after the store
/// has taken it or has read and checked it.
#[derive(Debug)]
pub(crate) struct Recent {
    store: Arc<dyn Blobs>,
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    blobs: HashMap<String, Bytes>,
    /// The oldest first.
    order: VecDeque<String>,
    bytes: usize,
}

impl Recent {
    pub(crate) fn of(store: Arc<dyn Blobs>) -> Self {
        Self { store, memory: Mutex::default() }
    }

    fn remember(&self, sha256: String, bytes: &Bytes) {
        if bytes.len() <= BLOB_MAX {
            self.memory.lock().unwrap_or_else(PoisonError::into_inner).insert(sha256, bytes);
        }
    }
}

impl Memory {
    fn insert(&mut self, sha256: String, bytes: &Bytes) {
        if self.blobs.contains_key(&sha256) {
            return;
        }
        // A copy: the bytes may be a small part of something large.
        let copy = Bytes::copy_from_slice(bytes);
        self.bytes += copy.len();
        self.order.push_back(sha256.clone());
        let _ = self.blobs.insert(sha256, copy);
        while self.bytes > BYTES_MAX {
            let Some(oldest) = self.order.pop_front() else { break };
            self.bytes -= self.blobs.remove(&oldest).map_or(0, |bytes| bytes.len());
        }
    }
}

#[async_trait]
impl Blobs for Recent {
    async fn put(&self, bytes: &[u8]) -> Result<String, Error> {
        self.store.put(bytes).await
    }

    async fn put_all(&self, blobs: &[Bytes]) -> Result<(), Error> {
        self.store.put_all(blobs).await?;
        blobs.iter().for_each(|bytes| self.remember(sha256_hex(bytes), bytes));
        Ok(())
    }

    async fn get(&self, sha256: &str) -> Result<Option<Bytes>, Error> {
        let known = self.memory.lock().unwrap_or_else(PoisonError::into_inner).blobs.get(sha256).cloned();
        if known.is_some() {
            return Ok(known);
        }
        let read = self.store.get(sha256).await?;
        if let Some(bytes) = &read {
            self.remember(sha256.to_string(), bytes);
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use hub_backbone::MemoryBlobs;

    use super::*;

    #[tokio::test]
    async fn it_is_bounded_and_forgets_the_oldest() {
        let store = Arc::new(MemoryBlobs::default());
        let recent = Recent::of(store.clone());
        let blobs: Vec<Bytes> = (0..100u8).map(|n| Bytes::from(vec![n; 200 << 10])).collect();
        recent.put_all(&blobs).await.unwrap();
        let (kept, first) = (recent.memory.lock().unwrap().bytes, sha256_hex(&blobs[0]));
        assert!(kept <= BYTES_MAX && kept > BYTES_MAX - (200 << 10), "{kept}");
        assert!(!recent.memory.lock().unwrap().blobs.contains_key(&first));
        assert_eq!(recent.get(&first).await.unwrap().as_ref(), Some(&blobs[0]));
        assert!(recent.memory.lock().unwrap().blobs.contains_key(&first));
        let memory = recent.memory.lock().unwrap();
        assert_eq!((memory.blobs.len(), memory.bytes), (memory.order.len(), memory.blobs.len() * (200 << 10)));
    }

    #[tokio::test]
    async fn what_the_store_does_not_have_is_not_there() {
        let recent = Recent::of(Arc::new(MemoryBlobs::default()));
        assert_eq!(recent.get(&sha256_hex(b"x")).await.unwrap(), None);
        recent.put_all(&[Bytes::from(vec![7; BLOB_MAX + 1])]).await.unwrap();
        assert_eq!(recent.memory.lock().unwrap().bytes, 0);
    }
}
