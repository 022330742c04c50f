//! The trait [`Backbone`], as far as it is not the writer's work.

use async_trait::async_trait;
use bytes::Bytes;
use hub_backbone::chain::{admit, admit_place};
use hub_backbone::{Backbone, Commit, Error, Offset, Place, RECORD_BYTES_MAX, Stored, Term, Terms, Topic};
use rdkafka::producer::BaseRecord;
use tokio::sync::oneshot;

use crate::Kafka;
use crate::facts;
use crate::partition::Partition;
use crate::reader::Page;
use crate::wire::{self, First};
use crate::work::{CommitWork, Job, Work};

/// Spaces become part of a key on the wire.
fn admit_spaces(commit: &Commit) -> Result<(), Error> {
    let wrong = commit.state.iter().find(|change| change.space.is_empty() || change.space.contains('\0'));
    wrong.map_or(Ok(()), |change| Err(Error::Io(format!("{:?} cannot be the name of a space", change.space))))
}

fn size_of(commit: &Commit) -> usize {
    let outputs = commit.outputs.iter().map(|(_, record)| record.key.len() + record.bytes.len() + 200);
    let state = commit.state.iter().map(|change| change.key.len() + change.value.as_ref().map_or(0, Bytes::len) + 200);
    outputs.sum::<usize>() + state.sum::<usize>()
}

#[async_trait]
impl Backbone for Kafka {
    fn partitions(&self) -> u16 {
        self.shared.settings.partitions
    }

    fn epoch(&self) -> &str {
        &self.shared.epoch
    }

    fn is_over(&self, epoch: &str) -> bool {
        epoch != self.epoch() && self.shared.lives().is_over(epoch)
    }

    async fn commit(&self, commit: Commit) -> Result<Vec<Offset>, Error> {
        admit(&commit, self.shared.settings.partitions)?;
        admit_spaces(&commit)?;
        self.shared.check()?;
        if commit.is_empty() {
            return Ok(Vec::new());
        }
        let (bytes, (ack, answer)) = (size_of(&commit), oneshot::channel());
        let order = self.gate.lock().await;
        let room = self.shared.room(bytes).await;
        self.send(Job::Work(Work::Commit(CommitWork { commit, bytes, ack, _room: room }))).await?;
        drop(order);
        answer.await.unwrap_or_else(|_| Err(self.shared.failure()))
    }

    async fn read(
        &self,
        place: Place,
        from: Offset,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Stored>, Error> {
        if let Some(page) = self.with(place, |partition| partition.newest(from, records_max, bytes_max))? {
            return Ok(page);
        }
        let found = self.read_from_broker(Page { place, from, records_max, bytes_max }).await?;
        Ok(found.into_iter().map(|found| found.stored).collect())
    }

    async fn position(&self, place: Place) -> Result<Offset, Error> {
        self.with(place, |partition| partition.position)
    }

    async fn end(&self, place: Place) -> Result<Offset, Error> {
        self.with(place, |partition| partition.end.0)
    }

    async fn changed(&self, place: Place, after: Offset) -> Result<(), Error> {
        admit_place(place, self.shared.settings.partitions)?;
        self.shared.changed(place, after).await
    }

    async fn get(&self, place: Place, space: &str, key: &str) -> Result<Option<Bytes>, Error> {
        self.with(place, |partition| partition.get(space, key))
    }

    async fn scan(
        &self,
        place: Place,
        space: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Bytes)>, Error> {
        self.with(place, |partition| partition.scan(space, after, limit))
    }

    async fn spaces(&self, place: Place) -> Result<Vec<String>, Error> {
        self.with(place, Partition::spaces)
    }

    /// The mark is durable first: from then on the records are gone for every reader, whether the brokers have removed them
    /// or not. That they could not is no reason to stop: the next trim removes them, too.
    async fn trim(&self, place: Place, before: Offset) -> Result<(), Error> {
        let (first, end) = self.with(place, |partition| (partition.first.0, partition.end.0))?;
        let before = before.min(end);
        if before <= first {
            return self.shared.check();
        }
        let last = Page { place, from: before - 1, records_max: 1, bytes_max: 1 };
        let Some(last) = self.read_from_broker(last).await?.pop() else { return Err(self.shared.failure()) };
        let first = First { offset: before, chain: last.stored.chain, at: last.at + 1 };
        let (ack, answer) = oneshot::channel();
        self.send(Job::Work(Work::Trim(place, first, ack))).await?;
        answer.await.unwrap_or_else(|_| Err(self.shared.failure()))?;
        let topic = self.shared.names.log(place.topic);
        if let Err(error) = self.admin.remove(&topic, i32::from(place.partition), first.at).await {
            tracing::warn!(target: "kafka", "records of {place} are not removed yet: {error}");
        }
        Ok(())
    }

    fn term(&self, slot: u16) -> Option<Term> {
        self.shared.terms.term(slot)
    }

    async fn terms_beyond(&self, known: &Terms) -> Result<Terms, Error> {
        let mut news = self.shared.terms.news();
        loop {
            let _seen = *news.borrow_and_update();
            let terms = self.shared.terms.terms();
            self.shared.check()?;
            if terms != *known {
                return Ok(terms);
            }
            news.changed().await.map_err(|_| self.shared.failure())?;
        }
    }

    async fn mail_taken(&self, slot: u16) -> Result<u64, Error> {
        let inbox = Place::new(Topic::INBOX, slot);
        self.with(inbox, |partition| partition.mail)
    }

    async fn share(&self, space: &'static str, key: &str, value: Bytes) -> Result<(), Error> {
        facts::admit(space, key, value.len())?;
        self.shared.check()?;
        if self.shared.facts().knows(space, key) {
            return Ok(());
        }
        if self.shared.facts().is_full() {
            return Err(Error::Io(format!("Kafka: {space} {key} cannot be shared: there are too many facts")));
        }
        let writing = uuid::Uuid::now_v7().simple().to_string();
        self.write(facts::record(self.shared.names.shared(), space, key, &writing, value)).await?;
        loop {
            let heard = self.shared.heard.notified();
            if self.shared.facts().knows(space, key) {
                return Ok(());
            }
            self.shared.check()?;
            heard.await;
        }
    }

    async fn shared(&self, space: &str) -> Result<Vec<(String, Bytes)>, Error> {
        self.shared.check()?;
        Ok(self.shared.facts().of(space))
    }

    async fn reply(&self, epoch: &str, bytes: Bytes) -> Result<(), Error> {
        self.shared.check()?;
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(Error::TooLarge { key: epoch.to_owned(), bytes: bytes.len() });
        }
        if epoch == self.epoch() {
            self.shared.told().push(bytes);
            self.shared.heard.notify_waiters();
            return Ok(());
        }
        let topic = self.shared.names.replies();
        let record = BaseRecord::to(&topic).partition(0).key(epoch).payload(&bytes[..]);
        if let Err((error, _)) = self.messenger.send(record.headers(wire::headers(&wire::plain_header()))) {
            tracing::warn!(target: "kafka", "a reply to {epoch} is not sent: {error}");
        }
        Ok(())
    }

    async fn told(&self) -> Result<Bytes, Error> {
        loop {
            let heard = self.shared.heard.notified();
            if let Some(bytes) = self.shared.told().pop() {
                return Ok(bytes);
            }
            self.shared.check()?;
            heard.await;
        }
    }
}
