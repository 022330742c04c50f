//! Routes whose plug-ins are open.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hub_core::plugin::OpenCx;
use hub_core::{Sink, Step};
use hub_life::outbound::Policy;
use hub_route::plan::{End, Op, OpKind, Plan};
use tokio::sync::Semaphore;

use crate::Error;

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

/// All live routes: the one that takes new messages, and those that older messages finish on.
#[derive(Default)]
pub(crate) struct Routes(HashMap<(String, String), Arc<Route>>);

impl Routes {
    pub(crate) fn insert(&mut self, route: Arc<Route>) {
        let _ = self.0.insert((route.plan.route.clone(), route.plan.version.clone()), route);
    }

    /// The longest `remember` of any of them.
    pub(crate) fn longest_remember(&self) -> Duration {
        let plans = self.0.values().map(|route| &route.plan);
        plans.filter_map(|plan| Some(plan.idempotent.as_ref()?.remember.0)).max().unwrap_or_default()
    }

    pub(crate) fn get(&self, route: &str, version: &str) -> Option<Arc<Route>> {
        self.0.get(&(route.to_string(), version.to_string())).cloned()
    }
}
