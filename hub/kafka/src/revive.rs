//! After the cluster has refused our producer for good.
//!
//! That happens without anybody's fault: brokers that were away for longer than a transaction may be open take our
//! `transactional.id` to be dead, and so do other hubs while we are frozen (`fence`). A new producer takes it again, but only
//! if no newer life of this hub has it: whoever was taken over must end, and must not end the other one in turn. So we look
//! before (a newer life writes its begin record within moments, hence the pause) and after, since one may have begun in
//! between; then both are fenced, and the newer one goes on by the same rule.
//!
//! Then everything is decided, and the log itself says whether the transaction whose result was unknown is in it.

use std::thread::sleep;
use std::time::{Duration, Instant};

use hub_backbone::Error;
use rdkafka::Message;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;

use crate::client::{self, io};
use crate::marks::Marks;
use crate::shared::Shared;
use crate::transact::{Outgoing, Over, Transaction, Transactor};
use crate::wire;

/// How long a newer life has to write down that it began.
const PAUSE: Duration = Duration::from_secs(2);

/// A record of the unknown transaction, and where it stands if the transaction is there.
#[derive(Clone, Copy, Debug)]
struct Witness<'a> {
    record: &'a Outgoing,
    at: i64,
}

/// A new producer, and whether the transaction is there.
pub(crate) fn revive(shared: &Shared, transaction: &Transaction, over: &Over) -> Result<(Transactor, bool), Error> {
    tracing::warn!(target: "kafka", "the producer is made anew: {}", over.why);
    let witness = over.doubt.iter().find_map(|(number, at)| {
        let record = transaction.records.get(*number)?;
        Some(Witness { record, at: *at })
    });
    loop {
        sleep(PAUSE);
        if shared.stopped() {
            return Err(over.why.clone());
        }
        match attempt(shared, witness) {
            Err(Error::Io(text)) => tracing::warn!(target: "kafka", "the producer cannot be made yet: {text}"),
            done => return done,
        }
    }
}

fn attempt(shared: &Shared, witness: Option<Witness<'_>>) -> Result<(Transactor, bool), Error> {
    still_ours(shared)?;
    let transactor = Transactor::open(&shared.settings, shared.stop_flag())?;
    still_ours(shared)?;
    let there = witness.map_or(Ok(false), |witness| is_there(shared, witness))?;
    Ok((transactor, there))
}

/// Whether this life is still the newest of its hub, nobody has declared it over, and the store is not being moved.
fn still_ours(shared: &Shared) -> Result<(), Error> {
    let (lives, _) = shared.restore(&|| shared.stopped(), &|| {})?.lives()?;
    shared.check_note(&lives)?;
    let newest = lives.newest(&shared.settings.transactional_id).unwrap_or(&shared.epoch);
    match newest == shared.epoch && !lives.is_over(&shared.epoch) {
        true => Ok(()),
        false => Err(Error::Fenced(format!(
            "epoch {newest} runs under the transactional id {} now, this one ({}) is over",
            shared.settings.transactional_id, shared.epoch
        ))),
    }
}

/// Whether the record is among what is committed. It stands where it stood when it was sent, or was aborted.
fn is_there(shared: &Shared, witness: Witness<'_>) -> Result<bool, Error> {
    let deadline = Instant::now() + shared.settings.timeouts.open.0;
    await_decision(shared, witness, deadline)?;
    let consumer = client::consumer(&shared.settings, "read_committed", true)?;
    let mut list = TopicPartitionList::new();
    let (topic, partition) = (&witness.record.topic, witness.record.partition);
    let failed = |error| io("whether a transaction is there", &error);
    list.add_partition_offset(topic, partition, rdkafka::Offset::Offset(witness.at)).map_err(failed)?;
    consumer.assign(&list).map_err(failed)?;
    loop {
        match consumer.poll(Duration::from_millis(500)) {
            Some(Ok(message)) => {
                return Ok(message.offset() == witness.at && wire::is_header(&message, &witness.record.header));
            }
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(false),
            _ if Instant::now() > deadline || shared.stopped() => {
                return Err(Error::Io(format!("Kafka: {topic}/{partition} could not be read in time")));
            }
            _ => {}
        }
    }
}

/// Waits until what stands at the witness's place is decided.
fn await_decision(shared: &Shared, witness: Witness<'_>, deadline: Instant) -> Result<(), Error> {
    let marks = Marks::open(&shared.settings)?;
    let (topic, partition) = (&witness.record.topic, witness.record.partition);
    while marks.decided(topic, &[partition])?.get(&partition).is_none_or(|end| *end <= witness.at) {
        if Instant::now() > deadline || shared.stopped() {
            return Err(Error::Io(format!("Kafka: {topic}/{partition} has a transaction that does not end")));
        }
        sleep(Duration::from_millis(100));
    }
    Ok(())
}
