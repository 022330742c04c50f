//! Plug-ins `sim`, `sim.step` and `sim.sink`: how one process reaches the world.

mod sink;
mod source;

pub(crate) use source::message_id;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use hub_core::plugin::{OpenCx, OpenError, Plugin, Registry, Shared, SinkDef, SourceDef, StepConfig, StepDef};
use hub_core::{Applied, Message, Scope, Step, StepError};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::history::Does;
use crate::process::Process;

/// Where plug-ins find their process; set as soon as the hub has started, before any of its tasks runs.
#[derive(Default)]
pub(crate) struct Link(OnceLock<Arc<Process>>);

impl Link {
    pub(crate) fn of(shared: &Shared) -> Arc<Self> {
        shared.get_or_make("process", || Ok(Self::default())).expect("a link can always be made")
    }

    pub(crate) fn set(&self, process: Arc<Process>) {
        drop(self.0.set(process));
    }

    fn get(&self) -> &Arc<Process> {
        self.0.get().expect("the link is set before the first task runs")
    }
}

/// A step that works, or does what the history plans.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SimStep {}

struct Works(Arc<Link>);

#[async_trait]
impl StepConfig for SimStep {
    const KIND: &'static str = "sim.step";
    async fn open(&self, cx: &OpenCx) -> Result<Arc<dyn Step>, OpenError> {
        Ok(Arc::new(Works(Link::of(&cx.shared))))
    }
}

#[async_trait]
impl Step for Works {
    async fn apply(&self, message: Message, _: &Scope<'_>) -> Result<Applied, StepError> {
        let process = self.0.get();
        let _ = process.point("a step").await;
        match process.world.does(number(&message.body.bytes)) {
            None => {}
            Some(Does::Unavailable) => return Err(StepError::Unavailable("the device is off".into())),
            Some(Does::Invalid) => return Err(StepError::invalid("sim.invalid", "/n", "it is wrong")),
            // Unwinds like a panic, without a report on the terminal for each of thousands.
            Some(Does::Panic) => std::panic::resume_unwind(Box::new("the step panics")),
            Some(Does::Slow { ms }) => tokio::time::sleep(Duration::from_millis(ms)).await,
        }
        process.gate().await;
        Ok(Applied { message, result: Value::Null })
    }
}

/// The order's number in a body.
fn number(body: &[u8]) -> u32 {
    #[derive(Deserialize)]
    struct Numbered {
        n: u32,
    }
    serde_json::from_slice::<Numbered>(body).map_or(0, |body| body.n)
}

const SOURCES: &[SourceDef] = &[SourceDef::of::<source::SimSource>(), SourceDef::of::<source::SimDoor>()];
const STEPS: &[StepDef] = &[StepDef::of::<SimStep>()];
const SINKS: &[SinkDef] = &[SinkDef::of::<sink::SimSink>()];
const PLUGINS: &[Plugin] = &[Plugin { name: "sim", sources: SOURCES, steps: STEPS, sinks: SINKS }];

/// All plug-ins of the simulation.
pub(crate) const REGISTRY: Registry = Registry(PLUGINS);
