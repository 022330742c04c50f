//! Old stores: whatever is put back, the opening notices, and says so until people have looked.

use std::path::{Path, PathBuf};

use hub_backbone::rusqlite::Connection;
use hub_backbone::{AlarmKind, Backbone, Embedded, EmbeddedSettings, Recovery};
use tempfile::TempDir;

use crate::{append, file, folder, inbox, journal, settings, within};

fn anchor(folder: &TempDir) -> PathBuf {
    folder.path().join("elsewhere.anchor")
}

fn anchored(folder: &TempDir) -> EmbeddedSettings {
    settings(folder).with_anchor(anchor(folder))
}

fn open(folder: &TempDir) -> Embedded {
    Embedded::open(anchored(folder)).expect("the store opens")
}

/// A store with some records, closed in order.
async fn lived(folder: &TempDir, records: usize) {
    let store = open(folder);
    assert_eq!(store.recovery(), None);
    for index in 0..records {
        let _ = append(&store, inbox(0), &format!("k{index}"), b"content").await;
        let _ = append(&store, journal(1), "k", b"event").await;
    }
    store.close().await;
}

fn found(folder: &TempDir) -> Recovery {
    let store = open(folder);
    store.recovery().expect("the store is in recovery")
}

fn copy(from: &Path, to: &Path) {
    let _bytes = std::fs::copy(from, to).expect("a copy");
}

/// Puts the copy in the place of the store. Its mark is newer, and would refuse it by itself: it is removed, as its error says.
fn put_back(folder: &TempDir) {
    copy(&folder.path().join("copy"), &file(folder));
    std::fs::remove_file(folder.path().join("hub.db.mark")).expect("the mark is removed");
}

#[tokio::test]
async fn a_store_that_nobody_exchanged_is_not_in_recovery() {
    let folder = folder();
    for records in [0, 3, 0, 2] {
        lived(&folder, records).await;
    }
    // nor one that was killed: its anchor is older than the store, which is always allowed
    let store = open(&folder);
    let _ = append(&store, inbox(0), "k", b"content").await;
    let before = std::fs::read(anchor(&folder)).expect("the anchor");
    store.close().await;
    std::fs::write(anchor(&folder), before).expect("the older anchor");
    assert_eq!(open(&folder).recovery(), None);
}

#[tokio::test]
async fn an_older_copy_is_noticed_with_its_gaps_and_stays_so_until_people_end_it() {
    let folder = folder();
    lived(&folder, 3).await;
    copy(&file(&folder), &folder.path().join("copy"));
    lived(&folder, 2).await;
    put_back(&folder);
    let recovery = found(&folder);
    assert!(recovery.reason.contains("older than its anchor"), "{recovery:?}");
    let gaps: Vec<_> = recovery.gaps.iter().map(|gap| (gap.place.as_str(), gap.has, gap.anchored)).collect();
    assert_eq!(gaps, [("inbox/0", 3, 5), ("journal/1", 3, 5)]);
    let again = found(&folder);
    assert_eq!(again, recovery, "a restart changes nothing");
    let store = open(&folder);
    within(store.end_recovery()).await.expect("it is ended");
    assert_eq!(store.recovery(), None);
    store.close().await;
    assert_eq!(open(&folder).recovery(), None);
}

#[tokio::test]
async fn a_store_rolled_back_by_one_commit_is_noticed() {
    let folder = folder();
    lived(&folder, 1).await;
    let store = open(&folder);
    let _ = append(&store, inbox(0), "first", b"1").await;
    store.close().await;
    copy(&file(&folder), &folder.path().join("copy"));
    let store = open(&folder);
    let _ = append(&store, inbox(0), "second", b"2").await;
    store.close().await;
    put_back(&folder);
    assert_eq!(found(&folder).gaps.len(), 1);
}

#[tokio::test]
async fn a_copy_that_went_another_way_is_noticed_even_when_it_is_longer() {
    let folder = folder();
    lived(&folder, 2).await;
    copy(&file(&folder), &folder.path().join("copy"));
    lived(&folder, 1).await;
    put_back(&folder);
    let store = Embedded::open(settings(&folder)).expect("opens without an anchor");
    for _ in 0..5 {
        let _ = append(&store, inbox(0), "other", b"other content").await;
        let _ = append(&store, journal(1), "other", b"other content").await;
    }
    store.close().await;
    let recovery = found(&folder);
    assert!(recovery.gaps.iter().all(|gap| gap.detail.contains("is not the one")), "{recovery:?}");
}

/// Nothing was appended in between, so that no head differs: the life that wrote the anchor tells.
#[tokio::test]
async fn a_copy_without_a_missing_record_is_noticed_by_its_lives() {
    let folder = folder();
    lived(&folder, 2).await;
    copy(&file(&folder), &folder.path().join("copy"));
    lived(&folder, 0).await;
    put_back(&folder);
    // the anchor is written anew when a life begins, whether it appends anything or not
    assert!(found(&folder).reason.contains("does not know the life"));
}

#[tokio::test]
async fn an_anchor_that_is_gone_damaged_or_of_another_store_is_noticed() {
    let folder = folder();
    lived(&folder, 2).await;
    let good = std::fs::read(anchor(&folder)).expect("the anchor");
    std::fs::remove_file(anchor(&folder)).expect("it is gone");
    assert!(found(&folder).reason.contains("there is no anchor"));
    std::fs::write(anchor(&folder), &good[..good.len() / 2]).expect("it is cut");
    assert!(found(&folder).reason.contains("cannot be read"));

    let other = crate::folder();
    lived(&other, 1).await;
    copy(&anchor(&other), &anchor(&folder));
    assert!(found(&folder).reason.contains("of another store"));
}

#[tokio::test]
async fn an_empty_store_where_there_were_records_is_noticed() {
    let folder = folder();
    lived(&folder, 2).await;
    for beside in ["hub.db", "hub.db-wal", "hub.db-shm", "hub.db.mark"] {
        drop(std::fs::remove_file(folder.path().join(beside)));
    }
    assert!(found(&folder).reason.contains("of another store"));
}

#[tokio::test]
async fn decisions_about_an_earlier_finding_do_not_count_for_the_next() {
    let folder = folder();
    lived(&folder, 2).await;
    std::fs::remove_file(anchor(&folder)).expect("it is gone");
    let first = found(&folder);
    std::fs::remove_file(anchor(&folder)).expect("it is gone again");
    let second = found(&folder);
    assert_ne!(first.id, second.id);
    assert!(second.reason.matches("no anchor").count() == 1, "{second:?}");
}

#[tokio::test]
async fn a_trimmed_store_is_compared_as_far_as_it_can_be() {
    let folder = folder();
    lived(&folder, 4).await;
    let store = open(&folder);
    store.trim(inbox(0), 4).await.expect("it is trimmed whole");
    let old = std::fs::read(anchor(&folder)).expect("the anchor");
    let _ = append(&store, inbox(0), "later", b"x").await;
    store.trim(inbox(0), 5).await.expect("beyond the anchor");
    let _ = append(&store, inbox(0), "later", b"x").await;
    store.close().await;
    std::fs::write(anchor(&folder), old).expect("an anchor from before");
    assert_eq!(open(&folder).recovery(), None);
}

#[tokio::test]
async fn a_failing_anchor_is_an_alarm_and_work_goes_on() {
    let folder = folder();
    let path = folder.path().join("missing/anchor");
    let store = Embedded::open(settings(&folder).with_anchor(&path)).expect("opens");
    let _ = append(&store, inbox(0), "k", b"x").await;
    assert_eq!(store.alarms().iter().map(|alarm| alarm.kind).collect::<Vec<_>>(), [AlarmKind::Anchor]);
    std::fs::create_dir(folder.path().join("missing")).expect("the folder is back");
    within(async {
        while !store.alarms().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    assert!(path.exists());
}

/// A store of version 2 is taken over; what it holds without an anchor has to be looked at.
#[tokio::test]
async fn a_store_from_before_there_were_anchors_opens_in_recovery_once() {
    let folder = folder();
    lived(&folder, 1).await;
    let conn = Connection::open(file(&folder)).expect("the file");
    conn.execute_batch("DROP TABLE notes; DELETE FROM meta WHERE name = 'store'; PRAGMA user_version = 2;")
        .expect("as it was");
    drop(conn);
    std::fs::remove_file(anchor(&folder)).expect("no anchor either");
    let store = open(&folder);
    assert!(store.recovery().is_some());
    within(store.end_recovery()).await.expect("ended");
    store.close().await;
    assert_eq!(open(&folder).recovery(), None);
}
