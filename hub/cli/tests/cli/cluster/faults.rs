//! What can happen, each as a small type: it strikes, and it is mended.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use hub_failpoint::Point;
use serde_json::json;

use crate::cluster::brokers::NODES;
use crate::cluster::scene::{Goal, HUBS, Scene, WIRED, id};

/// Longer than a transaction may be open and a record be on its way (5 s), than a hub may be silent (6 s), and than the
/// cluster waits for a broker (9 s).
const LONG: Duration = Duration::from_secs(12);

/// One thing that goes wrong.
#[async_trait(?Send)]
pub(crate) trait Fault {
    /// What it is, for people.
    fn what(&self) -> String;
    /// A hub that it is not about: people work there meanwhile.
    fn spares(&self) -> usize {
        0
    }
    /// Whether a broker will be missing, so that no other may be.
    fn takes_a_broker(&self) -> bool {
        false
    }
    /// Lets it happen; gives the moment.
    async fn strike(&mut self, scene: &mut Scene<'_>) -> Instant;
    /// How long it lasts at least, even if all works again.
    fn lasts(&self) -> Duration {
        Duration::ZERO
    }
    /// Everything is as before after this, or will be soon.
    async fn mend(&mut self, scene: &mut Scene<'_>);
}

/// The hub after this one.
fn next(hub: usize) -> usize {
    (hub + 1) % HUBS
}

/// SIGKILL of hubs at the same moment.
pub(crate) struct HubsKilled(pub(crate) &'static [usize]);

#[async_trait(?Send)]
impl Fault for HubsKilled {
    fn what(&self) -> String {
        format!("hubs killed: {:?}", self.0)
    }
    fn spares(&self) -> usize {
        (0..HUBS).find(|hub| !self.0.contains(hub)).expect("one is left")
    }
    async fn strike(&mut self, scene: &mut Scene<'_>) -> Instant {
        for hub in self.0 {
            scene.hubs[*hub].kill();
            scene.hubs[*hub].apart = true;
        }
        Instant::now()
    }
    async fn mend(&mut self, scene: &mut Scene<'_>) {
        self.0.iter().for_each(|hub| scene.hubs[*hub].again());
    }
}

/// What a node is to a hub.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    /// Leads a partition of this log.
    Leads(&'static str, i32),
    CoordinatesTheGroup,
    /// Of this hub.
    CoordinatesTransactions(usize),
}

impl Part {
    fn node(self, scene: &Scene<'_>) -> usize {
        match self {
            Self::Leads(log, partition) => scene.brokers.leader(&format!("{}.{log}", scene.name), partition),
            Self::CoordinatesTheGroup => scene.brokers.of_group(&scene.name),
            Self::CoordinatesTransactions(hub) => scene.brokers.of_transactions(&id(&scene.name, hub)),
        }
    }
    fn name(self) -> String {
        match self {
            Self::Leads(log, partition) => format!("the leader of {log}/{partition}"),
            Self::CoordinatesTheGroup => "the coordinator of the group".to_owned(),
            Self::CoordinatesTransactions(hub) => format!("the coordinator of hub {hub}'s transactions"),
        }
    }
}

/// A broker that a fault is about; found when it strikes.
pub(crate) struct Target {
    part: Part,
    node: usize,
}

impl From<Part> for Target {
    fn from(part: Part) -> Self {
        Self { part, node: 0 }
    }
}

impl Target {
    fn find(&mut self, scene: &Scene<'_>) -> usize {
        self.node = self.part.node(scene);
        self.node
    }
}

/// SIGKILL of a broker.
pub(crate) struct BrokerKilled(pub(crate) Target);

#[async_trait(?Send)]
impl Fault for BrokerKilled {
    fn what(&self) -> String {
        format!("broker killed: {}", self.0.part.name())
    }
    fn takes_a_broker(&self) -> bool {
        true
    }
    async fn strike(&mut self, scene: &mut Scene<'_>) -> Instant {
        let node = self.0.find(scene);
        scene.brokers.tell("kill", node);
        Instant::now()
    }
    async fn mend(&mut self, scene: &mut Scene<'_>) {
        scene.brokers.tell("restart", self.0.node);
    }
}

/// A broker that stands still for longer than everything waits for it.
pub(crate) struct BrokerFrozen(pub(crate) Target);

#[async_trait(?Send)]
impl Fault for BrokerFrozen {
    fn what(&self) -> String {
        format!("broker frozen for {} s: {}", LONG.as_secs(), self.0.part.name())
    }
    fn takes_a_broker(&self) -> bool {
        true
    }
    async fn strike(&mut self, scene: &mut Scene<'_>) -> Instant {
        let node = self.0.find(scene);
        scene.brokers.tell("pause", node);
        Instant::now()
    }
    fn lasts(&self) -> Duration {
        LONG
    }
    async fn mend(&mut self, scene: &mut Scene<'_>) {
        scene.brokers.tell("resume", self.0.node);
    }
}

/// A hub that stands still between its durable intent and the first byte, until its slots are others'.
pub(crate) struct HubFrozen(pub(crate) usize);

#[async_trait(?Send)]
impl Fault for HubFrozen {
    fn what(&self) -> String {
        format!("hub {} frozen between intent and first byte", self.0)
    }
    fn spares(&self) -> usize {
        next(self.0)
    }
    async fn strike(&mut self, scene: &mut Scene<'_>) -> Instant {
        scene.hubs[self.0].kill();
        let mark = scene.hubs[self.0].again_until(Point::IntentCommitted);
        let waits = Instant::now();
        let _took = scene.until(waits, Goal::Appears(&mark)).await;
        scene.hubs[self.0].apart = true;
        Instant::now()
    }
    fn lasts(&self) -> Duration {
        LONG
    }
    /// It goes on, and must find out that it may not send.
    async fn mend(&mut self, scene: &mut Scene<'_>) {
        scene.hubs[self.0].go_on();
        scene.hubs[self.0].apart = false;
    }
}

/// A hub leaves in good order and joins again, while SIOPE+ takes its time for every flow.
pub(crate) struct Rebalance(pub(crate) usize);

const SLOW: Duration = Duration::from_millis(1_500);

#[async_trait(?Send)]
impl Fault for Rebalance {
    fn what(&self) -> String {
        format!("hub {} leaves and joins while sends take {SLOW:?}", self.0)
    }
    fn spares(&self) -> usize {
        next(self.0)
    }
    async fn strike(&mut self, scene: &mut Scene<'_>) -> Instant {
        let slow = json!({ "slow_ms": { "chance": 1.0, "ms": SLOW.as_millis() } });
        scene.world.faults(&slow).await.expect("faults");
        let begun = Instant::now();
        tokio::task::block_in_place(|| scene.hubs[self.0].end());
        scene.hubs[self.0].apart = true;
        begun
    }
    async fn mend(&mut self, scene: &mut Scene<'_>) {
        scene.hubs[self.0].again();
        let _took = scene.until(Instant::now(), Goal::AllWork).await;
        scene.world.faults(&trouble()).await.expect("faults");
    }
}

/// What SIOPE+ does all the time.
pub(crate) fn trouble() -> serde_json::Value {
    json!({
        "reset_before_body": { "chance": 0.04 }, "reset_after_taken": { "chance": 0.04 }, "status_503": { "chance": 0.03 },
        "slow_ms": { "chance": 0.2, "ms": 400 }, "double_outcomes": { "chance": 0.1 },
    })
}

/// No byte more can be written on the disk of the last node.
pub(crate) struct DiskFull;

#[async_trait(?Send)]
impl Fault for DiskFull {
    fn what(&self) -> String {
        format!("disk of broker {NODES} full")
    }
    fn takes_a_broker(&self) -> bool {
        true
    }
    async fn strike(&mut self, scene: &mut Scene<'_>) -> Instant {
        scene.brokers.fill_the_disk();
        Instant::now()
    }
    fn lasts(&self) -> Duration {
        LONG
    }
    async fn mend(&mut self, scene: &mut Scene<'_>) {
        scene.brokers.free_the_disk();
        scene.brokers.tell("kill", NODES);
        scene.brokers.tell("restart", NODES);
    }
}

/// Nothing passes between one hub and one broker.
pub(crate) struct Cut(pub(crate) Target);

#[async_trait(?Send)]
impl Fault for Cut {
    fn what(&self) -> String {
        format!("hub {WIRED} cut off for {} s from {}", LONG.as_secs(), self.0.part.name())
    }
    fn spares(&self) -> usize {
        next(WIRED)
    }
    fn takes_a_broker(&self) -> bool {
        true
    }
    async fn strike(&mut self, scene: &mut Scene<'_>) -> Instant {
        let node = self.0.find(scene);
        scene.wires[node - 1].cut(true);
        scene.hubs[WIRED].apart = true;
        Instant::now()
    }
    fn lasts(&self) -> Duration {
        LONG
    }
    async fn mend(&mut self, scene: &mut Scene<'_>) {
        scene.wires[self.0.node - 1].cut(false);
        scene.hubs[WIRED].apart = false;
    }
}
