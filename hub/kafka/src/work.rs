//! What the writer is asked for, and whether it may be done.

use std::collections::BTreeSet;

use hub_backbone::{Commit, Error, Offset, Place, Term};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::partition::Partition;
use crate::terms::{Membership, Standing};
use crate::transact::Outgoing;
use crate::wire::{First, Mail};

/// Where the answer goes. A caller that has given up is no error.
pub(crate) type Ack<T> = oneshot::Sender<Result<T, Error>>;

/// What the writer is asked for.
#[derive(Debug)]
pub(crate) enum Job {
    /// Something that becomes durable with others.
    Work(Work),
    /// What was read back of slots that this hub gains. They have no term yet.
    Install(Vec<(Place, Partition)>),
    /// Claims slots that are installed, and begins their terms.
    Begin(Membership, BTreeSet<u16>, oneshot::Sender<Begun>),
    /// Slots that this hub has lost: their memory is freed. Commits that waited for a term to begin go on.
    Forget(Vec<u16>),
    /// Records that belong to no slot.
    Write(Outgoing, Ack<()>),
    /// Says that this hub writes the newest version, as this member. Answers whether the group has not moved on.
    Raise(Membership, Outgoing, Ack<bool>),
}

/// What became of the beginning of terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begun {
    Yes,
    /// There is mail of this hub's own for the slots that is not in their logs yet: it must be, before what this hub appends
    /// to them directly. Commits wait until the next try.
    Behind,
    /// The group has moved on.
    Stale,
}

/// Something that becomes durable with others.
#[derive(Debug)]
pub(crate) enum Work {
    /// A commit of a caller.
    Commit(CommitWork),
    /// Mail of one slot, to be moved into its logs.
    Mail(MailWork),
    /// Marks what is removed.
    Trim(Place, First, Ack<()>),
}

#[derive(Debug)]
pub(crate) struct CommitWork {
    pub(crate) commit: Commit,
    pub(crate) bytes: usize,
    pub(crate) ack: Ack<Vec<Offset>>,
    pub(crate) _room: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
pub(crate) struct MailWork {
    pub(crate) slot: u16,
    pub(crate) by: Authority,
    pub(crate) mails: Vec<Mail>,
    pub(crate) ack: Ack<()>,
}

/// By what right mail is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Authority {
    /// The slot is owned in this term.
    Term(Term),
    /// The slot is being gained under the assignment with this number.
    Assignment(u64),
}

impl Work {
    /// About how many bytes it takes.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Commit(work) => work.bytes,
            Self::Mail(work) => {
                work.mails.iter().map(|mail| mail.record.key.len() + mail.record.bytes.len() + 200).sum()
            }
            Self::Trim(..) => 200,
        }
    }

    /// Whether it may be done: [`Error::Lost`] if it is about a slot that is not this hub's, or not in that term.
    pub(crate) fn judge(&self, standing: &Standing) -> Result<(), Error> {
        let lost = match self {
            Self::Commit(work) => lost_slot(&work.commit, standing),
            Self::Mail(work) => (!work.by.holds(work.slot, standing)).then_some(work.slot),
            Self::Trim(place, ..) => standing.term(place.partition).is_none().then_some(place.partition),
        };
        lost.map_or(Ok(()), |slot| Err(Error::Lost { slot }))
    }

    pub(crate) fn refuse(self, error: Error) {
        match self {
            Self::Commit(work) => drop(work.ack.send(Err(error))),
            Self::Mail(work) => drop(work.ack.send(Err(error))),
            Self::Trim(.., ack) => drop(ack.send(Err(error))),
        }
    }
}

impl Authority {
    fn holds(self, slot: u16, standing: &Standing) -> bool {
        match self {
            Self::Term(term) => standing.term(slot) == Some(term),
            Self::Assignment(number) => standing.member.as_ref().is_some_and(|member| member.number == number),
        }
    }
}

impl Standing {
    pub(crate) fn term(&self, slot: u16) -> Option<Term> {
        self.terms.get(usize::from(slot)).copied().flatten()
    }
}

fn lost_slot(commit: &Commit, standing: &Standing) -> Option<u16> {
    let state = commit.state.iter().map(|change| change.place.partition);
    let mut touched = state.chain(commit.positions.iter().map(|(place, _)| place.partition));
    let lost = touched.find(|slot| standing.term(*slot).is_none());
    lost.or_else(|| commit.basis.iter().find(|(slot, term)| standing.term(*slot) != Some(*term)).map(|(slot, _)| *slot))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hub_backbone::Topic;

    #[test]
    fn commits_are_judged_by_terms() {
        let standing = Standing { member: None, terms: vec![Some(3), None] };
        let place = |slot| Place::new(Topic::INBOX, slot);
        let lost = |make: &dyn Fn(&mut Commit)| {
            let mut commit = Commit::new();
            make(&mut commit);
            lost_slot(&commit, &standing)
        };
        assert_eq!(lost(&|commit| commit.append(place(1), "k", "mail")), None, "anybody may append");
        assert_eq!(lost(&|commit| commit.put(place(0), "s", "k", "v")), None);
        assert_eq!(lost(&|commit| commit.put(place(1), "s", "k", "v")), Some(1));
        assert_eq!(lost(&|commit| commit.done(place(1), 4)), Some(1));
        assert_eq!(lost(&|commit| commit.based_on(0, 3)), None);
        assert_eq!(lost(&|commit| commit.based_on(0, 2)), Some(0), "an earlier term");
        assert_eq!(lost(&|commit| commit.based_on(9, 0)), Some(9));
    }
}
