//! Ten years of a small authority in seconds: a clock that is turned by hand drives the real hub over the real store through
//! sealing, trimming, collecting and forgetting, with crashes in the middle; at the end everything can be proved, nothing that
//! is needed is gone, and what has to stay flat is flat.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hub_backbone::{Archive, Backbone, Embedded, EmbeddedSettings, FileBlobs, Place, Topic};
use hub_core::plugin::Registry;
use hub_core::{Clock, Entities};
use hub_ledger::{Ledger, LedgerView};
use hub_route::{CaseModel, RouteFile, World, check, render};
use hub_runtime::{Hub, HubSettings, RetentionSettings, RuntimeLimits};
use hub_testkit::ManualClock;
use raccordo::Kept;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::proof::audit_with;

const YEARS: u32 = 10;
/// Orders of a quarter; every fifth is large enough for the blob store.
const ORDERS: u32 = 5;
const DAY: Duration = Duration::from_secs(24 * 3600);
/// How long documents are kept here: shorter than the ten years of life, so that their end is seen.
const RETAIN_DAYS: u32 = 3 * 365;
const REGISTRY: Registry = Registry(&[connector_file::PLUGIN, connector_http::PLUGIN]);

const ROUTE: &str = r#"
route: atti
from:
  http: { path: /atti, auth: none }
idempotent: { key: "'op' + string(body.n)", remember: 400d }
steps:
  - archive: { class: atto, retain: 3y }
  - set: { file: "string(body.n) + '-' + string(body.volta) + '.json'" }
  - choice:
      - when: body.aspetta
        steps:
          - approve: { role: approvatore, within: 9000d }
  - to: { file: { folder: out, name: vars.file } }
"#;

/// An order as it was sent, and when.
struct Sent {
    day: u32,
    sha256: String,
}

struct Life {
    dir: tempfile::TempDir,
    clock: Arc<ManualClock>,
    day: u32,
    random: StdRng,
    store: Option<Arc<Embedded>>,
    hub: Option<Hub>,
    retention: Option<RetentionSettings>,
    sent: BTreeMap<u32, Sent>,
    /// Files that must have been written.
    done: usize,
    crashes: u32,
}

impl Life {
    async fn begin(seed: u64) -> Self {
        let (dir, clock) = (tempfile::tempdir().expect("folder"), Arc::new(ManualClock::working_day()));
        let hub = json!({ "data": "data", "routes": "routes", "backbone": { "embedded": { "partitions": 2 } } });
        std::fs::write(dir.path().join("hub.yaml"), hub.to_string()).expect("writable");
        std::fs::create_dir_all(dir.path().join("routes")).expect("folder");
        std::fs::write(dir.path().join("routes/atti.yaml"), ROUTE).expect("writable");
        std::fs::create_dir_all(dir.path().join("data")).expect("folder");
        let random = StdRng::seed_from_u64(seed);
        let sent = BTreeMap::new();
        let mut life =
            Self { dir, clock, day: 0, random, store: None, hub: None, retention: None, sent, done: 0, crashes: 0 };
        life.start().await;
        life
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    async fn start(&mut self) {
        let store = self.open().await;
        let archive = Arc::new(Archive::open(self.path("data/archive")).expect("archive"));
        let _ = hub_ledger::catch_up(&store, &archive).await.expect("the ledger");
        let clock = self.clock.clone();
        let now = Arc::new(move || clock.now().into());
        let blobs = Arc::new(FileBlobs::with_clock(self.path("data/blobs"), now).expect("blobs"));
        let address = self.path("http.address");
        drop(std::fs::remove_file(&address));
        let listener = json!({ "bind": "127.0.0.1:0", "address_file": address, "clients": [] });
        let named = HashMap::from([("listeners".to_string(), HashMap::from([("default".to_string(), listener)]))]);
        let hub = Hub::start(HubSettings {
            backbone: store.clone(),
            seen: None,
            blobs: blobs.clone(),
            clock: self.clock.clone(),
            routes: plans(),
            older: Vec::new(),
            versions: None,
            entities: Arc::new(Entities::default()),
            cases: Arc::new(CaseModel::default()),
            named: Arc::new(named),
            root: self.dir.path().to_path_buf(),
            limits: RuntimeLimits {
                clock_off_max: Duration::MAX,
                transport_keys: 90 * DAY,
                ..RuntimeLimits::default()
            },
        });
        self.hub = Some(hub.await.expect("the hub starts"));
        self.retention = Some(RetentionSettings {
            every: Duration::from_secs(600),
            finished: 3 * DAY,
            alone: true,
            seal_after: 30 * DAY,
            journal_records: 200_000,
            grace: 7 * DAY,
            trash: 30 * DAY,
            sweep_every: DAY,
            archive,
            blobs,
            history: Arc::new(Kept::new(Ledger::new(store.clone()), 3650 * DAY)),
        });
        self.store = Some(store);
    }

    /// Loops that were cut off may hold the store of the life before for a moment.
    async fn open(&self) -> Arc<Embedded> {
        let begun = Instant::now();
        loop {
            match Embedded::open(EmbeddedSettings::new(self.path("data/raccordo.db"), 2).with_view(LedgerView)) {
                Ok(store) => return Arc::new(store),
                Err(error) => assert!(begun.elapsed() < Duration::from_secs(60), "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn store(&self) -> &Arc<Embedded> {
        self.store.as_ref().expect("it is open")
    }

    fn hub(&self) -> &Hub {
        self.hub.as_ref().expect("it runs")
    }

    /// From one moment to the next; what blocks on the disk comes to its end, as a system call does.
    async fn crash(&mut self) {
        self.crashes += 1;
        let retention = self.retention.take();
        drop((self.hub.take(), self.store.take()));
        if let Some(RetentionSettings { archive, history, blobs, .. }) = retention {
            drop((history, blobs));
            let begun = Instant::now();
            while Arc::strong_count(&archive) > 1 {
                assert!(begun.elapsed() < Duration::from_secs(60), "somebody keeps the archive");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        self.start().await;
    }

    async fn post(&self, body: &Value) -> u16 {
        let address = crate::life::appears(&self.path("http.address")).await;
        let request = reqwest::Client::new().post(format!("http://{}/atti", address.trim()));
        let request = request.header("content-type", "application/json").body(body.to_string());
        request.send().await.expect("an answer").status().as_u16()
    }

    /// Sends an order; it is archived, and carried out unless it waits for a person.
    async fn send(&mut self, n: u32, waits: bool) -> u16 {
        let text = if n.is_multiple_of(5) { "è".repeat(12_000) } else { String::new() };
        let body = json!({ "n": n, "volta": self.day, "aspetta": waits, "testo": text });
        let status = self.post(&body).await;
        if status == 202 {
            self.done += usize::from(!waits);
            let sha256 = hub_core::sha256_hex(body.to_string().as_bytes());
            drop(self.sent.insert(n, Sent { day: self.day, sha256 }));
        }
        status
    }

    /// Until every order is carried out and every record worked on.
    async fn rest(&self) {
        let begun = Instant::now();
        loop {
            let written = std::fs::read_dir(self.path("out")).map_or(0, Iterator::count);
            if written == self.done && self.unread().await == 0 {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{written} of {} files", self.done);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn unread(&self) -> u64 {
        let mut unread = 0;
        for place in places().filter(|place| place.topic != Topic::JOURNAL) {
            // in this order: the hub may append and go on in between
            let position = self.store().position(place).await.expect("position");
            unread += self.store().end(place).await.expect("end") - position;
        }
        unread
    }

    /// Some days pass, with rounds of retention; every third time the hub dies in the middle of one.
    async fn pass(&mut self, days: u32) {
        self.day += days;
        self.clock.advance(days * DAY);
        if self.random.random_ratio(1, 3) {
            let within = Duration::from_micros(self.random.random_range(0..30_000));
            let round = self.hub().retain_now(self.retention.clone().expect("set"));
            drop(tokio::time::timeout(within, round).await);
            self.crash().await;
        }
        for _ in 0..10 {
            let round = self.hub().retain_now(self.retention.clone().expect("set")).await;
            if !round.expect("a round").more {
                return;
            }
        }
        panic!("retention does not come to an end");
    }

    /// Records in the log, and values of keyed state without those that say where each case stands.
    async fn weight(&self) -> (usize, usize) {
        let (mut records, mut values) = (0, 0);
        for place in places() {
            records += self.store().read(place, 0, 1_000_000, usize::MAX).await.expect("read").len();
            for space in self.store().spaces(place).await.expect("spaces") {
                if (place.topic, space.as_str()) != (Topic::CASES, "state") {
                    values += self.store().scan(place, &space, None, 1_000_000).await.expect("scan").len();
                }
            }
        }
        (records, values)
    }

    /// Each document is there as long as it has to be, and gone some months later.
    async fn judge_documents(&self) -> (usize, usize) {
        let blobs = &self.retention.as_ref().expect("set").blobs;
        let (mut kept, mut gone) = (0, 0);
        for (n, Sent { day, sha256 }) in &self.sent {
            let age = self.day - day;
            match blobs.get(sha256).await.expect("readable").is_some() {
                true => kept += 1,
                false => {
                    assert!(age > RETAIN_DAYS, "order {n}: its document is gone after {age} days");
                    gone += 1;
                }
            }
        }
        (kept, gone)
    }
}

fn places() -> impl Iterator<Item = Place> {
    Topic::ALL.into_iter().flat_map(|topic| (0..2).map(move |partition| Place::new(topic, partition)))
}

fn plans() -> Vec<Arc<hub_route::plan::Plan>> {
    let files = [RouteFile { path: "atti.yaml".into(), text: ROUTE.into() }];
    let names = BTreeMap::from([("listeners".to_string(), BTreeSet::from(["default".to_string()]))]);
    let (entities, cases) = (Entities::default(), CaseModel::default());
    let world = World { registry: REGISTRY, entities: &entities, cases: &cases, names: &names, read: &|_| None };
    let checked = check(&files, &world);
    assert!(!checked.problems.iter().any(hub_route::Problem::is_error), "{}", render(&checked.problems, &files));
    checked.plans.into_iter().map(Arc::new).collect()
}

fn ledger(config: &Path, what: &str) -> String {
    let run = Command::new(env!("CARGO_BIN_EXE_raccordo")).args(["ledger", what, "--config"]).arg(config).output();
    let run = run.expect("the command runs");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8_lossy(&run.stdout).trim().rsplit(' ').next().unwrap_or_default().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_years_pass_and_everything_is_as_it_has_to_be() {
    let seed: u64 = std::env::var("RACCORDO_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_261_125);
    println!("seed {seed} (set RACCORDO_SEED to repeat)");
    let mut life = Life::begin(seed).await;
    assert_eq!(life.send(0, true).await, 202, "one that nobody decides for ten years");
    let (mut next, mut weights) = (1, Vec::new());
    for year in 0..YEARS {
        for _ in 0..4 {
            for _ in 0..ORDERS {
                assert_eq!(life.send(next, false).await, 202);
                next += 1;
            }
            life.rest().await;
            assert_eq!(life.send(next - 1, false).await, 409, "the same order again");
            for days in [10, 30, 51] {
                life.pass(days).await;
            }
        }
        assert_eq!(life.send(next - 1, false).await, 409, "remembered after a quarter");
        assert_eq!(life.send(0, true).await, 409, "work is open: never forgotten");
        let (kept, gone) = life.judge_documents().await;
        let (records, values) = life.weight().await;
        let bytes = std::fs::metadata(life.path("data/raccordo.db")).expect("the store").len();
        println!(
            "year {year}: {records} records in the log, {values} values, {kept} documents kept, {gone} gone, {bytes} bytes"
        );
        weights.push((records, values, kept));
    }
    for (records, values, kept) in &weights[4..] {
        let (records_then, values_then, kept_then) = weights[3];
        assert!(*records <= records_then + 20 && *values <= values_then + 20, "the log is flat: {weights:?}");
        assert!(*kept <= kept_then + 2 * usize::try_from(ORDERS).expect("small"), "and the documents: {weights:?}");
    }
    assert_eq!(life.send(1, false).await, 202, "forgotten after ten years: another operation");
    life.rest().await;
    let segments = life.retention.as_ref().expect("set").archive.segments();
    println!(
        "{} crashes, {} segments with {} events",
        life.crashes,
        segments.len(),
        segments.iter().map(|s| s.count).sum::<u64>()
    );
    assert!(life.crashes > 10 && segments.len() > 20, "{} crashes, {} segments", life.crashes, segments.len());
    life.hub.take().expect("it runs").stop().await.expect("it stops well");
    life.store().close().await;
    let Life { dir, store, retention, clock, .. } = life;
    drop((store, retention));
    everything_can_be_proved(dir.path(), &segments[segments.len() / 2].file, &clock.now().to_string());
}

/// Audit, rebuild, and what happens to a damaged segment.
fn everything_can_be_proved(dir: &Path, segment: &str, at: &str) {
    let config = dir.join("hub.yaml");
    let audit = || audit_with(&config, &["--at", at]);
    let (ok, report) = audit();
    assert!(ok && report["sealed"].as_u64().is_some_and(|sealed| sealed > 500), "{report}");
    let live = ledger(&config, "digest");
    assert_eq!(ledger(&config, "rebuild"), live, "archive and journal give the same ledger");
    let file = dir.join("data/archive").join(segment);
    let whole = std::fs::read(&file).expect("the segment");
    let mut changed = whole.clone();
    changed[whole.len() / 2] ^= 1;
    std::fs::write(&file, changed).expect("writable");
    let (ok, report) = audit();
    let first = &report["first"];
    assert!(!ok && first["file"].as_str().is_some_and(|name| name.ends_with(segment)), "{report}");
    assert!(
        first["place"].as_str().is_some_and(|place| place.contains("journal/")) && first["offset"].is_u64(),
        "{first}"
    );
    std::fs::write(&file, whole).expect("writable");
    std::fs::rename(dir.join("data/archive"), dir.join("data/elsewhere")).expect("moved");
    let (ok, report) = audit();
    let detail = report["first"]["detail"].as_str().unwrap_or_default();
    assert!(!ok && detail.contains("neither in the archive nor in the log"), "{report}");
    std::fs::rename(dir.join("data/elsewhere"), dir.join("data/archive")).expect("moved back");
    assert!(audit().0);
}
