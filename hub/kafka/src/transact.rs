//! One transaction after the other, each until its result is known and marked everywhere (`settled`).
//!
//! What can go wrong, and what is done:
//! - A request is not answered in time: it is put again. Asking twice for the end of a transaction is harmless.
//! - The cluster gives the transaction up (a broker was away, a record was not taken): it is aborted, which makes known
//!   that nothing of it is there, and done again.
//! - The coordinator of the group refuses us as the member that we were: nothing of it will be there, once it is aborted, and
//!   what belongs to slots that are still ours is done again under the next assignment.
//! - The library does not come back from a call (`positions`): its producer is given up, and made anew (`revive`).
//! - Another process has taken our `transactional.id`, or the transaction was open for too long: the cluster refuses us
//!   for good. We must not ask for the id again, since that would in turn end the process that has it now.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use bytes::Bytes;
use hub_backbone::Error;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::KafkaSettings;
use crate::client::{self, Deliveries, STEP, io};
use crate::positions;
use crate::settled::{Settled, lasts};
use crate::terms::Membership;
use crate::wire;

/// One record to send.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) key: String,
    pub(crate) value: Option<Bytes>,
    pub(crate) header: Vec<u8>,
}

/// The position of a consumer, as the cluster's own tools see it.
#[derive(Debug)]
pub(crate) struct Consumed {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    /// In Kafka's numbering, not beyond the true one.
    pub(crate) at: i64,
    /// In ours.
    pub(crate) position: u64,
}

/// What one transaction makes durable.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    pub(crate) records: Vec<Outgoing>,
    /// Of every slot that it is about. Where there are none, it needs no membership.
    pub(crate) consumed: Vec<Consumed>,
}

/// Where records of a transaction are, by their number in it; those of which the cluster has not said it are missing.
pub(crate) type Placed = Vec<(usize, i64)>;

/// Between two looks for records that are still on their way.
const BREATH: Duration = Duration::from_micros(300);

/// How a transaction ended.
#[derive(Debug)]
pub(crate) enum End {
    /// It is durable.
    Done(Placed),
    /// Nothing of it is there: the coordinator does not know this member, in this generation.
    Refused,
    /// Nothing of it is there, and it may be tried again.
    Again,
}

/// The end of a producer.
#[derive(Debug)]
pub(crate) struct Over {
    pub(crate) why: Error,
    /// Where the records are whose commit was asked for; without any, nothing of it is there.
    pub(crate) doubt: Placed,
}

/// The producer of this hub.
pub(crate) struct Transactor {
    producer: Arc<BaseProducer<Deliveries>>,
    settled: Settled,
    /// Set when the hub goes away: then a result that cannot be had is not asked for any more.
    stop: Arc<AtomicBool>,
}

/// Why an attempt did not come to its end.
enum Trouble {
    /// Nothing of it is or will be there, once it is aborted.
    Abort(KafkaError),
    /// The same, and it is of no use to try again as the same member.
    Refused(KafkaError),
    /// It is over with this producer.
    Over(Error),
}

/// What is to be done about an error of the library.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Repeat,
    Abort,
    Refused,
    Over,
}

impl Transactor {
    /// Makes the producer and takes the `transactional.id`: whoever had it before is fenced, and a transaction that it left
    /// open is aborted, or finished if its end was decided already.
    pub(crate) fn open(settings: &KafkaSettings, stop: Arc<AtomicBool>) -> Result<Self, Error> {
        let producer = Arc::new(client::producer(settings, &settings.transactional_id)?);
        let settled = Settled::open(settings)?;
        let deadline = std::time::Instant::now() + settings.timeouts.open.0;
        loop {
            match producer.init_transactions(STEP) {
                Ok(()) => return Ok(Self { producer, settled, stop }),
                Err(error) if kind(&error) == Kind::Repeat && std::time::Instant::now() < deadline => {
                    tracing::warn!(target: "kafka", "waiting for the transactional id: {error}");
                    sleep(Duration::from_millis(200));
                }
                Err(error) => return Err(over("the transactional id cannot be taken", &error)),
            }
        }
    }

    /// Carries out a transaction until its result is known.
    pub(crate) fn run(&self, transaction: &Transaction, member: Option<&Membership>) -> Result<End, Over> {
        let mut pause = Duration::from_millis(50);
        loop {
            let mut asked = false;
            match self.attempt(transaction, member, &mut asked) {
                Ok(()) => return self.settle(transaction, self.producer.context().take()),
                Err(Trouble::Over(why)) => return Err(self.over(why, asked)),
                Err(Trouble::Refused(error)) => {
                    self.abort().map_err(|why| self.over(why, false))?;
                    tracing::info!(target: "kafka", "a transaction is refused, the group has moved on: {error}");
                    return Ok(End::Refused);
                }
                Err(Trouble::Abort(error)) => {
                    self.abort().map_err(|why| self.over(why, false))?;
                    if self.stopped() {
                        return Err(self.over(io("closed before a commit could be done", &error), false));
                    }
                    tracing::warn!(target: "kafka", "a transaction is done again: {error}");
                }
            }
            sleep(pause);
            pause = (pause * 2).min(Duration::from_secs(2));
        }
    }

    /// The end of what is committed, once that is marked everywhere.
    pub(crate) fn settle(&self, transaction: &Transaction, placed: Placed) -> Result<End, Over> {
        match self.settled.wait(lasts(&transaction.records, &placed), || self.stopped()) {
            true => Ok(End::Done(placed)),
            false => {
                let why = Error::Io("Kafka: closed before it was known where a commit is".to_owned());
                Err(Over { why, doubt: placed })
            }
        }
    }

    fn over(&self, why: Error, asked: bool) -> Over {
        let placed = self.producer.context().take();
        Over { why, doubt: if asked { placed } else { Placed::new() } }
    }

    /// All records are in the logs before the positions are sent: what can still be committed after the group has moved on
    /// is seen by who reads the logs then, at least as something undecided.
    fn attempt(&self, transaction: &Transaction, member: Option<&Membership>, asked: &mut bool) -> Result<(), Trouble> {
        drop(self.producer.context().take());
        self.repeat("begin a transaction", || self.producer.begin_transaction())?;
        (0..).zip(&transaction.records).try_for_each(|(number, record)| self.send(number, record))?;
        self.drain();
        self.send_positions(&transaction.consumed, member)?;
        *asked = true;
        self.repeat("commit", || self.producer.commit_transaction(STEP))
    }

    fn send(&self, number: usize, out: &Outgoing) -> Result<(), Trouble> {
        loop {
            let record = BaseRecord {
                topic: &out.topic,
                partition: Some(out.partition),
                payload: out.value.as_deref(),
                key: Some(out.key.as_str()),
                timestamp: None,
                headers: Some(wire::headers(&out.header)),
                delivery_opaque: number,
            };
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    self.producer.poll(Duration::from_millis(10));
                }
                Err((error, _)) if self.producer.client().fatal_error().is_some() => {
                    return Err(Trouble::Over(over("a record cannot be sent", &error)));
                }
                Err((error, _)) => return Err(Trouble::Abort(error)),
            }
        }
    }

    fn send_positions(&self, consumed: &[Consumed], member: Option<&Membership>) -> Result<(), Trouble> {
        let (false, Some(member)) = (consumed.is_empty(), member) else { return Ok(()) };
        let list = positions::list(consumed).map_err(Trouble::Abort)?;
        self.repeat("send positions", || positions::send(&self.producer, &list, &member.group))
    }

    /// Waits until the library has got rid of every record, well or badly. Its own flush looks every 100 ms only, and its
    /// `poll` spins through the last millisecond of the time that it is given, so it is given none.
    fn drain(&self) {
        loop {
            let left = self.producer.in_flight_count();
            if left <= 0 {
                return;
            }
            self.producer.poll(Duration::ZERO);
            if self.producer.in_flight_count() == left {
                sleep(BREATH);
            }
        }
    }

    fn abort(&self) -> Result<(), Error> {
        self.drain();
        match self.repeat("abort", || self.producer.abort_transaction(STEP)) {
            Ok(()) => Ok(()),
            Err(Trouble::Over(error)) => Err(error),
            // there is none to abort: it was not begun
            Err(Trouble::Abort(_) | Trouble::Refused(_)) => Ok(()),
        }
    }

    /// Asks again while the answer is "not now".
    fn repeat(&self, what: &str, mut ask: impl FnMut() -> Result<(), KafkaError>) -> Result<(), Trouble> {
        loop {
            let Err(error) = ask() else { return Ok(()) };
            match kind(&error) {
                Kind::Repeat if self.stopped() => {
                    return Err(Trouble::Over(Error::Io(format!("Kafka: closed before the answer came to: {what}"))));
                }
                Kind::Repeat => {
                    tracing::warn!(target: "kafka", "{what} is tried again: {error}");
                    sleep(Duration::from_millis(50));
                }
                Kind::Abort => return Err(Trouble::Abort(error)),
                Kind::Refused => return Err(Trouble::Refused(error)),
                Kind::Over => return Err(Trouble::Over(over(&format!("cannot {what}"), &error))),
            }
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// What the coordinator of the group says to who is not the member any more that it was.
const REFUSALS: [RDKafkaErrorCode; 4] = [
    RDKafkaErrorCode::IllegalGeneration,
    RDKafkaErrorCode::UnknownMemberId,
    RDKafkaErrorCode::RebalanceInProgress,
    RDKafkaErrorCode::FencedInstanceId,
];

fn kind(error: &KafkaError) -> Kind {
    match error {
        KafkaError::Transaction(error) if error.is_fatal() => Kind::Over,
        KafkaError::Transaction(error) if REFUSALS.contains(&error.code()) => Kind::Refused,
        KafkaError::Transaction(error) if error.txn_requires_abort() => Kind::Abort,
        KafkaError::Transaction(error) if error.is_retriable() => Kind::Repeat,
        KafkaError::Transaction(error) if error.code() == RDKafkaErrorCode::State => Kind::Abort,
        KafkaError::Flush(_) => Kind::Repeat,
        _ => Kind::Over,
    }
}

/// The end of this producer: fenced, or an error after which the result is found by starting again.
fn over(what: &str, error: &KafkaError) -> Error {
    let fenced = [RDKafkaErrorCode::Fenced, RDKafkaErrorCode::ProducerFenced, RDKafkaErrorCode::InvalidProducerEpoch];
    let code = match error {
        KafkaError::Transaction(error) => Some(error.code()),
        other => other.rdkafka_error_code(),
    };
    match code {
        Some(code) if fenced.contains(&code) => Error::Fenced(format!(
            "{what}: another process runs under this transactional id, or a transaction was open for too long ({error})"
        )),
        _ => io(what, error),
    }
}
