//! Everything outside the processes: time, what is planned, the receivers, the senders, and the judge.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hub_backbone::{Commit, Offset, Topic};
use hub_core::Clock;
use hub_core::journal::Event;
use hub_runtime::Operate;
use serde::Deserialize;
use tokio::sync::Notify;

use crate::clock::WallClock;
use crate::custody::Custody;
use crate::history::{Act, Does, Fault, History, Item, Order, Says};
use crate::mutants::Mutant;
use crate::process::Wish;
use crate::sends::Sends;
use crate::trace::Trace;

/// A message as it comes in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Feed {
    pub(crate) id: String,
    pub(crate) body: Vec<u8>,
}

/// What changes.
#[derive(Default)]
pub(crate) struct Inner {
    step: usize,
    points: u32,
    wishes: Vec<(u64, Wish)>,
    /// Nobody misbehaves any more.
    pub(crate) calm: bool,
    pub(crate) queues: BTreeMap<&'static str, VecDeque<Feed>>,
    pub(crate) orders: BTreeMap<u32, Order>,
    questions: BTreeMap<u32, u32>,
    tries: BTreeMap<u32, u32>,
    pub(crate) operate: Option<(u64, Arc<dyn Operate>)>,
    /// Events on their way to the owners of their cases, by partition.
    pub(crate) sent: BTreeMap<u16, VecDeque<Event>>,
    pub(crate) custody: Custody,
    pub(crate) sends: Sends,
    pub(crate) trace: Trace,
    /// What broke a promise first.
    wrong: Option<String>,
    fates: BTreeMap<&'static str, u64>,
}

pub(crate) struct World {
    pub(crate) clock: Arc<WallClock>,
    pub(crate) mutant: Option<Mutant>,
    /// Whether two hubs share one log.
    pub(crate) many: bool,
    /// Rings when a source has something, and when the driver has something to do.
    pub(crate) fed: Notify,
    pub(crate) bell: Notify,
    faults: BTreeMap<(usize, u32), Fault>,
    acts: BTreeMap<(u32, &'static str, u32), Act>,
    says: BTreeMap<(u32, u32), Says>,
    does: BTreeMap<(u32, u32), Does>,
    inner: Mutex<Inner>,
}

/// A record of the topic `cases`.
#[derive(Deserialize)]
struct CaseRecord {
    r: Events,
}

#[derive(Deserialize)]
struct Events {
    events: Vec<Event>,
}

/// The events that a commit sends to the owners of cases, with the owner's partition.
fn events(commit: &Commit) -> Vec<(u16, Event)> {
    let cases = commit.outputs.iter().filter(|(place, _)| place.topic == Topic::CASES);
    let read = cases.filter_map(|(place, record)| {
        let read = serde_json::from_slice::<CaseRecord>(&record.bytes).ok()?;
        Some(read.r.events.into_iter().map(|event| (place.partition, event)))
    });
    read.flatten().collect()
}

impl World {
    pub(crate) fn new(history: &History, mutant: Option<Mutant>, told: bool) -> Arc<Self> {
        let mut world = Self {
            clock: Arc::new(WallClock::new()),
            mutant,
            many: history.many(),
            fed: Notify::new(),
            bell: Notify::new(),
            faults: BTreeMap::new(),
            acts: BTreeMap::new(),
            says: BTreeMap::new(),
            does: BTreeMap::new(),
            inner: Mutex::new(Inner { trace: Trace::new(told), ..Inner::default() }),
        };
        for (_, item) in &history.items {
            world.plan(item.clone());
        }
        Arc::new(world)
    }

    fn plan(&mut self, item: Item) {
        match item {
            Item::Step { .. } => {}
            Item::Fault { step, after, fault } => drop(self.faults.insert((step, after), fault)),
            Item::Act { n, sink, attempt, act } => drop(self.acts.insert((n, sink, attempt), act)),
            Item::Says { n, question, says } => drop(self.says.insert((n, question), says)),
            Item::Does { n, nth, does } => drop(self.does.insert((n, nth), does)),
        }
    }

    pub(crate) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // -- what is planned ----------------------------------------------------------------------------------------------

    pub(crate) fn begin_step(&self, step: usize) {
        let mut inner = self.inner();
        (inner.step, inner.points) = (step, 0);
    }

    /// A process comes to one of its points; gives what goes wrong there.
    pub(crate) fn reach(&self, process: u64, name: &str) -> Option<Fault> {
        let mut inner = self.inner();
        inner.points += 1;
        let at = (inner.step, inner.points);
        let fault = self.faults.get(&at).filter(|_| !inner.calm).cloned();
        if let Some(fault) = &fault {
            *inner.fates.entry(kind_of(fault)).or_default() += 1;
        }
        self.tell(&mut inner, || {
            format!("p{process} {name}{}", fault.as_ref().map_or(String::new(), |f| format!(": {f:?}")))
        });
        fault
    }

    pub(crate) fn wish(&self, process: u64, wish: Wish) {
        self.inner().wishes.push((process, wish));
        self.bell.notify_waiters();
    }

    pub(crate) fn wishes(&self) -> Vec<(u64, Wish)> {
        std::mem::take(&mut self.inner().wishes)
    }

    pub(crate) fn act(&self, n: u32, sink: &str, attempt: u32) -> Act {
        let planned = self.acts.iter().find(|((of, at, number), _)| (*of, *at, *number) == (n, sink, attempt));
        planned.filter(|_| !self.inner().calm).map_or(Act::Take { transit: 1, answer: 1 }, |(_, act)| act.clone())
    }

    /// The answer to the next question about an order; `None`: the truth.
    pub(crate) fn says(&self, n: u32) -> Option<Says> {
        let mut inner = self.inner();
        let question = inner.questions.entry(n).or_default();
        *question += 1;
        self.says.get(&(n, *question)).cloned().filter(|_| !inner.calm)
    }

    pub(crate) fn does(&self, n: u32) -> Option<Does> {
        let mut inner = self.inner();
        let nth = inner.tries.entry(n).or_default();
        *nth += 1;
        self.does.get(&(n, *nth)).cloned().filter(|_| !inner.calm)
    }

    // -- what is fed --------------------------------------------------------------------------------------------------

    pub(crate) fn feed(&self, source: &'static str, feed: Feed) {
        self.inner().queues.entry(source).or_default().push_back(feed);
        self.fed.notify_waiters();
    }

    /// An answer for an order.
    pub(crate) fn answer(&self, n: u32, id: &str) {
        let body = format!(r#"{{"chiave":"e{n}","testo":"ok"}}"#).into_bytes();
        self.feed("esiti", Feed { id: format!("a-{n}-{id}"), body });
    }

    // -- what is judged -----------------------------------------------------------------------------------------------

    /// A commit is durable.
    pub(crate) fn committed(&self, process: u64, commit: &Commit, offsets: &[Offset]) {
        let (owners, events): (Vec<u16>, Vec<Event>) = events(commit).into_iter().unzip();
        let mut inner = self.inner();
        inner.trace.commit(commit, offsets);
        let Inner { custody, sends, .. } = &mut *inner;
        let judged = custody.follow(commit, offsets, &events).and_then(|()| sends.follow(process, commit, &events));
        for event in &events {
            self.tell(&mut inner, || {
                format!("p{process} wrote {} [{}] {:?}", event.case.id, event.segment, event.what)
            });
        }
        for (owner, event) in owners.into_iter().zip(events) {
            inner.sent.entry(owner).or_default().push_back(event);
        }
        Self::judge(&mut inner, judged);
    }

    /// Looks at something that must hold.
    pub(crate) fn judged(&self, check: impl FnOnce(&mut Inner) -> Result<(), String>) {
        let mut inner = self.inner();
        let judged = check(&mut inner);
        Self::judge(&mut inner, judged);
    }

    fn judge(inner: &mut Inner, judged: Result<(), String>) {
        if let Err(what) = judged {
            let _ = inner.wrong.get_or_insert(what);
        }
    }

    pub(crate) fn wrong(&self) -> Option<String> {
        self.inner().wrong.clone()
    }

    /// Says something to whoever reads the story of a failure.
    pub(crate) fn note(&self, what: impl FnOnce() -> String) {
        self.tell(&mut self.inner(), what);
    }

    fn tell(&self, inner: &mut Inner, what: impl FnOnce() -> String) {
        let now = self.clock.now();
        inner.trace.tell(now, what);
    }

    pub(crate) fn fates(&self) -> BTreeMap<&'static str, u64> {
        self.inner().fates.clone()
    }

    pub(crate) fn fated(&self, what: &'static str) {
        *self.inner().fates.entry(what).or_default() += 1;
    }
}

fn kind_of(fault: &Fault) -> &'static str {
    match fault {
        Fault::Kill { .. } => "kills",
        Fault::Freeze { usurped: true, .. } => "usurped freezes",
        Fault::Freeze { .. } => "freezes",
        Fault::Delay { .. } => "delays",
        Fault::Refuse => "refused commits",
        Fault::Lose => "lost answers of commits",
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("World")
    }
}
