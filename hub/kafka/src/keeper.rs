//! Judges what the group has assigned, and reads back what this hub gains.
//!
//! 1. A slot keeps its term only if it was this hub's all the time. The group may have given it away in between without this
//!    hub's hearing of it, so the claims say it: who begins a term writes a record to the slot's partition of `PREFIX.slots`,
//!    and ours must still be the last thing there.
//! 2. Slots without a term are read back, all together, once nothing in them is undecided (`restore`); their mail is moved
//!    into their logs; they are claimed, and their terms begin.
//!
//! A newer assignment makes all this void, and it begins anew.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use hub_backbone::{Error, Place};
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};

use crate::fence;
use crate::marks::Marks;
use crate::partition::Partition;
use crate::restore::mail_taken;
use crate::shared::Shared;
use crate::terms::Assignment;
use crate::versions::{self, Versions};
use crate::wire::Mail;
use crate::work::{Authority, Begun, Job, MailWork, Work};

const LOOK: Duration = Duration::from_millis(200);
/// How often it is looked for an answer of the writer.
const ANSWER: Duration = Duration::from_millis(2);
/// Before slots that could not be read back are tried again.
const PAUSE: Duration = Duration::from_secs(2);
/// Mail that is moved at once while a slot is gained.
const MAIL_BYTES: usize = 4 << 20;

/// Tells who waits for the opening of the store.
pub(crate) type Opened = oneshot::Sender<Result<(), Error>>;

pub(crate) struct Keeper {
    shared: Arc<Shared>,
    jobs: mpsc::Sender<Job>,
    opened: Option<Opened>,
    versions: Versions,
}

impl Keeper {
    pub(crate) fn new(shared: Arc<Shared>, jobs: mpsc::Sender<Job>, opened: Opened) -> Self {
        Self { shared, jobs, opened: Some(opened), versions: Versions::default() }
    }

    /// Works until the hub stops.
    pub(crate) fn run(mut self) {
        while !self.shared.stopped() && self.shared.check().is_ok() {
            match self.shared.terms.next(LOOK) {
                Some(assignment) => self.judge(&assignment),
                None => self.versions.raise_if_all_know(&self.shared, &self.jobs),
            }
        }
        self.say_opened(Err(self.shared.failure()));
    }

    fn judge(&mut self, assignment: &Assignment) {
        let looked = versions::fits(&self.shared).and_then(|fits| Ok((fits, self.kept(assignment)?)));
        let kept = match looked {
            Ok((true, kept)) => kept,
            Ok((false, _)) => return,
            Err(error) => {
                tracing::warn!(target: "kafka", "who owned this hub's slots meanwhile is not known yet: {error}");
                return sleep(LOOK);
            }
        };
        self.shared.terms.settle(assignment.member.number, &kept);
        let gone = (0..self.shared.settings.partitions).filter(|slot| !assignment.slots.contains(slot)).collect();
        drop(self.jobs.blocking_send(Job::Forget(gone)));
        let gained: BTreeSet<u16> = assignment.slots.difference(&kept).copied().collect();
        tracing::info!(target: "kafka", "slots kept: {kept:?}, gained: {gained:?}");
        self.gain_all(assignment, &gained);
    }

    /// The slots that nobody else has claimed since this hub did.
    fn kept(&self, assignment: &Assignment) -> Result<BTreeSet<u16>, Error> {
        if assignment.held.is_empty() {
            return Ok(BTreeSet::new());
        }
        let partitions: Vec<i32> = assignment.held.iter().map(|(slot, _)| i32::from(*slot)).collect();
        let ends = Marks::open(&self.shared.settings)?.high(&self.shared.names.slots(), &partitions)?;
        // behind the claim stands the mark of its transaction, sooner or later, and nothing else
        let last = |(slot, claim): &&(u16, i64)| {
            *claim >= 0 && ends.get(&i32::from(*slot)).is_some_and(|end| *end <= *claim + 2)
        };
        Ok(assignment.held.iter().filter(last).map(|(slot, _)| *slot).collect())
    }

    fn gain_all(&mut self, assignment: &Assignment, gained: &BTreeSet<u16>) {
        while self.is_wanted(assignment) {
            let begun = Instant::now();
            let result = if gained.is_empty() { Ok(Begun::Yes) } else { self.gain(assignment, gained) };
            match result {
                Ok(Begun::Yes) => {
                    tracing::info!(target: "kafka", "slots {gained:?} are this hub's after {:?}", begun.elapsed());
                    return self.say_opened(Ok(()));
                }
                Ok(_) => return drop(self.jobs.blocking_send(Job::Forget(Vec::new()))),
                Err(_) if !self.is_wanted(assignment) => {}
                Err(error) => self.cannot(error),
            }
        }
        drop(self.jobs.blocking_send(Job::Forget(Vec::new())));
    }

    /// What is damaged refuses the start. A hub that runs goes on with its other slots.
    fn cannot(&mut self, error: Error) {
        if self.opened.is_some() {
            return self.say_opened(Err(error));
        }
        tracing::error!(target: "kafka", "gained slots cannot be read back, nobody works on them: {error}");
        drop(self.jobs.blocking_send(Job::Forget(Vec::new())));
        sleep(PAUSE);
    }

    fn is_wanted(&self, assignment: &Assignment) -> bool {
        let newest = self.shared.terms.number() == assignment.member.number;
        newest && !self.shared.stopped() && self.shared.check().is_ok()
    }

    fn gain(&self, assignment: &Assignment, gained: &BTreeSet<u16>) -> Result<Begun, Error> {
        let (given_up, blocked) = (|| !self.is_wanted(assignment), || fence::end_the_dead(&self.shared));
        let restore = self.shared.restore(&given_up, &blocked)?;
        let partitions = restore.slots(gained)?;
        let mut taken = mail_taken(&partitions);
        self.send(Job::Install(partitions))?;
        loop {
            let (number, mut newest) = (assignment.member.number, taken.clone());
            restore.mail(&taken, MAIL_BYTES, |mails| self.move_in(number, mails, &mut newest))?;
            taken = newest;
            match self.begin(assignment, gained)? {
                Begun::Behind => {}
                begun => return Ok(begun),
            }
        }
    }

    /// Moves mail into the logs of slots that are being gained.
    fn move_in(&self, number: u64, mails: Vec<Mail>, taken: &mut BTreeMap<u16, u64>) -> Result<(), Error> {
        let (by, mut by_slot) = (Authority::Assignment(number), BTreeMap::<u16, Vec<Mail>>::new());
        for mail in mails {
            let _ = taken.insert(mail.place.partition, mail.number + 1);
            by_slot.entry(mail.place.partition).or_default().push(mail);
        }
        let mut answers = Vec::new();
        for (slot, mails) in by_slot {
            let (ack, answer) = oneshot::channel();
            self.send(Job::Work(Work::Mail(MailWork { slot, by, mails, ack })))?;
            answers.push(answer);
        }
        answers.into_iter().try_for_each(|answer| await_answer(&self.shared, number, answer)?)
    }

    fn begin(&self, assignment: &Assignment, gained: &BTreeSet<u16>) -> Result<Begun, Error> {
        let (ack, answer) = oneshot::channel();
        self.send(Job::Begin(assignment.member.clone(), gained.clone(), ack))?;
        await_answer(&self.shared, assignment.member.number, answer)
    }

    fn send(&self, job: Job) -> Result<(), Error> {
        self.jobs.blocking_send(job).map_err(|_| self.shared.failure())
    }

    fn say_opened(&mut self, result: Result<(), Error>) {
        if let Some(opened) = self.opened.take() {
            drop(opened.send(result));
        }
    }
}

/// Waits for an answer of the writer while the assignment with this number is the newest. No longer: the writer itself may
/// wait then, for the keeper's verdict on the next one.
pub(crate) fn await_answer<T>(shared: &Shared, number: u64, mut answer: oneshot::Receiver<T>) -> Result<T, Error> {
    loop {
        match answer.try_recv() {
            Ok(answer) => return Ok(answer),
            Err(TryRecvError::Closed) => return Err(shared.failure()),
            Err(TryRecvError::Empty) if shared.terms.number() != number || shared.stopped() => {
                return Err(Error::Io("Kafka: the group has moved on".to_owned()));
            }
            Err(TryRecvError::Empty) => sleep(ANSWER),
        }
    }
}

/// Up to where the mail of a slot is in its logs, by what is in memory.
pub(crate) fn taken(shared: &Shared, slot: u16) -> u64 {
    let inbox = Place::new(hub_backbone::Topic::INBOX, slot);
    let look = shared.look();
    let partition: &Partition = &look[shared.index(inbox)];
    partition.mail
}
