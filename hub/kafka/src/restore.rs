//! Reads back what is known of slots that this hub gains: keyed state, positions, and where each log ends.
//!
//! It runs after the group has assigned the slots, so that whatever an earlier owner could still commit stands in the logs
//! already, and reads up to the end of what is decided, once all that is decided: offsets that are only hidden would be given
//! out twice. An open transaction of a dead hub is ended (`fence`), one of another program waited out.

use std::collections::{BTreeMap, BTreeSet};
use std::thread::scope;
use std::time::Duration;

use hub_backbone::{Error, Offset, Place, Topic};
use rdkafka::Message;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;

use crate::KafkaSettings;
use crate::client::{self, io};
use crate::epochs::Lives;
use crate::facts::Facts;
use crate::links::{Newest, corrupt, push, set_end};
use crate::marks::{Marks, Patience, Watermarks};
use crate::names::Names;
use crate::partition::Partition;
use crate::quarantine::{Quarantine, Quarantined};
use crate::wire::{self, Mail, Odd};

/// What all parts of the restoring need.
pub(crate) struct Restore<'a> {
    pub(crate) settings: &'a KafkaSettings,
    pub(crate) names: &'a Names,
    pub(crate) quarantine: &'a Quarantine,
    pub(crate) patience: Patience<'a>,
    pub(crate) marks: Marks,
}

/// Partitions of one topic, by slot.
type Slots = BTreeMap<i32, Partition>;

impl Restore<'_> {
    /// Reads slots back, all topics at once, a thread for each. Blocks.
    pub(crate) fn slots(&self, slots: &BTreeSet<u16>) -> Result<Vec<(Place, Partition)>, Error> {
        let panicked = || Error::Io("Kafka: reading back panicked".to_owned());
        let topics: Vec<_> = scope(|threads| {
            let threads = Topic::ALL.map(|topic| threads.spawn(move || self.topic(topic, slots)));
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(panicked()))).collect()
        });
        Ok(topics.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    fn topic(&self, topic: Topic, slots: &BTreeSet<u16>) -> Result<Vec<(Place, Partition)>, Error> {
        let cache = usize::try_from(self.settings.cache.0).unwrap_or(usize::MAX);
        let share = cache / (usize::from(self.settings.partitions) * Topic::ALL.len());
        let fresh = |slot: &u16| (i32::from(*slot), Partition::new(Place::new(topic, *slot), share));
        let mut partitions: Slots = slots.iter().map(fresh).collect();
        let numbers: Vec<i32> = partitions.keys().copied().collect();
        self.state(topic, &mut partitions, &numbers)?;
        let open = self.marks.stable(&self.names.log(topic), &numbers, &self.patience)?;
        self.ends(topic, &mut partitions, open)?;
        let place = |slot: i32| Place::new(topic, u16::try_from(slot).unwrap_or(u16::MAX));
        Ok(partitions.into_iter().map(|(slot, partition)| (place(slot), partition)).collect())
    }

    fn state(&self, topic: Topic, partitions: &mut Slots, numbers: &[i32]) -> Result<(), Error> {
        let name = self.names.state(topic);
        let ends = self.marks.stable(&name, numbers, &self.patience)?;
        let starts = ends.into_iter().map(|(partition, (low, _))| (partition, low)).collect();
        self.drain(&name, &starts, |message| {
            let place = place(topic, message);
            let Some(partition) = partitions.get_mut(&message.partition()) else { return Ok(()) };
            match wire::read_state(place, message) {
                Ok(found) => partition.change(&found.space, found.key, found.value),
                Err(Odd::Foreign(reason)) => self.report(message, reason),
                Err(Odd::Damaged(reason)) => return Err(corrupt(&name, place, 0, &reason)),
            }
            Ok(())
        })
    }

    /// Finds the newest record of each partition, looking back from its end in growing steps.
    fn ends(&self, topic: Topic, partitions: &mut Slots, mut open: Watermarks) -> Result<(), Error> {
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
                let Some(one) = partitions.get_mut(&number) else { continue };
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
            let met = wire::read_log(message, self.settings.record_version)
                .and_then(|one| push(newest.entry(message.partition()).or_default(), message.offset(), one.stored));
            met.unwrap_or_else(|reason| self.report(message, reason));
            Ok(())
        })?;
        Ok(newest)
    }

    /// Hands over the mail of slots, from where each was taken up to, batch by batch: those that fit into `bytes_max`.
    pub(crate) fn mail(
        &self,
        taken: &BTreeMap<u16, u64>,
        bytes_max: usize,
        mut batch: impl FnMut(Vec<Mail>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let name = self.names.mail();
        let numbers: Vec<i32> = taken.keys().map(|slot| i32::from(*slot)).collect();
        let ends = self.marks.stable(&name, &numbers, &self.patience)?;
        let from = |slot: &u16| i64::try_from(taken[slot]).unwrap_or(i64::MAX);
        let begin = |slot: &u16| from(slot).max(ends.get(&i32::from(*slot)).map_or(0, |(low, _)| *low));
        let more = |slot: &&u16| ends.get(&i32::from(**slot)).is_some_and(|(_, end)| begin(slot) < *end);
        let starts = taken.keys().filter(more).map(|slot| (i32::from(*slot), begin(slot))).collect();
        let (mut mails, mut bytes) = (Vec::new(), 0);
        self.drain(&name, &starts, |message| {
            match wire::read_mail(message) {
                Ok(mail) => {
                    bytes += mail.record.bytes.len() + mail.record.key.len() + 200;
                    mails.push(mail);
                }
                Err(reason) => self.report(message, reason),
            }
            if bytes >= bytes_max {
                bytes = 0;
                return batch(std::mem::take(&mut mails));
            }
            Ok(())
        })?;
        if mails.is_empty() { Ok(()) } else { batch(mails) }
    }

    /// The lives that are known now, and where the topic ends.
    pub(crate) fn lives(&self) -> Result<(Lives, i64), Error> {
        let mut lives = Lives::default();
        let end = self.plain(&self.names.epochs(), |epoch, value| lives.heard(epoch, value))?;
        Ok((lives, end))
    }

    /// The shared facts that are known now, and where the topic ends.
    pub(crate) fn facts(&self) -> Result<(Facts, i64), Error> {
        let mut facts = Facts::default();
        let end = self.plain(&self.names.shared(), |key, value| facts.heard(&key, value))?;
        Ok((facts, end))
    }

    /// Where what hubs tell each other ends now.
    pub(crate) fn end_of_replies(&self) -> Result<i64, Error> {
        let ends = self.marks.stable(&self.names.replies(), &[0], &self.patience)?;
        Ok(ends.get(&0).map_or(0, |(_, end)| *end))
    }

    /// Reads a topic of one partition whose values say everything. Gives where it ended.
    fn plain(&self, topic: &str, mut each: impl FnMut(String, &[u8]) -> Result<(), String>) -> Result<i64, Error> {
        let ends = self.marks.stable(topic, &[0], &self.patience)?;
        let (low, end) = ends.get(&0).copied().unwrap_or_default();
        self.drain(topic, &BTreeMap::from([(0, low)]), |message| {
            let heard = wire::read_plain(message).and_then(|(key, value)| each(key, &value));
            heard.unwrap_or_else(|reason| self.report(message, reason));
            Ok(())
        })?;
        Ok(end)
    }

    /// Reads partitions of a topic from where each starts to the end of what is decided.
    fn drain(
        &self,
        topic: &str,
        starts: &BTreeMap<i32, i64>,
        mut each: impl FnMut(&BorrowedMessage<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if starts.is_empty() {
            return Ok(());
        }
        let consumer = client::consumer(self.settings, "read_committed", true)?;
        let mut list = TopicPartitionList::new();
        for (partition, at) in starts {
            let at = rdkafka::Offset::Offset(*at);
            list.add_partition_offset(topic, *partition, at).map_err(|error| io("a topic cannot be read", &error))?;
        }
        consumer.assign(&list).map_err(|error| io("a topic cannot be read", &error))?;
        let mut open: BTreeSet<i32> = starts.keys().copied().collect();
        while !open.is_empty() {
            match consumer.poll(Duration::from_millis(200)) {
                Some(Ok(message)) => each(&message)?,
                Some(Err(KafkaError::PartitionEOF(partition))) => drop(open.remove(&partition)),
                other => self.silence(topic, other.and_then(Result::err).as_ref())?,
            }
        }
        Ok(())
    }

    /// Nothing came, or an error: whether to go on.
    fn silence(&self, topic: &str, error: Option<&KafkaError>) -> Result<(), Error> {
        let said = error.map_or_else(|| "nothing came".to_owned(), ToString::to_string);
        match self.patience.over() {
            Some(why) => Err(Error::Io(format!("Kafka: {topic} could not be read back: {said}, and {why}"))),
            None => {
                tracing::debug!(target: "kafka", "reading {topic} back: {said}");
                Ok(())
            }
        }
    }

    fn report(&self, message: &BorrowedMessage<'_>, reason: String) {
        let (topic, partition) = (message.topic().to_owned(), message.partition());
        self.quarantine.put(Quarantined { topic, partition, offset: message.offset(), reason });
    }
}

/// Up to where the mail of slots is taken, by what was read back of their inboxes.
pub(crate) fn mail_taken(partitions: &[(Place, Partition)]) -> BTreeMap<u16, Offset> {
    let inboxes = partitions.iter().filter(|(place, _)| place.topic == Topic::INBOX);
    inboxes.map(|(place, partition)| (place.partition, partition.mail)).collect()
}

fn place(topic: Topic, message: &BorrowedMessage<'_>) -> Place {
    Place::new(topic, u16::try_from(message.partition()).unwrap_or(u16::MAX))
}
