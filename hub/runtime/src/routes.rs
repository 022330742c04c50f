//! Routes whose plug-ins are open.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use hub_core::plugin::OpenCx;
use hub_core::{Sink, Step};
use hub_life::outbound::Policy;
use hub_route::plan::{End, Op, OpKind, Plan};
use tokio::sync::Semaphore;

use crate::{Error, Versions};

/// How often a version is looked for whose news may still be on its way from another hub, and the pause between.
const LOOKS: u32 = 20;
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A route, ready to work.
pub(crate) struct Route {
    pub(crate) plan: Arc<Plan>,
    steps: HashMap<String, Arc<dyn Step>>,
    sinks: HashMap<String, Arc<SinkSlot>>,
}

/// A sink of one route, and how much it takes.
pub(crate) struct SinkSlot {
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) kind: &'static str,
    pub(crate) places: Arc<Semaphore>,
    pub(crate) policy: Policy,
}

impl Route {
    /// Opens all steps and sinks of a plan.
    pub(crate) async fn open(plan: Arc<Plan>, cx: &OpenCx) -> Result<Self, Error> {
        let mut route = Self { plan, steps: HashMap::new(), sinks: HashMap::new() };
        let (mut steps, mut sinks) = (HashMap::new(), HashMap::new());
        for segment in route.plan.segments.values() {
            for op in all_ops(&segment.ops) {
                if let OpKind::Step { kind, opens, .. } = &op.what {
                    let step = opens.open(cx).await.map_err(|e| failed(&route.plan, kind, op.line, &e))?;
                    let _ = steps.insert(op.place.clone(), step);
                }
            }
            if let End::To(send) = &segment.end {
                let sink = send.opens.open(cx).await.map_err(|e| failed(&route.plan, send.kind, 0, &e))?;
                let _ = sinks.insert(segment.id.clone(), Arc::new(slot(&route.plan, send.kind, sink)));
            }
        }
        (route.steps, route.sinks) = (steps, sinks);
        Ok(route)
    }

    pub(crate) fn step(&self, place: &str) -> Option<&Arc<dyn Step>> {
        self.steps.get(place)
    }

    /// Whether its messages only add to what has to be sent: it has sinks, and brings no answers. What waits for answers
    /// would never end if they were kept out.
    pub(crate) fn only_sends(&self) -> bool {
        let ops = self.plan.segments.values().flat_map(|segment| all_ops(&segment.ops));
        !self.sinks.is_empty() && !ops.into_iter().any(|op| matches!(op.what, OpKind::Resume { .. }))
    }

    /// The sink that ends a segment.
    pub(crate) fn sink(&self, segment: &str) -> Option<&Arc<SinkSlot>> {
        self.sinks.get(segment)
    }
}

fn failed(plan: &Plan, kind: &str, line: usize, error: &impl std::fmt::Display) -> Error {
    let at = if line > 0 { format!(" (line {line})") } else { String::new() };
    Error::Open { route: plan.route.clone(), detail: format!("`{kind}`{at}: {error}") }
}

fn all_ops(ops: &[Op]) -> Vec<&Op> {
    let mut all = Vec::new();
    for op in ops {
        all.push(op);
        if let OpKind::Choice(branches) = &op.what {
            for branch in branches {
                all.extend(all_ops(&branch.then));
            }
        }
    }
    all
}

fn slot(plan: &Plan, kind: &'static str, sink: Arc<dyn Sink>) -> SinkSlot {
    let (limits, failure) = (sink.limits(), &plan.on_failure);
    let policy = Policy {
        repeat: sink.repeat(),
        settles_after: sink.settles_after(),
        patience: limits.patience,
        resolve_every: limits.resolve_every,
        attempt: limits.attempt,
        times: failure.times,
        min: failure.min.0,
        max: failure.max.0,
        doubt_holds_lane: limits.doubt_holds_lane,
    };
    SinkSlot { places: Arc::new(Semaphore::new(limits.in_flight.max(1))), sink, kind, policy }
}

type Open = HashMap<(String, String), Arc<Route>>;

/// All live routes: the one that takes new messages, and those that older messages, or newer ones of other hubs, finish on.
pub(crate) struct Routes {
    open: RwLock<Open>,
    /// Held while a version is brought, so that its sinks are opened once.
    bringing: tokio::sync::Mutex<()>,
    versions: Option<Arc<dyn Versions>>,
    template: OpenCx,
}

impl Routes {
    pub(crate) fn new(versions: Option<Arc<dyn Versions>>, template: OpenCx) -> Self {
        Self { open: RwLock::default(), bringing: tokio::sync::Mutex::default(), versions, template }
    }

    /// Opens a version and keeps it.
    pub(crate) async fn open(&self, plan: Arc<Plan>) -> Result<Arc<Route>, Error> {
        let cx = OpenCx { route: plan.route.clone(), ..self.template.clone() };
        let route = Arc::new(Route::open(plan, &cx).await?);
        let key = (route.plan.route.clone(), route.plan.version.clone());
        let _ = self.open.write().unwrap_or_else(PoisonError::into_inner).insert(key, route.clone());
        Ok(route)
    }

    /// The longest `remember` of any of them.
    pub(crate) fn longest_remember(&self) -> Duration {
        let open = self.opened();
        let plans = open.values().map(|route| &route.plan);
        plans.filter_map(|plan| Some(plan.idempotent.as_ref()?.remember.0)).max().unwrap_or_default()
    }

    /// A version that is open already.
    pub(crate) fn get(&self, route: &str, version: &str) -> Option<Arc<Route>> {
        self.opened().get(&(route.to_string(), version.to_string())).cloned()
    }

    /// A version, opened now if another hub brought it. `None`: nobody knows it, also after a moment.
    ///
    /// # Errors
    /// [`Error::Open`] if this hub cannot run it.
    pub(crate) async fn find(&self, route: &str, version: &str) -> Result<Option<Arc<Route>>, Error> {
        match (self.get(route, version), &self.versions) {
            (None, Some(versions)) => self.bring(&**versions, route, version).await,
            (found, _) => Ok(found),
        }
    }

    async fn bring(&self, versions: &dyn Versions, route: &str, version: &str) -> Result<Option<Arc<Route>>, Error> {
        let _one = self.bringing.lock().await;
        let unable = |detail| Error::Open { route: route.to_string(), detail };
        for look in 0..LOOKS {
            if let Some(route) = self.get(route, version) {
                return Ok(Some(route));
            }
            if let Some(plan) = versions.find(route, version).await.map_err(unable)? {
                tracing::info!(route, version, "another hub brought this version; it is opened here, too");
                return self.open(plan).await.map(Some);
            }
            if look + 1 < LOOKS {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
        Ok(None)
    }

    fn opened(&self) -> RwLockReadGuard<'_, Open> {
        self.open.read().unwrap_or_else(PoisonError::into_inner)
    }
}
