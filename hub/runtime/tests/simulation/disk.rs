//! The store as one process sees it: the memory backbone behind the points of the process. The judge reads each commit.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hub_backbone::{Backbone, Commit, Error, Memory, Offset, Place, Stored, Term, Terms, Topic};

use crate::history::Fault;
use crate::mutants::Mutant;
use crate::process::Process;

#[derive(Debug)]
pub(crate) struct Disk {
    pub(crate) memory: Arc<Memory>,
    pub(crate) process: Arc<Process>,
}

impl Disk {
    fn is(&self, mutant: Mutant) -> bool {
        self.process.world.mutant == Some(mutant)
    }

    async fn apply(&self, commit: Commit) -> Result<Vec<Offset>, Error> {
        let kept = commit.clone();
        let (offsets, seen) = self.memory.commit_seen(commit).await?;
        self.process.world.committed(self.process.number, &kept, &seen);
        Ok(offsets)
    }

    /// The planted mistakes of a store; `None`: the commit goes its way.
    async fn mistaken(&self, commit: &mut Commit) -> Option<Result<Vec<Offset>, Error>> {
        let has = |commit: &Commit, words: &str| {
            commit.outputs.iter().any(|(_, r)| r.bytes.windows(words.len()).any(|part| part == words.as_bytes()))
        };
        if self.is(Mutant::LosesIntents) && has(commit, "send_intended") {
            return Some(Ok(vec![0; commit.outputs.len()]));
        }
        if self.is(Mutant::AcknowledgesEarly) && has(commit, "\"received\"") {
            let (disk, commit, count) = (self.again(), commit.clone(), commit.outputs.len());
            drop(tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(5)).await;
                disk.process.gate().await;
                disk.apply(commit).await
            }));
            return Some(Ok(vec![0; count]));
        }
        if self.is(Mutant::ForgetsOutputs) && has(commit, "send_settled") {
            commit.outputs.retain(|(place, _)| place.topic != Topic::INBOX);
        }
        None
    }

    fn again(&self) -> Self {
        Self { memory: self.memory.clone(), process: self.process.clone() }
    }
}

#[async_trait]
impl Backbone for Disk {
    fn partitions(&self) -> u16 {
        self.memory.partitions()
    }

    fn epoch(&self) -> &str {
        self.memory.epoch()
    }

    fn is_over(&self, epoch: &str) -> bool {
        self.memory.is_over(epoch) || (self.is(Mutant::BelievesOthersDead) && epoch != self.memory.epoch())
    }

    async fn commit(&self, mut commit: Commit) -> Result<Vec<Offset>, Error> {
        if commit.is_empty() {
            return self.memory.commit(commit).await;
        }
        let broken = || Error::Io("the disk is gone".into());
        if let Some(Fault::Refuse) = self.process.point("before a commit").await {
            return Err(broken());
        }
        if let Some(done) = self.mistaken(&mut commit).await {
            return done;
        }
        let done = self.apply(commit).await;
        match self.process.point("after a commit").await {
            Some(Fault::Lose) => Err(broken()),
            _ => done,
        }
    }

    async fn read(
        &self,
        place: Place,
        from: Offset,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Stored>, Error> {
        self.process.gate().await;
        self.memory.read(place, from, records_max, bytes_max).await
    }

    async fn position(&self, place: Place) -> Result<Offset, Error> {
        self.process.gate().await;
        self.memory.position(place).await
    }

    async fn end(&self, place: Place) -> Result<Offset, Error> {
        self.process.gate().await;
        self.memory.end(place).await
    }

    async fn changed(&self, place: Place, after: Offset) -> Result<(), Error> {
        let changed = self.memory.changed(place, after).await;
        self.process.gate().await;
        changed
    }

    async fn get(&self, place: Place, space: &str, key: &str) -> Result<Option<Bytes>, Error> {
        self.process.gate().await;
        self.memory.get(place, space, key).await
    }

    async fn scan(
        &self,
        place: Place,
        space: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Bytes)>, Error> {
        self.process.gate().await;
        self.memory.scan(place, space, after, limit).await
    }

    async fn spaces(&self, place: Place) -> Result<Vec<String>, Error> {
        self.process.gate().await;
        self.memory.spaces(place).await
    }

    async fn trim(&self, place: Place, before: Offset) -> Result<(), Error> {
        self.process.gate().await;
        self.memory.trim(place, before).await
    }

    fn term(&self, slot: u16) -> Option<Term> {
        self.memory.term(slot)
    }

    async fn terms_beyond(&self, known: &Terms) -> Result<Terms, Error> {
        let terms = self.memory.terms_beyond(known).await;
        self.process.gate().await;
        terms
    }

    async fn share(&self, space: &'static str, key: &str, value: Bytes) -> Result<(), Error> {
        self.process.gate().await;
        self.memory.share(space, key, value).await
    }

    async fn shared(&self, space: &str) -> Result<Vec<(String, Bytes)>, Error> {
        self.process.gate().await;
        self.memory.shared(space).await
    }

    async fn reply(&self, epoch: &str, bytes: Bytes) -> Result<(), Error> {
        let _ = self.process.point("before a reply").await;
        self.memory.reply(epoch, bytes).await
    }

    async fn told(&self) -> Result<Bytes, Error> {
        let told = self.memory.told().await;
        self.process.gate().await;
        told
    }
}
