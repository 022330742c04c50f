//! Idempotent keys that nobody has to remember any more. A key with unfinished work never expires.

use bytes::Bytes;
use hub_backbone::{Place, Topic};
use jiff::Timestamp;

use super::Keeper;
use crate::Error;
use crate::admit::{Remembered, remembered};
use crate::batch::Batch;

/// Keys that are looked at together.
const PAGE: usize = 500;
/// Where keys are remembered, see `admit.rs` and `interpret.rs`.
const SPACES: [&str; 3] = ["transport", "business", "seen"];

impl Keeper {
    /// Forgets keys that have been remembered long enough, page by page. Gives how many.
    pub(super) async fn forget_keys(&self) -> Result<u64, Error> {
        let mut forgotten = 0;
        for place in self.places(&[Topic::INBOX]) {
            for space in SPACES {
                let mut after: Option<String> = None;
                loop {
                    let page = self.shared.backbone.scan(place, space, after.as_deref(), PAGE).await?;
                    let Some((last, _)) = page.last() else { break };
                    after = Some(last.clone());
                    forgotten += self.forget(place, space, page).await?;
                    tokio::task::yield_now().await;
                }
            }
        }
        Ok(forgotten)
    }

    async fn forget(&self, place: Place, space: &'static str, page: Vec<(String, Bytes)>) -> Result<u64, Error> {
        let now = self.shared.clock.now();
        let mut expired = Vec::new();
        for (key, bytes) in page {
            let kept = remembered(space, &key, &bytes)?;
            if kept.as_ref().is_some_and(|kept| self.until(kept) <= now) {
                expired.extend(kept.map(|kept| (key, bytes, kept)));
            }
        }
        if expired.is_empty() {
            return Ok(0);
        }
        let asked = expired.iter().map(|(_, _, kept)| (kept.message.clone(), kept.case.clone())).collect();
        let over = self.settings.history.are_over(asked).await.map_err(Error::Format)?;
        let over = expired.into_iter().zip(over).filter(|(_, over)| *over).map(|((key, bytes, _), _)| (key, bytes));
        self.delete(place, space, over.collect()).await
    }

    /// Until when a key is remembered. One that was written before keys had a term is remembered as long as any route asks.
    fn until(&self, kept: &Remembered) -> Timestamp {
        kept.until.unwrap_or_else(|| kept.at.checked_add(self.shared.longest_remember()).unwrap_or(Timestamp::MAX))
    }

    /// Deletes keys that still are what they were, while nobody else looks at keys.
    async fn delete(&self, place: Place, space: &'static str, keys: Vec<(String, Bytes)>) -> Result<u64, Error> {
        let mut batch = Batch::new(self.shared.claims());
        batch.lock_keys(&self.shared.keys).await;
        let mut count = 0;
        for (key, bytes) in keys {
            if self.shared.backbone.get(place, space, &key).await? == Some(bytes) {
                batch.delete(place, space, &key);
                count += 1;
            }
        }
        match count {
            0 => Ok(0),
            count => batch.commit().await.map(|_| count),
        }
    }
}
