//! The one thread that writes: it takes what waits, makes one transaction of it, and lets everybody see it at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use hub_backbone::chain::{Chain, link};
use hub_backbone::{Change, Commit, Error, Offset, Place, Stored};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::epochs::{Said, say};
use crate::revive::{Witness, revive};
use crate::shared::Shared;
use crate::transact::{Consumed, Outgoing, Transaction, Transactor};
use crate::wire::{self, First};

/// Bytes and commits that one transaction takes, unless a single commit has more.
const GROUP_BYTES: usize = 8 << 20;
const GROUP_COMMITS: usize = 2_000;

/// What the writer is asked for.
#[derive(Debug)]
pub(crate) enum Job {
    /// A commit of a caller.
    Commit(CommitJob),
    /// Marks what is removed.
    Trim(Place, First, oneshot::Sender<Result<(), Error>>),
    /// Says something of a life.
    Say(String, Said, oneshot::Sender<Result<(), Error>>),
}

#[derive(Debug)]
pub(crate) struct CommitJob {
    pub(crate) commit: Commit,
    pub(crate) bytes: usize,
    pub(crate) ack: oneshot::Sender<Result<Vec<Offset>, Error>>,
    pub(crate) _room: Option<OwnedSemaphorePermit>,
}

pub(crate) struct Writer {
    shared: Arc<Shared>,
    transactor: Transactor,
    /// By slot: the next offset, the chain before it, and the position.
    heads: Vec<Head>,
}

#[derive(Clone, Copy)]
struct Head {
    next: Offset,
    chain: Chain,
    position: Offset,
}

/// A transaction in the making, and what becomes visible with it.
#[derive(Default)]
struct Group {
    transaction: Transaction,
    stored: Vec<(Place, Stored)>,
    changes: Vec<(Place, String, String, Option<Bytes>)>,
    /// New heads of the partitions that it touches.
    heads: BTreeMap<Place, Head>,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, transactor: Transactor) -> Self {
        let look = shared.look();
        let heads = look.iter().map(|one| Head { next: one.end.0, chain: one.end.1, position: one.position }).collect();
        drop(look);
        Self { shared, transactor, heads }
    }

    /// Works until the queue is closed, or until the first failure, which everybody gets from then on.
    pub(crate) fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut held = None;
        while let Some(job) = held.take().or_else(|| jobs.blocking_recv()) {
            match job {
                Job::Commit(first) => held = self.commit_group(first, &mut jobs),
                Job::Trim(place, first, ack) => answer(ack, self.trim(place, first)),
                Job::Say(epoch, said, ack) => answer(ack, self.say(&epoch, &said)),
            }
        }
    }

    /// Commits what waits together with `first`. Gives back a job of another kind that came in between.
    fn commit_group(&mut self, first: CommitJob, jobs: &mut mpsc::Receiver<Job>) -> Option<Job> {
        let (mut bytes, mut group, mut held) = (first.bytes, vec![first], None);
        while bytes < GROUP_BYTES && group.len() < GROUP_COMMITS {
            match jobs.try_recv() {
                Ok(Job::Commit(next)) => {
                    bytes += next.bytes;
                    group.push(next);
                }
                Ok(other) => {
                    held = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        self.commit_all(group);
        held
    }

    fn commit_all(&mut self, jobs: Vec<CommitJob>) {
        let mut group = Group::default();
        let mut answers = Vec::with_capacity(jobs.len());
        for job in jobs {
            answers.push((job.ack, self.add(&mut group, job.commit), job._room));
        }
        let result = self.carry_out(group);
        for (ack, offsets, _room) in answers {
            answer(ack, result.clone().map(|()| offsets));
        }
    }

    /// Adds a commit to the group; gives the offsets that its records get.
    fn add(&self, group: &mut Group, commit: Commit) -> Vec<Offset> {
        let offsets = commit.outputs.into_iter().map(|(place, record)| {
            let head = self.head(group, place);
            let chain = link(&head.chain, head.next, &record.key, &record.bytes);
            let stored = Stored { offset: head.next, key: record.key, bytes: record.bytes, chain };
            (head.next, head.chain) = (stored.offset + 1, chain);
            let offset = stored.offset;
            group.stored.push((place, stored));
            offset
        });
        let offsets = offsets.collect();
        for Change { place, space, key, value } in commit.state {
            let _touched = self.head(group, place);
            group.changes.push((place, space.to_owned(), key, value));
        }
        for (place, position) in commit.positions {
            let head = self.head(group, place);
            if position > head.position {
                head.position = position;
                let value = Bytes::copy_from_slice(&position.to_be_bytes());
                group.changes.push((place, String::new(), wire::POSITION.to_owned(), Some(value)));
            }
        }
        offsets
    }

    fn head<'a>(&self, group: &'a mut Group, place: Place) -> &'a mut Head {
        group.heads.entry(place).or_insert_with(|| self.heads[self.shared.slot(place)])
    }

    /// Makes a group durable, and then visible. A failure ends the backbone: what is durable is found at the next start.
    fn carry_out(&mut self, mut group: Group) -> Result<(), Error> {
        self.shared.check()?;
        self.fill(&mut group);
        let found = self.until_known(&group.transaction, self.witness(&group));
        let found = found.inspect_err(|error| {
            tracing::error!(target: "kafka", "the backbone ends: {error}");
            self.shared.fail(error.clone());
        })?;
        self.show(group, &found);
        Ok(())
    }

    /// Carries out a transaction, with as many producers as it takes. Gives where its records are, as far as it was said.
    fn until_known(&mut self, transaction: &Transaction, witness: Option<Witness>) -> Result<Vec<(usize, i64)>, Error> {
        loop {
            let why = match self.transactor.run(transaction) {
                Ok(found) => return Ok(found),
                Err(why) if self.shared.stopped() => return Err(why),
                Err(why) => why,
            };
            let there;
            (self.transactor, there) = revive(&self.shared, witness, why)?;
            if there {
                return Ok(Vec::new());
            }
        }
    }

    /// A log by which the group is known to be there.
    fn witness(&self, group: &Group) -> Option<Witness> {
        let (place, _) = group.stored.first()?;
        let before = self.heads[self.shared.slot(*place)].next;
        Some(Witness { place: *place, before, after: group.heads.get(place)?.next })
    }

    /// Makes the transaction of a group: its records, its changes, and the position of every partition that it touches.
    fn fill(&self, group: &mut Group) {
        let names = &self.shared.names;
        for (number, (place, stored)) in group.stored.iter().enumerate() {
            group.transaction.records.push(Outgoing {
                topic: names.log(place.topic),
                partition: i32::from(place.partition),
                key: stored.key.clone(),
                value: Some(stored.bytes.clone()),
                header: wire::log_header(stored.offset, &stored.chain),
                number: number + 1,
            });
        }
        for (place, space, key, value) in &group.changes {
            group.transaction.records.push(Outgoing {
                topic: names.state(place.topic),
                partition: i32::from(place.partition),
                key: wire::state_key(space, key),
                value: value.clone(),
                header: wire::state_header(*place, space, key, value.as_ref()),
                number: 0,
            });
        }
        let look = self.shared.look();
        group.transaction.consumed.extend(group.heads.iter().map(|(place, head)| Consumed {
            topic: names.log(place.topic),
            partition: i32::from(place.partition),
            at: look[self.shared.slot(*place)].index.not_beyond(head.position),
            position: head.position,
        }));
    }

    /// Lets everybody see what is durable now: all of it under one lock, and then the bells.
    fn show(&mut self, group: Group, found: &[(usize, i64)]) {
        let at: BTreeMap<usize, i64> = found.iter().copied().collect();
        let mut partitions = self.shared.change();
        for (number, (place, stored)) in group.stored.into_iter().enumerate() {
            let known = at.get(&(number + 1)).copied();
            partitions[self.shared.slot(place)].appended(stored, known);
        }
        for (place, space, key, value) in group.changes {
            partitions[self.shared.slot(place)].change(&space, key, value);
        }
        drop(partitions);
        for (place, head) in group.heads {
            let slot = self.shared.slot(place);
            self.heads[slot] = head;
            self.shared.announce(slot, head.next);
        }
    }

    fn trim(&mut self, place: Place, first: First) -> Result<(), Error> {
        let mut group = Group::default();
        let _touched = self.head(&mut group, place);
        group.changes.push((place, String::new(), wire::FIRST.to_owned(), Some(wire::first_value(first))));
        self.carry_out(group)
    }

    fn say(&mut self, epoch: &str, said: &Said) -> Result<(), Error> {
        self.shared.check()?;
        let transaction = say(self.shared.names.epochs(), epoch, said)?;
        let done = self.until_known(&transaction, None).map(drop);
        done.inspect_err(|error| self.shared.fail(error.clone()))
    }
}

/// A caller that has given up is no error.
fn answer<T>(ack: oneshot::Sender<T>, value: T) {
    drop(ack.send(value));
}
