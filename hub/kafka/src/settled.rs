//! Waits until the end of a commit is marked wherever the commit wrote.
//!
//! The coordinator of transactions says "committed" when it has decided so; the marks that say it in the partitions come later.
//! A broker that dies in between may forget them (docs/kafka.md, "Found"), and then the next transaction of the same producer
//! that is aborted takes this one with it: to the partition the two are one. So nobody hears of a commit before its marks are
//! there, and nothing is begun after it. It costs little: the coordinator refuses the next transaction until then anyway.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use hub_backbone::Error;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use crate::KafkaSettings;
use crate::client::{self, Logged, STEP};
use crate::transact::Outgoing;

/// Between two looks: the first, and the longest.
const LOOK: Duration = Duration::from_millis(1);
const LOOK_MAX: Duration = Duration::from_millis(100);
/// Between two words about marks that do not come.
const SAID: Duration = Duration::from_secs(10);

/// The last record of a commit in each partition that it wrote to, in Kafka's numbering.
pub(crate) type Lasts<'a> = BTreeMap<(&'a str, i32), i64>;

/// Where a transaction's records are, as far as it matters here.
pub(crate) fn lasts<'a>(records: &'a [Outgoing], placed: &[(usize, i64)]) -> Lasts<'a> {
    let mut lasts = Lasts::new();
    for (number, at) in placed {
        let Some(record) = records.get(*number) else { continue };
        let last = lasts.entry((record.topic.as_str(), record.partition)).or_insert(*at);
        *last = (*last).max(*at);
    }
    lasts
}

/// Looks where the decided part of partitions ends.
pub(crate) struct Settled {
    settings: KafkaSettings,
    consumer: BaseConsumer<Logged>,
}

impl Settled {
    pub(crate) fn open(settings: &KafkaSettings) -> Result<Self, Error> {
        let consumer = client::consumer(settings, "read_committed", false)?;
        Ok(Self { settings: settings.clone(), consumer })
    }

    /// Waits until all of this is decided, or nobody wants to know any more; says which.
    pub(crate) fn wait(&self, mut lasts: Lasts<'_>, given_up: impl Fn() -> bool) -> bool {
        let (mut pause, mut said) = (LOOK, Instant::now());
        loop {
            let trouble = self.look(&mut lasts).err();
            let Some(((topic, partition), _)) = lasts.first_key_value() else { return true };
            if given_up() {
                return false;
            }
            if said.elapsed() > SAID {
                let why = trouble.map_or_else(|| "its end is not marked".to_owned(), |error| error.to_string());
                tracing::warn!(target: "kafka", "a commit is not known to be in {topic}/{partition} yet: {why}");
                said = Instant::now();
            }
            sleep(pause);
            pause = (pause * 2).min(LOOK_MAX);
        }
    }

    /// Strikes off what is decided.
    fn look(&self, lasts: &mut Lasts<'_>) -> Result<(), KafkaError> {
        let decided = self.decided(lasts).inspect_err(|_| {
            // who leads may have changed
            let topic = lasts.first_key_value().map(|((topic, _), _)| *topic);
            drop(self.consumer.fetch_metadata(topic, STEP));
        })?;
        for one in decided.elements() {
            if let Offset::Offset(end) = one.offset() {
                lasts.retain(|(topic, partition), last| {
                    (*topic, *partition) != (one.topic(), one.partition()) || *last >= end
                });
            }
        }
        Ok(())
    }

    fn decided(&self, lasts: &Lasts<'_>) -> Result<TopicPartitionList, KafkaError> {
        if lasts.is_empty() {
            return Ok(TopicPartitionList::new());
        }
        // an error here shows as one of the question
        drop(client::awake(&self.settings, self.consumer.client()));
        let mut list = TopicPartitionList::new();
        for (topic, partition) in lasts.keys() {
            list.add_partition_offset(topic, *partition, Offset::End)?;
        }
        self.consumer.offsets_for_times(list, STEP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_record_of_each_partition_counts() {
        let record = |topic: &str, partition| Outgoing {
            topic: topic.to_owned(),
            partition,
            key: String::new(),
            value: None,
            header: Vec::new(),
        };
        let records = [record("a", 0), record("a", 1), record("a", 0), record("b", 0)];
        let lasts = lasts(&records, &[(0, 5), (2, 6), (1, 9), (3, 1), (4, 7)]);
        let wanted: Lasts<'_> = [(("a", 0), 6), (("a", 1), 9), (("b", 0), 1)].into();
        assert_eq!(lasts, wanted);
    }
}
