//! Copies page by page. A page is one commit, so that a kill leaves whole pages.

use std::collections::BTreeMap;

use bytes::Bytes;
use hub_failpoint::{Point, at as failpoint};

use super::refuse;
use super::sheet::{own_spaces, places};
use crate::{Commit, Error, Movable, Place};

/// A page of records, at most.
const PAGE_RECORDS: usize = 1_000;
/// A page, about. One record or value may be larger.
pub(super) const PAGE_BYTES: usize = 4 << 20;
/// Values that are read at once; those above 256 kB lie in the blob store.
pub(super) const PAGE_VALUES: usize = 200;
/// Kinds of keyed state, at most: each is kept for the life of the process.
const SPACES_MAX: usize = 1_000;

pub(super) struct Copy<'a> {
    pub(super) source: &'a dyn Movable,
    pub(super) target: &'a dyn Movable,
    pub(super) facts: &'a [&'static str],
    pub(super) progress: &'a (dyn Fn(u64, u64) + Sync),
}

impl Copy<'_> {
    /// Copies everything, positions last.
    pub(super) async fn all(&self) -> Result<(), Error> {
        let places = places(self.source.partitions());
        let (mut total, mut done) = (0, 0);
        for place in &places {
            let bounds = self.source.bounds(*place).await?;
            total += bounds.end - bounds.first;
        }
        for place in &places {
            self.log(*place, &mut |records| {
                done += records;
                (self.progress)(done, total);
            })
            .await?;
        }
        let mut spaces = Spaces::default();
        for place in &places {
            self.state(*place, &mut spaces).await?;
        }
        self.shared_facts().await?;
        lives(self.source, self.target).await?;
        self.positions(&places).await
    }

    async fn log(&self, place: Place, done: &mut (dyn FnMut(u64) + Send)) -> Result<(), Error> {
        let (from, to) = (self.source.bounds(place).await?, self.target.bounds(place).await?);
        if from.first > 0 && to.end == 0 {
            self.target.begin_at(place, from.first, from.first_chain).await?;
        }
        let mut next = to.end.max(from.first);
        done(next - from.first);
        while next < from.end {
            let page = self.source.read(place, next, PAGE_RECORDS, PAGE_BYTES).await?;
            let (records, mut commit) = (page.len() as u64, Commit::new());
            page.into_iter().for_each(|record| commit.append(place, record.key, record.bytes));
            let offsets = self.target.commit(commit).await?;
            if records == 0 || offsets.last() != Some(&(next + records - 1)) {
                return refuse(format!(
                    "{place} of the target was changed while it was filled: take it back with `--abandon`"
                ));
            }
            next += records;
            done(records);
            failpoint(Point::MigratePage);
        }
        Ok(())
    }

    async fn state(&self, place: Place, spaces: &mut Spaces) -> Result<(), Error> {
        for space in own_spaces(self.source, place, self.facts).await? {
            let (name, mut after) = (spaces.name(&space)?, None);
            loop {
                let page = self.source.scan(place, &space, after.as_deref(), PAGE_VALUES).await?;
                let Some((last, _)) = page.last() else { break };
                after = Some(last.clone());
                self.values(place, name, page).await?;
            }
        }
        Ok(())
    }

    async fn values(&self, place: Place, space: &'static str, page: Vec<(String, Bytes)>) -> Result<(), Error> {
        let (mut commit, mut bytes) = (Commit::new(), 0);
        for (key, value) in page {
            bytes += key.len() + value.len();
            commit.put(place, space, key, value);
            if bytes > PAGE_BYTES {
                let _offsets = self.target.commit(std::mem::take(&mut commit)).await?;
                bytes = 0;
            }
        }
        self.target.commit(commit).await.map(drop)
    }

    async fn shared_facts(&self) -> Result<(), Error> {
        for space in self.facts {
            for (key, value) in self.source.shared(space).await? {
                self.target.share(space, &key, value).await?;
            }
        }
        Ok(())
    }

    async fn positions(&self, places: &[Place]) -> Result<(), Error> {
        let mut commit = Commit::new();
        for place in places {
            commit.done(*place, self.source.position(*place).await?);
        }
        self.target.commit(commit).await.map(drop)
    }
}

/// Lets the target know of each life what the source does.
pub(super) async fn lives(source: &dyn Movable, target: &dyn Movable) -> Result<(), Error> {
    let (mut lives, there) = (source.lives().await?, target.lives().await?);
    lives.retain(|life| !there.iter().any(|known| known.says_the_same(life)));
    if lives.is_empty() { Ok(()) } else { target.import_lives(&lives).await }
}

/// The trait takes names that live for ever, and what is read back has none.
#[derive(Default)]
struct Spaces(BTreeMap<String, &'static str>);

impl Spaces {
    fn name(&mut self, space: &str) -> Result<&'static str, Error> {
        if let Some(name) = self.0.get(space) {
            return Ok(name);
        }
        if self.0.len() >= SPACES_MAX {
            return refuse(format!("the source has more than {SPACES_MAX} kinds of keyed state: it is damaged"));
        }
        let name: &'static str = Box::leak(space.to_owned().into_boxed_str());
        let _ = self.0.insert(space.to_owned(), name);
        Ok(name)
    }
}
