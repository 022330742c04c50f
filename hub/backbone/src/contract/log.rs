//! Records: offsets, reading, the chain, trimming, waiting for more.

use std::sync::Arc;
use std::time::Duration;

use crate::chain::{genesis, link};
use crate::contract::{Harness, PARTITIONS, append, commit, inbox, keys, read_all, within};
use crate::{Commit, Error, Place, Stored, Topic};

/// A commit with nothing in it succeeds and changes nothing.
pub async fn an_empty_commit_does_nothing(harness: &mut dyn Harness) {
    let backbone = harness.backbone();
    assert_eq!(commit(&*backbone, Commit::new()).await, Vec::<u64>::new());
    for topic in Topic::ALL {
        assert_eq!(within(backbone.end(Place::new(topic, 0))).await.unwrap_or(9), 0, "{topic:?}");
    }
}

/// Offsets of each partition start at 0 and leave no gap; `commit` gives them in the order of the outputs.
pub async fn offsets_are_dense_from_zero(harness: &mut dyn Harness) {
    let backbone = harness.backbone();
    assert_eq!(backbone.partitions(), PARTITIONS);
    for round in 0..3u64 {
        let mut mixed = Commit::new();
        mixed.append(inbox(0), "a", "1");
        mixed.append(inbox(1), "b", "2");
        mixed.append(inbox(0), "c", "3");
        mixed.append(Place::new(Topic::OUTBOX, 0), "d", "4");
        assert_eq!(commit(&*backbone, mixed).await, [2 * round, round, 2 * round + 1, round]);
    }
    assert_eq!(within(backbone.end(inbox(0))).await.expect("end"), 6);
    assert_eq!(keys(&read_all(&*backbone, inbox(0), 0).await), ["a", "c", "a", "c", "a", "c"]);
    assert_eq!(within(backbone.end(inbox(2))).await.expect("end"), 0, "others are untouched");
}

/// Keys and bytes come back as they were, whatever is in them.
pub async fn content_comes_back_as_it_was(harness: &mut dyn Harness) {
    let backbone = harness.backbone();
    let all_bytes: Vec<u8> = (0..=255).collect();
    let long = vec![0xA5; crate::RECORD_BYTES_MAX];
    let written = [("", &b""[..]), ("perché/2026/1 €", &all_bytes), ("with\0nul", b"\0\0"), ("long", &long)];
    for (key, bytes) in written {
        append(&*backbone, inbox(3), key, bytes).await;
    }
    let found = read_all(&*backbone, inbox(3), 0).await;
    assert_eq!(found.len(), written.len());
    for (record, (key, bytes)) in found.iter().zip(written) {
        assert_eq!((record.key.as_str(), record.bytes.len()), (key, bytes.len()));
        assert!(record.bytes == bytes, "content of {key}");
    }
}

/// `read` gives at most so many records and about so many bytes, in order, but at least one record if there is.
pub async fn reads_are_bounded(harness: &mut dyn Harness) {
    let backbone = harness.backbone();
    for n in 0..20u8 {
        append(&*backbone, inbox(0), &format!("{n}"), &[n; 100]).await;
    }
    let read = async |from, records, bytes| within(backbone.read(inbox(0), from, records, bytes)).await.expect("read");
    assert_eq!(keys(&read(3, 4, 10_000).await), ["3", "4", "5", "6"], "records");
    let by_bytes = read(0, 100, 550).await.len();
    assert!((1..=6).contains(&by_bytes), "550 bytes hold about 5 records of 100, not {by_bytes}");
    assert_eq!(read(7, 100, 1).await.len(), 1, "at least one, however large");
    assert_eq!(read(7, 0, 0).await.len(), 1, "at least one, whatever is asked");
    assert_eq!(read(18, 100, 10_000).await.len(), 2, "no more than there are");
    assert!(read(20, 100, 10_000).await.is_empty(), "at the end");
    assert!(read(1_000_000, 100, 10_000).await.is_empty(), "beyond the end");
}

/// Each record's chain is computed from the one before, from the partition's own beginning.
pub async fn the_chain_links_every_record(harness: &mut dyn Harness) {
    let backbone = harness.backbone();
    for n in 0..10u8 {
        append(&*backbone, inbox(u16::from(n % 2)), &format!("key{n}"), &[n]).await;
    }
    for partition in [0, 1] {
        let records = read_all(&*backbone, inbox(partition), 0).await;
        assert_eq!(records.len(), 5);
        assert_chain(&records, genesis(inbox(partition)));
        let middle = within(backbone.read(inbox(partition), 2, 10, 10_000)).await.expect("read");
        assert_eq!(middle, records[2..], "from the middle");
    }
}

fn assert_chain(records: &[Stored], before: [u8; 32]) {
    let mut chain = before;
    for record in records {
        chain = link(&chain, record.offset, &record.key, &record.bytes);
        assert_eq!(record.chain, chain, "offset {}", record.offset);
    }
}

/// A damaged record is an error that names it; it is never skipped, and what stands before it can be read.
pub async fn a_damaged_record_is_found(harness: &mut dyn Harness) {
    let backbone = harness.backbone();
    for n in 0..6u8 {
        append(&*backbone, inbox(1), "k", &[n, n]).await;
    }
    drop(backbone);
    if !harness.damage(inbox(1), 3).await {
        println!("skipped: this harness cannot damage a record");
        return;
    }
    let backbone = harness.backbone();
    assert_eq!(within(backbone.read(inbox(1), 0, 3, 1_000)).await.expect("what stands before").len(), 3);
    for from in 0..=3 {
        match within(backbone.read(inbox(1), from, 10, 1_000)).await {
            Err(Error::Corrupt { place, offset: 3, .. }) => assert_eq!(place, "inbox/1"),
            other => panic!("reading from {from} must report offset 3, not {other:?}"),
        }
    }
}

/// `trim` removes what is below; the rest keeps its offsets and chain; appending goes on; it holds over a new life.
pub async fn trim_keeps_the_chain(harness: &mut dyn Harness) {
    let backbone = harness.backbone();
    for n in 0..10u8 {
        append(&*backbone, inbox(0), &format!("{n}"), &[n]).await;
    }
    let whole = read_all(&*backbone, inbox(0), 0).await;
    within(backbone.trim(inbox(0), 4)).await.expect("trim");
    assert_eq!(read_all(&*backbone, inbox(0), 0).await, whole[4..], "reading begins at the first kept one");
    assert_eq!(read_all(&*backbone, inbox(0), 6).await, whole[6..]);
    within(backbone.trim(inbox(0), 10)).await.expect("trim all");
    assert!(read_all(&*backbone, inbox(0), 0).await.is_empty());
    drop(backbone);
    harness.reopen().await;
    let backbone = harness.backbone();
    assert_eq!(within(backbone.end(inbox(0))).await.expect("end"), 10);
    assert_eq!(append(&*backbone, inbox(0), "10", b"x").await, 10);
    assert_chain(&read_all(&*backbone, inbox(0), 0).await, whole[9].chain);
}

/// `trim` below what is gone already, or beyond the end, is no error; it removes nothing that is yet to come.
pub async fn trim_is_bounded(harness: &mut dyn Harness) {
    let backbone = harness.backbone();
    within(backbone.trim(inbox(2), 5)).await.expect("an empty partition");
    append(&*backbone, inbox(2), "0", b"").await;
    append(&*backbone, inbox(2), "1", b"").await;
    within(backbone.trim(inbox(2), 1)).await.expect("trim");
    within(backbone.trim(inbox(2), 0)).await.expect("below");
    assert_eq!(keys(&read_all(&*backbone, inbox(2), 0).await), ["1"]);
    within(backbone.trim(inbox(2), 1_000)).await.expect("beyond");
    assert_eq!(append(&*backbone, inbox(2), "2", b"").await, 2);
    assert_eq!(keys(&read_all(&*backbone, inbox(2), 0).await), ["2"]);
}

/// `changed` completes when the end is beyond `after`, at once or later, and not before.
pub async fn changed_completes_beyond_after(harness: &mut dyn Harness) {
    let backbone = harness.backbone();
    append(&*backbone, inbox(0), "0", b"").await;
    within(backbone.changed(inbox(0), 0)).await.expect("the end is 1 already");
    let waiter = {
        let backbone = Arc::clone(&backbone);
        tokio::spawn(async move { backbone.changed(inbox(0), 2).await })
    };
    append(&*backbone, inbox(0), "1", b"").await;
    append(&*backbone, inbox(1), "other", b"").await;
    let early = tokio::time::timeout(Duration::from_millis(30), backbone.changed(inbox(0), 2)).await;
    assert!(early.is_err(), "the end is 2, not beyond 2");
    append(&*backbone, inbox(0), "2", b"").await;
    within(waiter).await.expect("no panic").expect("changed");
    assert_eq!(within(backbone.end(inbox(0))).await.expect("end"), 3, "what woke the waiter is there to be read");
}

/// `changed` may be dropped and called again; nothing is missed.
pub async fn changed_may_be_dropped(harness: &mut dyn Harness) {
    let backbone = harness.backbone();
    for n in 0..20u64 {
        let given_up = tokio::time::timeout(Duration::from_micros(50 * n), backbone.changed(inbox(0), n)).await;
        assert!(given_up.is_err(), "nothing was appended");
        append(&*backbone, inbox(0), "k", b"").await;
        within(backbone.changed(inbox(0), n)).await.expect("changed");
    }
}
