//! Opens everything, runs the loops, stops them in order.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hub_backbone::{Backbone, Blobs, Place, Topic};
use hub_core::journal::Event;
use hub_core::plugin::{OpenCx, Shared as SharedThings};
use hub_core::{Body, Clock, Entities, Message, Value};
use hub_route::CaseModel;
use hub_route::plan::Plan;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::admit::Admission;
use crate::case::CaseWorker;
use crate::claim::Claims;
use crate::clock::{ClockGuard, OFF_MAX};
use crate::deliver::DeliverWorker;
use crate::intake;
use crate::operate::Alarm;
use crate::process::ProcessWorker;
use crate::record::{StoredBody, Work};
use crate::routes::{Route, Routes};
use crate::wait::WaitWorker;
use crate::worker::{self, Worker};
use crate::{Error, RouteStatus};

/// Signals that wait for one worker.
const SIGNALS_MAX: usize = 1024;
/// How long workers have to end after sends were cut off.
const ABORTED_WITHIN: Duration = Duration::from_secs(10);
/// Bodies above this go to the blob store before their record.
const INLINE_MAX: usize = 16 * 1024;

/// Limits of a hub.
#[derive(Clone, Copy, Debug)]
pub struct RuntimeLimits {
    /// Largest body that is admitted.
    pub body_max: usize,
    /// Messages that may wait in one inbox partition before admission answers "busy".
    pub backlog_max: u64,
    /// Outbound messages that one partition keeps in memory (their names and lives); more stay in the store.
    pub pending_max: usize,
    /// How long a stop waits for sends that are under way.
    pub grace: Duration,
    /// How long one step may take; one that takes longer counts as unavailable.
    pub step: Duration,
    /// How far the wall clock may be off the boot clock, or behind the journal's last time, before nothing expires any more.
    /// A test that turns its clock by hand sets it to [`Duration::MAX`].
    pub clock_off_max: Duration,
}

impl Default for RuntimeLimits {
    fn default() -> Self {
        Self {
            body_max: 4 << 20,
            backlog_max: 50_000,
            pending_max: 100_000,
            grace: Duration::from_secs(20),
            step: Duration::from_secs(60),
            clock_off_max: OFF_MAX,
        }
    }
}

/// Everything a hub is made of.
pub struct HubSettings {
    /// The log.
    pub backbone: Arc<dyn Backbone>,
    /// Large bodies and documents.
    pub blobs: Arc<dyn Blobs>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The routes that take new messages.
    pub routes: Vec<Plan>,
    /// Versions that older messages finish on; their sources stay closed.
    pub older: Vec<Plan>,
    /// `config/entities.yaml`.
    pub entities: Arc<Entities>,
    /// `config/cases.yaml`.
    pub cases: Arc<CaseModel>,
    /// Named settings of `config/hub.yaml`, see [`OpenCx::named`].
    pub named: Arc<HashMap<String, HashMap<String, Value>>>,
    /// The configuration's folder.
    pub root: PathBuf,
    /// Limits.
    pub limits: RuntimeLimits,
}

impl std::fmt::Debug for HubSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HubSettings").field("root", &self.root).finish_non_exhaustive()
    }
}

/// What all loops share.
pub(crate) struct Shared {
    pub(crate) backbone: Arc<dyn Backbone>,
    pub(crate) blobs: Arc<dyn Blobs>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entities: Arc<Entities>,
    pub(crate) cases: Arc<CaseModel>,
    pub(crate) routes: Routes,
    pub(crate) limits: RuntimeLimits,
    pub(crate) admission: Admission,
    pub(crate) verdicts: Mutex<HashMap<String, oneshot::Sender<Verdict>>>,
    pub(crate) status: Mutex<Vec<RouteStatus>>,
    /// Taken by batches that look at hub-wide keys; see [`crate::batch::Batch::lock_keys`].
    pub(crate) keys: Arc<tokio::sync::Mutex<()>>,
    /// Numbers the commands of people.
    pub(crate) commands: AtomicU64,
    guard: ClockGuard,
    stop: watch::Sender<bool>,
    abort: watch::Sender<bool>,
    failure: Mutex<Option<Error>>,
    ready: AtomicBool,
}

/// What the owner of a thing says to a command; see `commands.rs`.
pub(crate) enum Verdict {
    Decided(crate::Decided),
    Released(crate::Released),
}

impl Shared {
    pub(crate) fn stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// Completes when the hub begins to stop.
    pub(crate) async fn stopped(&self) {
        let _ = self.stop.subscribe().wait_for(|stop| *stop).await;
    }

    /// Completes when sends that are under way have to end.
    pub(crate) async fn aborted(&self) {
        let _ = self.abort.subscribe().wait_for(|abort| *abort).await;
    }

    /// Completes at an instant, or never.
    pub(crate) async fn until(&self, at: Option<Timestamp>) {
        match at {
            Some(_) if !self.clock_agrees() => tokio::time::sleep(Duration::from_secs(1)).await,
            Some(at) => self.clock.sleep_until(at).await,
            None => std::future::pending().await,
        }
    }

    /// Whether the wall clock can be believed: if not, nothing expires.
    pub(crate) fn clock_agrees(&self) -> bool {
        self.guard.off(self.clock.now()).is_none()
    }

    /// Whether this life may still act on the outside world.
    pub(crate) fn may_act(&self) -> Result<(), String> {
        match &*self.failure.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(format!("this hub has lost its store: {error}")),
            None => Ok(()),
        }
    }

    pub(crate) fn failure(&self) -> Option<Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::SeqCst) && self.failure().is_none() && !self.stopping()
    }

    /// What records and values of any size go through.
    pub(crate) fn claims(&self) -> Claims<'_> {
        Claims { backbone: &*self.backbone, blobs: &*self.blobs }
    }

    pub(crate) fn fail(&self, error: Error) {
        tracing::error!(%error, "the hub stops");
        let _ = self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        let _ = self.stop.send_replace(true);
        let _ = self.abort.send_replace(true);
    }

    /// A body as a record holds it; large ones are durable in the blob store first.
    pub(crate) async fn store_body(&self, body: &Body) -> Result<StoredBody, Error> {
        if body.bytes.len() > INLINE_MAX {
            return Ok(StoredBody::Blob(body.media, self.blobs.put(&body.bytes).await?));
        }
        Ok(match std::str::from_utf8(&body.bytes) {
            Ok(text) => StoredBody::Text(body.media, text.to_string()),
            Err(_) => StoredBody::Hex(body.media, hex::encode(&body.bytes)),
        })
    }

    pub(crate) async fn load_body(&self, stored: &StoredBody) -> Result<Body, Error> {
        match stored {
            StoredBody::Text(media, text) => Ok(Body::new(*media, text.clone().into_bytes())),
            StoredBody::Hex(media, text) => {
                let bytes = hex::decode(text).map_err(|e| Error::Format(format!("a body cannot be read: {e}")))?;
                Ok(Body::new(*media, bytes))
            }
            StoredBody::Blob(media, sha256) => match self.blobs.get(sha256).await? {
                Some(bytes) => Ok(Body::new(*media, bytes)),
                None => Err(Error::Format(format!("blob {sha256} is missing: restore it from a backup"))),
            },
        }
    }

    pub(crate) async fn message(&self, work: &Work) -> Result<Message, Error> {
        Ok(Message {
            id: work.id.clone(),
            lane: hub_core::Lane(work.lane.clone()),
            case: work.case.clone(),
            headers: work.headers.clone(),
            body: self.load_body(&work.body).await?,
        })
    }

    pub(crate) fn entity(&self, code: Option<&str>) -> Value {
        code.and_then(|code| self.entities.get(code)).cloned().unwrap_or(Value::Null)
    }

    pub(crate) fn set_status(&self, route: &str, state: &str, error: Option<String>) {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(status) = status.iter_mut().find(|status| status.name == route) {
            (status.state, status.error) = (state.to_string(), error);
        }
    }

    /// What an operator should look at.
    pub(crate) fn alarms(&self) -> Vec<Alarm> {
        let mut alarms = Vec::new();
        let mut alarm = |name: &str, subject: &str, detail: String| {
            alarms.push(Alarm { name: name.into(), subject: subject.into(), detail });
        };
        if let Some(off) = self.guard.off(self.clock.now()) {
            alarm("clock", "wall clock", format!("it is {off:?} off the boot clock; nothing expires until they agree"));
        }
        if let Some(error) = self.failure() {
            alarm("store", "backbone", error.to_string());
        }
        for status in self.status.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            if let Some(error) = &status.error {
                alarm("source", &status.name, error.clone());
            }
        }
        alarms
    }
}

/// A running hub.
pub struct Hub {
    pub(crate) shared: Arc<Shared>,
    intake: JoinSet<()>,
    workers: JoinSet<()>,
    things: Arc<SharedThings>,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hub")
    }
}

impl Hub {
    /// Opens all routes, restores what earlier lives left, and starts to work. Sources are opened last.
    ///
    /// # Errors
    /// When a step or a sink cannot be opened. A source that cannot be opened is tried again with backoff instead.
    pub async fn start(settings: HubSettings) -> Result<Self, Error> {
        let things = Arc::new(SharedThings::default());
        let template = OpenCx {
            clock: settings.clock.clone(),
            root: settings.root.clone(),
            route: String::new(),
            cursor: Value::Null,
            entities: settings.entities.clone(),
            named: settings.named.clone(),
            shared: things.clone(),
        };
        let mut routes = Routes::default();
        let mut current = Vec::new();
        for plan in settings.older {
            let cx = OpenCx { route: plan.route.clone(), ..template.clone() };
            routes.insert(Arc::new(Route::open(plan, &cx).await?));
        }
        for plan in settings.routes {
            let cx = OpenCx { route: plan.route.clone(), ..template.clone() };
            let route = Arc::new(Route::open(plan, &cx).await?);
            current.push(route.clone());
            routes.insert(route);
        }
        let status = current.iter().map(|route| status_of(route)).collect();
        let now = settings.clock.now();
        let written = last_written(&*settings.backbone).await?;
        let shared = Arc::new(Shared {
            backbone: settings.backbone,
            blobs: settings.blobs,
            clock: settings.clock,
            entities: settings.entities,
            cases: settings.cases,
            routes,
            limits: settings.limits,
            admission: Admission::default(),
            verdicts: Mutex::default(),
            status: Mutex::new(status),
            keys: Arc::default(),
            commands: AtomicU64::new(0),
            guard: ClockGuard::new(now, settings.limits.clock_off_max, written),
            stop: watch::Sender::new(false),
            abort: watch::Sender::new(false),
            failure: Mutex::default(),
            ready: AtomicBool::new(false),
        });
        let mut hub = Self { shared, intake: JoinSet::new(), workers: JoinSet::new(), things };
        hub.start_workers();
        for route in current {
            let cx = OpenCx { route: route.plan.route.clone(), ..template.clone() };
            let _ = hub.intake.spawn(intake::run(hub.shared.clone(), route, cx));
        }
        hub.shared.ready.store(true, Ordering::SeqCst);
        Ok(hub)
    }

    fn start_workers(&mut self) {
        for partition in 0..self.shared.backbone.partitions() {
            let shared = &self.shared;
            let (sender, receiver) = mpsc::channel(SIGNALS_MAX);
            let place = |topic| Place::new(topic, partition);
            let deliver = DeliverWorker::new(place(Topic::OUTBOX), shared.clone(), sender);
            spawn(&mut self.workers, shared, deliver, receiver);
            let process = ProcessWorker::new(place(Topic::INBOX), shared.clone());
            spawn(&mut self.workers, shared, process, mpsc::channel(1).1);
            let wait = WaitWorker::new(place(Topic::WAITS), shared.clone());
            spawn(&mut self.workers, shared, wait, mpsc::channel(1).1);
            let case = CaseWorker::new(place(Topic::CASES), shared.clone());
            spawn(&mut self.workers, shared, case, mpsc::channel(1).1);
        }
    }

    /// What sources and sinks share (listeners): for tests and the demo, which ask for addresses.
    #[must_use]
    pub fn things(&self) -> &Arc<SharedThings> {
        &self.things
    }

    /// What people may ask of this hub.
    #[must_use]
    pub fn operate(&self) -> Arc<dyn crate::Operate> {
        Arc::new(crate::commands::Operator(self.shared.clone()))
    }

    /// Completes when the hub has to stop by itself, with the reason.
    pub async fn failed(&self) -> Error {
        self.shared.stopped().await;
        self.shared.failure().unwrap_or(Error::Stopping)
    }

    /// Stops: no new messages, no new sends; sends under way get some time to end and their outcomes are recorded.
    ///
    /// # Errors
    /// What made the hub fail, if it did.
    pub async fn stop(mut self) -> Result<(), Error> {
        let _ = self.shared.stop.send_replace(true);
        let grace = self.shared.limits.grace;
        // A source that does not end its `settle` is cut off, as a crash would: it hears the same verdicts at the next start.
        if !ended_within(grace, &mut self.intake).await {
            self.intake.shutdown().await;
        }
        if !ended_within(grace, &mut self.workers).await {
            let _ = self.shared.abort.send_replace(true);
            // Sends end at once now; a worker that still does not end hangs in a step or in the store, and the next start
            // reads what it had not committed.
            if !ended_within(ABORTED_WITHIN, &mut self.workers).await {
                self.workers.shutdown().await;
            }
        }
        self.shared.failure().map_or(Ok(()), Err)
    }
}

impl Drop for Hub {
    /// A hub that is dropped without [`Hub::stop`] must not go on sending: attempts that have not crossed do not cross.
    fn drop(&mut self) {
        if !self.shared.stopping() {
            self.shared.fail(Error::Stopping);
        }
    }
}

/// Waits until all tasks have ended; says whether they have.
async fn ended_within(limit: Duration, tasks: &mut JoinSet<()>) -> bool {
    let all = async {
        while let Some(ended) = tasks.join_next().await {
            report(&ended);
        }
    };
    tokio::time::timeout(limit, all).await.is_ok()
}

/// The last time in the journal.
async fn last_written(backbone: &dyn Backbone) -> Result<Timestamp, Error> {
    let mut last = Timestamp::MIN;
    for partition in 0..backbone.partitions() {
        let place = Place::new(Topic::JOURNAL, partition);
        let Some(offset) = backbone.end(place).await?.checked_sub(1) else { continue };
        for record in backbone.read(place, offset, 1, 1).await? {
            let event: Event = serde_json::from_slice(&record.bytes)
                .map_err(|e| Error::Format(format!("{place} offset {offset} cannot be read: {e}")))?;
            last = last.max(event.at);
        }
    }
    Ok(last)
}

fn report(ended: &Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a loop of the hub ended badly");
    }
}

fn status_of(route: &Route) -> RouteStatus {
    RouteStatus {
        name: route.plan.route.clone(),
        description: route.plan.description.clone(),
        version: route.plan.version.clone(),
        source: route.plan.source.kind.to_string(),
        state: "starting".into(),
        error: None,
    }
}

/// Runs a worker; its failure is the hub's.
fn spawn<W: Worker + 'static>(
    set: &mut JoinSet<()>,
    shared: &Arc<Shared>,
    worker: W,
    signals: mpsc::Receiver<W::Signal>,
) {
    let bell = Bell(Some(shared.clone()));
    let _ = set.spawn(async move {
        let mut bell = bell;
        let ended = match &bell.0 {
            Some(shared) => worker::run(worker, shared, signals).await,
            None => Ok(()),
        };
        if let (Some(shared), Err(error)) = (bell.0.take(), ended) {
            shared.fail(error);
        }
    });
}

/// Stops the hub when a loop ends by a panic. (A loop that a stop cut off has not panicked.)
struct Bell(Option<Arc<Shared>>);

impl Drop for Bell {
    fn drop(&mut self) {
        if let Some(shared) = self.0.as_ref().filter(|shared| !shared.stopping() || std::thread::panicking()) {
            shared.fail(Error::Format("a loop of the hub panicked".into()));
        }
    }
}
