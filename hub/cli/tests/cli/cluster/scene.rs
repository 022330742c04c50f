//! Three hubs on a cluster of three, with everything that a fault may touch.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use raccordo::demo::{People, World};
use serde_json::{Value, json};

use crate::cluster::brokers::Brokers;
use crate::cluster::cut::Wire;
use crate::cluster::flow::Flow;
use crate::cluster::hub::Hub;
use crate::verdict::api;

pub(crate) const HUBS: usize = 3;
/// As many as give each hub a lane to SIOPE+: the samples' bodies hash to slots 1, 3 and 5, and each hub gets two in a row.
pub(crate) const SLOTS: u64 = 6;
/// Of this hub every connection to a broker passes a wire that can be cut.
pub(crate) const WIRED: usize = 2;
/// The default. Shorter than the cluster takes to miss a broker (9 s): each broker that dies costs the hubs what is open.
const TRANSACTION: &str = "5s";
/// Within which everything works again after any fault; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(100);

/// What a fault may touch.
pub(crate) struct Scene<'a> {
    pub(crate) world: &'a World,
    pub(crate) brokers: Brokers,
    /// By node.
    pub(crate) wires: Vec<Wire>,
    pub(crate) hubs: Vec<Hub>,
    pub(crate) flow: Flow,
    /// Prefix of the topics, and name of the group.
    pub(crate) name: String,
    people: Option<People>,
}

/// What is waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal<'p> {
    /// Every slot has an owner among the hubs that are not apart.
    AllOwned,
    /// The same, and every hub has one.
    AllWork,
    /// Every door that is not apart has taken an order that was offered since.
    DoorsTake(Instant),
    /// Every broker has everything.
    InSync,
    /// There is such a file.
    Appears(&'p Path),
}

/// The configurations of all hubs: one data folder (for large bodies), each its own listener and admin API.
pub(crate) fn configurations(world: &World, name: &str, brokers: &Brokers, wires: &[Wire], url: &str) -> Vec<PathBuf> {
    let text = std::fs::read_to_string(&world.config).expect("a configuration");
    let made = (0..HUBS).map(|hub| {
        let mut value: Value = serde_json::from_str(&text).expect("JSON");
        let through: Vec<String> = wires.iter().map(|wire| wire.address.clone()).collect();
        value["backbone"] = json!({ "kafka": {
            "brokers": if hub == WIRED { &through } else { &brokers.addresses },
            "prefix": name, "transactional_id": id(name, hub), "partitions": SLOTS, "timeouts": { "transaction": TRANSACTION },
        } });
        value["ledger"] = json!({ "postgres": { "url": url } });
        value["listeners"]["default"]["address_file"] = json!(address(world, hub));
        let path = world.config.with_file_name(format!("hub{hub}.yaml"));
        std::fs::write(&path, value.to_string()).expect("writable");
        path
    });
    made.collect()
}

pub(crate) fn address(world: &World, hub: usize) -> PathBuf {
    world.dir.join(format!("http{hub}.address"))
}

/// The `transactional_id` of a hub.
pub(crate) fn id(name: &str, hub: usize) -> String {
    format!("{name}-{hub}")
}

impl<'a> Scene<'a> {
    pub(crate) fn new(
        world: &'a World,
        brokers: Brokers,
        wires: Vec<Wire>,
        hubs: Vec<Hub>,
        flow: Flow,
        name: &str,
    ) -> Self {
        Self { world, brokers, wires, hubs, flow, name: name.to_owned(), people: None }
    }

    fn token(&self) -> &str {
        self.world.team.token("controllore")
    }

    /// How many slots the hubs work on that are not apart. A hub that has ended by itself is started again.
    pub(crate) async fn owned(&mut self) -> u64 {
        let mut owned = 0;
        for hub in 0..self.hubs.len() {
            owned += self.slots_of(hub).await;
        }
        owned
    }

    pub(crate) async fn slots_of(&mut self, hub: usize) -> u64 {
        let hub = &mut self.hubs[hub];
        if hub.apart {
            return 0;
        }
        hub.look_after();
        let Some(admin) = hub.admin() else { return 0 };
        let asked = tokio::time::timeout(Duration::from_secs(2), api(&admin, self.token(), "status")).await;
        asked.ok().flatten().and_then(|status| status["flow"]["slots"].as_u64()).unwrap_or_default()
    }

    /// Waits until every slot has an owner, and every door that is not apart has taken an order that was offered since.
    /// Gives the times of both, from then on.
    pub(crate) async fn works_again(&mut self, since: Instant) -> (Duration, Duration) {
        let owned = self.until(since, Goal::AllOwned).await;
        (owned, self.until(since, Goal::DoorsTake(since)).await)
    }

    /// Gives how long it took since.
    pub(crate) async fn until(&mut self, since: Instant, goal: Goal<'_>) -> Duration {
        while !self.reached(goal).await {
            if since.elapsed() > PATIENCE {
                let (owned, told) = (self.owned().await, self.flow.told());
                panic!("not within {PATIENCE:?}: {goal:?}; {owned} of {SLOTS} slots have owners; senders: {told:#?}");
            }
            tokio::time::sleep(LOOK).await;
        }
        since.elapsed()
    }

    async fn reached(&mut self, goal: Goal<'_>) -> bool {
        let owned = self.owned().await;
        match goal {
            Goal::AllOwned => owned == SLOTS,
            Goal::DoorsTake(since) => self.flow.passes((0..HUBS).filter(|hub| !self.hubs[*hub].apart), since),
            Goal::AllWork => {
                let mut idle = false;
                for hub in 0..HUBS {
                    idle |= self.slots_of(hub).await == 0;
                }
                owned == SLOTS && !idle
            }
            Goal::InSync => self.brokers.in_sync(),
            Goal::Appears(path) => path.exists(),
        }
    }

    /// People work at this hub from now on.
    pub(crate) async fn people_at(&mut self, hub: usize) {
        if let Some(people) = self.people.take() {
            people.stop().await;
        }
        let admin = self.hubs[hub].admin().expect("it is ready");
        self.people = Some(People::start(&admin, self.world.team.clone()).expect("people"));
    }
}
