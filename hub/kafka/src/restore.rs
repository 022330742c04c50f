//! Reads back, when a hub starts, what earlier lives left: keyed state, positions, and where each log ends.
//!
//! It runs after the producer has taken the `transactional.id`, so that nothing of an earlier life is still undecided, and
//! reads up to the stable end. Another program's open transaction would hide records of ours behind it: then we wait until
//! the cluster ends it, and begin nothing before, since offsets that are only hidden would be given out twice.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use hub_backbone::{Error, Offset, Place, Topic};
use rdkafka::Message;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;

use crate::KafkaSettings;
use crate::client::{self, Logged, STEP, io};
use crate::epochs::Lives;
use crate::links::{Newest, corrupt, push, set_end};
use crate::names::{Names, places};
use crate::partition::Partition;
use crate::quarantine::{Quarantine, Quarantined};
use crate::wire::{self, First, Odd};

/// What was there.
pub(crate) struct Restored {
    pub(crate) lives: Lives,
    pub(crate) partitions: Vec<Partition>,
}

/// What all parts of the restoring need.
struct Restore<'a> {
    settings: &'a KafkaSettings,
    names: &'a Names,
    quarantine: &'a Quarantine,
    deadline: Instant,
}

/// Where a partition begins and ends, in Kafka's numbering.
type Watermarks = BTreeMap<i32, (i64, i64)>;

/// Reads everything back; one thread for each topic. Blocks.
pub(crate) fn restore(settings: &KafkaSettings, names: &Names, quarantine: &Quarantine) -> Result<Restored, Error> {
    let deadline = Instant::now() + settings.timeouts.open.0;
    let all = Restore { settings, names, quarantine, deadline };
    let panicked = || Error::Io("Kafka: reading back panicked".to_owned());
    let (lives, topics) = scope(|threads| {
        let lives = threads.spawn(|| all.lives());
        let topics: Vec<_> = Topic::ALL
            .into_iter()
            .map(|topic| {
                threads.spawn({
                    let all = &all;
                    move || all.topic(topic)
                })
            })
            .collect();
        let topics: Vec<_> =
            topics.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(panicked()))).collect();
        (lives.join().unwrap_or_else(|_| Err(panicked())), topics)
    });
    let partitions = topics.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
    Ok(Restored { lives: lives?, partitions })
}

/// The lives that the topic knows now. Blocks.
pub(crate) fn lives(settings: &KafkaSettings, names: &Names, quarantine: &Quarantine) -> Result<Lives, Error> {
    let deadline = Instant::now() + settings.timeouts.open.0;
    Restore { settings, names, quarantine, deadline }.lives()
}

/// Where one log ends now, if it begins as `known` does. Blocks.
pub(crate) fn end(
    settings: &KafkaSettings,
    names: &Names,
    quarantine: &Quarantine,
    place: Place,
    known: First,
) -> Result<Offset, Error> {
    let deadline = Instant::now() + settings.timeouts.open.0;
    let here = places(settings.partitions).filter(|one| one.topic == place.topic);
    let mut partitions: Vec<Partition> = here.map(|place| Partition::new(place, 0)).collect();
    let index = usize::from(place.partition);
    partitions[index].trimmed(known);
    let restore = Restore { settings, names, quarantine, deadline };
    let name = names.log(place.topic);
    let open = restore.stable(&name, i32::from(place.partition)..i32::from(place.partition) + 1)?;
    restore.ends(place.topic, &mut partitions, open)?;
    Ok(partitions[index].end.0)
}

impl Restore<'_> {
    fn lives(&self) -> Result<Lives, Error> {
        let (topic, mut lives) = (self.names.epochs(), Lives::default());
        let starts = self.stable(&topic, 0..1)?.into_iter().map(|(partition, (low, _))| (partition, low)).collect();
        self.drain(&topic, &starts, |message| {
            let heard = wire::read_epoch(message).and_then(|(epoch, value)| lives.heard(epoch, &value));
            heard.unwrap_or_else(|reason| self.report(message, reason));
            Ok(())
        })?;
        Ok(lives)
    }

    fn topic(&self, topic: Topic) -> Result<Vec<Partition>, Error> {
        let count = self.settings.partitions;
        let cache = usize::try_from(self.settings.cache.0).unwrap_or(usize::MAX);
        let share = cache / (usize::from(count) * Topic::ALL.len());
        let here = places(count).filter(|place| place.topic == topic);
        let mut partitions: Vec<Partition> = here.map(|place| Partition::new(place, share)).collect();
        self.state(topic, &mut partitions)?;
        let open = self.stable(&self.names.log(topic), 0..i32::from(count))?;
        self.ends(topic, &mut partitions, open)?;
        Ok(partitions)
    }

    fn state(&self, topic: Topic, partitions: &mut [Partition]) -> Result<(), Error> {
        let name = self.names.state(topic);
        let ends = self.stable(&name, 0..i32::from(self.settings.partitions))?;
        let starts = ends.into_iter().map(|(partition, (low, _))| (partition, low)).collect();
        self.drain(&name, &starts, |message| {
            let place = place(topic, message);
            let Some(partition) = partitions.get_mut(usize::from(place.partition)) else { return Ok(()) };
            match wire::read_state(place, message) {
                Ok(found) => partition.change(&found.space, found.key, found.value),
                Err(Odd::Foreign(reason)) => self.report(message, reason),
                Err(Odd::Damaged(reason)) => return Err(corrupt(&name, place, 0, &reason)),
            }
            Ok(())
        })
    }

    /// Finds the newest record of each partition, looking back from its end in growing steps.
    fn ends(&self, topic: Topic, partitions: &mut [Partition], mut open: Watermarks) -> Result<(), Error> {
        let name = self.names.log(topic);
        let mut back = 64;
        while !open.is_empty() {
            let starts = open.iter().map(|(partition, (low, end))| (*partition, (end - back).max(*low))).collect();
            let newest = self.newest(&name, &starts)?;
            let none = Newest::new();
            let (more, done): (Watermarks, Watermarks) = open.into_iter().partition(|(partition, (low, end))| {
                newest.get(partition).unwrap_or(&none).len() < 2 && *end - back > *low
            });
            for (number, (low, _)) in done {
                let place = Place::new(topic, u16::try_from(number).unwrap_or(u16::MAX));
                let Some(one) = partitions.get_mut(usize::from(place.partition)) else { continue };
                set_end(&name, place, one, newest.get(&number).unwrap_or(&none), low)?;
            }
            open = more;
            back *= 16;
        }
        Ok(())
    }

    /// The last two records of ours in each partition, from `starts` on, by their place in Kafka's numbering.
    fn newest(&self, name: &str, starts: &BTreeMap<i32, i64>) -> Result<BTreeMap<i32, Newest>, Error> {
        let mut newest: BTreeMap<i32, Newest> = BTreeMap::new();
        self.drain(name, starts, |message| {
            let met = wire::read_log(message)
                .and_then(|stored| push(newest.entry(message.partition()).or_default(), message.offset(), stored));
            met.unwrap_or_else(|reason| self.report(message, reason));
            Ok(())
        })?;
        Ok(newest)
    }

    /// Where the partitions begin, and where they end now that nothing in them is undecided.
    fn stable(&self, topic: &str, partitions: Range<i32>) -> Result<Watermarks, Error> {
        let committed = client::consumer(self.settings, "read_committed", false)?;
        let all = client::consumer(self.settings, "read_uncommitted", false)?;
        let mut found = Watermarks::new();
        for partition in partitions {
            let _ = found.insert(partition, self.stable_end(&committed, &all, topic, partition)?);
        }
        Ok(found)
    }

    fn stable_end(
        &self,
        committed: &BaseConsumer<Logged>,
        all: &BaseConsumer<Logged>,
        topic: &str,
        partition: i32,
    ) -> Result<(i64, i64), Error> {
        loop {
            let high = all.fetch_watermarks(topic, partition, STEP);
            let stable = committed.fetch_watermarks(topic, partition, STEP);
            match (high, stable) {
                (Ok((_, high)), Ok((low, stable))) if stable >= high => return Ok((low, stable)),
                (Err(error), _) | (_, Err(error)) if self.is_late() => {
                    return Err(io(&format!("{topic}/{partition} cannot be read"), &error));
                }
                _ if self.is_late() => {
                    return Err(Error::Io(format!(
                        "Kafka: {topic}/{partition} has a transaction that does not end: another program's (nobody but the hub may write there), or one whose end the cluster forgot to mark; see docs/kafka.md, `Found`"
                    )));
                }
                _ => sleep(Duration::from_millis(100)),
            }
        }
    }

    fn is_late(&self) -> bool {
        Instant::now() > self.deadline
    }

    /// Reads partitions of a topic from where each starts to its end.
    fn drain(
        &self,
        topic: &str,
        starts: &BTreeMap<i32, i64>,
        mut each: impl FnMut(&BorrowedMessage<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let consumer = client::consumer(self.settings, "read_committed", true)?;
        let mut list = TopicPartitionList::new();
        for (partition, at) in starts {
            let at = rdkafka::Offset::Offset(*at);
            list.add_partition_offset(topic, *partition, at).map_err(|error| io("a topic cannot be read", &error))?;
        }
        consumer.assign(&list).map_err(|error| io("a topic cannot be read", &error))?;
        let mut open: BTreeSet<i32> = starts.keys().copied().collect();
        while !open.is_empty() {
            match consumer.poll(Duration::from_millis(500)) {
                Some(Ok(message)) => each(&message)?,
                Some(Err(KafkaError::PartitionEOF(partition))) => drop(open.remove(&partition)),
                Some(Err(error)) if self.is_late() => return Err(io(&format!("{topic} cannot be read"), &error)),
                None if self.is_late() => {
                    return Err(Error::Io(format!("Kafka: {topic} could not be read back in time (`timeouts.open`)")));
                }
                Some(Err(error)) => tracing::debug!(target: "kafka", "reading {topic} back: {error}"),
                None => {}
            }
        }
        Ok(())
    }

    fn report(&self, message: &BorrowedMessage<'_>, reason: String) {
        let (topic, partition) = (message.topic().to_owned(), message.partition());
        self.quarantine.put(Quarantined { topic, partition, offset: message.offset(), reason });
    }
}

fn place(topic: Topic, message: &BorrowedMessage<'_>) -> Place {
    Place::new(topic, u16::try_from(message.partition()).unwrap_or(u16::MAX))
}
