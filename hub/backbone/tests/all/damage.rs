//! A flipped bit is found: on opening or on reading, never by giving other content than was written.

use std::fs;

use hub_backbone::rusqlite::Connection;
use hub_backbone::{Backbone, Commit, Embedded, EmbeddedSettings, Error};
use tempfile::TempDir;

use crate::{append, file, folder, inbox, open, read_all};

/// A closed store with some content in it.
async fn filled() -> TempDir {
    let folder = folder();
    let store = open(&folder);
    for n in 0..30u8 {
        append(&store, inbox(u16::from(n % 2)), &format!("key-{n}"), format!("content-{n:03}-").repeat(40).as_bytes())
            .await;
    }
    let mut step = Commit::new();
    (0..40).for_each(|n| step.put(inbox(0), "s", format!("k{n:02}"), format!("value-{n}")));
    step.done(inbox(0), 7);
    store.commit(step).await.expect("done");
    store.close().await;
    folder
}

#[tokio::test]
async fn a_flipped_byte_in_a_record_is_named() {
    let folder = filled().await;
    let mut bytes = fs::read(file(&folder)).expect("read");
    let needle = b"content-013-";
    // A page that was split holds a stale copy in its free room: the content and all copies.
    let found = |at: &usize| bytes[*at..].starts_with(needle) && !bytes[..*at].ends_with(needle);
    let begins: Vec<usize> = (0..bytes.len()).filter(found).collect();
    assert!(!begins.is_empty(), "it is in the file");
    begins.into_iter().for_each(|at| bytes[at + 20] ^= 0x10);
    fs::write(file(&folder), bytes).expect("write");
    let store = open(&folder);
    assert_eq!(store.read(inbox(1), 0, 6, 1 << 20).await.expect("what stands before").len(), 6);
    assert_eq!(read_all(&store, inbox(0)).await.expect("another partition").len(), 15);
    for result in [read_all(&store, inbox(1)).await.map(|_| ()), store.verify(inbox(1)).await.map(|_| ())] {
        match result {
            Err(Error::Corrupt { place, offset: 6, detail, .. }) => {
                assert_eq!((place.as_str(), detail.as_str()), ("inbox/1", "the content does not fit the chain"));
            }
            other => panic!("it must name the record, not {other:?}"),
        }
    }
}

async fn after(folder: &TempDir, sql: &str) -> Result<Embedded, Error> {
    let conn = Connection::open(file(folder)).expect("the file opens");
    conn.execute_batch(sql).expect("the planted damage");
    drop(conn);
    Embedded::open(EmbeddedSettings::new(file(folder), 4))
}

fn is_corrupt<T: std::fmt::Debug>(result: &Result<T, Error>, expected: &str) {
    match result {
        Err(Error::Corrupt { detail, .. }) => assert!(detail.contains(expected), "{detail}"),
        other => panic!("it must be found, not {other:?}"),
    }
}

#[tokio::test]
async fn values_positions_and_missing_records_are_found() {
    let folder = filled().await;
    is_corrupt(&after(&folder, "UPDATE state SET value = x'00' WHERE key = 'k05'").await, "k05");
    let folder = filled().await;
    is_corrupt(&after(&folder, "DELETE FROM state WHERE key = 'k05'").await, "39 values, 40 were written");
    let folder = filled().await;
    let store = Embedded::open(EmbeddedSettings::new(file(&folder), 4)).expect("a good file");
    let conn = Connection::open(file(&folder)).expect("the file opens");
    conn.execute("UPDATE state SET value = x'00' WHERE key = 'k05'", []).expect("planted under the open store");
    drop(conn);
    is_corrupt(&store.get(inbox(0), "s", "k05").await, "k05");
    is_corrupt(&store.scan(inbox(0), "s", Some("k03"), 9).await, "k05");
    assert_eq!(store.get(inbox(0), "s", "k06").await.expect("get").as_deref(), Some(&b"value-6"[..]));
    drop(store);
    let folder = filled().await;
    let store = after(&folder, "DELETE FROM records WHERE key = 'key-10'").await.expect("open");
    is_corrupt(&read_all(&store, inbox(0)).await, "missing");
    is_corrupt(&store.read(inbox(0), 6, 9, 9_000).await, "missing");
    is_corrupt(&store.trim(inbox(0), 6).await, "missing");
    assert!(store.alarms().is_empty(), "the store goes on for the others");
    drop(store);
    is_corrupt(&after(&folder, "UPDATE heads SET position = 12 WHERE position = 7").await, "head");
}

#[tokio::test]
async fn a_log_that_lost_its_tail_is_not_opened() {
    let folder = filled().await;
    is_corrupt(&after(&folder, "DELETE FROM records WHERE key = 'key-28'").await, "last record");
}
