//! What is taken away, and what never is.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use hub_backbone::{Archive, Blobs, FileBlobs, Place, Topic};
use hub_core::journal::{Decision, What};
use hub_core::{Clock, Verdict};
use hub_runtime::{History, Retained, RetentionSettings};
use jiff::Timestamp;
use serde_json::json;

use super::flow::{ANSWERS, ORDERS};
use super::outside::Feed;
use super::world::World;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// What a ledger would say: everything is over but what a test names.
#[derive(Default)]
struct Says {
    open: Mutex<HashSet<String>>,
    needed: Mutex<HashSet<String>>,
    fails: Mutex<bool>,
}

#[async_trait]
impl History for Says {
    async fn are_over(&self, messages: Vec<(String, String)>) -> Result<Vec<bool>, String> {
        let open = self.open.lock().expect("no test panics with it");
        Ok(messages.iter().map(|(_, case)| !open.contains(case)).collect())
    }

    async fn are_needed(&self, blobs: Vec<String>, _: Timestamp) -> Result<Vec<bool>, String> {
        if *self.fails.lock().expect("no test panics with it") {
            return Err("the ledger cannot be asked".into());
        }
        let needed = self.needed.lock().expect("no test panics with it");
        Ok(blobs.iter().map(|blob| needed.contains(blob)).collect())
    }
}

/// A world whose blobs are files under its own clock, and a folder for the archive.
struct Kept {
    world: World,
    says: Arc<Says>,
    settings: RetentionSettings,
    blobs: FileBlobs,
    _folder: tempfile::TempDir,
}

impl Kept {
    async fn new(mut world: World) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = world.clock.clone();
        let now = move || clock.now().into();
        let blobs = FileBlobs::with_clock(folder.path().join("blobs"), Arc::new(now)).expect("blobs");
        world.keep_blobs(Arc::new(blobs.clone()));
        world.start().await;
        let says = Arc::new(Says::default());
        let settings = RetentionSettings {
            every: Duration::from_secs(600),
            alone: true,
            finished: 3 * DAY,
            seal_after: 30 * DAY,
            journal_records: 1_000_000,
            grace: 7 * DAY,
            trash: 30 * DAY,
            sweep_every: DAY,
            archive: Arc::new(Archive::open(folder.path().join("archive")).expect("archive")),
            blobs: Arc::new(blobs.clone()),
            history: says.clone(),
        };
        Self { world, says, settings, blobs, _folder: folder }
    }

    async fn round(&self) -> Retained {
        self.world.retain_now(self.settings.clone()).await.expect("a round")
    }

    /// So many days, with a round each.
    async fn days(&self, days: u32) -> Retained {
        let mut all = Retained::default();
        for _ in 0..days {
            self.world.clock.advance(DAY);
            let done = self.round().await;
            all.segments += done.segments;
            all.unlogged += done.unlogged;
            all.keys += done.keys;
            all.discarded += done.discarded;
            all.deleted += done.deleted;
            all.versions += done.versions;
        }
        all
    }

    /// An order that went all its way.
    async fn order(&self, n: u32) {
        self.world.order(n, json!({})).await;
        let case = format!("c{n}");
        drop(self.world.see("the wait", |e| e.case.id == case && matches!(e.what, What::WaitOpened { .. })).await);
        self.world.answer(&format!("e{n}"), &format!("accettato {n}")).await;
        self.world.finished(n).await;
        self.world.quiet().await;
    }

    async fn kept_records(&self, topic: Topic) -> usize {
        let backbone = self.world.backbone();
        let mut count = 0;
        for partition in 0..backbone.partitions() {
            count += backbone.read(Place::new(topic, partition), 0, 100_000, usize::MAX).await.expect("read").len();
        }
        count
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_worked_on_leaves_the_log_and_what_was_not_stays() {
    for world in [World::new(&[ORDERS, ANSWERS]), World::embedded(&[ORDERS, ANSWERS])] {
        let kept = Kept::new(world).await;
        kept.order(1).await;
        // It waits for its answer all the time.
        kept.world.order(2, json!({})).await;
        drop(kept.world.see("the wait", |e| e.case.id == "c2" && matches!(e.what, What::WaitOpened { .. })).await);
        kept.world.quiet().await;
        assert!(kept.kept_records(Topic::INBOX).await > 0);
        let _ = kept.days(2).await;
        assert!(kept.kept_records(Topic::INBOX).await > 0, "not yet");
        let _ = kept.days(3).await;
        for topic in [Topic::INBOX, Topic::OUTBOX, Topic::CASES, Topic::WAITS] {
            // An overdue wait is told to its case: those records are young.
            assert!(kept.kept_records(topic).await <= 2, "{topic:?}: {}", kept.kept_records(topic).await);
        }
        kept.world.answer("e2", "in ritardo").await;
        drop(kept.world.see("the end", |e| e.case.id == "c2" && e.what == What::Finished).await);
        kept.world.quiet().await;
        assert!(kept.kept_records(Topic::INBOX).await > 0, "what came since is there");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_journal_goes_to_the_archive_and_goes_on() {
    let mut kept = Kept::new(World::embedded(&[ORDERS, ANSWERS])).await;
    for n in 1..=6 {
        kept.order(n).await;
    }
    let before = kept.world.events().await;
    assert_eq!(kept.days(30).await.segments, 0, "a day is gathered");
    let done = kept.days(2).await;
    assert!(done.segments > 0 && done.unlogged > 0, "{done:?}");
    assert_eq!(kept.days(3).await.segments, 0, "nothing new");
    let backbone = kept.world.backbone();
    let mut all = 0;
    for partition in 0..backbone.partitions() {
        let place = Place::new(Topic::JOURNAL, partition);
        let (end, chain) = kept.settings.archive.end(place);
        let left = backbone.read(place, 0, 10_000, usize::MAX).await.expect("read");
        assert!(left.len() <= 1, "only the last stays: {}", left.len());
        if let Some(first) = left.first() {
            assert_eq!(first.offset, end);
            assert_eq!(hub_backbone::chain::link(&chain, end, &first.key, &first.bytes), first.chain, "it goes on");
        }
        all += usize::try_from(end).expect("small") + left.len();
    }
    assert_eq!(all, before.len(), "every event is in one of the two");
    drop(backbone);
    kept.world.crash().await;
    kept.order(7).await;
    assert!(kept.days(32).await.segments > 0, "and the next life seals on");
}

/// Cut off after the seal and before the trim, with the sealed file damaged meanwhile: it is written again from the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_trimmed_that_cannot_be_read_back() {
    let kept = Kept::new(World::new(&[ORDERS, ANSWERS])).await;
    for n in 1..=6 {
        kept.order(n).await;
    }
    let (backbone, archive) = (kept.world.backbone(), kept.settings.archive.clone());
    let mut places = (0..backbone.partitions()).map(|partition| Place::new(Topic::JOURNAL, partition));
    let place = loop {
        let place = places.next().expect("some partition has events");
        if backbone.end(place).await.expect("end") > 3 {
            break place;
        }
    };
    let records = backbone.read(place, 0, 3, usize::MAX).await.expect("read");
    let segment = archive.seal(place, &records, "then").expect("sealed");
    let file = archive.folder().join(&segment.file);
    let whole = std::fs::read(&file).expect("the file");
    std::fs::write(&file, &whole[1..]).expect("damaged");
    let done = kept.round().await;
    assert_eq!((done.segments, done.unlogged), (0, 3), "what was sealed is trimmed");
    assert_eq!(std::fs::read(&file).expect("the file"), whole, "after it was mended");
    assert_eq!(backbone.read(place, 0, 1, 1).await.expect("read")[0].offset, 3);

    // Now the log has them no more: damage is told, and nothing else is taken away.
    let next = backbone.read(place, 3, 1, 1).await.expect("read");
    let _ = archive.seal(place, &next, "then").expect("sealed");
    let second = archive.of(place).pop().expect("a segment");
    std::fs::remove_file(archive.folder().join(&second.file)).expect("gone");
    std::fs::create_dir(archive.folder().join(&second.file)).expect("cannot be written again");
    let error = kept.world.retain_now(kept.settings.clone()).await.expect_err("it must tell");
    assert!(error.to_string().contains(&second.file), "{error}");
    assert_eq!(backbone.read(place, 0, 1, 1).await.expect("read")[0].offset, 3, "nothing was trimmed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_of_another_time_stops_the_sealing_and_nothing_else() {
    let kept = Kept::new(World::new(&[ORDERS, ANSWERS])).await;
    kept.order(1).await;
    let place = Place::new(Topic::JOURNAL, Place::of_key(Topic::CASES, "c1", 4).partition);
    let foreign = foreign(place, 1_000);
    let _ = kept.settings.archive.seal(place, &foreign, "then").expect("sealed");
    let error = kept.world.retain_now(kept.settings.clone()).await.expect_err("it must tell").to_string();
    assert!(error.contains(&place.to_string()) && error.contains("999"), "{error}");
    kept.world.clock.advance(5 * DAY);
    let _told = kept.world.retain_now(kept.settings.clone()).await.is_err();
    assert!(kept.kept_records(Topic::JOURNAL).await > 0);
}

/// Records of a journal that is not ours.
fn foreign(place: Place, count: u64) -> Vec<hub_backbone::Stored> {
    let (mut chain, mut all) = (hub_backbone::chain::genesis(place), Vec::new());
    for offset in 0..count {
        chain = hub_backbone::chain::link(&chain, offset, "k", b"{}");
        all.push(hub_backbone::Stored { offset, key: "k".into(), bytes: "{}".into(), chain });
    }
    all
}

const SEEN: &str = r#"
route: ordini
from: { test: { name: ordini } }
case: { kind: pratica, id: "'c' + string(body.n)" }
idempotent: { key: "'op' + string(body.n)", remember: 100d }
steps:
  - idempotent: { key: "'dentro' + string(body.n)", remember: 200d }
  - log: "'fatto'"
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_remembered_as_long_as_asked_and_never_forgotten_while_work_is_open() {
    let kept = Kept::new(World::new(&[SEEN])).await;
    let feed = |id: &str, key: &str, n: u32| Feed::new(id, json!({ "n": n })).with_key("anna", key);
    let taken = |verdicts: &[Verdict]| matches!(verdicts, [Verdict::Stored { again: false, .. }]);
    assert!(taken(&kept.world.feed("ordini", vec![feed("a", "k1", 1)]).await));
    assert!(taken(&kept.world.feed("ordini", vec![feed("b", "k2", 2)]).await));
    for case in ["c1", "c2"] {
        kept.world.finished_case(case).await;
    }
    let _ = kept.says.open.lock().expect("lock").insert("c2".into());

    assert_eq!(kept.days(99).await.keys, 0, "remembered, the senders' own keys too: the route asks for longer");
    let again = kept.world.feed("ordini", vec![feed("c", "k3", 1)]).await;
    assert!(matches!(again[..], [Verdict::Conflict { .. }]), "{again:?}");
    assert_eq!(kept.days(2).await.keys, 2, "one operation: its own key and its sender's");
    assert!(kept.world.keys(Topic::INBOX, "business").await.contains(&"op2".to_string()), "open work");
    assert!(taken(&kept.world.feed("ordini", vec![feed("d", "k1", 1)]).await), "forgotten");
    let open = kept.world.feed("ordini", vec![feed("e", "k4", 2)]).await;
    assert!(matches!(open[..], [Verdict::Conflict { .. }]), "{open:?}");
    // The key inside of the route lasts longer.
    drop(kept.world.see("the drop", |e| matches!(&e.what, What::Dropped { reason } if reason.contains("seen"))).await);
    assert_eq!(kept.world.keys(Topic::INBOX, "seen").await.len(), 2);
    kept.says.open.lock().expect("lock").clear();
    assert_eq!(kept.days(1).await.keys, 2, "over now");
    assert_eq!(kept.days(100).await.keys, 4, "the two inside, and the operation that was taken again");
    assert_eq!(kept.world.keys(Topic::INBOX, "seen").await.len(), 0);
}

const PAPERS: &str = r#"
route: ordini
from: { test: { name: ordini } }
case: { kind: pratica, id: "'c' + string(body.n)" }
steps:
  - archive: { class: atto, retain: 10y }
  - approve: { role: approvatore, within: 3000d }
  - log: "'fatto'"
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blobs_go_when_nothing_names_them_and_come_back_when_asked() {
    let kept = Kept::new(World::new(&[PAPERS])).await;
    let large = "x".repeat(20_000);
    kept.world.order(1, json!({ "testo": large })).await;
    let task = kept.world.task(1).await;
    let orphan = kept.blobs.put(b"nobody names me").await.expect("put");
    assert!(kept.blobs.has(&task.sha256));
    assert_eq!(kept.days(7).await.discarded, 0, "within the grace time");
    // The body of the waiting message is no document, and its record is gone long since: only the task's state names it.
    assert_eq!(kept.days(30).await.discarded, 1, "the orphan");
    assert!(kept.blobs.has(&task.sha256) && kept.blobs.has(&orphan), "one is named, the other in the trash");
    assert!(kept.blobs.get(&orphan).await.expect("get").is_some(), "asked for: back");
    assert_eq!(kept.days(60).await.deleted, 1, "and away again");
    assert_eq!(kept.blobs.get(&orphan).await.expect("get"), None);

    assert_eq!(kept.world.say(&task, "bruno", Decision::Approve).await.refused, None);
    kept.world.finished(1).await;
    let _ = kept.says.needed.lock().expect("lock").insert(task.sha256.clone());
    assert_eq!(kept.days(60).await.discarded, 0, "a document that must be kept");
    *kept.says.fails.lock().expect("lock") = true;
    kept.says.needed.lock().expect("lock").clear();
    kept.world.clock.advance(DAY);
    assert!(kept.world.retain_now(kept.settings.clone()).await.is_err(), "nobody can say: nothing is taken away");
    assert!(kept.blobs.has(&task.sha256));
    *kept.says.fails.lock().expect("lock") = false;
    assert_eq!(kept.days(40).await.deleted, 1, "its time is over");
    assert!(!kept.blobs.has(&task.sha256));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_is_dropped_when_no_message_is_on_it() {
    let mut kept = Kept::new(World::new(&[PAPERS])).await;
    kept.world.order(1, json!({})).await;
    let task = kept.world.task(1).await;
    let version = kept.world.events().await[0].version.clone();
    let bundles = Place::new(Topic::INBOX, 0);
    let mut commit = hub_backbone::Commit::new();
    commit.put(bundles, "bundle", format!("ordini@{version}"), "{}");
    commit.put(bundles, "bundle", "ordini@0123456789abcdef", "{}");
    let _ = kept.world.backbone().commit(commit).await.expect("done");
    kept.world.reroute(&[&PAPERS.replace("fatto", "altro")]);
    kept.world.restart().await;
    assert_eq!(kept.days(10).await.versions, 1, "one that nobody is on");
    assert_eq!(kept.world.say(&task, "bruno", Decision::Approve).await.refused, None);
    kept.world.finished(1).await;
    kept.world.quiet().await;
    // Its last records leave the log after some days.
    assert_eq!(kept.days(10).await.versions, 1);
    assert_eq!(kept.world.keys(Topic::INBOX, "bundle").await, Vec::<String>::new());
}

/// The loop by the clock, and its alarm.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_keeps_failing_raises_an_alarm_that_ends() {
    let mut kept = Kept::new(World::new(&[ORDERS, ANSWERS])).await;
    let _ = kept.blobs.put(b"nobody names me").await.expect("put");
    *kept.says.fails.lock().expect("lock") = true;
    kept.world.clock.advance(8 * DAY);
    kept.world.retain(kept.settings.clone());
    let alarm = |world: &World| world.operate().alarms().into_iter().find(|alarm| alarm.name == "retention");
    kept.world.clock.sleeping(1).await;
    assert_eq!(alarm(&kept.world), None, "not at once");
    let until = async |what: &str, stands: bool| {
        let passes = || {
            kept.world.clock.advance(kept.settings.every);
            alarm(&kept.world).is_some() == stands
        };
        kept.world.until(what, passes).await;
    };
    until("the alarm", true).await;
    assert!(alarm(&kept.world).expect("it stands").detail.contains("cannot be asked"));
    *kept.says.fails.lock().expect("lock") = false;
    until("the end of the alarm", false).await;
    kept.world.stop().await.expect("it stops well");
}
