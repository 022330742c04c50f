//! Reads the mail of this hub's slots and hands it to the writer, which moves it into their logs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hub_backbone::{Error, Term};
use rdkafka::Message;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use crate::client::{self, Logged, io};
use crate::keeper::taken;
use crate::quarantine::Quarantined;
use crate::shared::Shared;
use crate::topics::Admin;
use crate::wire::{self, Mail};
use crate::work::{Authority, Job, MailWork, Work};

const LOOK: Duration = Duration::from_millis(100);
/// What is handed over at once, at most.
const BATCH_MAILS: usize = 2_000;
const BATCH_BYTES: usize = 4 << 20;
/// How often mail that is in the logs is removed.
const TIDY: Duration = Duration::from_secs(60);

pub(crate) struct Mailroom {
    pub(crate) shared: Arc<Shared>,
    pub(crate) jobs: mpsc::Sender<Job>,
    pub(crate) admin: Arc<Admin>,
    pub(crate) runtime: Handle,
}

/// The slots whose mail is read, their terms, and what comes next.
type Reading = BTreeMap<u16, (Term, i64)>;

impl Mailroom {
    /// Works until the hub stops.
    pub(crate) fn run(self) {
        while !self.shared.stopped() && self.shared.check().is_ok() {
            if let Err(error) = self.work() {
                tracing::warn!(target: "kafka", "the mail is read anew: {error}");
                std::thread::sleep(LOOK);
            }
        }
    }

    /// Reads mail until something is wrong with the client.
    fn work(&self) -> Result<(), Error> {
        let consumer = client::consumer(&self.shared.settings, "read_committed", false)?;
        let (mut reading, mut tidied) = (Reading::new(), Instant::now());
        while !self.shared.stopped() && self.shared.check().is_ok() {
            if self.follow_terms(&mut reading) {
                assign(&consumer, &self.shared.names.mail(), &reading)?;
            }
            if reading.is_empty() {
                std::thread::sleep(LOOK);
                continue;
            }
            let mails = self.batch(&consumer, &mut reading)?;
            self.hand_over(mails, &mut reading);
            if tidied.elapsed() > TIDY {
                tidied = Instant::now();
                self.tidy(&reading);
            }
        }
        Ok(())
    }

    /// Begins with slots whose terms have begun, and leaves those whose terms are over. Says whether anything has changed.
    fn follow_terms(&self, reading: &mut Reading) -> bool {
        let mut changed = false;
        for (slot, term) in (0..).zip(self.shared.terms.terms()) {
            if reading.get(&slot).map(|(term, _)| *term) == term {
                continue;
            }
            changed = true;
            match term {
                Some(term) => {
                    let next = i64::try_from(taken(&self.shared, slot)).unwrap_or(i64::MAX);
                    let _ = reading.insert(slot, (term, next));
                }
                None => drop(reading.remove(&slot)),
            }
        }
        changed
    }

    /// What has come, by slot.
    fn batch(&self, consumer: &BaseConsumer<Logged>, reading: &mut Reading) -> Result<BTreeMap<u16, Vec<Mail>>, Error> {
        let (mut mails, mut count, mut bytes): (BTreeMap<u16, Vec<Mail>>, _, _) = (BTreeMap::new(), 0, 0);
        let mut patience = LOOK;
        while count < BATCH_MAILS && bytes < BATCH_BYTES {
            match consumer.poll(patience) {
                None => break,
                Some(Err(error)) => trouble(&error)?,
                Some(Ok(message)) => {
                    let Some(mail) = self.ours(&message, reading) else { continue };
                    (count, bytes) = (count + 1, bytes + message.payload_len());
                    mails.entry(mail.place.partition).or_default().push(mail);
                }
            }
            patience = Duration::ZERO;
        }
        Ok(mails)
    }

    fn ours(&self, message: &BorrowedMessage<'_>, reading: &mut Reading) -> Option<Mail> {
        let slot = u16::try_from(message.partition()).ok()?;
        let (_, next) = reading.get_mut(&slot)?;
        if message.offset() < *next {
            return None;
        }
        *next = message.offset() + 1;
        let read = wire::read_mail(message);
        read.map_err(|reason| {
            let (topic, partition) = (message.topic().to_owned(), message.partition());
            self.shared.quarantine.put(Quarantined { topic, partition, offset: message.offset(), reason });
        })
        .ok()
    }

    /// Waits until the writer has moved it, so that no more than one batch is ever on its way. What belongs to a slot that is
    /// lost meanwhile is forgotten: its next owner reads it.
    fn hand_over(&self, mails: BTreeMap<u16, Vec<Mail>>, reading: &mut Reading) {
        let mut answers = Vec::new();
        for (slot, mails) in mails {
            let Some((term, _)) = reading.get(&slot) else { continue };
            let (ack, answer) = oneshot::channel();
            let work = Work::Mail(MailWork { slot, by: Authority::Term(*term), mails, ack });
            if self.jobs.blocking_send(Job::Work(work)).is_ok() {
                answers.push((slot, answer));
            }
        }
        for (slot, answer) in answers {
            if !matches!(answer.blocking_recv(), Ok(Ok(()))) {
                let _ = reading.remove(&slot);
            }
        }
    }

    /// Removes mail that is in the logs. That the brokers cannot is no reason to stop: the next time removes it, too.
    fn tidy(&self, reading: &Reading) {
        let topic = self.shared.names.mail();
        for slot in reading.keys() {
            let before = i64::try_from(taken(&self.shared, *slot)).unwrap_or_default();
            let removed = self.runtime.block_on(self.admin.remove(&topic, i32::from(*slot), before));
            if let Err(error) = removed {
                tracing::debug!(target: "kafka", "taken mail of slot {slot} is not removed yet: {error}");
            }
        }
    }
}

fn assign(consumer: &BaseConsumer<Logged>, topic: &str, reading: &Reading) -> Result<(), Error> {
    let mut list = TopicPartitionList::new();
    let failed = |error| io("the mail cannot be read", &error);
    for (slot, (_, next)) in reading {
        list.add_partition_offset(topic, i32::from(*slot), rdkafka::Offset::Offset(*next)).map_err(failed)?;
    }
    consumer.assign(&list).map_err(failed)
}

fn trouble(error: &KafkaError) -> Result<(), Error> {
    use rdkafka::error::RDKafkaErrorCode::{AutoOffsetReset, OffsetOutOfRange};
    match error.rdkafka_error_code() {
        Some(AutoOffsetReset | OffsetOutOfRange) => Err(io("mail that was not taken was removed by somebody", error)),
        _ if matches!(error, KafkaError::MessageConsumptionFatal(_)) => Err(io("the mail cannot be read", error)),
        _ => {
            tracing::debug!(target: "kafka", "reading mail: {error}");
            Ok(())
        }
    }
}
