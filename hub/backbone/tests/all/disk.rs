//! A full disk: commits wait, nothing is lost, and people are told. The limit of size gives the same error of SQLite
//! (`SQLITE_FULL`) as a disk without room.

use std::sync::Arc;
use std::time::Duration;

use hub_backbone::rusqlite::Connection;
use hub_backbone::{AlarmKind, Backbone, Embedded, Error};

use crate::{file, folder, inbox, one, open, read_all, within};

const RECORDS: u64 = 40;
static BYTES: [u8; 50_000] = [9; 50_000];

/// Waits for what must happen.
async fn until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    within(wait).await;
}

fn is_full(store: &Embedded) -> bool {
    store.alarms().iter().any(|alarm| alarm.kind == AlarmKind::DiskFull)
}

type Writers = Vec<tokio::task::JoinHandle<Result<Vec<u64>, Error>>>;

/// More commits than there is room for.
async fn fill(store: &Arc<Embedded>) -> Writers {
    store.limit_bytes(Some(700_000));
    let write = |n: u64| {
        let store = Arc::clone(store);
        tokio::spawn(async move { store.commit(one(inbox(0), &n.to_string(), &BYTES)).await })
    };
    let writers = (0..RECORDS).map(write).collect();
    until(|| is_full(store)).await;
    writers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_wait_until_there_is_room() {
    let folder = folder();
    let store = Arc::new(open(&folder));
    let writers = fill(&store).await;
    let before = read_all(&*store, inbox(0)).await.expect("reading goes on").len() as u64;
    assert!(before < RECORDS);
    assert!(store.alarms()[0].text.contains("make room"), "{:?}", store.alarms());
    store.limit_bytes(None);
    let mut offsets = Vec::new();
    for writer in writers {
        offsets.push(within(writer).await.expect("no panic").expect("none is lost")[0]);
    }
    offsets.sort_unstable();
    assert_eq!(offsets, (0..RECORDS).collect::<Vec<_>>());
    assert_eq!(store.verify(inbox(0)).await.expect("the chain holds").end, RECORDS);
    assert!(store.alarms().is_empty(), "the alarm is over");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trimming_makes_room() {
    let folder = folder();
    let store = Arc::new(open(&folder));
    for n in 0..20u8 {
        store.commit(one(inbox(1), "old", &[n; 50_000])).await.expect("done");
    }
    store.limit_bytes(Some(1)); // no larger than now
    let late = {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.commit(one(inbox(0), "late", &BYTES)).await })
    };
    until(|| is_full(&store)).await;
    assert!(!late.is_finished());
    within(store.trim(inbox(1), 20)).await.expect("trimming passes by what waits");
    assert_eq!(within(late).await.expect("no panic").expect("done"), [0]);
    assert!(store.alarms().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_with_a_full_disk_says_what_was_not_done() {
    let folder = folder();
    let store = Arc::new(open(&folder));
    let writers = fill(&store).await;
    within(store.close()).await;
    let (mut done, mut refused) = (0, 0);
    for writer in writers {
        match within(writer).await.expect("no panic") {
            Ok(_) => done += 1,
            Err(Error::Io(text)) => refused += u64::from(text.contains("closed")),
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(done + refused, RECORDS);
    assert!(refused > 0);
    assert_eq!(read_all(&open(&folder), inbox(0)).await.expect("read").len() as u64, done);
}

/// Another program that holds the database for long is no failure.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_wait_for_another_program() {
    let folder = folder();
    let store = Arc::new(open(&folder));
    let other = Connection::open(file(&folder)).expect("the file opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("begin");
    let late = {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.commit(one(inbox(0), "late", b"")).await })
    };
    until(|| store.alarms().iter().any(|alarm| alarm.kind == AlarmKind::Busy)).await;
    other.execute_batch("ROLLBACK").expect("rollback");
    assert_eq!(within(late).await.expect("no panic").expect("done"), [0]);
    assert!(store.alarms().is_empty());
}
