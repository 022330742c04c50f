//! What only the embedded store does: lock, versions, group commit, closing.

use std::sync::Arc;
use std::time::Instant;

use hub_backbone::rusqlite::{self, Connection};
use hub_backbone::{AlarmKind, Backbone, Commit, Embedded, EmbeddedSettings, Error};

use crate::{append, file, folder, hand_over, hold, inbox, one, open, read_all, settings};

#[tokio::test]
async fn a_second_opening_is_refused_until_the_first_ends() {
    let folder = folder();
    let first = open(&folder);
    match Embedded::open(settings(&folder)) {
        Err(Error::Fenced(text)) => {
            assert!(text.contains("hub.db.lock") && text.contains(&std::process::id().to_string()), "{text}");
        }
        other => panic!("it must be refused, not {other:?}"),
    }
    append(&first, inbox(0), "k", b"").await;
    drop(first);
    let second = open(&folder);
    second.close().await;
    let third = open(&folder);
    assert_eq!(read_all(&third, inbox(0)).await.expect("read").len(), 1);
    assert!(third.is_over(second.epoch()));
}

#[tokio::test]
async fn what_was_handed_over_is_done_before_the_store_closes() {
    let folder = folder();
    let store = open(&folder);
    let (held, release) = hold(&store);
    drop(hand_over(&store, (0..100).map(|n| one(inbox(0), &n.to_string(), b"x"))));
    drop(held);
    drop(release);
    tokio::task::spawn_blocking(move || drop(store)).await.expect("no panic");
    assert_eq!(read_all(&open(&folder), inbox(0)).await.expect("read").len(), 100);
}

#[tokio::test]
async fn a_closed_store_refuses_everything() {
    let folder = folder();
    let store = Arc::new(open(&folder));
    let waiter = {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.changed(inbox(0), 0).await })
    };
    store.close().await;
    store.close().await;
    assert!(waiter.await.expect("no panic").is_err(), "who waits must end");
    assert!(matches!(store.commit(one(inbox(0), "k", b"")).await, Err(Error::Io(text)) if text.contains("closed")));
    assert!(matches!(store.read(inbox(0), 0, 1, 1).await, Err(Error::Io(_))));
    assert!(matches!(store.trim(inbox(0), 1).await, Err(Error::Io(_))));
    assert!(matches!(store.write(|_| Ok(())).await, Err(Error::Io(_))));
    assert!(matches!(store.query(|_| Ok(())).await, Err(Error::Io(_))));
    assert!(store.alarms().is_empty(), "closing is no failure");
}

#[tokio::test]
async fn a_closed_store_leaves_one_file_and_an_ended_epoch() {
    let folder = folder();
    let store = open(&folder);
    append(&store, inbox(0), "k", b"v").await;
    store.close().await;
    assert!(!folder.path().join("hub.db-wal").exists(), "the log was written into the main file");
    let conn = Connection::open(file(&folder)).expect("the file opens");
    let open: i64 = conn.query_row("SELECT count(*) FROM epochs WHERE ended IS NULL", [], |r| r.get(0)).expect("count");
    assert_eq!(open, 0);
    let shown: (String, i64, i64, String) = conn
        .query_row("SELECT topic, partition, offset, key FROM log", [], |r| {
            Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?))
        })
        .expect("people can look");
    assert_eq!(shown, ("inbox".to_owned(), 0, 0, "k".to_owned()));
}

#[tokio::test]
async fn files_that_are_not_for_this_program_are_refused() {
    let refused = |folder: &tempfile::TempDir, partitions, expected: &str| match Embedded::open(EmbeddedSettings::new(
        file(folder),
        partitions,
    )) {
        Err(error) => assert!(error.to_string().contains(expected), "{error}"),
        other => panic!("it must be refused, not {other:?}"),
    };
    let ours = folder();
    open(&ours).close().await;
    refused(&ours, 8, "was made with 4 partitions");
    let conn = Connection::open(file(&ours)).expect("the file opens");
    conn.pragma_update(None, "user_version", 99).expect("pragma");
    drop(conn);
    refused(&ours, 4, "has version 99");

    let foreign = folder();
    let conn = Connection::open(file(&foreign)).expect("the file opens");
    conn.execute_batch("CREATE TABLE cats(name)").expect("a table");
    drop(conn);
    let before = std::fs::read(file(&foreign)).expect("read");
    refused(&foreign, 4, "of another program");
    assert!(before == std::fs::read(file(&foreign)).expect("read"), "it was left alone");

    let garbage = folder();
    std::fs::write(file(&garbage), vec![b'x'; 9_000]).expect("write");
    refused(&garbage, 4, "not a database");
    refused(&folder(), 0, "1 to 1024 partitions");
}

/// A killed process cannot show a missing fsync, so the settings that ask for it are looked at.
#[tokio::test]
async fn every_transaction_is_synced() {
    let folder = folder();
    let store = open(&folder);
    let read = |name: &'static str| {
        store.write(move |conn| Ok(conn.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0))?))
    };
    assert_eq!(read("synchronous").await.expect("pragma"), 2.into(), "full");
    assert_eq!(read("journal_mode").await.expect("pragma"), "wal".to_owned().into());
    assert_eq!(read("page_size").await.expect("pragma"), 4_096.into());
    assert_eq!(read("wal_autocheckpoint").await.expect("pragma"), 8_000.into());
}

#[tokio::test]
async fn commits_that_wait_become_one_transaction() {
    let folder = folder();
    let store = open(&folder);
    let before = store.counts();
    let (held, release) = hold(&store);
    let waiting = hand_over(&store, (0..200).map(|n| one(inbox(n % 4), "k", b"v")));
    drop(release);
    held.await.expect("the task succeeds");
    for (n, commit) in waiting.into_iter().enumerate() {
        assert_eq!(commit.await.expect("done"), [n as u64 / 4], "in the order of their coming");
    }
    let after = store.counts();
    assert_eq!((after.commits - before.commits, after.records - before.records), (200, 200));
    assert_eq!(after.transactions - before.transactions, 1);
}

#[tokio::test]
async fn groups_are_bounded() {
    let folder = folder();
    let store = open(&folder);
    let (held, release) = hold(&store);
    let many = hand_over(&store, (0..600).map(|_| one(inbox(0), "k", b"v")));
    let large = hand_over(&store, (0..20).map(|_| one(inbox(1), "k", &[0; 1 << 20])));
    drop(release);
    held.await.expect("the task succeeds");
    for commit in many.into_iter().chain(large) {
        commit.await.expect("done");
    }
    let counts = store.counts();
    assert_eq!(counts.commits, 620);
    assert!((5..20).contains(&counts.transactions), "256 commits or 8 MiB each, not {}", counts.transactions);
}

#[tokio::test]
async fn another_process_that_takes_the_store_fences_this_one() {
    let folder = folder();
    let store = open(&folder);
    append(&store, inbox(0), "k", b"").await;
    let other = Connection::open(file(&folder)).expect("the file opens");
    other.execute("INSERT INTO epochs(epoch, begun) VALUES ('intruder', 0)", []).expect("insert");
    assert!(matches!(store.commit(one(inbox(0), "late", b"")).await, Err(Error::Fenced(_))));
    assert!(matches!(store.commit(one(inbox(0), "late", b"")).await, Err(Error::Fenced(_))), "for good");
    assert!(matches!(store.read(inbox(0), 0, 1, 1).await, Err(Error::Fenced(_))));
    assert!(matches!(store.changed(inbox(0), 9).await, Err(Error::Fenced(_))));
    assert_eq!(store.alarms()[0].kind, AlarmKind::Failed);
    let count: i64 = other.query_row("SELECT count(*) FROM records", [], |row| row.get(0)).expect("count");
    assert_eq!(count, 1, "nothing was written");
}

/// A failed store keeps its lock: its hub may still be sending.
#[tokio::test]
async fn a_failed_store_stays_locked() {
    let folder = folder();
    let store = open(&folder);
    let panicked = store.write(|_| -> Result<(), _> { panic!("planted") }).await;
    assert!(matches!(panicked, Err(Error::Io(_))), "{panicked:?}");
    assert!(matches!(store.commit(one(inbox(0), "k", b"")).await, Err(Error::Io(_))));
    assert!(matches!(Embedded::open(settings(&folder)), Err(Error::Fenced(_))));
    drop(store);
    append(&open(&folder), inbox(0), "k", b"").await;
}

#[tokio::test]
async fn trimming_thousands_goes_in_parts() {
    let folder = folder();
    let store = open(&folder);
    let mut many = Commit::new();
    (0..3_500).for_each(|n| many.append(inbox(0), n.to_string(), "v"));
    store.commit(many).await.expect("done");
    store.trim(inbox(0), 3_200).await.expect("trim");
    let verified = store.verify(inbox(0)).await.expect("the chain holds");
    assert_eq!((verified.first, verified.end), (3_200, 3_500));
    let rows = store.query(|conn| conn.query_row("SELECT count(*) FROM records", [], |row| row.get::<_, i64>(0))).await;
    assert_eq!(rows.expect("query"), 300);
}

/// Only prints: how fast it is depends on the machine and its neighbours.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prints_its_throughput() {
    let folder = folder();
    let store = Arc::new(open(&folder));
    let begin = Instant::now();
    let writers = (0..64u16).map(|writer| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for _ in 0..100 {
                append(&store, inbox(writer % 4), "key", &[7; 300]).await;
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("no panic");
    }
    let (counts, seconds) = (store.counts(), begin.elapsed().as_secs_f64());
    println!(
        "{:.0} commits/s, {} transactions of {}",
        counts.commits as f64 / seconds,
        counts.transactions,
        counts.commits
    );
    assert_eq!(counts.commits, 6_400);
    for _ in 0..2_000 {
        store.get(inbox(0), "s", "k").await.expect("get");
    }
    println!("get: {:.1} us", (begin.elapsed().as_secs_f64() - seconds) * 1e6 / 2_000.0);
}
