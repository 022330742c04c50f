//! Moving a store: whatever is in it, killed at each durable step of either store, the same command finishes, and at no instant
//! may a hub start on both.

mod dying;

use hub_backbone::migrate::{Moving, Sheet, Stage};
use hub_backbone::{Backbone, Commit, Embedded, EmbeddedSettings, Error, Life, Memory, Movable, Place, Topic};
use proptest::collection::vec;
use proptest::prelude::*;
use tempfile::TempDir;

use dying::{Dying, Fuse};

const FACTS: &[&str] = &["fact"];
const PARTITIONS: u16 = 2;

#[derive(Clone, Debug)]
enum Op {
    Append(Place, Vec<Vec<u8>>),
    Put(Place, String, Vec<u8>),
    Delete(Place, String),
    Done(Place, u64),
    Trim(Place, u64),
    Share(String, Vec<u8>),
    Reopen,
}

fn place() -> impl Strategy<Value = Place> {
    (prop_oneof![Just(Topic::INBOX), Just(Topic::JOURNAL)], 0..PARTITIONS).prop_map(|(topic, n)| Place::new(topic, n))
}

fn op() -> impl Strategy<Value = Op> {
    let bytes = || vec(any::<u8>(), 0..20);
    prop_oneof![
        4 => (place(), vec(bytes(), 1..6)).prop_map(|(place, records)| Op::Append(place, records)),
        3 => (place(), "[a-c]{1,2}", bytes()).prop_map(|(place, key, value)| Op::Put(place, key, value)),
        1 => (place(), "[a-c]{1,2}").prop_map(|(place, key)| Op::Delete(place, key)),
        1 => (place(), 0..9u64).prop_map(|(place, next)| Op::Done(place, next)),
        1 => (place(), 0..9u64).prop_map(|(place, before)| Op::Trim(place, before)),
        1 => ("[a-c]", bytes()).prop_map(|(key, value)| Op::Share(key, value)),
        1 => Just(Op::Reopen),
    ]
}

async fn history(ops: &[Op]) -> Memory {
    let mut store = Memory::new(PARTITIONS);
    for op in ops {
        let mut commit = Commit::new();
        match op.clone() {
            Op::Append(place, records) => records.into_iter().for_each(|bytes| commit.append(place, "k", bytes)),
            Op::Put(place, key, value) => commit.put(place, "s", key, value),
            Op::Delete(place, key) => commit.delete(place, "s", key),
            Op::Done(place, next) => commit.done(place, next),
            Op::Trim(place, before) => store.trim(place, before).await.expect("trim"),
            Op::Share(key, value) => store.share("fact", &key, value.into()).await.expect("share"),
            Op::Reopen => store = store.reopen(),
        }
        let _offsets = store.commit(commit).await.expect("commit");
    }
    store
}

fn moving<'a>(source: &'a dyn Movable, target: &'a dyn Movable) -> Moving<'a> {
    Moving { source, target, source_name: "here", target_name: "there", facts: FACTS }
}

/// What the command does, without opening anew.
async fn command(source: &dyn Movable, target: &dyn Movable) -> Result<Option<Sheet>, Error> {
    let moving = moving(source, target);
    let stage = moving.stage("id").await?;
    if let Stage::Copy(id) = &stage {
        moving.copy(id, &|_, _| {}).await?;
    }
    match stage {
        Stage::Copy(id) | Stage::Release(id) => moving.release(&id).await.map(Some),
        Stage::Done(_) => Ok(None),
    }
}

async fn may_start(store: &dyn Movable) -> bool {
    store.note().await.expect("note").is_none_or(|note| note.check("store").is_ok())
}

/// Never both: the source not any more once it is marked. A target without a note is empty, a store like any new one.
async fn never_both(source: &dyn Movable, target: &dyn Movable, begun: bool) {
    let target_may = may_start(target).await && target.note().await.expect("note").is_some();
    assert!(!(may_start(source).await && target_may), "a hub could start on both");
    assert!(!begun || !may_start(source).await, "the source was marked");
}

/// Kills at every durable step, before and after it, each time going on from what the kill has left.
async fn killed_everywhere(ops: &[Op]) {
    let want = contents(&history(ops).await).await;
    for done in [false, true] {
        for step in 0.. {
            let (mut source, mut target) = (history(ops).await, Memory::new(PARTITIONS));
            let fuse = Fuse::after(step, done);
            let dying = (Dying { store: &source, fuse: fuse.clone() }, Dying { store: &target, fuse });
            let killed = command(&dying.0, &dying.1).await;
            never_both(&source, &target, step > 0).await;
            (source, target) = (source.reopen(), target.reopen());
            let finished = command(&source, &target).await;
            assert!(finished.is_ok(), "step {step}, {done}: {killed:?}, then {finished:?}");
            assert!(!may_start(&source).await && may_start(&target).await, "step {step}");
            assert_eq!(contents(&target).await, want, "step {step}");
            assert!(command(&source, &target).await.expect("nothing is left").is_none());
            if killed.is_ok() {
                break;
            }
        }
    }
}

/// Everything that a hub sees, as text.
async fn contents(store: &dyn Backbone) -> Vec<String> {
    let mut all = vec![format!("{:?}", store.shared("fact").await)];
    for topic in Topic::ALL {
        for place in (0..PARTITIONS).map(|n| Place::new(topic, n)) {
            all.push(format!("{:?}", store.read(place, 0, 1_000, 1 << 20).await));
            all.push(format!("{:?} {:?}", store.position(place).await, store.end(place).await));
            all.push(format!("{:?}", store.scan(place, "s", None, 1_000).await));
        }
    }
    all
}

fn for_moving(folder: &TempDir) -> EmbeddedSettings {
    EmbeddedSettings::new(crate::file(folder), PARTITIONS).for_moving()
}

/// Memory to a file, and on to memory; a hub on the file is refused as long as it must be.
async fn through_a_file(ops: &[Op]) {
    let (source, folder) = (history(ops).await, crate::folder());
    let want = contents(&source).await;
    let file = Embedded::open(for_moving(&folder)).expect("open");
    let _sheet = command(&source, &file).await.expect("moved");
    file.close().await;
    let file = Embedded::open(EmbeddedSettings::new(crate::file(&folder), PARTITIONS)).expect("a hub starts");
    assert_eq!(contents(&file).await, want);
    assert!(file.is_over(source.epoch()), "its lives are over here, too");
    file.close().await;
    let (file, target) = (Embedded::open(for_moving(&folder)).expect("open"), Memory::new(PARTITIONS));
    let _sheet = command(&file, &target).await.expect("moved on");
    file.close().await;
    let refused = Embedded::open(EmbeddedSettings::new(crate::file(&folder), PARTITIONS));
    assert!(matches!(refused, Err(Error::Fenced(text)) if text.contains("was moved to there")));
    assert_eq!(contents(&target).await, want);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 100, ..ProptestConfig::default() })]

    #[test]
    fn killed_at_any_step_it_is_finished_by_the_same_command(ops in vec(op(), 0..12)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
        runtime.block_on(killed_everywhere(&ops));
    }

    #[test]
    fn a_file_takes_and_gives_everything(ops in vec(op(), 0..20)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
        runtime.block_on(through_a_file(&ops));
    }
}

/// A life that may still send is not over in the file either, however often it is opened.
#[tokio::test]
async fn a_life_elsewhere_is_not_over() {
    let folder = crate::folder();
    let file = Embedded::open(for_moving(&folder)).expect("open");
    let lives = [("k-open", None), ("k-over", Some("closed".to_owned()))];
    let lives = lives.map(|(epoch, over)| Life { epoch: epoch.to_owned(), over });
    file.import_lives(&lives).await.expect("import");
    file.import_lives(&lives).await.expect("again");
    assert_eq!(file.commit(crate::one(crate::inbox(0), "k", b"")).await.expect("its own life is the newest"), [0]);
    for _ in 0..2 {
        file.close().await;
        let again = Embedded::open(for_moving(&folder)).expect("open");
        assert!(again.is_over("k-over") && again.is_over(file.epoch()) && !again.is_over("k-open"));
        again.close().await;
    }
}

/// What is not the same is found, and nothing is released.
#[tokio::test]
async fn a_difference_stops_it() {
    let (source, target) = (Memory::new(PARTITIONS), Memory::new(PARTITIONS));
    let place = crate::inbox(1);
    let mut commit = crate::one(place, "a", b"1");
    commit.put(place, "s", "k", "v");
    let _offsets = source.commit(commit).await.expect("commit");
    let moving = moving(&source, &target);
    moving.copy("id", &|_, _| {}).await.expect("copied");
    let mut more = Commit::new();
    more.put(place, "s", "too many", "v");
    let _offsets = target.commit(more).await.expect("somebody else");
    let refused = moving.release("id").await;
    assert!(matches!(&refused, Err(Error::Io(text)) if text.contains("keyed state of inbox/1")), "{refused:?}");
    assert!(!may_start(&source).await && !may_start(&target).await);
    moving.abandon().await.expect("taken back");
    assert!(may_start(&source).await && !may_start(&target).await);
    assert!(matches!(moving.stage("id2").await, Err(Error::Fenced(text)) if text.contains("given up")));
    assert!(matches!(moving.abandon().await, Err(Error::Io(_))), "once");
}

/// Only an empty store is filled, and only one with as many partitions.
#[tokio::test]
async fn a_target_that_is_not_empty_is_refused() {
    let (source, target) = (Memory::new(PARTITIONS), Memory::new(PARTITIONS));
    let _offset = target.commit(crate::one(crate::inbox(0), "k", b"")).await.expect("commit");
    let refused = moving(&source, &target).stage("id").await;
    assert!(matches!(refused, Err(Error::Io(text)) if text.contains("not empty")));
    let refused = moving(&source, &Memory::new(3)).stage("id").await;
    assert!(matches!(refused, Err(Error::Io(text)) if text.contains("`partitions: 2`")));
    assert!(may_start(&source).await);
}
