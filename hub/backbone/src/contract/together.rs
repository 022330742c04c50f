//! Commits: all or nothing, in order, by many at once.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::contract::{Harness, append, commit, inbox, read_all, within};
use crate::{Backbone, Commit, Error, Place, RECORD_BYTES_MAX, Topic};

/// Everything of a commit is there when it returns.
pub async fn a_commit_is_seen_whole(harness: &mut dyn Harness) {
    let backbone = harness.backbone();
    append(&*backbone, inbox(0), "in", b"").await;
    let mut step = Commit::new();
    step.append(Place::new(Topic::OUTBOX, 1), "out", "o");
    step.append(Place::new(Topic::JOURNAL, 2), "case", "j");
    step.put(Place::new(Topic::OUTBOX, 1), "outbound", "id", "pending");
    step.done(inbox(0), 1);
    assert_eq!(commit(&*backbone, step).await, [0, 0]);
    assert_eq!(read_all(&*backbone, Place::new(Topic::OUTBOX, 1), 0).await[0].key, "out");
    assert_eq!(read_all(&*backbone, Place::new(Topic::JOURNAL, 2), 0).await[0].key, "case");
    let state = within(backbone.get(Place::new(Topic::OUTBOX, 1), "outbound", "id")).await.expect("get");
    assert_eq!(state.as_deref(), Some(&b"pending"[..]));
    assert_eq!(within(backbone.position(inbox(0))).await.expect("position"), 1);
}

/// A commit with a record that is too large is refused whole, and says which one it was.
pub async fn what_is_too_large_is_refused_whole(harness: &mut dyn Harness) {
    let backbone = harness.backbone();
    let mut bad = Commit::new();
    bad.append(inbox(0), "small", "1");
    bad.append(inbox(1), "giant", vec![0; RECORD_BYTES_MAX + 1]);
    bad.put(inbox(0), "s", "k", "v");
    bad.done(inbox(0), 7);
    match within(backbone.commit(bad)).await {
        Err(Error::TooLarge { key, bytes }) => assert!(key == "giant" && bytes > RECORD_BYTES_MAX),
        other => panic!("it must be refused as too large, not {other:?}"),
    }
    assert_eq!(within(backbone.end(inbox(0))).await.expect("end"), 0);
    assert_eq!(within(backbone.get(inbox(0), "s", "k")).await.expect("get"), None);
    assert_eq!(within(backbone.position(inbox(0))).await.expect("position"), 0);
    assert_eq!(append(&*backbone, inbox(0), "next", b"").await, 0, "the store goes on");
}

/// A partition that does not exist is an error everywhere, and nothing of such a commit is done.
pub async fn unknown_partitions_are_refused(harness: &mut dyn Harness) {
    let backbone = harness.backbone();
    let beyond = inbox(backbone.partitions());
    let mut bad = Commit::new();
    bad.append(inbox(0), "good", "1");
    bad.append(beyond, "bad", "1");
    assert!(within(backbone.commit(bad)).await.is_err());
    assert_eq!(within(backbone.end(inbox(0))).await.expect("end"), 0);
    assert!(within(backbone.read(beyond, 0, 1, 1)).await.is_err());
    assert!(within(backbone.get(beyond, "s", "k")).await.is_err());
    assert!(within(backbone.changed(beyond, 0)).await.is_err());
    assert!(within(backbone.trim(beyond, 0)).await.is_err());
}

/// A commit of thousands of records and many megabytes is one.
pub async fn a_large_commit_is_one(harness: &mut dyn Harness) {
    let backbone = harness.backbone();
    let mut large = Commit::new();
    (0..5_000u32).for_each(|n| large.append(inbox((n % 4) as u16), format!("{n}"), n.to_be_bytes().to_vec()));
    (0..12u8).for_each(|n| large.append(inbox(0), format!("mega{n}"), vec![n; RECORD_BYTES_MAX]));
    (0..2_000u32).for_each(|n| large.put(inbox(0), "s", format!("{n:05}"), n.to_be_bytes().to_vec()));
    let offsets = commit(&*backbone, large).await;
    assert_eq!(offsets.len(), 5_012);
    assert_eq!(offsets[4_999], 1_249);
    assert_eq!(offsets[5_011], 1_261);
    let records = read_all(&*backbone, inbox(0), 0).await;
    assert_eq!(records.len(), 1_262);
    assert!(records[1_250..].iter().enumerate().all(|(n, record)| record.bytes.iter().all(|b| usize::from(*b) == n)));
    let state = within(backbone.scan(inbox(0), "s", None, 10_000)).await.expect("scan");
    assert_eq!(state.len(), 2_000);
}

const WRITERS: u32 = 16;
const ROUNDS: u32 = 25;

/// Many callers at once: each keeps its order, partitions stay dense, and the records of one commit stand together.
pub async fn concurrent_writers_keep_their_order(harness: &mut dyn Harness) {
    let backbone = harness.backbone();
    let writers = (0..WRITERS).map(|writer| tokio::spawn(write_rounds(Arc::clone(&backbone), writer)));
    for writer in writers.collect::<Vec<_>>() {
        within(writer).await.expect("no panic");
    }
    let mut seen = vec![0u32; WRITERS as usize];
    for (n, pair) in read_all(&*backbone, inbox(0), 0).await.chunks(2).enumerate() {
        assert_eq!(pair[0].offset, 2 * n as u64, "dense");
        assert_eq!(pair[0].key, pair[1].key, "records of one commit stand together");
        let (writer, round) = pair[0].key.split_once('/').expect("writer/round");
        let writer: usize = writer.parse().expect("number");
        assert_eq!(round, seen[writer].to_string(), "writer {writer} keeps its order");
        seen[writer] += 1;
    }
    assert!(seen.iter().all(|rounds| *rounds == ROUNDS));
    assert_eq!(within(backbone.end(inbox(1))).await.expect("end"), u64::from(WRITERS * ROUNDS));
}

async fn write_rounds(backbone: Arc<dyn Backbone>, writer: u32) {
    for round in 0..ROUNDS {
        let mut step = Commit::new();
        step.append(inbox(0), format!("{writer}/{round}"), "first");
        step.append(inbox(0), format!("{writer}/{round}"), "second");
        step.append(inbox(1), format!("{writer}"), "");
        step.put(inbox(0), "rounds", writer.to_string(), round.to_string());
        let offsets = commit(&*backbone, step).await;
        assert_eq!(offsets[1], offsets[0] + 1);
        let state = within(backbone.get(inbox(0), "rounds", &writer.to_string())).await.expect("get");
        assert_eq!(state.as_deref(), Some(round.to_string().as_bytes()), "a caller sees its own commit");
    }
}

/// While commits go on, a reader that sees one part of a commit sees every other part, too.
pub async fn a_reader_never_sees_half(harness: &mut dyn Harness) {
    let backbone = harness.backbone();
    let writer = {
        let backbone = Arc::clone(&backbone);
        tokio::spawn(async move {
            for n in 1..=200u64 {
                let mut step = Commit::new();
                step.append(inbox(0), "a", n.to_string());
                step.append(Place::new(Topic::JOURNAL, 3), "b", n.to_string());
                step.put(inbox(2), "s", "n", n.to_string());
                step.done(inbox(1), n);
                commit(&*backbone, step).await;
            }
        })
    };
    let mut last = 0;
    while last < 200 {
        last = look(&*backbone, last).await;
    }
    within(writer).await.expect("no panic");
}

/// Looks at the parts one after the other: a part that is looked at later may be ahead, never behind.
async fn look(backbone: &dyn Backbone, last: u64) -> u64 {
    let state = within(backbone.get(inbox(2), "s", "n")).await.expect("get").unwrap_or_default();
    let state: u64 = std::str::from_utf8(&state).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let first = within(backbone.end(inbox(0))).await.expect("end");
    let position = within(backbone.position(inbox(1))).await.expect("position");
    let journal = within(backbone.end(Place::new(Topic::JOURNAL, 3))).await.expect("end");
    let after = within(backbone.read(inbox(0), journal - journal.min(1), 1, 10)).await.expect("read");
    assert!(last <= state && state <= first && first <= position && position <= journal, "{state} {first} {position}");
    assert!(journal == 0 || after.len() == 1, "the record {journal} must be there");
    state
}

/// A caller that gives up leaves a commit that is done or not, whole in either case; the store goes on.
pub async fn a_commit_given_up_is_whole_or_absent(harness: &mut dyn Harness) {
    let backbone = harness.backbone();
    for n in 0..30u64 {
        let mut step = Commit::new();
        step.append(inbox(0), "a", n.to_string());
        step.append(inbox(1), "b", n.to_string());
        let mut attempt = backbone.commit(step);
        let given_up = matches!(attempt.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending);
        drop(attempt);
        assert!(given_up || within(backbone.end(inbox(0))).await.expect("end") > 0);
    }
    append(&*backbone, inbox(2), "after", b"").await;
    let (a, b) = (read_all(&*backbone, inbox(0), 0).await, read_all(&*backbone, inbox(1), 0).await);
    assert_eq!(a.len(), b.len(), "both parts or none");
    assert!(a.iter().zip(&b).all(|(a, b)| a.bytes == b.bytes));
}

/// What one caller's commit wrote, every other caller sees once it has returned.
pub async fn a_returned_commit_is_seen_by_all(harness: &mut dyn Harness) {
    let backbone = harness.backbone();
    for n in 0..50u64 {
        let mut step = Commit::new();
        step.append(inbox(0), "k", "");
        step.put(inbox(0), "s", "k", n.to_string());
        commit(&*backbone, step).await;
        let other = Arc::clone(&backbone);
        let look = tokio::spawn(async move {
            let value = other.get(inbox(0), "s", "k").await.expect("get");
            let scan = other.scan(inbox(0), "s", None, 10).await.expect("scan");
            let last = other.read(inbox(0), n, 1, 10).await.expect("read");
            (value, scan, last.len())
        });
        let (value, scan, last) = within(look).await.expect("no panic");
        assert_eq!(value.as_deref(), Some(n.to_string().as_bytes()));
        assert_eq!((scan.len(), last), (1, 1));
    }
}
