//! Several hubs over one log in memory; who owns which slot is what the test says.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hub_backbone::{Backbone, Blobs, Cluster, Memory, MemoryBlobs, Place, Topic};
use hub_core::journal::{Event, What};
use hub_core::{Entities, Value, Verdict};
use hub_route::CaseModel;
use hub_route::plan::Plan;
use hub_runtime::{Hub, HubSettings, Operate, RuntimeLimits, Versions};
use hub_testkit::ManualClock;
use serde_json::json;

use super::outside::{Feed, Link, Outside};
use super::world::{CASES, PATIENCE, files, order_id, plans, told};

pub(crate) const SLOTS: u16 = 4;

/// One hub of several.
pub(crate) struct Member {
    pub(crate) memory: Arc<Memory>,
    pub(crate) hub: Hub,
}

/// Several hubs, their log and what is around them.
pub(crate) struct Many {
    pub(crate) cluster: Cluster,
    pub(crate) hubs: BTreeMap<&'static str, Member>,
    pub(crate) outside: Arc<Outside>,
    pub(crate) clock: Arc<ManualClock>,
    blobs: Arc<dyn Blobs>,
    routes: Vec<String>,
}

impl Many {
    /// Hubs with these names; the slots go round.
    pub(crate) async fn started(names: &[&'static str], routes: &[&str]) -> Self {
        let mut many = Self {
            cluster: Cluster::new(SLOTS),
            hubs: BTreeMap::new(),
            outside: Arc::default(),
            clock: Arc::new(ManualClock::working_day()),
            blobs: Arc::new(MemoryBlobs::default()),
            routes: routes.iter().map(|route| (*route).to_string()).collect(),
        };
        for name in names {
            many.join(name).await;
        }
        for (slot, name) in (0..SLOTS).zip(names.iter().cycle()) {
            many.give(slot, name);
        }
        many
    }

    /// One more hub, without slots.
    pub(crate) async fn join(&mut self, name: &'static str) {
        self.join_with(name, None).await;
    }

    /// The same, with somebody who knows of versions.
    pub(crate) async fn join_with(&mut self, name: &'static str, versions: Option<Arc<dyn Versions>>) {
        let memory = Arc::new(self.cluster.join());
        let entities = Entities(BTreeMap::new());
        let cases = CaseModel::parse("cases.yaml", CASES).expect("the cases are right");
        let texts: Vec<&str> = self.routes.iter().map(String::as_str).collect();
        let settings = HubSettings {
            backbone: memory.clone(),
            seen: None,
            blobs: self.blobs.clone(),
            clock: self.clock.clone(),
            routes: plans(&files(&texts), &entities, &cases),
            older: Vec::new(),
            versions,
            entities: Arc::new(entities),
            cases: Arc::new(cases),
            named: Arc::new(HashMap::new()),
            root: PathBuf::new(),
            limits: RuntimeLimits { clock_off_max: Duration::MAX, ..RuntimeLimits::default() },
        };
        let hub = Hub::start(settings).await.expect("the hub starts");
        Link::of(hub.things()).set_for(self.outside.clone(), name);
        let _ = self.hubs.insert(name, Member { memory, hub });
    }

    /// Hubs that join from now on come with these routes.
    pub(crate) fn bring(&mut self, routes: &[&str]) -> Vec<Arc<Plan>> {
        self.routes = routes.iter().map(|route| (*route).to_string()).collect();
        let cases = CaseModel::parse("cases.yaml", CASES).expect("the cases are right");
        plans(&files(routes), &Entities(BTreeMap::new()), &cases)
    }

    pub(crate) fn give(&self, slot: u16, name: &str) {
        self.cluster.assign(slot, Some(&self.hubs[name].memory));
    }

    /// Gives all slots to one hub.
    pub(crate) fn give_all(&self, name: &str) {
        (0..SLOTS).for_each(|slot| self.give(slot, name));
    }

    /// A hub dies; everybody can know it. Its slots are nobody's until somebody gets them.
    pub(crate) fn kill(&mut self, name: &str) {
        let Member { memory, hub } = self.hubs.remove(name).expect("the hub runs");
        for slot in (0..SLOTS).filter(|slot| memory.term(*slot).is_some()) {
            self.cluster.assign(slot, None);
        }
        memory.bury();
        drop(hub);
    }

    /// The slot of a lane's messages.
    pub(crate) fn slot_of(topic: Topic, key: &str) -> u16 {
        Place::of_key(topic, key, SLOTS).partition
    }

    pub(crate) fn operate(&self, name: &str) -> Arc<dyn Operate> {
        self.hubs[name].hub.operate()
    }

    /// Feeds a batch to the door of one hub and gives its verdicts. One that hears "come again" comes again by itself.
    pub(crate) async fn feed(&self, source: &str, batch: Vec<Feed>) -> Vec<Verdict> {
        let before = self.outside.verdicts().len();
        let said = |verdicts: &Vec<Verdict>| !verdicts.iter().any(|one| matches!(one, Verdict::Busy { .. }));
        self.outside.feed(source, batch);
        self.until("a verdict", || self.outside.verdicts().iter().skip(before).any(said)).await;
        self.outside.verdicts().into_iter().skip(before).find(said).expect("it was there")
    }

    /// Brings one order to the door of a hub.
    pub(crate) async fn order(&self, hub: &str, n: u32, more: Value) -> Verdict {
        let mut body = json!({ "n": n, "corsia": format!("l{n}") });
        if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
            body.extend(more);
        }
        let door = format!("ordini@{hub}");
        self.feed(&door, vec![Feed::new(&format!("o{n}"), body)]).await.remove(0)
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        let places = (0..SLOTS).map(|slot| Place::new(Topic::JOURNAL, slot));
        let records = places.flat_map(|place| self.cluster.records(place));
        records.map(|record| serde_json::from_slice(&record.bytes).expect("an event")).collect()
    }

    pub(crate) async fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let began = Instant::now();
        while !holds() {
            assert!(began.elapsed() < PATIENCE, "waited in vain for {what}; the journal:\n{}", told(&self.events()));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    pub(crate) async fn see(&self, what: &str, fits: impl Fn(&Event) -> bool) -> Event {
        self.until(what, || self.events().iter().any(&fits)).await;
        self.events().into_iter().find(|event| fits(event)).expect("it was there")
    }

    /// The same while time goes on.
    pub(crate) async fn see_later(&self, what: &str, fits: impl Fn(&Event) -> bool) -> Event {
        let clock = self.clock.clone();
        self.until(what, || {
            clock.advance(Duration::from_secs(1));
            self.events().iter().any(&fits)
        })
        .await;
        self.events().into_iter().find(|event| fits(event)).expect("it was there")
    }

    pub(crate) async fn finished(&self, n: u32) {
        let id = order_id(n);
        drop(self.see(&format!("order {n} to finish"), |e| e.message == id && e.what == What::Finished).await);
    }

    /// Waits until nothing is left to do, and stops all hubs.
    pub(crate) async fn stop(mut self) {
        for (name, member) in std::mem::take(&mut self.hubs) {
            member.hub.stop().await.unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
}
