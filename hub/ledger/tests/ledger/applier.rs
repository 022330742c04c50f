//! The applier: whatever happens to it, the ledger becomes what the journal says.

use std::sync::Arc;
use std::time::Duration;

use hub_backbone::{Backbone, Cluster, Commit, Embedded, EmbeddedSettings, MAILED, Memory, Place, Topic};
use hub_core::journal::Event;
use hub_ledger::{Applier, Error, Ledger, LedgerView, Store, Visible};
use hub_testkit::Postgres;

use crate::events::{case, event, one_of_each, renamed};
use crate::filled::{Kind, expected, judge, postgres};

const SLOTS: u16 = 4;

/// All events of a case, with a text that not every database can keep.
fn story(id: &str) -> Vec<Event> {
    let one = |(second, what)| {
        let mut event = event(case(id, "UFAAAA", "10.00"), second, renamed(&what, id));
        (event.message, event.segment) = (format!("m-{id}"), "a\0b".into());
        event
    };
    (0..).zip(one_of_each()).map(one).collect()
}

/// Judges some cases, a few events at a time, on their slots; gives the last position of each slot that was used.
async fn happen(log: &dyn Backbone, cases: std::ops::Range<u32>) -> Vec<(u16, u64)> {
    let mut last = std::collections::BTreeMap::new();
    for n in cases {
        let id = format!("c{n}");
        let slot = Place::of_key(Topic::CASES, &id, SLOTS).partition;
        for some in story(&id).chunks(5) {
            let _ = last.insert(slot, judge(log, slot, some).await);
        }
    }
    last.into_iter().collect()
}

async fn shown(applier: &Applier, positions: &[(u16, u64)]) {
    for (slot, at) in positions {
        let reached = applier.watermark();
        let reached = tokio::time::timeout(Duration::from_secs(60), reached.reaches(*slot, *at)).await;
        reached.unwrap_or_else(|_| panic!("{slot}@{at} is not shown: {:?}", applier.troubles())).unwrap();
    }
}

async fn on_all(server: &Postgres, name: &str) -> Vec<(Arc<dyn Store>, Ledger, Option<tempfile::TempDir>)> {
    let folder = tempfile::tempdir().unwrap();
    let (file, of_file) = Kind::Sqlite.open(folder.path()).await;
    let (database, of_database) = Kind::Postgres(server.database(name)).open(folder.path()).await;
    vec![(file, of_file, Some(folder)), (database, of_database, None)]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_store_gives_the_same_digest() {
    let Some(server) = Postgres::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let settings = EmbeddedSettings::new(folder.path().join("hub.db"), SLOTS).with_view(LedgerView);
    let log = Arc::new(Embedded::open(settings).unwrap());
    let positions = happen(&*log, 0..12).await;
    let inside = Ledger::new(log.clone()).digest().await.unwrap();
    assert_eq!(inside, expected(&*log).await);
    for (store, ledger, _folder) in on_all(&server, "digest").await {
        let applier = Applier::start(log.clone(), store, None);
        shown(&applier, &positions).await;
        assert_eq!(ledger.digest().await.unwrap(), inside);
    }
    // The same by the socket: the rows are there already.
    let by_socket = Ledger::new(Arc::new(postgres(&server.by_socket("digest"))));
    assert_eq!(by_socket.digest().await.unwrap(), inside);
    log.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_appliers_at_once_and_one_that_is_killed_again_and_again_change_nothing() {
    let Some(server) = Postgres::start() else { return };
    for (store, ledger, _folder) in on_all(&server, "two").await {
        let log = Arc::new(Memory::new(SLOTS));
        let steady = Applier::start(log.clone(), store.clone(), None);
        let mut positions = Vec::new();
        for n in 0..20 {
            let other = Applier::start(log.clone(), store.clone(), None);
            positions = happen(&*log, n..n + 1).await;
            if n % 2 == 0 {
                shown(&other, &positions).await;
            }
            drop(other);
        }
        shown(&steady, &positions).await;
        let all: Vec<_> = last_judged(&*log).await;
        shown(&steady, &all).await;
        assert_eq!(ledger.digest().await.unwrap(), expected(&*log).await);
        assert!(steady.troubles().is_empty());

        // It is emptied while both follow: they fill it again.
        let other = Applier::start(log.clone(), store.clone(), None);
        hub_ledger::empty(&*store).await.unwrap();
        let positions = happen(&*log, 100..104).await;
        shown(&steady, &positions).await;
        shown(&other, &positions).await;
        let all = last_judged(&*log).await;
        shown(&Applier::start(log.clone(), store.clone(), None), &all).await;
        assert_eq!(ledger.digest().await.unwrap(), expected(&*log).await);
    }
}

async fn last_judged(log: &dyn Backbone) -> Vec<(u16, u64)> {
    let mut last = Vec::new();
    for slot in 0..log.partitions() {
        let judged = log.position(Place::new(Topic::CASES, slot)).await.unwrap();
        last.extend(judged.checked_sub(1).map(|at| (slot, at)));
    }
    last
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_goes_and_comes_back_costs_the_ledger_nothing() {
    let Some(mut server) = Postgres::start() else { return };
    let (store, ledger) = Kind::Postgres(server.database("away")).open(std::path::Path::new("/")).await;
    let log = Arc::new(Memory::new(SLOTS));
    let applier = Applier::start(log.clone(), store.clone(), None);
    shown(&applier, &happen(&*log, 0..3).await).await;
    // Its connections are cut in the middle of the work.
    let flow = tokio::spawn({
        let log = log.clone();
        async move { happen(&*log, 3..30).await }
    });
    for _ in 0..10 {
        let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'raccordo'";
        drop(server.sql("away", cut));
    }
    drop(flow.await.unwrap());
    // It dies while work waits, and recovers.
    server.kill();
    let positions = happen(&*log, 30..40).await;
    let error = ledger.digest().await.unwrap_err();
    assert!(matches!(error, Error::Away { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("127.0.0.1/away") && text.contains("payments go on"), "{text}");
    assert!(applier.watermark().troubles().is_empty(), "a moment is no trouble");
    server.restart();
    shown(&applier, &positions).await;
    shown(&applier, &last_judged(&*log).await).await;
    assert_eq!(ledger.digest().await.unwrap(), expected(&*log).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_of_another_log_or_of_another_version_is_refused() {
    let Some(server) = Postgres::start() else { return };
    for (store, ledger, folder) in on_all(&server, "other").await {
        let (log, other) = (Arc::new(Memory::new(SLOTS)), Arc::new(Memory::new(SLOTS)));
        let positions = happen(&*log, 0..8).await;
        shown(&Applier::start(log.clone(), store.clone(), None), &positions).await;
        let digest = ledger.digest().await.unwrap();
        let _ = happen(&*other, 20..40).await;
        let confused = Applier::start(other.clone(), store.clone(), None);
        while !confused.troubles().iter().any(|line| line.contains("another record")) {
            tokio::task::yield_now().await;
        }
        assert_eq!(ledger.digest().await.unwrap(), digest);
        drop(confused);

        let newer = "UPDATE ledger_shape SET shape = 1000";
        let error = match folder {
            None => {
                drop(server.sql("other", newer));
                let url = server.by_socket("other");
                postgres(&url).prepare().await.unwrap_err()
            }
            Some(folder) => {
                let path = folder.path().join("ledger.db");
                let _ = rusqlite::Connection::open(&path).unwrap().execute(newer, []).unwrap();
                hub_ledger::FileStore::open(&path).unwrap_err()
            }
        };
        assert!(matches!(error, Error::Newer { found: 1000, .. }), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_waits_for_what_another_hub_has_judged() {
    let Some(server) = Postgres::start() else { return };
    let url = server.database("many");
    let cluster = Cluster::new(SLOTS);
    let (left, right) = (Arc::new(cluster.join()), Arc::new(cluster.join()));
    (0..2).for_each(|slot| cluster.assign(slot, Some(&left)));
    (2..SLOTS).for_each(|slot| cluster.assign(slot, Some(&right)));
    let open = async || Kind::Postgres(url.clone()).open(std::path::Path::new("/")).await;
    let ((of_left, _), (of_right, ledger)) = (open().await, open().await);
    let applies_left = Applier::start(left.clone(), of_left, None);
    let applies_right = Applier::start(right.clone(), of_right, None);
    // The right hub sends a record to a case of the left one: it is judged there, and seen here.
    let place = Place::new(Topic::CASES, 1);
    let mut mail = Commit::new();
    mail.append(place, "A", "asked");
    let sent = right.commit(mail).await.unwrap()[0];
    assert_ne!(sent & MAILED, 0);
    let watermark = applies_right.watermark();
    let mut waiting = Box::pin(watermark.reaches(1, sent));
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut waiting).await.is_err(), "nobody has judged it");
    let mut judged = Commit::new();
    for event in story("A") {
        judged.append(Place::new(Topic::JOURNAL, 1), "A", serde_json::to_vec(&event).unwrap());
    }
    judged.done(place, left.end(place).await.unwrap());
    let _ = left.commit(judged).await.unwrap();
    tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("it is seen").unwrap();
    let found = ledger.case("A", Visible::All).await.unwrap().unwrap();
    assert_eq!(found.case.events, one_of_each().len() as u64);
    // The slot moves; the new owner goes on where the other was.
    cluster.assign(1, Some(&right));
    let at = judge(&*right, 1, &story("B")).await;
    shown(&applies_right, &[(1, at)]).await;
    shown(&applies_left, &[(1, at)]).await;
    assert!(ledger.case("B", Visible::All).await.unwrap().is_some());
    assert!(applies_left.troubles().is_empty() && applies_right.troubles().is_empty());
}
