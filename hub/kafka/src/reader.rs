//! Reads logs back from the brokers: what memory does not hold any more, and what an earlier life wrote.
//!
//! Every link of the chain is checked. A record that no hub wrote is skipped and reported; one that a hub wrote and that
//! does not fit is an error, as is one that is missing.

use std::cmp::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hub_backbone::chain::Chain;
use hub_backbone::{Error, Offset, Place, Stored};
use rdkafka::Message;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;

use crate::client::{self, Logged, io};
use crate::index::Hint;
use crate::links::{Before, corrupt};
use crate::quarantine::Quarantined;
use crate::shared::Shared;
use crate::wire::{self, LogRecord};

/// Consumers that are kept for the next reading; more are made when more read at once.
const KEPT: usize = 4;
/// Between two questions to brokers that do not answer.
const ASK_AGAIN: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(crate) struct Reader {
    shared: Arc<Shared>,
    idle: Mutex<Vec<Cursor>>,
}

/// A consumer, and where it stands.
struct Cursor {
    consumer: BaseConsumer<Logged>,
    stands: Option<Stands>,
}

/// The record that was read last.
#[derive(Clone, Copy)]
struct Stands {
    place: Place,
    offset: Offset,
    chain: Chain,
}

impl std::fmt::Debug for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cursor")
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page {
    pub(crate) place: Place,
    pub(crate) from: Offset,
    pub(crate) records_max: usize,
    pub(crate) bytes_max: usize,
}

/// A record with its place in Kafka's numbering.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) stored: Stored,
    pub(crate) at: i64,
}

/// Where the partition begins and ends for this reading.
#[derive(Clone, Copy)]
struct Bounds {
    first: (Offset, Chain),
    end: Offset,
    deadline: Instant,
}

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, idle: Mutex::default() }
    }

    /// Reads a page. Blocks.
    pub(crate) fn read(&self, page: Page) -> Result<Vec<Found>, Error> {
        let bounds = self.bounds(page.place);
        let page = Page { from: page.from.max(bounds.first.0), ..page };
        if page.from >= bounds.end {
            return Ok(Vec::new());
        }
        let mut cursor = self.take(page)?;
        client::awake(&self.shared.settings, cursor.consumer.client())?;
        let found = self.read_with(&mut cursor, page, bounds);
        match &found {
            Ok(found) => cursor.stands = found.last().map(|last| stands(page.place, &last.stored)),
            Err(_) => cursor.stands = None,
        }
        self.give_back(cursor);
        found
    }

    fn bounds(&self, place: Place) -> Bounds {
        let deadline = Instant::now() + self.shared.settings.timeouts.read.0;
        let look = self.shared.look();
        let partition = &look[self.shared.index(place)];
        Bounds { first: partition.first, end: partition.end.0, deadline }
    }

    /// The consumer that stands right before the page, or any other.
    fn take(&self, page: Page) -> Result<Cursor, Error> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let right = idle.iter().position(|one| one.stands.is_some_and(|at| at.is_before(page)));
        if let Some(index) = right {
            return Ok(idle.swap_remove(index));
        }
        if idle.len() >= KEPT {
            let mut any = idle.swap_remove(0);
            any.stands = None;
            return Ok(any);
        }
        drop(idle);
        Ok(Cursor { consumer: client::consumer(&self.shared.settings, "read_committed", false)?, stands: None })
    }

    fn give_back(&self, cursor: Cursor) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT {
            idle.push(cursor);
        }
    }

    fn read_with(&self, cursor: &mut Cursor, page: Page, bounds: Bounds) -> Result<Vec<Found>, Error> {
        let mut before = cursor.stands.filter(|at| at.is_before(page)).map(|at| Before::sure(at.offset, at.chain));
        if before.is_none() {
            // the record before the page gives the chain by which the page's first one is checked
            let start = page.from.saturating_sub(1).max(bounds.first.0);
            self.go_to(cursor, page.place, start, bounds)?;
        }
        let (mut found, mut bytes) = (Vec::new(), 0usize);
        loop {
            let (met, at) = self.next(cursor, page.place, bounds)?;
            let Some(stored) = self.judge(page, bounds, before, met, at)? else { continue };
            before = Some(Before { sure: before.is_some(), ..Before::sure(stored.offset, stored.chain) });
            let last = stored.offset + 1 >= bounds.end;
            if stored.offset >= page.from {
                bytes += stored.bytes.len();
                found.push(Found { stored, at });
            }
            if !found.is_empty() && (last || found.len() >= page.records_max || bytes >= page.bytes_max) {
                return Ok(found);
            }
        }
    }

    /// Checks a record against the one before. `None`: it is not part of this log, or not any more.
    fn judge(
        &self,
        page: Page,
        bounds: Bounds,
        before: Option<Before>,
        LogRecord { stored, mark }: LogRecord,
        at: i64,
    ) -> Result<Option<Stored>, Error> {
        if stored.offset < bounds.first.0 {
            return Ok(None);
        }
        let Some(before) = before.or_else(|| Before::first(bounds.first, stored.offset)) else {
            return match stored.offset > page.from {
                true => Err(self.corrupt(page.place, page.from, "it is missing; something removed it")),
                false => Ok(Some(stored)),
            };
        };
        match stored.offset.cmp(&before.next()) {
            Ordering::Less => {
                self.report(page.place, at, format!("the offset {} was there before", stored.offset));
                Ok(None)
            }
            // what was believed without a proof was a copy of an old record
            Ordering::Greater if !before.sure && stored.offset <= page.from => Ok(Some(stored)),
            Ordering::Greater => Err(self.corrupt(page.place, before.next(), "it is missing; something removed it")),
            Ordering::Equal if before.leads_to(&stored) => Ok(Some(stored)),
            Ordering::Equal => {
                let detail = format!("the content does not fit the chain{}", self.written_by(mark));
                Err(self.corrupt(page.place, stored.offset, &detail))
            }
        }
    }

    /// Lets the consumer go on at, or somewhat before, a record that exists.
    fn go_to(&self, cursor: &Cursor, place: Place, offset: Offset, bounds: Bounds) -> Result<(), Error> {
        let low = self.low(cursor, place, bounds.deadline)?;
        loop {
            let hint = self.shared.look()[self.shared.index(place)].index.find(offset, bounds.first.0, low);
            match hint {
                Hint::Near(at) => return self.assign(cursor, place, at.max(low)),
                Hint::Between(from, to) => {
                    self.assign(cursor, place, from + (to - from) / 2)?;
                    self.note_next(cursor, place, bounds)?;
                }
            }
        }
    }

    /// Notes where the next record lies. A copy that stands far from its place is passed by.
    fn note_next(&self, cursor: &Cursor, place: Place, bounds: Bounds) -> Result<(), Error> {
        loop {
            let (met, at) = self.next(cursor, place, bounds)?;
            if self.shared.change()[self.shared.index(place)].index.note(met.stored.offset, at) {
                return Ok(());
            }
        }
    }

    /// Where the partition begins, in Kafka's numbering. Who leads it may be unknown for a while, when a broker dies.
    fn low(&self, cursor: &Cursor, place: Place, deadline: Instant) -> Result<i64, Error> {
        let (topic, partition) = (self.shared.names.log(place.topic), i32::from(place.partition));
        loop {
            match cursor.consumer.fetch_watermarks(&topic, partition, client::STEP) {
                Ok((low, _)) => return Ok(low),
                Err(error) if Instant::now() > deadline || self.shared.stopped() => {
                    return Err(io(&format!("where {topic}/{partition} begins"), &error));
                }
                Err(error) => {
                    tracing::debug!(target: "kafka", "where {topic}/{partition} begins is asked again: {error}");
                    std::thread::sleep(ASK_AGAIN);
                }
            }
        }
    }

    fn assign(&self, cursor: &Cursor, place: Place, at: i64) -> Result<(), Error> {
        let topic = self.shared.names.log(place.topic);
        let mut list = TopicPartitionList::new();
        let from = rdkafka::Offset::Offset(at);
        list.add_partition_offset(&topic, i32::from(place.partition), from)
            .map_err(|e| io("a log cannot be read", &e))?;
        cursor.consumer.assign(&list).map_err(|error| io("a log cannot be read", &error))
    }

    /// The next record that a hub wrote.
    fn next(&self, cursor: &Cursor, place: Place, bounds: Bounds) -> Result<(LogRecord, i64), Error> {
        loop {
            let left = bounds.deadline.saturating_duration_since(Instant::now());
            match cursor.consumer.poll(left) {
                None => return Err(self.late(place)),
                Some(Ok(message)) => match self.ours(place, &message) {
                    Some(met) => return Ok((met, message.offset())),
                    None => continue,
                },
                Some(Err(error)) => self.trouble(place, &error)?,
            }
        }
    }

    fn ours(&self, place: Place, message: &BorrowedMessage<'_>) -> Option<LogRecord> {
        if message.partition() != i32::from(place.partition) || message.topic() != self.shared.names.log(place.topic) {
            return None;
        }
        let read = wire::read_log(message, self.shared.knows());
        read.map_err(|reason| self.report(place, message.offset(), reason)).ok()
    }

    /// Errors that pass by themselves are waited out; the others end the reading.
    fn trouble(&self, place: Place, error: &KafkaError) -> Result<(), Error> {
        let code = error.rdkafka_error_code();
        match code {
            Some(RDKafkaErrorCode::BadMessage | RDKafkaErrorCode::InvalidMessage) => {
                Err(self.corrupt(place, 0, &format!("a broker gave a damaged batch: {error}")))
            }
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
                Err(self.corrupt(place, 0, &format!("records that must be there were removed: {error}")))
            }
            _ if matches!(error, KafkaError::MessageConsumptionFatal(_)) => Err(io("a log cannot be read", error)),
            _ => {
                tracing::debug!(target: "kafka", "reading {place}: {error}");
                Ok(())
            }
        }
    }

    fn late(&self, place: Place) -> Error {
        let seconds = self.shared.settings.timeouts.read.0.as_secs();
        Error::Io(format!(
            "Kafka: {place} could not be read within {seconds} s: no broker answers, or another program has a transaction open in {}",
            self.shared.names.log(place.topic)
        ))
    }

    /// Whose record it is, for people.
    fn written_by(&self, mark: Option<u64>) -> String {
        let lives = self.shared.lives();
        let life = mark.map(|mark| lives.marked(mark).map_or_else(|| format!("{mark:016x}"), str::to_owned));
        life.map_or_else(String::new, |life| format!(" (it says that life {life} wrote it)"))
    }

    fn report(&self, place: Place, at: i64, reason: String) {
        let (topic, partition) = (self.shared.names.log(place.topic), i32::from(place.partition));
        self.shared.quarantine.put(Quarantined { topic, partition, offset: at, reason });
    }

    fn corrupt(&self, place: Place, offset: Offset, detail: &str) -> Error {
        corrupt(&self.shared.names.log(place.topic), place, offset, detail)
    }
}

impl Stands {
    fn is_before(self, page: Page) -> bool {
        self.place == page.place && self.offset + 1 == page.from
    }
}

fn stands(place: Place, stored: &Stored) -> Stands {
    Stands { place, offset: stored.offset, chain: stored.chain }
}
