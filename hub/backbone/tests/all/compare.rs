//! Memory and embedded give the same answers to the same calls, whatever they are.

use hub_backbone::{Backbone, Commit, Embedded, EmbeddedSettings, Memory, Place, Topic};
use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Op {
    Commit(Vec<Part>),
    Trim(Place, u64),
    Read(Place, u64, usize, usize),
    Scan(Place, Option<String>, usize),
    Reopen,
}

#[derive(Clone, Debug)]
enum Part {
    Append(Place, String, Vec<u8>),
    Put(Place, String, Vec<u8>),
    Delete(Place, String),
    Done(Place, u64),
}

fn place() -> impl Strategy<Value = Place> {
    (prop_oneof![Just(Topic::INBOX), Just(Topic::JOURNAL)], 0..2u16).prop_map(|(topic, n)| Place::new(topic, n))
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof!["[a-c/]{0,3}", "\\PC{0,4}", any::<String>().prop_map(|text| text.chars().take(3).collect())]
}

fn part() -> impl Strategy<Value = Part> {
    let bytes = || vec(any::<u8>(), 0..40);
    prop_oneof![
        3 => (place(), key(), bytes()).prop_map(|(place, key, bytes)| Part::Append(place, key, bytes)),
        2 => (place(), key(), bytes()).prop_map(|(place, key, bytes)| Part::Put(place, key, bytes)),
        1 => (place(), key()).prop_map(|(place, key)| Part::Delete(place, key)),
        1 => (place(), 0..30u64).prop_map(|(place, next)| Part::Done(place, next)),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => vec(part(), 0..6).prop_map(Op::Commit),
        1 => (place(), 0..12u64).prop_map(|(place, before)| Op::Trim(place, before)),
        2 => (place(), 0..15u64, 0..6usize, 0..200usize).prop_map(|(place, from, n, b)| Op::Read(place, from, n, b)),
        2 => (place(), proptest::option::of(key()), 0..5usize).prop_map(|(place, after, n)| Op::Scan(place, after, n)),
        1 => Just(Op::Reopen),
    ]
}

fn commit_of(parts: &[Part]) -> Commit {
    let mut commit = Commit::new();
    for part in parts {
        match part.clone() {
            Part::Append(place, key, bytes) => commit.append(place, key, bytes),
            Part::Put(place, key, bytes) => commit.put(place, "s", key, bytes),
            Part::Delete(place, key) => commit.delete(place, "s", key),
            Part::Done(place, next) => commit.done(place, next),
        }
    }
    commit
}

/// The answer to one operation, as text.
async fn answer(store: &dyn Backbone, op: &Op) -> String {
    match op {
        Op::Commit(parts) => format!("{:?}", store.commit(commit_of(parts)).await),
        Op::Trim(place, before) => format!("{:?}", store.trim(*place, *before).await),
        Op::Read(place, from, records, bytes) => format!("{:?}", store.read(*place, *from, *records, *bytes).await),
        Op::Scan(place, after, limit) => format!("{:?}", store.scan(*place, "s", after.as_deref(), *limit).await),
        Op::Reopen => String::new(),
    }
}

async fn everything(store: &dyn Backbone) -> Vec<String> {
    let mut all = Vec::new();
    for topic in [Topic::INBOX, Topic::JOURNAL] {
        for place in [Place::new(topic, 0), Place::new(topic, 1)] {
            all.push(format!("{:?}", store.read(place, 0, 1_000, 1 << 20).await));
            all.push(format!("{:?} {:?}", store.position(place).await, store.end(place).await));
            all.push(format!("{:?}", store.scan(place, "s", None, 1_000).await));
        }
    }
    all
}

async fn compare(ops: &[Op]) {
    let folder = crate::folder();
    let settings = || EmbeddedSettings::new(crate::file(&folder), 2);
    let (mut memory, mut embedded) = (Memory::new(2), Embedded::open(settings()).expect("open"));
    for op in ops {
        if matches!(op, Op::Reopen) {
            memory = memory.reopen();
            embedded.close().await;
            embedded = Embedded::open(settings()).expect("open");
        }
        assert_eq!(answer(&memory, op).await, answer(&embedded, op).await, "{op:?}");
    }
    assert_eq!(everything(&memory).await, everything(&embedded).await);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn both_give_the_same_answers(ops in vec(op(), 1..30)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
        runtime.block_on(compare(&ops));
    }
}
