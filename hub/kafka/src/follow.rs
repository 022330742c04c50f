//! Follows what concerns all hubs: their lives, shared facts, and what they tell each other. One thread.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hub_backbone::Error;
use rdkafka::Message;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;

use crate::client::{self, Logged, io};
use crate::epochs::CLOSED;
use crate::quarantine::Quarantined;
use crate::shared::Shared;
use crate::wire;

const LOOK: Duration = Duration::from_millis(100);

/// Where the following begins: behind what was read at the start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct From {
    pub(crate) lives: i64,
    pub(crate) facts: i64,
    pub(crate) replies: i64,
}

pub(crate) struct Follower {
    shared: Arc<Shared>,
    from: From,
}

impl Follower {
    pub(crate) fn new(shared: Arc<Shared>, from: From) -> Self {
        Self { shared, from }
    }

    /// Works until the hub has ended.
    pub(crate) fn run(mut self) {
        while !self.shared.left() {
            if let Err(error) = self.work() {
                tracing::warn!(target: "kafka", "lives and facts are followed anew: {error}");
                std::thread::sleep(LOOK);
            }
        }
    }

    fn work(&mut self) -> Result<(), Error> {
        let consumer = client::consumer(&self.shared.settings, "read_committed", false)?;
        self.assign(&consumer)?;
        while !self.shared.left() {
            match consumer.poll(LOOK) {
                None => {}
                Some(Ok(message)) => self.hear(&message),
                Some(Err(error)) => self.trouble(&error)?,
            }
        }
        Ok(())
    }

    fn assign(&self, consumer: &BaseConsumer<Logged>) -> Result<(), Error> {
        let names = &self.shared.names;
        let all = [
            (names.epochs(), self.from.lives),
            (names.shared(), self.from.facts),
            (names.replies(), self.from.replies),
        ];
        let mut list = TopicPartitionList::new();
        let failed = |error| io("lives and facts cannot be followed", &error);
        for (topic, at) in all {
            list.add_partition_offset(&topic, 0, rdkafka::Offset::Offset(at)).map_err(failed)?;
        }
        consumer.assign(&list).map_err(failed)
    }

    fn hear(&mut self, message: &BorrowedMessage<'_>) {
        let (topic, next) = (message.topic(), message.offset() + 1);
        let read = wire::read_plain(message);
        let names = &self.shared.names;
        let heard = if topic == names.epochs() {
            self.from.lives = next;
            read.and_then(|(epoch, value)| self.life(epoch, &value))
        } else if topic == names.shared() {
            self.from.facts = next;
            read.and_then(|(key, value)| self.fact(&key, &value))
        } else {
            self.from.replies = next;
            read.map(|(epoch, value)| self.reply(&epoch, value))
        };
        if let Err(reason) = heard {
            let (topic, offset) = (topic.to_owned(), message.offset());
            self.shared.quarantine.put(Quarantined { topic, partition: message.partition(), offset, reason });
        }
    }

    /// Something of a life. Who hears that a newer one has its name, that it is over itself, or that the store is
    /// being moved, ends.
    fn life(&self, epoch: String, value: &[u8]) -> Result<(), String> {
        self.shared.lives_mut().heard(epoch, value)?;
        let (lives, id) = (self.shared.lives(), &self.shared.settings.transactional_id);
        let newest = lives.newest(id).unwrap_or(&self.shared.epoch).to_owned();
        let readable = lives.check(self.shared.knows()).and_then(|()| self.shared.check_note(&lives));
        if let Err(error) = readable {
            drop(lives);
            tracing::error!(target: "kafka", "this hub may not go on: {error}");
            self.shared.fail(error);
            return Ok(());
        }
        let over = lives.ended(&self.shared.epoch).filter(|why| *why != CLOSED).map(str::to_owned);
        drop(lives);
        if let Some(why) = over {
            self.shared.fail(Error::Fenced(format!("epoch {} was ended by somebody: {why}", self.shared.epoch)));
        } else if newest != self.shared.epoch && self.shared.lives().knows(&self.shared.epoch) {
            self.shared.fail(Error::Fenced(format!("epoch {newest} runs under the transactional id {id} now")));
        }
        Ok(())
    }

    fn fact(&self, key: &str, value: &[u8]) -> Result<(), String> {
        let heard = self.shared.facts_mut().heard(key, value);
        self.shared.heard.notify_waiters();
        heard
    }

    fn reply(&self, epoch: &str, value: Bytes) {
        if epoch == self.shared.epoch {
            self.shared.told().push(value);
            self.shared.heard.notify_waiters();
        }
    }

    /// What was removed by time or compaction is passed by.
    fn trouble(&mut self, error: &KafkaError) -> Result<(), Error> {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
                let (left, wait) = (|| self.shared.left(), || {});
                let restore = self.shared.restore(&left, &wait)?;
                let (_, lives) = restore.lives()?;
                let (_, facts) = restore.facts()?;
                self.from = From { lives, facts, replies: restore.end_of_replies()? };
                Err(io("records were removed before they were read", error))
            }
            _ if matches!(error, KafkaError::MessageConsumptionFatal(_)) => Err(io("the topics cannot be read", error)),
            _ => {
                tracing::debug!(target: "kafka", "following lives and facts: {error}");
                Ok(())
            }
        }
    }
}
