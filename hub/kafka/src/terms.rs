//! Which slots this hub owns, in which terms, and as which member of the group it commits.
//!
//! Three threads meet here. The member's thread says what the group has assigned; the keeper's judges it (which terms go on)
//! and reads back what was gained; the writer begins the terms. What is lost ends at once. Between the end of one assignment
//! and the next nothing is decided: the terms stay, and the coordinator of the group refuses what it must.

use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hub_backbone::{Term, Terms};
use rdkafka::consumer::ConsumerGroupMetadata;
use tokio::sync::watch;

/// Who this hub is in the group, as it was when its slots were assigned. A commit that is sent with an older one is refused.
#[derive(Clone)]
pub(crate) struct Membership {
    /// Counts assignments and losses.
    pub(crate) number: u64,
    pub(crate) group: Arc<ConsumerGroupMetadata>,
}

impl std::fmt::Debug for Membership {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Membership({})", self.number)
    }
}

/// An assignment that the keeper has to judge.
#[derive(Clone, Debug)]
pub(crate) struct Assignment {
    pub(crate) member: Membership,
    pub(crate) slots: BTreeSet<u16>,
    /// Those of them that this hub had before, and where its claims stand.
    pub(crate) held: Vec<(u16, i64)>,
}

/// What a commit is judged by.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing {
    pub(crate) member: Option<Membership>,
    pub(crate) terms: Terms,
}

#[derive(Debug, Default)]
struct Table {
    number: u64,
    assigned: BTreeSet<u16>,
    /// Captured with the newest assignment, which is not judged yet.
    pending: Option<Membership>,
    /// As whom transactions are sent.
    member: Option<Membership>,
    terms: Terms,
    /// Where in Kafka's numbering the record stands with which the term began.
    claims: Vec<i64>,
    newest: Term,
    rejoin: bool,
}

#[derive(Debug)]
pub(crate) struct TermTable {
    table: Mutex<Table>,
    /// Wakes threads.
    moved: Condvar,
    /// Wakes tasks.
    news: watch::Sender<u64>,
}

impl TermTable {
    pub(crate) fn new(slots: u16) -> Self {
        let count = usize::from(slots);
        let table = Table { terms: vec![None; count], claims: vec![-1; count], ..Table::default() };
        Self { table: Mutex::new(table), moved: Condvar::new(), news: watch::Sender::new(0) }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn wake(&self) {
        self.moved.notify_all();
        self.news.send_modify(|count| *count += 1);
    }

    /// The group has assigned slots. Terms of all others end now.
    pub(crate) fn assigned(&self, slots: BTreeSet<u16>, group: ConsumerGroupMetadata) {
        let mut table = self.lock();
        table.number += 1;
        table.pending = Some(Membership { number: table.number, group: Arc::new(group) });
        for (slot, term) in (0..).zip(&mut table.terms) {
            *term = term.filter(|_| slots.contains(&slot));
        }
        table.assigned = slots;
        drop(table);
        self.wake();
    }

    /// This hub is no member any more: all terms end.
    pub(crate) fn lost(&self) {
        let mut table = self.lock();
        table.number += 1;
        table.assigned.clear();
        (table.pending, table.member) = (None, None);
        table.terms.iter_mut().for_each(|term| *term = None);
        drop(table);
        self.wake();
    }

    /// The number of the newest assignment or loss.
    pub(crate) fn number(&self) -> u64 {
        self.lock().number
    }

    /// The assignment that waits to be judged, after at most `patience`.
    pub(crate) fn next(&self, patience: Duration) -> Option<Assignment> {
        let table = self.lock();
        let waited = self.moved.wait_timeout_while(table, patience, |table| table.pending.is_none());
        let (table, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let member = table.pending.clone()?;
        let held = table.assigned.iter().filter(|slot| table.terms[usize::from(**slot)].is_some());
        let held = held.map(|slot| (*slot, table.claims[usize::from(*slot)])).collect();
        Some(Assignment { member, slots: table.assigned.clone(), held })
    }

    /// The keeper's verdict: of what this hub had before, only `kept` was nobody else's in between. From now on transactions
    /// are sent as this member.
    pub(crate) fn settle(&self, number: u64, kept: &BTreeSet<u16>) {
        let mut table = self.lock();
        if table.number != number {
            return;
        }
        for (slot, term) in (0..).zip(&mut table.terms) {
            *term = term.filter(|_| kept.contains(&slot));
        }
        table.member = table.pending.take();
        drop(table);
        self.wake();
    }

    /// Begins the terms of slots whose claims are committed, if the assignment is still the newest.
    pub(crate) fn begin(&self, number: u64, claims: &[(u16, i64)]) -> bool {
        let mut table = self.lock();
        if table.number != number {
            return false;
        }
        for (slot, claim) in claims {
            table.newest += 1;
            table.terms[usize::from(*slot)] = Some(table.newest);
            table.claims[usize::from(*slot)] = *claim;
        }
        drop(table);
        self.wake();
        true
    }

    pub(crate) fn term(&self, slot: u16) -> Option<Term> {
        self.lock().terms.get(usize::from(slot)).copied().flatten()
    }

    pub(crate) fn terms(&self) -> Terms {
        self.lock().terms.clone()
    }

    pub(crate) fn standing(&self) -> Standing {
        let table = self.lock();
        Standing { member: table.member.clone(), terms: table.terms.clone() }
    }

    /// Waits, at most so long, until there is another verdict than the one that `refused` was sent under.
    pub(crate) fn await_verdict(&self, refused: u64, patience: Duration) -> bool {
        let undecided =
            |table: &Table| table.pending.is_some() || table.member.as_ref().is_some_and(|one| one.number == refused);
        let waited = self.moved.wait_timeout_while(self.lock(), patience, |table| undecided(table));
        let (table, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !undecided(&table)
    }

    /// Tells tasks of every change.
    pub(crate) fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// Asks the member's thread to join the group anew.
    pub(crate) fn ask_to_rejoin(&self) {
        self.lock().rejoin = true;
    }

    pub(crate) fn take_rejoin(&self) -> bool {
        std::mem::take(&mut self.lock().rejoin)
    }
}
