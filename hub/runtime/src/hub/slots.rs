//! Workers come and go with the slots of this hub.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hub_backbone::{Error as LogError, Place, Terms, Topic};
use hub_core::journal::Event;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{Bell, SIGNALS_MAX, Shared, report};
use crate::Error;
use crate::case::CaseWorker;
use crate::deliver::DeliverWorker;
use crate::process::ProcessWorker;
use crate::tenure::Tenure;
use crate::wait::WaitWorker;
use crate::worker::{self, Worker};

/// Before work on a slot whose journal could not be read is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// The slots of this hub, each with its workers.
pub(super) struct Slots {
    shared: Arc<Shared>,
    terms: Terms,
    running: BTreeMap<u16, Slot>,
}

struct Slot {
    tenure: Arc<Tenure>,
    workers: JoinSet<()>,
}

impl Slots {
    /// Nothing runs yet.
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let terms = (0..shared.backbone.partitions()).map(|slot| shared.backbone.term(slot)).collect();
        Self { shared, terms, running: BTreeMap::new() }
    }

    /// Starts the workers of what this hub owns now.
    pub(super) fn start(&mut self) {
        for (slot, term) in (0..).zip(self.terms.clone()) {
            if let Some(term) = term {
                self.begin(slot, term);
            }
        }
    }

    /// Follows the terms until the hub stops, and then its workers to their end.
    pub(super) async fn run(mut self) {
        while !self.shared.stopping() {
            let shared = self.shared.clone();
            let terms = tokio::select! {
                biased;
                () = shared.stopped() => break,
                terms = shared.backbone.terms_beyond(&self.terms) => terms,
            };
            match terms {
                Ok(terms) => self.follow(terms).await,
                Err(error) => self.shared.fail(error.into()),
            }
        }
        for slot in self.running.values_mut() {
            while let Some(ended) = slot.workers.join_next().await {
                report(&ended);
            }
        }
    }

    async fn follow(&mut self, mut terms: Terms) {
        let over: Vec<u16> = (self.running.iter())
            .filter(|(slot, running)| terms.get(usize::from(**slot)).copied().flatten() != Some(running.tenure.term))
            .map(|(slot, _)| *slot)
            .collect();
        for slot in over {
            self.end(slot).await;
        }
        for (slot, term) in (0..).zip(terms.clone()) {
            let Some(term) = term.filter(|_| !self.running.contains_key(&slot)) else { continue };
            match self.believe(slot).await {
                Ok(()) => self.begin(slot, term),
                Err(Error::Backbone(LogError::Lost { .. })) => {
                    tracing::info!(slot, "the slot was lost before its workers began");
                }
                Err(error) => {
                    tracing::warn!(slot, %error, "work on the slot cannot begin yet, and is tried again");
                    terms[usize::from(slot)] = None;
                    self.pause().await;
                }
            }
        }
        self.terms = terms;
    }

    /// Before work on a slot is tried again.
    async fn pause(&self) {
        let again = self.shared.clock.now() + PAUSE;
        tokio::select! {
            () = self.shared.stopped() => {}
            () = self.shared.until(Some(again)) => {}
        }
    }

    fn begin(&mut self, slot: u16, term: u64) {
        let tenure = self.shared.tenures.begin(&self.shared.backbone, slot, term);
        tracing::info!(slot, term, "this hub works on the slot");
        self.shared.own(&tenure);
        let workers = workers(&self.shared, &tenure);
        let _ = self.running.insert(slot, Slot { tenure, workers });
    }

    /// Stops the workers of a slot that is not ours any more. What they had not committed is done again by its owner; sends
    /// that have not crossed do not cross.
    async fn end(&mut self, slot: u16) {
        let Some(mut running) = self.running.remove(&slot) else { return };
        tracing::info!(slot, term = running.tenure.term, "the slot is not this hub's any more");
        running.tenure.lose();
        self.shared.disown(&running.tenure);
        running.workers.shutdown().await;
    }

    /// Times that another hub wrote into the journal count as if this one had: its clock must not be behind them.
    async fn believe(&self, slot: u16) -> Result<(), Error> {
        let written = last_written(&*self.shared.backbone, slot).await?;
        self.shared.guard.written(written);
        Ok(())
    }
}

/// The last time in the journal of a slot.
pub(super) async fn last_written(backbone: &dyn hub_backbone::Backbone, slot: u16) -> Result<Timestamp, Error> {
    let place = Place::new(Topic::JOURNAL, slot);
    let Some(offset) = backbone.end(place).await?.checked_sub(1) else { return Ok(Timestamp::MIN) };
    let Some(record) = backbone.read(place, offset, 1, 1).await?.into_iter().next() else { return Ok(Timestamp::MIN) };
    let event: Event = serde_json::from_slice(&record.bytes)
        .map_err(|e| Error::Format(format!("{place} offset {offset} cannot be read: {e}")))?;
    Ok(event.at)
}

fn workers(shared: &Arc<Shared>, tenure: &Arc<Tenure>) -> JoinSet<()> {
    let mut set = JoinSet::new();
    let (sender, receiver) = mpsc::channel(SIGNALS_MAX);
    let deliver = DeliverWorker::new(tenure.clone(), shared.clone(), sender);
    spawn(&mut set, shared, tenure, deliver, receiver);
    let process = ProcessWorker::new(tenure.place(Topic::INBOX), shared.clone());
    spawn(&mut set, shared, tenure, process, mpsc::channel(1).1);
    let wait = WaitWorker::new(tenure.place(Topic::WAITS), shared.clone());
    spawn(&mut set, shared, tenure, wait, mpsc::channel(1).1);
    let case = CaseWorker::new(tenure.place(Topic::CASES), shared.clone());
    spawn(&mut set, shared, tenure, case, mpsc::channel(1).1);
    set
}

/// Runs a worker; its failure is the hub's, unless its slot went to another hub.
fn spawn<W: Worker + 'static>(
    set: &mut JoinSet<()>,
    shared: &Arc<Shared>,
    tenure: &Arc<Tenure>,
    worker: W,
    signals: mpsc::Receiver<W::Signal>,
) {
    let bell = Bell::new(shared.clone(), tenure.clone());
    let (shared, tenure) = (shared.clone(), tenure.clone());
    let _ = set.spawn(async move {
        let bell = bell;
        let ended = worker::run(worker, &shared, &tenure, signals).await;
        bell.silence();
        match ended {
            Err(Error::Backbone(LogError::Lost { slot })) => tracing::info!(slot, "work on the slot ends: it was lost"),
            Err(error) => shared.fail(error),
            Ok(()) => {}
        }
    });
}
