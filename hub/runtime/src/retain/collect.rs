//! Blobs and route versions that nothing names any more.

use std::collections::{BTreeSet, HashSet};
use std::time::SystemTime;

use hub_backbone::{Place, Topic};
use jiff::Timestamp;

use super::names::strike_out;
use super::survey::Seen;
use super::{Keeper, Retained};
use crate::Error;
use crate::batch::Batch;

/// Blobs that are looked at together.
const PAGE: usize = 500;
/// Candidates of one sweep: more wait for the next.
const CANDIDATES_MAX: usize = 20_000;
/// Where the bundles of route versions are kept, by whoever starts the hub: at inbox 0.
const BUNDLES: &str = "bundle";
/// Versions that are looked at.
const VERSIONS_MAX: usize = 10_000;

impl Keeper {
    /// Moves unnamed blobs to the trash, empties the trash, and drops versions that no message is on.
    ///
    /// Candidates are older than the grace time and no document that must be kept. Then everything in the store is looked
    /// at, and what it names is struck out. A put in the meantime makes a blob young again: it is not discarded.
    pub(super) async fn collect(&self, done: &mut Retained) -> Result<(), Error> {
        let before = system(self.ago(self.settings.grace));
        let mut blobs = self.candidates(before).await?;
        let mut versions = self.unused_versions().await?;
        if !blobs.is_empty() || !versions.is_empty() {
            let mut look = |(topic, space, bytes): Seen<'_>| {
                strike_out(&mut blobs, bytes);
                // Events tell on which version something happened; no message is on it for that.
                if space != Some(BUNDLES) && !matches!(topic, Topic::JOURNAL | Topic::CASES) {
                    versions.retain(|key| !names_version(bytes, key));
                }
            };
            self.survey(&mut look).await?;
        }
        done.more |= blobs.len() == CANDIDATES_MAX;
        done.versions = self.drop_versions(&versions).await?;
        let now = system(self.shared.clock.now());
        for name in blobs {
            done.discarded += u64::from(self.settings.blobs.discard(&name, before, now).await?);
        }
        for shard in 0..=u8::MAX {
            done.deleted += self.settings.blobs.empty_trash(shard, system(self.ago(self.settings.trash))).await?.0;
        }
        Ok(())
    }

    async fn candidates(&self, before: SystemTime) -> Result<HashSet<String>, Error> {
        let mut found = HashSet::new();
        for shard in 0..=u8::MAX {
            let mut after: Option<String> = None;
            loop {
                let page = self.settings.blobs.old(shard, before, after.as_deref(), PAGE).await?;
                let Some(last) = page.last() else { break };
                after = Some(last.clone());
                let needed = self.settings.history.are_needed(page.clone(), self.shared.clock.now()).await;
                let needed = needed.map_err(Error::Format)?;
                // An answer for each question, or none of them counts.
                if needed.len() != page.len() {
                    return Err(Error::Format("the history gave too few answers".into()));
                }
                found.extend(page.into_iter().zip(needed).filter(|(_, needed)| !needed).map(|(name, _)| name));
                if found.len() >= CANDIDATES_MAX {
                    return Ok(found.into_iter().take(CANDIDATES_MAX).collect());
                }
            }
        }
        Ok(found)
    }

    /// Bundles of versions that take no new messages.
    async fn unused_versions(&self) -> Result<BTreeSet<String>, Error> {
        let kept = self.shared.backbone.scan(bundles(), BUNDLES, None, VERSIONS_MAX).await?;
        let current = self.shared.current_versions();
        Ok(kept.into_iter().map(|(key, _)| key).filter(|key| !current.contains(key)).collect())
    }

    async fn drop_versions(&self, versions: &BTreeSet<String>) -> Result<u64, Error> {
        if versions.is_empty() {
            return Ok(0);
        }
        let mut batch = Batch::new(self.shared.claims());
        for key in versions {
            tracing::info!(version = key, "no message is on this version any more: its bundle is dropped");
            batch.delete(bundles(), BUNDLES, key);
        }
        batch.commit().await.map(|_| versions.len() as u64)
    }
}

fn bundles() -> Place {
    Place::new(Topic::INBOX, 0)
}

/// Whether the hash of a version (`route@hash`) stands anywhere in `bytes`.
fn names_version(bytes: &[u8], key: &str) -> bool {
    let hash = key.rsplit('@').next().unwrap_or(key).as_bytes();
    let Some(first) = hash.first() else { return true };
    // By its first byte, which is found fast; most are not it.
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| byte == first) {
        rest = &rest[at..];
        if rest.starts_with(hash) {
            return true;
        }
        rest = &rest[1..];
    }
    false
}

fn system(at: Timestamp) -> SystemTime {
    at.into()
}
