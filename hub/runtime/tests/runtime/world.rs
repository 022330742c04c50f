//! A hub under test, its store, its clock and the outside world.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hub_backbone::{Backbone, Blobs, Embedded, EmbeddedSettings, Fault, Memory, MemoryBlobs, Place, Topic};
use hub_core::journal::{Decision, Event, Parked, ParkedKind, Task, What};
use hub_core::{Clock, Entities, MessageId, Value, Verdict};
use hub_life::outbound::Action;
use hub_life::task::Word;
use hub_route::plan::Plan;
use hub_route::{CaseModel, RouteFile, World as Names, check, render};
use hub_runtime::{
    Decided, Hub, HubSettings, Operate, Recovery, Release, Released, Retained, RetentionSettings, RuntimeLimits,
};
use hub_testkit::ManualClock;
use serde_json::json;

use super::outside::{Feed, Link, Outside, REGISTRY};

/// How long a test waits for something, in real time. Long, since the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const CASES: &str = "
pratica:
  initial: [ricevuta]
  states:
    ricevuta: [approvata, inviata, respinto]
    approvata: [inviata]
    inviata: [chiusa, scaduta]
    scaduta: [chiusa]
    chiusa: []
    respinto: []
  final: [chiusa, respinto]
";

/// What the store is made of.
enum Store {
    Memory(Arc<Memory>),
    Embedded { path: PathBuf, open: Option<Arc<Embedded>> },
}

pub(crate) type FaultHook = Arc<dyn Fn(&hub_backbone::Commit) -> Fault + Send + Sync>;

pub(crate) struct World {
    store: Store,
    blobs: Arc<dyn Blobs>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) outside: Arc<Outside>,
    routes: Vec<RouteFile>,
    older: Vec<RouteFile>,
    pub(crate) limits: RuntimeLimits,
    hub: Option<Hub>,
    /// What the opening of the store has found.
    recovery: Option<Recovery>,
    fault: Arc<Mutex<Option<FaultHook>>>,
    _folder: Option<tempfile::TempDir>,
}

impl World {
    /// A world with these routes, not yet started, on a memory backbone with four partitions.
    pub(crate) fn new(routes: &[&str]) -> Self {
        let fault: Arc<Mutex<Option<FaultHook>>> = Arc::default();
        let hook = fault.clone();
        let memory = Memory::new(4).with_faults(move |commit| {
            let hook = hook.lock().unwrap_or_else(PoisonError::into_inner).clone();
            hook.map_or(Fault::None, |hook| hook(commit))
        });
        Self::over(Store::Memory(Arc::new(memory)), routes, fault)
    }

    /// The same on the embedded backbone.
    pub(crate) fn embedded(routes: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("hub.db");
        let open = Embedded::open(EmbeddedSettings::new(&path, 4)).expect("a new store opens");
        let store = Store::Embedded { path, open: Some(Arc::new(open)) };
        let mut world = Self::over(store, routes, Arc::default());
        world._folder = Some(folder);
        world
    }

    fn over(store: Store, routes: &[&str], fault: Arc<Mutex<Option<FaultHook>>>) -> Self {
        Self {
            store,
            blobs: Arc::new(MemoryBlobs::default()),
            clock: Arc::new(ManualClock::working_day()),
            outside: Arc::default(),
            routes: files(routes),
            older: Vec::new(),
            limits: RuntimeLimits {
                clock_off_max: Duration::MAX,
                grace: Duration::from_secs(30),
                ..RuntimeLimits::default()
            },
            hub: None,
            recovery: None,
            fault,
            _folder: None,
        }
    }

    pub(crate) async fn started(routes: &[&str]) -> Self {
        let mut world = Self::new(routes);
        world.start().await;
        world
    }

    /// Other blobs than those in memory, from the next start on.
    pub(crate) fn keep_blobs(&mut self, blobs: Arc<dyn Blobs>) {
        self.blobs = blobs;
    }

    /// One round of retention.
    pub(crate) async fn retain_now(&self, settings: RetentionSettings) -> Result<Retained, hub_runtime::Error> {
        self.hub.as_ref().expect("the hub runs").retain_now(settings).await
    }

    /// Retention by the clock.
    pub(crate) fn retain(&mut self, settings: RetentionSettings) {
        self.hub.as_mut().expect("the hub runs").retain(settings);
    }

    pub(crate) fn backbone(&self) -> Arc<dyn Backbone> {
        match &self.store {
            Store::Memory(memory) => memory.clone(),
            Store::Embedded { open, .. } => open.clone().expect("the store is open"),
        }
    }

    pub(crate) async fn start(&mut self) {
        let entities = Entities(BTreeMap::from([("UFA".to_string(), json!({ "nome": "ASL A" }))]));
        let cases = CaseModel::parse("cases.yaml", CASES).expect("the cases are right");
        let settings = HubSettings {
            backbone: self.backbone(),
            seen: None,
            blobs: self.blobs.clone(),
            clock: self.clock.clone(),
            routes: plans(&self.routes, &entities, &cases),
            older: plans(&self.older, &entities, &cases),
            versions: None,
            entities: Arc::new(entities),
            cases: Arc::new(cases),
            named: Arc::new(HashMap::new()),
            root: PathBuf::new(),
            limits: self.limits,
        };
        let hub = Hub::start_over(settings, self.recovery.clone()).await.expect("the hub starts");
        Link::of(hub.things()).set(self.outside.clone());
        self.hub = Some(hub);
    }

    /// Changes the routes; earlier versions stay loaded.
    pub(crate) fn reroute(&mut self, routes: &[&str]) {
        self.older = std::mem::replace(&mut self.routes, files(routes));
    }

    /// The hub is gone from one moment to the next; the store is opened again.
    pub(crate) async fn crash(&mut self) {
        drop(self.hub.take());
        self.reopen().await;
        self.start().await;
    }

    pub(crate) async fn stop(&mut self) -> Result<(), hub_runtime::Error> {
        self.hub.take().expect("the hub runs").stop().await
    }

    /// A graceful stop and a new start.
    pub(crate) async fn restart(&mut self) {
        self.stop().await.expect("the hub stops well");
        self.reopen().await;
        self.start().await;
    }

    pub(crate) async fn reopen(&mut self) {
        match &mut self.store {
            Store::Memory(memory) => *memory = Arc::new(memory.reopen()),
            Store::Embedded { path, open } => {
                *open = None;
                let began = Instant::now();
                // Loops that were cut off may hold the old store for a moment.
                let store = loop {
                    match Embedded::open(EmbeddedSettings::new(&*path, 4)) {
                        Ok(store) => break store,
                        Err(error) => assert!(began.elapsed() < PATIENCE, "{error}"),
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                };
                *open = Some(Arc::new(store));
            }
        }
    }

    /// A bit of a record changes on its disk; a second time it is right again.
    pub(crate) fn damage(&self, place: Place, offset: u64) {
        match &self.store {
            Store::Memory(memory) => assert!(memory.damage(place, offset), "{place} has a record {offset}"),
            Store::Embedded { .. } => unreachable!("the file has tests of its own, in hub/backbone"),
        }
    }

    /// A copy of the store as it is now.
    pub(crate) fn copy(&self) -> Memory {
        match &self.store {
            Store::Memory(memory) => memory.copy(),
            Store::Embedded { .. } => unreachable!("only stores in memory are copied here"),
        }
    }

    /// The hub and its store are lost from one moment to the next; a copy takes their place.
    pub(crate) async fn put_back(&mut self, copy: Memory, id: &str) {
        drop(self.hub.take());
        self.store = Store::Memory(Arc::new(copy));
        self.recovery = Some(Recovery { id: id.into(), reason: "it was put back".into(), gaps: Vec::new() });
        self.start().await;
    }

    /// What the store's opening finds from now on.
    pub(crate) fn finds(&mut self, recovery: Option<Recovery>) {
        self.recovery = recovery;
    }

    pub(crate) fn set_fault(&self, hook: Option<FaultHook>) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = hook;
    }

    pub(crate) async fn failed(&self) -> hub_runtime::Error {
        let failed = self.hub.as_ref().expect("the hub runs").failed();
        tokio::time::timeout(PATIENCE, failed).await.expect("the hub fails in time")
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.hub.as_ref().is_some_and(|hub| hub.operate().is_ready())
    }

    /// Opens the store again for another hub, while the present one still runs and does not know; gives the old one.
    pub(crate) async fn usurp(&mut self) -> Hub {
        let old = self.hub.take().expect("the hub runs");
        self.reopen().await;
        self.start().await;
        old
    }

    pub(crate) fn operate(&self) -> Arc<dyn Operate> {
        self.hub.as_ref().expect("the hub runs").operate()
    }

    // -- what comes in ------------------------------------------------------------------------------------------------

    /// Feeds a batch to a source and gives its verdicts.
    pub(crate) async fn feed(&self, source: &str, batch: Vec<Feed>) -> Vec<Verdict> {
        let before = self.outside.verdicts().len();
        self.outside.feed(source, batch);
        self.until("a verdict", || self.outside.verdicts().len() > before).await;
        self.outside.verdicts()[before].clone()
    }

    /// Feeds one order and expects it to be taken.
    pub(crate) async fn order(&self, n: u32, more: Value) {
        let mut body = json!({ "n": n, "corsia": format!("l{n}") });
        if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
            body.extend(more);
        }
        let verdicts = self.feed("ordini", vec![Feed::new(&format!("o{n}"), body)]).await;
        assert!(matches!(verdicts[..], [Verdict::Stored { again: false, .. }]), "{verdicts:?}");
    }

    /// Feeds an answer for a key.
    pub(crate) async fn answer(&self, key: &str, text: &str) {
        let id = format!("a-{key}-{}", text.get(..20).unwrap_or(text));
        let verdicts = self.feed("esiti", vec![Feed::new(&id, json!({ "chiave": key, "testo": text }))]).await;
        assert!(matches!(verdicts[..], [Verdict::Stored { .. }]), "{verdicts:?}");
    }

    // -- what has happened ------------------------------------------------------------------------------------------------

    /// The journal, partition after partition.
    pub(crate) async fn events(&self) -> Vec<Event> {
        let (backbone, mut events) = (self.backbone(), Vec::new());
        for partition in 0..backbone.partitions() {
            let mut from = 0;
            loop {
                let page = backbone.read(Place::new(Topic::JOURNAL, partition), from, 500, 1 << 20).await;
                let page = page.expect("the journal can be read");
                let Some(last) = page.last() else { break };
                from = last.offset + 1;
                let read = page.iter().map(|stored| serde_json::from_slice(&stored.bytes).expect("an event"));
                events.extend(read.collect::<Vec<Event>>());
            }
        }
        events
    }

    /// Waits for a condition, in real time.
    pub(crate) async fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let began = Instant::now();
        while !holds() {
            assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Waits for an event of the journal, the `nth` (from 1) that fits.
    pub(crate) async fn nth(&self, what: &str, nth: usize, fits: impl Fn(&Event) -> bool) -> Event {
        self.search(what, nth, Duration::ZERO, fits).await
    }

    pub(crate) async fn see(&self, what: &str, fits: impl Fn(&Event) -> bool) -> Event {
        self.nth(what, 1, fits).await
    }

    /// The same while time goes on: a second in a few milliseconds.
    pub(crate) async fn see_later(&self, what: &str, fits: impl Fn(&Event) -> bool) -> Event {
        self.search(what, 1, Duration::from_secs(1), fits).await
    }

    async fn search(&self, what: &str, nth: usize, step: Duration, fits: impl Fn(&Event) -> bool) -> Event {
        let began = Instant::now();
        loop {
            let events = self.events().await;
            if let Some(event) = events.iter().filter(|event| fits(event)).nth(nth - 1) {
                return event.clone();
            }
            if began.elapsed() >= PATIENCE {
                panic!("waited in vain for {what}; the journal:\n{}", told(&events));
            }
            if !step.is_zero() {
                self.clock.advance(step);
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    pub(crate) async fn finished(&self, n: u32) -> Event {
        let id = order_id(n);
        self.see(&format!("order {n} to finish"), |e| e.message == id && e.what == What::Finished).await
    }

    pub(crate) async fn finished_case(&self, case: &str) {
        drop(self.see(&format!("{case} to finish"), |e| e.case.id == case && e.what == What::Finished).await);
    }

    pub(crate) async fn parked(&self, kind: ParkedKind) -> Parked {
        self.nth_parked(kind, 1).await
    }

    /// The parked message of one order.
    pub(crate) async fn parked_order(&self, n: u32) -> Parked {
        let case = format!("c{n}");
        let fits = |e: &Event| e.case.id == case && matches!(&e.what, What::Parked(_));
        match self.see("a parked message", fits).await.what {
            What::Parked(parked) => parked,
            _ => unreachable!("only parked events fit"),
        }
    }

    pub(crate) async fn nth_parked(&self, kind: ParkedKind, nth: usize) -> Parked {
        let fits = |e: &Event| matches!(&e.what, What::Parked(parked) if parked.kind == kind);
        match self.nth("a parked message", nth, fits).await.what {
            What::Parked(parked) => parked,
            _ => unreachable!("only parked events fit"),
        }
    }

    pub(crate) async fn task(&self, nth: usize) -> Task {
        match self.nth("a task", nth, |e| matches!(e.what, What::TaskOpened(_))).await.what {
            What::TaskOpened(task) => task,
            _ => unreachable!("only tasks fit"),
        }
    }

    pub(crate) async fn count(&self, fits: impl Fn(&Event) -> bool) -> usize {
        self.events().await.iter().filter(|event| fits(event)).count()
    }

    /// Waits until every record has been read and nothing new was written meanwhile.
    pub(crate) async fn quiet(&self) {
        let began = Instant::now();
        let mut before = None;
        loop {
            let (now, rest) = self.log().await;
            if rest == 0 && before == Some(now) {
                return;
            }
            before = Some(now);
            assert!(began.elapsed() < PATIENCE, "the hub does not come to rest");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// All records, and those that nobody has read yet.
    pub(crate) async fn log(&self) -> (u64, u64) {
        let backbone = self.backbone();
        let (mut all, mut rest) = (0, 0);
        for topic in [Topic::INBOX, Topic::OUTBOX, Topic::WAITS, Topic::CASES] {
            for partition in 0..backbone.partitions() {
                let place = Place::new(topic, partition);
                // in this order: a hub may append and go on in between
                let position = backbone.position(place).await.expect("a position");
                let end = backbone.end(place).await.expect("an end");
                all += end;
                rest += end - position;
            }
        }
        (all, rest)
    }

    /// All keys of a space of keyed state.
    pub(crate) async fn keys(&self, topic: Topic, space: &str) -> Vec<String> {
        self.rows(topic, space).await.into_iter().map(|(key, _)| key).collect()
    }

    /// The same with what they hold.
    pub(crate) async fn rows(&self, topic: Topic, space: &str) -> Vec<(String, Bytes)> {
        let backbone = self.backbone();
        let mut rows = Vec::new();
        for partition in 0..backbone.partitions() {
            rows.extend(backbone.scan(Place::new(topic, partition), space, None, 10_000).await.expect("a scan"));
        }
        rows
    }

    // -- people -----------------------------------------------------------------------------------------------------------

    pub(crate) async fn say(&self, task: &Task, person: &str, decision: Decision) -> Decided {
        self.word(task, word(task, person, decision)).await
    }

    pub(crate) async fn word(&self, task: &Task, word: Word) -> Decided {
        self.operate().decide(&task.id, word).await.expect("a verdict")
    }

    pub(crate) async fn release(&self, parked: &str, action: Action) -> Released {
        let (by, note) = ("anna".to_string(), "so be it".to_string());
        let release = Release { parked: parked.into(), action, by, entities: Vec::new(), note };
        self.operate().release(release).await.expect("a verdict")
    }
}

/// A person's word that counts, for tasks of role `approvatore` or `controllore`.
pub(crate) fn word(task: &Task, person: &str, decision: Decision) -> Word {
    Word {
        person: person.into(),
        roles: vec!["approvatore".into(), "controllore".into()],
        entities: Vec::new(),
        decision,
        comment: "va bene".into(),
        sha256: task.sha256.clone(),
    }
}

pub(crate) fn order_id(n: u32) -> String {
    MessageId::derive(&["test", &format!("o{n}")]).to_string()
}

/// The journal for people who look for a mistake.
pub(crate) fn told(events: &[Event]) -> String {
    let line = |e: &Event| format!("{} {} [{}] {:?}", e.case.id, e.at, e.segment, e.what);
    events.iter().map(line).collect::<Vec<_>>().join("\n")
}

pub(crate) fn files(routes: &[&str]) -> Vec<RouteFile> {
    let file = |(index, text): (usize, &&str)| RouteFile { path: format!("{index}.yaml"), text: (*text).to_string() };
    routes.iter().enumerate().map(file).collect()
}

pub(crate) fn plans(files: &[RouteFile], entities: &Entities, cases: &CaseModel) -> Vec<Arc<Plan>> {
    let names: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let world = Names { registry: REGISTRY, entities, cases, names: &names, read: &|_| None };
    let checked = check(files, &world);
    let wrong = checked.problems.iter().any(hub_route::Problem::is_error);
    assert!(!wrong, "{}", render(&checked.problems, files));
    checked.plans.into_iter().map(Arc::new).collect()
}

/// The present instant of a test.
pub(crate) fn now(world: &World) -> jiff::Timestamp {
    world.clock.now()
}
