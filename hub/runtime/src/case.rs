//! The owner of cases: judges states, and is the only one that writes their history.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use hub_backbone::{Place, Stored};
use hub_core::journal::{Event, What};
use hub_failpoint::Point;
use hub_route::Judged;

use crate::Error;
use crate::batch::{Batch, Written};
use crate::hub::Shared;
use crate::record::{CaseRecord, decode};
use crate::timers::Timers;
use crate::worker::Worker;

/// Cases whose state is remembered; beyond, all are looked up anew.
const REMEMBERED_MAX: usize = 4096;

/// One partition of the cases.
pub(crate) struct CaseWorker {
    place: Place,
    shared: Arc<Shared>,
    timers: Timers,
    /// The state of the cases that were met lately. Nobody else writes them, and a commit that fails ends this worker.
    states: HashMap<String, String>,
}

impl CaseWorker {
    pub(crate) fn new(place: Place, shared: Arc<Shared>) -> Self {
        Self { place, shared, timers: Timers::default(), states: HashMap::new() }
    }

    async fn event(&mut self, batch: &mut Batch<'_>, mut event: Event) -> Result<(), Error> {
        let case = event.case.id.clone();
        let state = self.state(batch, &event).await?;
        if let What::State { to, from, moved, note } = &mut event.what {
            let before = Some(state.as_str()).filter(|state| !state.is_empty());
            let judged = self.shared.cases.judge(&event.case.kind, before, to);
            from.clone_from(&state);
            *moved = judged == Judged::Moved;
            *note = note_of(&judged, &event.case.kind);
            if *moved {
                batch.put(self.place, "state", &case, to);
                self.remember(&case, to);
            }
        }
        batch.journal(self.place.partition, &event);
        Ok(())
    }

    /// The state of an event's case; the case begins if there is none.
    async fn state(&mut self, batch: &mut Batch<'_>, event: &Event) -> Result<String, Error> {
        let case = &event.case.id;
        if let Some(state) = self.states.get(case) {
            return Ok(state.clone());
        }
        let state = match batch.get::<String>(self.place, "state", case).await? {
            Some(state) => state,
            None => self.begin(batch, event),
        };
        self.remember(case, &state);
        Ok(state)
    }

    fn remember(&mut self, case: &str, state: &str) {
        if self.states.len() >= REMEMBERED_MAX {
            self.states.clear();
        }
        let _ = self.states.insert(case.to_string(), state.to_string());
    }

    /// A case begins in its kind's initial state, if there is one way to begin.
    fn begin(&self, batch: &mut Batch<'_>, event: &Event) -> String {
        let initial = self.shared.cases.kind(&event.case.kind).map(|kind| &kind.initial);
        let initial = initial.filter(|all| all.len() == 1).and_then(|all| all.first().cloned()).unwrap_or_default();
        batch.put(self.place, "state", &event.case.id, &initial);
        if !initial.is_empty() {
            let what = What::State { to: initial.clone(), from: String::new(), moved: true, note: String::new() };
            batch.journal(self.place.partition, &Event { what, ..event.clone() });
        }
        initial
    }
}

fn note_of(judged: &Judged, kind: &str) -> String {
    match judged {
        Judged::Moved => String::new(),
        Judged::Late => "late: the case is further on".into(),
        Judged::Forbidden => "config/cases.yaml does not allow this move".into(),
        Judged::UnknownKind => format!("config/cases.yaml has no kind `{kind}`"),
        Judged::UnknownState => format!("config/cases.yaml has no such state for `{kind}`"),
    }
}

#[async_trait]
impl Worker for CaseWorker {
    type Signal = ();
    const FAILPOINTS: [Point; 2] = [Point::CaseCommit, Point::CaseCommitted];

    fn place(&self) -> Place {
        self.place
    }

    fn timers(&mut self) -> &mut Timers {
        &mut self.timers
    }

    async fn restore(&mut self, _batch: &mut Batch<'_>) -> Result<(), Error> {
        Ok(())
    }

    async fn record(&mut self, batch: &mut Batch<'_>, record: Stored) -> Result<(), Error> {
        let record: CaseRecord = decode(&format!("{} offset {}", self.place, record.offset), &record.bytes)?;
        for event in record.events {
            self.event(batch, event).await?;
        }
        Ok(())
    }

    async fn due(&mut self, _batch: &mut Batch<'_>, _key: String) -> Result<(), Error> {
        Ok(())
    }

    async fn committed(&mut self, _written: Written) -> Result<(), Error> {
        Ok(())
    }
}
