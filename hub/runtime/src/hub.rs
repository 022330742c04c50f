//! Opens everything, runs the loops, stops them in order.

mod shared;
mod slots;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hub_backbone::{Backbone, Blobs};
use hub_core::plugin::{OpenCx, Shared as SharedThings};
use hub_core::{Clock, Entities, Value};
use hub_route::CaseModel;
use hub_route::plan::Plan;
use jiff::Timestamp;
use tokio::task::JoinSet;

use self::slots::Slots;
use crate::clock::{ClockGuard, OFF_MAX};
use crate::figures::Gauges;
use crate::flag::Flag;
use crate::recent::Recent;
use crate::recovery::{Recovering, Recovery};
use crate::retain::{Keeper, Retained, RetentionSettings};
use crate::routes::{Route, Routes};
use crate::seen::Seen;
use crate::tenure::{Tenure, Tenures};
use crate::{Error, RouteStatus, Versions, intake};

pub(crate) use shared::{Expected, Shared, Verdict};

/// Signals that wait for one worker.
const SIGNALS_MAX: usize = 1024;
/// How long workers have to end after sends were cut off.
const ABORTED_WITHIN: Duration = Duration::from_secs(10);

/// Limits of a hub.
#[derive(Clone, Copy, Debug)]
pub struct RuntimeLimits {
    /// Largest body that is admitted.
    pub body_max: usize,
    /// Messages that may wait in one inbox partition before admission answers "busy".
    pub backlog_max: u64,
    /// Outbound messages without a receipt that may wait in one outbox partition before admission answers "busy" to routes
    /// that send. Routes that only bring answers are never asked to wait for that: what they bring is what ends the waiting.
    pub unsent_max: u64,
    /// Outbound messages that one partition keeps in memory (their names and lives); more stay in the store.
    pub pending_max: usize,
    /// How long a stop waits for sends that are under way.
    pub grace: Duration,
    /// How long one step may take; one that takes longer counts as unavailable.
    pub step: Duration,
    /// How far the wall clock may be off the boot clock, or behind the journal's last time, before nothing expires any more.
    /// A test that turns its clock by hand sets it to [`Duration::MAX`].
    pub clock_off_max: Duration,
    /// How long senders' own keys are remembered, at least; see [`crate::RetentionSettings`].
    pub transport_keys: Duration,
}

impl Default for RuntimeLimits {
    fn default() -> Self {
        Self {
            body_max: 4 << 20,
            backlog_max: 50_000,
            unsent_max: 250_000,
            pending_max: 20_000,
            grace: Duration::from_secs(20),
            step: Duration::from_secs(60),
            clock_off_max: OFF_MAX,
            transport_keys: Duration::from_secs(90 * 24 * 3600),
        }
    }
}

/// Everything a hub is made of.
pub struct HubSettings {
    /// The log.
    pub backbone: Arc<dyn Backbone>,
    /// How far the ledger has come, if it has a store of its own; `None`: as far as the log.
    pub seen: Option<Arc<dyn Seen>>,
    /// Large bodies and documents.
    pub blobs: Arc<dyn Blobs>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The routes that take new messages.
    pub routes: Vec<Arc<Plan>>,
    /// Versions that older messages finish on; their sources stay closed.
    pub older: Vec<Arc<Plan>>,
    /// Where versions are found that other hubs of the log bring while this one runs.
    pub versions: Option<Arc<dyn Versions>>,
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
        Self::start_over(settings, None).await
    }

    /// The same over a store that may be an old one: then nothing is sent until people release it, lane by lane.
    ///
    /// # Errors
    /// As [`Hub::start`].
    pub async fn start_over(settings: HubSettings, recovery: Option<Recovery>) -> Result<Self, Error> {
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
        let routes = Routes::new(settings.versions, template.clone());
        let mut current = Vec::new();
        for plan in settings.older {
            let _older = routes.open(plan).await?;
        }
        for plan in settings.routes {
            current.push(routes.open(plan).await?);
        }
        let status = current.iter().map(|route| status_of(route)).collect();
        let now = settings.clock.now();
        let written = last_written(&*settings.backbone).await?;
        let partitions = settings.backbone.partitions();
        let recovering = Recovering::begin(&*settings.backbone, recovery, now, written).await?;
        let shared = Arc::new(Shared {
            recovering,
            backbone: settings.backbone,
            seen: settings.seen,
            blobs: Arc::new(Recent::of(settings.blobs)),
            clock: settings.clock,
            entities: settings.entities,
            cases: settings.cases,
            routes,
            limits: settings.limits,
            tenures: Tenures::default(),
            owned: Mutex::default(),
            verdicts: Mutex::default(),
            status: Mutex::new(status),
            keys: Arc::default(),
            commands: AtomicU64::new(0),
            gauges: Gauges::new(now, partitions),
            guard: ClockGuard::new(now, settings.limits.clock_off_max, written),
            stop: Flag::default(),
            abort: Flag::default(),
            failure: Mutex::default(),
            ready: AtomicBool::new(false),
            retention: Mutex::default(),
        });
        let mut hub = Self { shared, intake: JoinSet::new(), workers: JoinSet::new(), things };
        let mut slots = Slots::new(hub.shared.clone());
        slots.start();
        let _ = hub.workers.spawn(slots.run());
        let _ = hub.workers.spawn(crate::commands::listen(hub.shared.clone()));
        for route in current {
            let cx = OpenCx { route: route.plan.route.clone(), ..template.clone() };
            let _ = hub.intake.spawn(intake::run(hub.shared.clone(), route, cx));
        }
        hub.shared.ready.store(true, Ordering::SeqCst);
        Ok(hub)
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

    /// Takes away, from now on and until the hub stops, what is no longer needed.
    pub fn retain(&mut self, settings: RetentionSettings) {
        let _ = self.workers.spawn(Keeper::new(self.shared.clone(), settings).run());
    }

    /// One round of it, at once.
    ///
    /// # Errors
    /// The first step that failed; the others were done.
    pub async fn retain_now(&self, settings: RetentionSettings) -> Result<Retained, Error> {
        Keeper::new(self.shared.clone(), settings).round().await
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
        self.shared.stop.raise();
        let grace = self.shared.limits.grace;
        // A source that does not end its `settle` is cut off, as a crash would: it hears the same verdicts at the next start.
        if !ended_within(grace, &mut self.intake).await {
            self.intake.shutdown().await;
        }
        if !ended_within(grace, &mut self.workers).await {
            self.shared.abort.raise();
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

/// The last time in the journals of this hub's slots.
async fn last_written(backbone: &dyn Backbone) -> Result<Timestamp, Error> {
    let mut last = Timestamp::MIN;
    for slot in (0..backbone.partitions()).filter(|slot| backbone.term(*slot).is_some()) {
        last = last.max(slots::last_written(backbone, slot).await?);
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
        last_taken: None,
    }
}

/// Stops the hub when a loop ends by a panic. (A loop that was cut off, by a stop or with its slot, has not panicked.)
struct Bell(Option<(Arc<Shared>, Arc<Tenure>)>);

impl Bell {
    fn new(shared: Arc<Shared>, tenure: Arc<Tenure>) -> Self {
        Self(Some((shared, tenure)))
    }

    /// The loop has ended by itself.
    fn silence(mut self) {
        self.0 = None;
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        let Some((shared, tenure)) = &self.0 else { return };
        if std::thread::panicking() || !(shared.stopping() || tenure.is_lost()) {
            shared.fail(Error::Format("a loop of the hub panicked".into()));
        }
    }
}
