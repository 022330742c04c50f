//! Where partitions begin and end, and whether anything in them is undecided.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use hub_backbone::Error;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use crate::KafkaSettings;
use crate::client::{self, Logged, STEP, io};

/// Where a partition begins and ends, in Kafka's numbering.
pub(crate) type Watermarks = BTreeMap<i32, (i64, i64)>;

/// How long an open transaction may stand in the way before something is done about it.
const BLOCKED: Duration = Duration::from_secs(1);

/// Between two words about one that does not end, or about brokers that do not answer.
const SAID: Duration = Duration::from_secs(10);

/// How long to wait for what others have not decided yet.
pub(crate) struct Patience<'a> {
    pub(crate) deadline: Instant,
    /// Whether nobody wants the answer any more.
    pub(crate) given_up: &'a (dyn Fn() -> bool + Sync),
    /// Called now and then while a transaction stands in the way.
    pub(crate) blocked: &'a (dyn Fn() + Sync),
}

impl Patience<'_> {
    /// Why it is over.
    pub(crate) fn over(&self) -> Option<&'static str> {
        match Instant::now() > self.deadline {
            _ if (self.given_up)() => Some("it is not wanted any more"),
            true => Some("it took too long (`timeouts.open`)"),
            false => None,
        }
    }
}

/// Two clients: one is shown everything, one only what is decided.
pub(crate) struct Marks {
    all: BaseConsumer<Logged>,
    committed: BaseConsumer<Logged>,
}

impl Marks {
    pub(crate) fn open(settings: &KafkaSettings) -> Result<Self, Error> {
        let all = client::consumer(settings, "read_uncommitted", false)?;
        Ok(Self { all, committed: client::consumer(settings, "read_committed", false)? })
    }

    /// Where partitions end now, decided or not. One question for all of them.
    pub(crate) fn high(&self, topic: &str, partitions: &[i32]) -> Result<BTreeMap<i32, i64>, Error> {
        ask(&self.all, topic, partitions, Offset::End)
    }

    /// Where the decided part of partitions ends now.
    pub(crate) fn decided(&self, topic: &str, partitions: &[i32]) -> Result<BTreeMap<i32, i64>, Error> {
        ask(&self.committed, topic, partitions, Offset::End)
    }

    /// Where partitions begin, and where they end once everything that is in them now is decided.
    pub(crate) fn stable(&self, topic: &str, partitions: &[i32], patience: &Patience<'_>) -> Result<Watermarks, Error> {
        let high = self.insist(patience, || self.high(topic, partitions))?;
        let (mut blocked, mut said) = (Instant::now(), Instant::now());
        loop {
            let decided = self.insist(patience, || self.decided(topic, partitions))?;
            let Some(open) = partitions.iter().find(|one| decided.get(one) < high.get(one)) else {
                let low = self.insist(patience, || ask(&self.all, topic, partitions, Offset::Beginning))?;
                let both = |(partition, end): (i32, i64)| (partition, (low.get(&partition).copied().unwrap_or(0), end));
                return Ok(decided.into_iter().map(both).collect());
            };
            if let Some(why) = patience.over() {
                return Err(Error::Io(format!(
                    "Kafka: {topic}/{open} has a transaction that does not end, and {why}: another program's (nobody but the hub may write there), or one whose end the cluster forgot to mark; see docs/kafka.md, `Found`"
                )));
            }
            if blocked.elapsed() > BLOCKED {
                (patience.blocked)();
                blocked = Instant::now();
            }
            if said.elapsed() > SAID {
                tracing::warn!(target: "kafka", "{topic}/{open} has a transaction that does not end; what stands there waits for it");
                said = Instant::now();
            }
            sleep(Duration::from_millis(50));
        }
    }

    /// Asks again while no broker answers.
    fn insist<T>(&self, patience: &Patience<'_>, ask: impl Fn() -> Result<T, Error>) -> Result<T, Error> {
        let mut said = Instant::now();
        loop {
            match ask() {
                Ok(answer) => return Ok(answer),
                Err(error) if patience.over().is_some() => return Err(error),
                Err(error) if said.elapsed() > SAID => {
                    tracing::warn!(target: "kafka", "no broker answers: {error}");
                    said = Instant::now();
                }
                Err(error) => tracing::debug!(target: "kafka", "asked again: {error}"),
            }
            sleep(Duration::from_millis(100));
        }
    }
}

/// After a failure the client looks who leads the topic: it would ask a dead broker for ever.
fn ask(
    consumer: &BaseConsumer<Logged>,
    topic: &str,
    partitions: &[i32],
    at: Offset,
) -> Result<BTreeMap<i32, i64>, Error> {
    ask_once(consumer, topic, partitions, at).inspect_err(|_| drop(consumer.fetch_metadata(Some(topic), STEP)))
}

fn ask_once(
    consumer: &BaseConsumer<Logged>,
    topic: &str,
    partitions: &[i32],
    at: Offset,
) -> Result<BTreeMap<i32, i64>, Error> {
    let failed = |error| io(&format!("where {topic} begins and ends"), &error);
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition_offset(topic, *partition, at).map_err(failed)?;
    }
    let found = consumer.offsets_for_times(list, STEP).map_err(failed)?;
    let mut answer = BTreeMap::new();
    for one in found.elements() {
        one.error().map_err(failed)?;
        if let Offset::Offset(offset) = one.offset() {
            let _ = answer.insert(one.partition(), offset);
        }
    }
    match partitions.iter().find(|one| !answer.contains_key(one)) {
        None => Ok(answer),
        Some(missing) => Err(Error::Io(format!("Kafka: no broker says where {topic}/{missing} begins and ends"))),
    }
}
