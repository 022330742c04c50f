//! The one thread that writes: it takes what waits, makes one transaction of it, and lets everybody see it at once.
//!
//! What is refused because the group has moved on waits for the verdict on the new assignment and is then judged again, one
//! by one: what is about lost slots is answered with [`Error::Lost`], the rest goes into a new transaction.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hub_backbone::{Error, Place};
use serde_json::json;
use tokio::sync::mpsc;

use crate::group::{Group, Heads, Made, Shown, unknown};
use crate::partition::Partition;
use crate::revive::revive;
use crate::shared::Shared;
use crate::terms::{Membership, Standing};
use crate::transact::{Consumed, End, Outgoing, Placed, Transaction, Transactor};
use crate::wire;
use crate::work::{Begun, Job, Work};

/// Bytes and works that one transaction takes, unless a single one has more.
const GROUP_BYTES: usize = 8 << 20;
const GROUP_WORKS: usize = 2_000;

const LOOK: Duration = Duration::from_millis(200);

pub(crate) struct Writer {
    shared: Arc<Shared>,
    transactor: Transactor,
    heads: Heads,
    /// The number of the assignment under which terms wait for this hub's own mail. Commits wait then, too.
    hold: Option<u64>,
    deferred: VecDeque<Work>,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, transactor: Transactor) -> Self {
        let heads = Heads::new(shared.settings.partitions);
        Self { shared, transactor, heads, hold: None, deferred: VecDeque::new() }
    }

    /// Works until the queue is closed, or until the first failure, which everybody gets from then on.
    pub(crate) fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut held = None;
        while let Some(job) = held.take().or_else(|| jobs.blocking_recv()) {
            match job {
                Job::Work(first) => held = self.gather(first, &mut jobs),
                Job::Install(slots) => self.install(slots),
                Job::Begin(member, slots, ack) => drop(ack.send(self.begin(&member, &slots))),
                Job::Forget(slots) => self.forget(&slots.into_iter().collect()),
                Job::Write(record, ack) => drop(ack.send(self.write(record))),
                Job::Raise(member, record, ack) => drop(ack.send(self.raise(&member, record))),
            }
            self.go_on();
        }
    }

    /// Commits what waits together with `first`. Gives back a job of another kind that came in between.
    fn gather(&mut self, first: Work, jobs: &mut mpsc::Receiver<Job>) -> Option<Job> {
        let (mut bytes, mut works, mut held) = (first.bytes(), vec![first], None);
        while bytes < GROUP_BYTES && works.len() < GROUP_WORKS {
            match jobs.try_recv() {
                Ok(Job::Work(next)) => {
                    bytes += next.bytes();
                    works.push(next);
                }
                Ok(other) => {
                    held = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        self.carry_out(works);
        held
    }

    /// Whether commits wait for a term to begin.
    fn holds(&mut self) -> bool {
        self.hold = self.hold.filter(|number| *number == self.shared.terms.number() && !self.shared.stopped());
        self.hold.is_some()
    }

    /// What had to wait, if it need not any more.
    fn go_on(&mut self) {
        if !self.deferred.is_empty() && !self.holds() {
            let works = self.deferred.drain(..).collect();
            self.carry_out(works);
        }
    }

    fn carry_out(&mut self, mut works: Vec<Work>) {
        if self.holds() || !self.deferred.is_empty() {
            let (commits, others): (Vec<_>, Vec<_>) =
                works.into_iter().partition(|work| matches!(work, Work::Commit(_)));
            if self.holds() {
                self.deferred.extend(commits);
                works = others;
            } else {
                works = self.deferred.drain(..).chain(commits).chain(others).collect();
            }
        }
        while !works.is_empty() {
            works = self.attempt(works);
        }
    }

    /// One transaction of all that is allowed. Gives back what must be judged again.
    fn attempt(&mut self, works: Vec<Work>) -> Vec<Work> {
        let standing = self.shared.terms.standing();
        let made = self.make(works, &standing);
        if made.is_empty() {
            self.done(made, &Placed::new());
            return Vec::new();
        }
        match self.transact(&made.transaction, standing.member.as_ref()) {
            Ok(End::Done(placed)) => {
                self.done(made, &placed);
                Vec::new()
            }
            Ok(End::Again) => made.into_works(),
            Ok(End::Refused) => {
                self.await_verdict(standing.member.map_or(0, |member| member.number));
                made.into_works()
            }
            Err(error) => {
                made.into_works().into_iter().for_each(|work| work.refuse(error.clone()));
                Vec::new()
            }
        }
    }

    fn make(&self, works: Vec<Work>, standing: &Standing) -> Made {
        let mut group = Group::new(&self.shared.names, &self.heads, standing, self.shared.hand());
        for work in works {
            match work.judge(standing) {
                Ok(()) => group.add(work),
                Err(lost) => work.refuse(lost),
            }
        }
        group.finish(&self.shared.look())
    }

    /// Carries out a transaction until its result is known, with as many producers as it takes. A failure ends the backbone:
    /// what is durable is found at the next start.
    fn transact(&mut self, transaction: &Transaction, member: Option<&Membership>) -> Result<End, Error> {
        self.shared.check()?;
        let end = match self.transactor.run(transaction, member) {
            Ok(end) => Ok(end),
            Err(over) if self.shared.stopped() => Err(over.why),
            Err(over) => revive(&self.shared, transaction, &over).and_then(|(transactor, there)| {
                self.transactor = transactor;
                match there {
                    true => self.transactor.settle(transaction, over.doubt).map_err(|over| over.why),
                    false => Ok(End::Again),
                }
            }),
        };
        end.inspect_err(|error| {
            tracing::error!(target: "kafka", "the backbone ends: {error}");
            self.shared.fail(error.clone());
        })
    }

    /// Lets everybody see what is durable now: all of it under one lock, then the bells, then the answers.
    fn done(&mut self, made: Made, placed: &Placed) {
        let Shown { ends, works } = made.show(placed, &mut self.heads, &mut self.shared.change());
        for (place, end) in ends {
            self.shared.announce(self.shared.index(place), end);
        }
        for (work, offsets) in works {
            match work {
                Work::Commit(work) => drop(work.ack.send(Ok(offsets))),
                Work::Mail(work) => drop(work.ack.send(Ok(()))),
                Work::Trim(.., ack) => drop(ack.send(Ok(()))),
            }
        }
    }

    /// Waits until it is clear which slots are still this hub's. The cluster tells the member soon; if it does not, the
    /// member is to ask.
    fn await_verdict(&self, refused: u64) {
        let (begun, mut asked) = (Instant::now(), false);
        while !self.shared.terms.await_verdict(refused, LOOK) && !self.shared.stopped() && self.shared.check().is_ok() {
            if !asked && begun.elapsed() > 3 * self.shared.settings.timeouts.session.0 {
                self.shared.terms.ask_to_rejoin();
                asked = true;
            }
        }
    }

    fn install(&mut self, slots: Vec<(Place, Partition)>) {
        for (place, partition) in slots {
            self.heads.install(place, &partition);
            let (index, end) = (self.shared.index(place), partition.end.0);
            self.shared.change()[index] = partition;
            self.shared.announce(index, end);
        }
    }

    /// Frees the memory of slots without a term, and lets commits go on.
    fn forget(&mut self, slots: &BTreeSet<u16>) {
        self.hold = None;
        let gone = slots.iter().copied().filter(|slot| self.shared.terms.term(*slot).is_none()).collect();
        self.install(unknown(&gone));
    }

    fn begin(&mut self, member: &Membership, slots: &BTreeSet<u16>) -> Begun {
        let behind = slots.iter().any(|slot| self.heads.is_behind(*slot));
        if behind && self.hold != Some(member.number) {
            self.hold = Some(member.number);
            return Begun::Behind;
        }
        slots.iter().for_each(|slot| self.heads.caught_up(*slot));
        let begun = self.claim(member, slots);
        self.hold = None;
        begun
    }

    /// Writes down that the slots are this hub's now, and begins the terms.
    fn claim(&mut self, member: &Membership, slots: &BTreeSet<u16>) -> Begun {
        loop {
            let standing = Standing { member: Some(member.clone()), ..self.shared.terms.standing() };
            let mut group = Group::new(&self.shared.names, &self.heads, &standing, self.shared.hand());
            for slot in slots {
                let _number = group.send(self.claim_of(*slot));
                group.touch(*slot);
            }
            let made = group.finish(&self.shared.look());
            if self.shared.terms.number() != member.number {
                return Begun::Stale;
            }
            match self.transact(&made.transaction, Some(member)) {
                Ok(End::Done(placed)) => return self.claimed(member, slots, &placed),
                Ok(End::Again) => {}
                Ok(End::Refused) | Err(_) => return Begun::Stale,
            }
        }
    }

    fn claimed(&self, member: &Membership, slots: &BTreeSet<u16>, placed: &Placed) -> Begun {
        let at = |number: usize| placed.iter().find(|(one, _)| *one == number).map_or(-1, |(_, at)| *at);
        let claims: Vec<_> = slots.iter().enumerate().map(|(number, slot)| (*slot, at(number))).collect();
        if self.shared.terms.begin(member.number, &claims) { Begun::Yes } else { Begun::Stale }
    }

    fn claim_of(&self, slot: u16) -> Outgoing {
        let (hub, epoch) = (&self.shared.settings.transactional_id, &self.shared.epoch);
        Outgoing {
            topic: self.shared.names.slots(),
            partition: i32::from(slot),
            key: slot.to_string(),
            value: Some(json!({ "hub": hub, "epoch": epoch }).to_string().into()),
            header: wire::plain_header(),
        }
    }

    /// Writes a record that belongs to no slot. Written twice it says the same.
    fn write(&mut self, record: Outgoing) -> Result<(), Error> {
        let transaction = Transaction { records: vec![record], ..Transaction::default() };
        loop {
            match self.transact(&transaction, None)? {
                End::Done(_) => return Ok(()),
                End::Again | End::Refused => {}
            }
        }
    }

    /// Says that this hub writes the newest version from now on, if the group is still the one that was looked at.
    fn raise(&mut self, member: &Membership, record: Outgoing) -> Result<bool, Error> {
        // no slot is touched: any position carries the membership
        let consumed = Consumed { topic: self.shared.names.slots(), partition: 0, at: 0, position: 0 };
        let transaction = Transaction { records: vec![record], consumed: vec![consumed] };
        loop {
            match self.transact(&transaction, Some(member))? {
                End::Done(_) => return Ok(true),
                End::Again => {}
                End::Refused => return Ok(false),
            }
        }
    }
}
