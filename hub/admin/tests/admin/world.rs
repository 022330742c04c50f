//! A ledger with something in it, a hub that says what it is told to, people with tokens, and a running API.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use hub_admin::{AdminSettings, AdminState, AlarmSettings, AlarmWatch, Running, serve};
use hub_backbone::{Backbone, Blobs, Commit, Embedded, EmbeddedSettings, MemoryBlobs, Place, Topic};
use hub_core::journal::{Decision, Document, EVENT_VERSION, Event, Parked, ParkedKind, Task, TaskKind, What};
use hub_core::{Case, Clock};
use hub_ledger::{Ledger, LedgerView};
use hub_life::task::Word;
use hub_runtime::{
    Alarm, Decided, Figures, Operate, OperateError, PartitionFigures, RecoveryReport, Release, Released, RouteStatus,
    StoreFigures,
};
use hub_testkit::ManualClock;
use jiff::Timestamp;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

pub(crate) const FLOW: &[u8] = b"<flusso>\xc3\xa8 un flusso\r\n</flusso>";
pub(crate) const FLOW_NAME: &str = "flusso è.xml";
pub(crate) const POSITION: &str = "waits/1@7";

/// Role to token; `limited` is an approvatore and controllore of UFAAAA only.
pub(crate) fn token(who: &str) -> String {
    format!("secret-token-of-{who}-0123456789")
}

pub(crate) const ROLES: [&str; 6] =
    ["operatore", "approvatore", "controllore", "integratore", "amministratore", "revisore"];

/// A hub that says what it is told to, and remembers what it was asked.
pub(crate) struct FakeHub {
    pub(crate) ready: AtomicBool,
    pub(crate) blobs: Arc<MemoryBlobs>,
    pub(crate) decided: Mutex<Result<Decided, OperateError>>,
    pub(crate) released: Mutex<Released>,
    pub(crate) words: Mutex<Vec<(String, Word)>>,
    pub(crate) releases: Mutex<Vec<Release>>,
    pub(crate) recovery: Mutex<Option<RecoveryReport>>,
    /// Lane (or the end), who, why.
    pub(crate) lanes: Mutex<Vec<[String; 3]>>,
    pub(crate) waited: Mutex<Vec<String>>,
    pub(crate) alarms: Mutex<Vec<Alarm>>,
    pub(crate) disk_free: AtomicU64,
    pub(crate) clock: Arc<ManualClock>,
    /// Commands wait for a place here.
    pub(crate) gate: Semaphore,
    /// Gets a permit when a command has arrived, and another when it is done.
    pub(crate) arrived: Semaphore,
    pub(crate) finished: Semaphore,
}

/// What the hub says from the beginning.
pub(crate) fn source_alarm() -> Alarm {
    Alarm { name: "source".into(), subject: "mandati-siope".into(), detail: "look at 10.0.0.1".into() }
}

pub(crate) fn counts() -> Decided {
    Decided { refused: None, approvals: 1, people: 2, outcome: None, position: POSITION.into() }
}

impl FakeHub {
    fn new(blobs: Arc<MemoryBlobs>) -> Self {
        Self {
            ready: AtomicBool::new(true),
            blobs,
            decided: Mutex::new(Ok(counts())),
            released: Mutex::new(Released { done: true, reason: String::new(), position: POSITION.into() }),
            words: Mutex::default(),
            releases: Mutex::default(),
            recovery: Mutex::default(),
            lanes: Mutex::default(),
            waited: Mutex::default(),
            alarms: Mutex::new(vec![source_alarm()]),
            disk_free: AtomicU64::new(1 << 40),
            clock: Arc::new(ManualClock::at(instant(100))),
            gate: Semaphore::new(1_000),
            arrived: Semaphore::new(0),
            finished: Semaphore::new(0),
        }
    }
}

#[async_trait]
impl Operate for FakeHub {
    async fn decide(&self, task: &str, word: Word) -> Result<Decided, OperateError> {
        self.arrived.add_permits(1);
        self.gate.acquire().await.unwrap().forget();
        self.words.lock().unwrap().push((task.to_string(), word));
        self.finished.add_permits(1);
        let mut decided = self.decided.lock().unwrap();
        std::mem::replace(&mut *decided, Ok(counts()))
    }

    async fn release(&self, release: Release) -> Result<Released, OperateError> {
        self.releases.lock().unwrap().push(release);
        Ok(self.released.lock().unwrap().clone())
    }

    async fn recovery(&self) -> Result<Option<RecoveryReport>, OperateError> {
        Ok(self.recovery.lock().unwrap().clone())
    }

    async fn release_lane(&self, lane: &str, by: &str, note: &str) -> Result<Released, OperateError> {
        self.lanes.lock().unwrap().push([lane, by, note].map(str::to_owned));
        Ok(self.released.lock().unwrap().clone())
    }

    async fn end_recovery(&self, by: &str, note: &str) -> Result<Released, OperateError> {
        self.lanes.lock().unwrap().push(["(end)", by, note].map(str::to_owned));
        Ok(self.released.lock().unwrap().clone())
    }

    fn routes(&self) -> Vec<RouteStatus> {
        let running = self.ready.load(Ordering::SeqCst);
        vec![RouteStatus {
            name: "mandati-siope".into(),
            description: "Payment orders".into(),
            version: "v1".into(),
            source: "http".into(),
            state: if running { "running" } else { "waiting" }.into(),
            error: (!running).then(|| "connection refused".into()),
            last_taken: Some(instant(60)),
        }]
    }

    fn alarms(&self) -> Vec<Alarm> {
        self.alarms.lock().unwrap().clone()
    }

    async fn figures(&self) -> Result<Figures, OperateError> {
        let part = PartitionFigures { inbox: 3, unsent: 2, ..PartitionFigures::default() };
        let store = StoreFigures {
            folder: "/data".into(),
            bytes: 4_096,
            disk_free: Some(self.disk_free.load(Ordering::SeqCst)),
            commits: 7,
            records: 9,
            transactions: 5,
        };
        Ok(Figures {
            since: instant(0),
            epoch: "life-1".into(),
            now: self.clock.now(),
            partitions: vec![part; 2],
            backlog_max: 50_000,
            unsent_max: 250_000,
            oldest_unsent: Some(instant(30)),
            last_taken: Some(instant(60)),
            last_sent: None,
            store: Some(store),
        })
    }

    fn is_ready(&self) -> bool {
        self.ready.load(Ordering::SeqCst)
    }

    async fn wait_until_seen(&self, position: &str) -> Result<(), OperateError> {
        self.waited.lock().unwrap().push(position.to_string());
        match position {
            "late" => Err(OperateError::Late(std::time::Duration::from_secs(1))),
            "nonsense" => Err(OperateError::Bad("`nonsense` is not a position".into())),
            _ => Ok(()),
        }
    }

    fn blobs(&self) -> Arc<dyn Blobs> {
        self.blobs.clone()
    }
}

/// All of it; the folder goes with it.
pub(crate) struct World {
    pub(crate) hub: Arc<FakeHub>,
    pub(crate) watch: AlarmWatch,
    pub(crate) running: Running,
    pub(crate) flow: String,
    http: reqwest::Client,
    pub(crate) store: Arc<Embedded>,
    _folder: tempfile::TempDir,
}

fn watch(hub: &Arc<FakeHub>, store: &Arc<Embedded>) -> AlarmWatch {
    AlarmWatch::new(hub.clone(), Ledger::new(store.clone()), hub.clock.clone(), AlarmSettings::default())
}

pub(crate) fn settings(value: Value) -> AdminSettings {
    AdminSettings::deserialize(value).unwrap()
}

pub(crate) fn tokens() -> Value {
    let one = |role: &&str| json!({ "token": token(role), "person": format!("{role}.persona"), "roles": [role] });
    let mut tokens: Vec<Value> = ROLES.iter().map(one).collect();
    tokens.push(json!({
        "token": token("limited"), "person": "limited.persona", "roles": ["approvatore", "controllore"], "entities": ["UFAAAA"]
    }));
    Value::Array(tokens)
}

fn instant(second: i64) -> Timestamp {
    Timestamp::from_second(1_774_000_000 + second).unwrap()
}

fn event(id: &str, entity: &str, second: i64, what: What) -> Event {
    let amount = Some("1234567890.10".parse().unwrap());
    let entity = (!entity.is_empty()).then(|| entity.to_string());
    Event {
        v: EVENT_VERSION,
        case: Case { kind: "mandato".into(), id: id.into(), entity, amount },
        at: instant(second),
        message: format!("m-{id}").replace('/', "_"),
        route: "mandati-siope".into(),
        version: "v1".into(),
        segment: "s0".into(),
        what,
    }
}

fn story(id: &str, entity: &str, second: i64, n: &str, flow: &str) -> Vec<Event> {
    let task = |id: String, kind| Task {
        id,
        kind,
        role: "approvatore".into(),
        people: 2,
        title: "Mandato".into(),
        requester: "sap".into(),
        sha256: flow.into(),
        mime: "application/xml".into(),
        deadline: instant(14_400),
    };
    let said = What::TaskDecided {
        task: format!("w0-{n}"),
        person: "anna".into(),
        decision: Decision::Approve,
        comment: "visto".into(),
        sha256: flow.into(),
        approvals: 1,
    };
    let parked = Parked {
        id: format!("o0-{n}"),
        kind: ParkedKind::InDoubt,
        reason: "no answer after the last byte".into(),
        evidence: json!({ "attempts": 3 }),
        sha256: flow.into(),
        mime: "application/xml".into(),
    };
    let document = Document {
        class: "opi".into(),
        name: FLOW_NAME.into(),
        sha256: flow.into(),
        bytes: FLOW.len() as u64,
        mime: "application/xml".into(),
        retain_until: instant(315_360_000),
    };
    let received = What::Received { source: "http".into(), sender: "sap".into(), sha256: "aa".into(), bytes: 812 };
    let moved = What::State { to: "approvato".into(), from: "ricevuto".into(), moved: true, note: String::new() };
    let whats = [
        received,
        moved,
        What::Archived(document),
        What::TaskOpened(task(format!("w0-{n}"), TaskKind::Approve)),
        said,
        What::TaskOpened(task(format!("w0-{n}-closed"), TaskKind::Todo)),
        What::TaskClosed { task: format!("w0-{n}-closed"), outcome: "done".into() },
        What::Parked(parked.clone()),
        What::Parked(Parked { id: format!("i0-{n}"), kind: ParkedKind::Step, ..parked }),
        What::Released { parked: format!("i0-{n}"), action: "retry".into(), by: "bruno".into(), note: "ok".into() },
    ];
    whats.into_iter().map(|what| event(id, entity, second, what)).collect()
}

async fn fill(store: &Embedded, flow: &str) {
    let of_other = "0".repeat(64);
    let mut events = story("UFAAAA/2026/1", "UFAAAA", 0, "a", flow);
    events.extend(story("UFBBBB/2026/1", "UFBBBB", 1, "b", &of_other));
    // a case that belongs to nobody: for those who see all
    events.extend(story("loose", "", 2, "c", &of_other));
    let mut commit = Commit::new();
    for event in events {
        let place = Place::of_key(Topic::JOURNAL, &event.case.id, 2);
        commit.append(place, &event.case.id, serde_json::to_vec(&event).unwrap());
    }
    let _ = store.commit(commit).await.unwrap();
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(json!({ "bind": "127.0.0.1:0", "tokens": tokens() })).await
    }

    pub(crate) async fn with(admin: Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hub.db");
        let store = Arc::new(Embedded::open(EmbeddedSettings::new(file, 2).with_view(LedgerView)).unwrap());
        let blobs = Arc::new(MemoryBlobs::default());
        let flow = blobs.put(FLOW).await.unwrap();
        fill(&store, &flow).await;
        let hub = Arc::new(FakeHub::new(blobs));
        let watch = watch(&hub, &store);
        let state = AdminState::new(Ledger::new(store.clone()), hub.clone(), watch.clone());
        let running = serve(settings(admin), state, folder.path()).await.unwrap();
        Self { hub, watch, running, flow, http: reqwest::Client::new(), store, _folder: folder }
    }

    /// A state on the same ledger and hub, for another API.
    pub(crate) fn state(&self) -> AdminState {
        AdminState::new(Ledger::new(self.store.clone()), self.hub.clone(), self.watch.clone())
    }

    pub(crate) fn request(&self, method: Method, who: &str, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.running.url()));
        if who.is_empty() { request } else { request.bearer_auth(token(who)) }
    }

    pub(crate) async fn get(&self, who: &str, path: &str) -> reqwest::Response {
        self.request(Method::GET, who, path).send().await.unwrap()
    }

    /// A read that works.
    pub(crate) async fn read(&self, who: &str, path: &str) -> Value {
        let response = self.get(who, path).await;
        let status = response.status();
        let text = response.text().await.unwrap();
        assert_eq!(status, StatusCode::OK, "{path}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    pub(crate) async fn post(&self, who: &str, path: &str, body: Value) -> reqwest::Response {
        let request = self.request(Method::POST, who, path).header("content-type", "application/json");
        request.body(body.to_string()).send().await.unwrap()
    }
}

/// Checks that an answer is an RFC 9457 problem; gives it.
pub(crate) async fn problem(response: reqwest::Response, status: u16) -> Value {
    assert_eq!(response.headers()["cache-control"], "no-store");
    let got = response.status().as_u16();
    let mime = response.headers().get("content-type").map(|value| value.to_str().unwrap().to_string());
    let text = response.text().await.unwrap();
    assert_eq!((got, mime.as_deref()), (status, Some("application/problem+json")), "{text}");
    let problem: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(problem["status"], status);
    assert!(problem["type"].as_str().unwrap().starts_with("urn:raccordo:problem:"), "{problem}");
    assert!(!problem["title"].as_str().unwrap().is_empty() && !problem["detail"].as_str().unwrap().is_empty());
    problem
}

/// The ids of a page.
pub(crate) fn ids(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect()
}
