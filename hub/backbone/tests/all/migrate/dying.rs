//! A store whose process dies at a given durable step: before it, or after it and before its caller knows.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use hub_backbone::chain::Chain;
use hub_backbone::embedded::Bounds;
use hub_backbone::{Backbone, Commit, Error, Life, Movable, Note, Offset, Place, Stored};

/// How many durable steps both stores of a move may still do, together.
#[derive(Clone, Debug)]
pub(super) struct Fuse {
    left: Arc<AtomicI64>,
    /// Whether the last step is still done.
    done: bool,
}

impl Fuse {
    pub(super) fn after(steps: i64, done: bool) -> Self {
        Self { left: Arc::new(AtomicI64::new(steps)), done }
    }

    fn burn(&self) -> i64 {
        self.left.fetch_sub(1, Ordering::SeqCst)
    }
}

/// See the module's comment.
#[derive(Debug)]
pub(super) struct Dying<'a> {
    pub(super) store: &'a dyn Movable,
    pub(super) fuse: Fuse,
}

impl Dying<'_> {
    async fn step<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let killed = || Error::Io("killed".to_owned());
        match self.fuse.burn() {
            1.. => work.await,
            0 if self.fuse.done => {
                let _lost = work.await?;
                Err(killed())
            }
            _ => Err(killed()),
        }
    }
}

#[async_trait]
impl Backbone for Dying<'_> {
    fn partitions(&self) -> u16 {
        self.store.partitions()
    }
    fn epoch(&self) -> &str {
        self.store.epoch()
    }
    fn is_over(&self, epoch: &str) -> bool {
        self.store.is_over(epoch)
    }
    async fn commit(&self, commit: Commit) -> Result<Vec<Offset>, Error> {
        self.step(self.store.commit(commit)).await
    }
    async fn read(&self, place: Place, from: Offset, records: usize, bytes: usize) -> Result<Vec<Stored>, Error> {
        // small pages: more places to die at
        self.store.read(place, from, records.min(3), bytes).await
    }
    async fn position(&self, place: Place) -> Result<Offset, Error> {
        self.store.position(place).await
    }
    async fn end(&self, place: Place) -> Result<Offset, Error> {
        self.store.end(place).await
    }
    async fn changed(&self, place: Place, after: Offset) -> Result<(), Error> {
        self.store.changed(place, after).await
    }
    async fn get(&self, place: Place, space: &str, key: &str) -> Result<Option<Bytes>, Error> {
        self.store.get(place, space, key).await
    }
    async fn scan(
        &self,
        place: Place,
        space: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Bytes)>, Error> {
        self.store.scan(place, space, after, limit.min(3)).await
    }
    async fn spaces(&self, place: Place) -> Result<Vec<String>, Error> {
        self.store.spaces(place).await
    }
    async fn trim(&self, place: Place, before: Offset) -> Result<(), Error> {
        self.store.trim(place, before).await
    }
    async fn share(&self, space: &'static str, key: &str, value: Bytes) -> Result<(), Error> {
        self.step(self.store.share(space, key, value)).await
    }
    async fn shared(&self, space: &str) -> Result<Vec<(String, Bytes)>, Error> {
        self.store.shared(space).await
    }
}

#[async_trait]
impl Movable for Dying<'_> {
    async fn bounds(&self, place: Place) -> Result<Bounds, Error> {
        self.store.bounds(place).await
    }
    async fn begin_at(&self, place: Place, first: Offset, before: Chain) -> Result<(), Error> {
        self.step(self.store.begin_at(place, first, before)).await
    }
    async fn lives(&self) -> Result<Vec<Life>, Error> {
        self.store.lives().await
    }
    async fn import_lives(&self, lives: &[Life]) -> Result<(), Error> {
        self.step(self.store.import_lives(lives)).await
    }
    async fn note(&self) -> Result<Option<Note>, Error> {
        self.store.note().await
    }
    async fn set_note(&self, note: Option<Note>) -> Result<(), Error> {
        self.step(self.store.set_note(note)).await
    }
}
