//! The inbox: runs messages from one durable line to the next.

mod keys;

use std::collections::{BTreeSet, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use hub_backbone::{Place, Stored};
use hub_core::journal::{Parked, ParkedKind, What};
use hub_core::{Problem, Value};
use hub_failpoint::Point;
use jiff::Timestamp;
use serde_json::json;

use crate::Error;
use crate::admit::settle_key;
use crate::batch::{Batch, Written, event_about};
use crate::commands::{Answers, released};
use crate::hub::{Shared, Verdict};
use crate::interpret::{Halt, run};
use crate::record::{ActionName, InboxRecord, ParkedWork, ReleaseCommand, Work, decode, owned_id};
use crate::timers::Timers;
use crate::worker::Worker;

/// Messages that may stand in held lanes before the partition stops reading.
const HELD_MAX: usize = 50_000;

/// Held messages of one lane that one commit takes.
const LANE_MAX: usize = 64;

/// A lane whose first message waits for something; the messages themselves are keyed state `held`.
struct Held {
    keys: BTreeSet<String>,
    /// When the first one is tried again.
    again_at: Timestamp,
}

/// One partition of the inbox.
pub(crate) struct ProcessWorker {
    place: Place,
    shared: Arc<Shared>,
    timers: Timers,
    held: HashMap<String, Held>,
    held_count: usize,
    answers: Answers,
}

impl ProcessWorker {
    pub(crate) fn new(place: Place, shared: Arc<Shared>) -> Self {
        Self {
            place,
            shared,
            timers: Timers::default(),
            held: HashMap::new(),
            held_count: 0,
            answers: Answers::default(),
        }
    }

    /// Runs a message; if it cannot go on for now, it is held and its lane with it.
    async fn work(&mut self, batch: &mut Batch<'_>, work: Work, key: &str) -> Result<bool, Error> {
        let savepoint = batch.savepoint();
        let found = self.shared.routes.find(&work.route, &work.version).await;
        let route = found.as_ref().ok().cloned().flatten();
        let result = match &route {
            Some(route) => {
                // A step that panics says something about this message, not about its neighbours.
                let run = AssertUnwindSafe(run(&self.shared, route, work.clone(), batch)).catch_unwind().await;
                run.unwrap_or_else(|_| Err(Halt::Invalid(vec![panicked(&work)])))
            }
            None => {
                let why = found.err().map(|error| format!(" ({error})")).unwrap_or_default();
                let (version, route) = (&work.version, &work.route);
                let detail = format!("version {version} of route {route} is not loaded{why}: load it, then retry");
                Err(Halt::Invalid(vec![Problem::at("route.version", "", detail)]))
            }
        };
        match result {
            Ok(()) => return Ok(true),
            Err(Halt::Fatal(error)) => return Err(error),
            Err(Halt::Elsewhere(claim)) => {
                batch.rollback(&savepoint);
                self.ask(batch, work, key, *claim);
            }
            Err(Halt::Invalid(problems)) => {
                batch.rollback(&savepoint);
                self.park(batch, work, &problems).await?;
                return Ok(true);
            }
            Err(Halt::Unavailable(cause)) => {
                batch.rollback(&savepoint);
                let failure = route.as_ref().map(|route| &route.plan.on_failure);
                let (times, min, max) =
                    failure.map_or((0, 0, 0), |f| (f.times, f.min.0.as_millis(), f.max.0.as_millis()));
                if work.failures >= times {
                    let problem = Problem::at("step.unavailable", "", format!("{cause}; {times} retries are over"));
                    self.park(batch, work, &[problem]).await?;
                    return Ok(true);
                }
                let pause = min.checked_shl(work.failures.min(40)).unwrap_or(max).min(max);
                tracing::warn!(id = %work.id, route = work.route, cause, "step unavailable; the lane waits");
                self.hold(batch, work, key, u64::try_from(pause).unwrap_or(u64::MAX));
            }
        }
        Ok(false)
    }

    fn hold(&mut self, batch: &mut Batch<'_>, work: Work, key: &str, pause_ms: u64) {
        let failures = work.failures + 1;
        self.set_aside(batch, Work { failures, ..work }, key, Duration::from_millis(pause_ms));
    }

    /// Keeps a message, and its lane behind it, until it is tried again.
    fn set_aside(&mut self, batch: &mut Batch<'_>, work: Work, key: &str, pause: Duration) {
        batch.put(self.place, "held", key, &work);
        let again_at = self.shared.clock.now().checked_add(pause).unwrap_or(Timestamp::MAX);
        self.stand(&work.lane, key, again_at).again_at = again_at;
        self.timers.set(again_at, work.lane);
    }

    /// Puts a message into a held lane; `again_at` counts if the lane was not held before.
    fn stand(&mut self, lane: &str, key: &str, again_at: Timestamp) -> &mut Held {
        let held = self.held.entry(lane.to_string()).or_insert_with(|| Held { keys: BTreeSet::new(), again_at });
        self.held_count += usize::from(held.keys.insert(key.to_string()));
        held
    }

    /// Goes on with a held lane as far as it goes.
    async fn lane(&mut self, batch: &mut Batch<'_>, lane: &str) -> Result<(), Error> {
        let now = self.shared.clock.now();
        if let Some(held) = self.held.get(lane).filter(|held| held.again_at > now) {
            self.timers.set(held.again_at, lane);
            return Ok(());
        }
        for _ in 0..LANE_MAX {
            let Some(key) = self.held.get(lane).and_then(|held| held.keys.first().cloned()) else {
                let _ = self.held.remove(lane);
                return Ok(());
            };
            if let Some(work) = batch.get::<Work>(self.place, "held", &key).await? {
                if !self.work(batch, work, &key).await? {
                    return Ok(());
                }
                batch.delete(self.place, "held", &key);
            }
            if let Some(held) = self.held.get_mut(lane) {
                self.held_count -= usize::from(held.keys.remove(&key));
            }
        }
        self.timers.set(now, lane);
        Ok(())
    }

    async fn park(&self, batch: &mut Batch<'_>, work: Work, problems: &[Problem]) -> Result<(), Error> {
        let id = owned_id(self.place, &format!("{}.{}", work.id, work.segment));
        let body = self.shared.load_body(&work.body).await?;
        let sha256 = batch.keep(&body.bytes).await?;
        let parked = Parked {
            id: id.clone(),
            kind: ParkedKind::Step,
            reason: problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
            evidence: json!({ "problems": problems, "segment": work.segment }),
            sha256,
            mime: body.media.mime().to_string(),
        };
        batch.tell(&work, self.shared.clock.now(), What::Parked(parked));
        self.tell_role(batch, &work).await?;
        batch.put(self.place, "parked", &id, &ParkedWork { kind: ParkedKind::Step, work });
        Ok(())
    }

    /// `on_failure: then: {task: role}`: a parked message also shows up as a line in its case for that role.
    async fn tell_role(&self, batch: &mut Batch<'_>, work: &Work) -> Result<(), Error> {
        let role =
            self.shared.routes.get(&work.route, &work.version).and_then(|route| route.plan.on_failure.task.clone());
        if let Some(role) = role {
            let title = format!("stopped: {} {}", work.case.kind, work.case.id);
            crate::wait::open_note(&self.shared, batch, work, &role, &title).await?;
        }
        Ok(())
    }

    async fn release(&mut self, batch: &mut Batch<'_>, command: ReleaseCommand) -> Result<(), Error> {
        let parked = batch.get::<ParkedWork>(self.place, "parked", &command.parked).await?;
        let verdict = match parked {
            None => Err("no such parked message".to_string()),
            Some(parked) if !may_touch(&command, parked.work.case.entity.as_deref()) => {
                Err("it belongs to an entity that is not yours".into())
            }
            Some(parked) => self.carry_out(batch, &command, parked),
        };
        let mark = batch.mark();
        self.answers.push(command.command, mark, move |position| Verdict::Released(released(verdict, position)));
        Ok(())
    }

    fn carry_out(&self, batch: &mut Batch<'_>, command: &ReleaseCommand, parked: ParkedWork) -> Result<(), String> {
        let mut work = parked.work;
        let now = self.shared.clock.now();
        let action = match (command.action, parked.kind) {
            (ActionName::Retry, ParkedKind::Step) => "retry",
            (ActionName::GiveUp, _) => "give_up",
            (_, kind) => return Err(format!("the action does not fit; possible: {}", kind.actions().join(", "))),
        };
        let (parked, by, note) = (command.parked.clone(), command.by.clone(), command.note.clone());
        let what = What::Released { parked: parked.clone(), action: action.into(), by, note };
        batch.event(event_about(&work.case, now, what));
        batch.delete(self.place, "parked", &parked);
        if action == "retry" {
            work.failures = 0;
            batch.work(work);
        }
        Ok(())
    }
}

/// Whether the person of a command may touch a thing of this entity.
pub(crate) fn may_touch(command: &ReleaseCommand, entity: Option<&str>) -> bool {
    command.entities.is_empty() || entity.is_some_and(|entity| command.entities.iter().any(|e| e == entity))
}

#[async_trait]
impl Worker for ProcessWorker {
    type Signal = ();
    const FAILPOINTS: [Point; 2] = [Point::ProcessCommit, Point::ProcessCommitted];

    fn place(&self) -> Place {
        self.place
    }

    fn timers(&mut self) -> &mut Timers {
        &mut self.timers
    }

    async fn restore(&mut self, _batch: &mut Batch<'_>) -> Result<(), Error> {
        let mut after: Option<String> = None;
        let now = self.shared.clock.now();
        loop {
            let page = self.shared.backbone.scan(self.place, "held", after.as_deref(), 500).await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (key, bytes) in page {
                let work: Work = decode("held message", &self.shared.claims().whole(bytes).await?)?;
                let _ = self.stand(&work.lane, &key, now);
            }
        }
        for lane in self.held.keys() {
            self.timers.set(now, lane.clone());
        }
        Ok(())
    }

    async fn record(&mut self, batch: &mut Batch<'_>, record: Stored) -> Result<(), Error> {
        match decode(&format!("{} offset {}", self.place, record.offset), &record.bytes)? {
            InboxRecord::Release(command) => self.release(batch, command).await,
            InboxRecord::Offered(offered) => self.offered(batch, *offered).await,
            InboxRecord::Keyed { transport, message, keep } => {
                batch.lock_keys(&self.shared.keys).await;
                settle_key(batch, self.place, (&transport, &message), keep).await
            }
            InboxRecord::Claim(claim) => self.claim(batch, claim).await,
            InboxRecord::Claimed { lane, note, again } => self.claimed(batch, &lane, &note, again),
            InboxRecord::Work(work) => {
                let key = format!("{:020}", record.offset);
                if let Some(again_at) = self.held.get(&work.lane).map(|held| held.again_at) {
                    batch.put(self.place, "held", &key, &work);
                    let _ = self.stand(&work.lane, &key, again_at);
                    return Ok(());
                }
                let _ = self.work(batch, *work, &key).await?;
                Ok(())
            }
        }
    }

    async fn due(&mut self, batch: &mut Batch<'_>, key: String) -> Result<(), Error> {
        self.lane(batch, &key).await
    }

    async fn committed(&mut self, written: Written) -> Result<(), Error> {
        self.answers.send(&self.shared, &written);
        self.shared.gauges.of(self.place.partition).held.store(self.held_count as u64, Ordering::Relaxed);
        Ok(())
    }

    fn has_room(&self) -> bool {
        self.held_count < HELD_MAX
    }
}

fn panicked(work: &Work) -> Problem {
    let detail = format!("a step of segment `{}` failed on this message; the log names it", work.segment);
    Problem::at("step.panic", "", detail)
}

/// Evidence of a message that was not admitted.
pub(crate) fn refusal_evidence(problems: &[Problem]) -> Value {
    json!({ "problems": problems })
}
