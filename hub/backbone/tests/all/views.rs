//! Views: rows that change with the log.

use hub_backbone::rusqlite::Connection;
use hub_backbone::{Backbone, Embedded, Error, Place, Stored, View, ViewError};

use crate::{append, folder, hand_over, hold, inbox, journal, one, read_all, settings};

/// Keeps each journal record as a row; refuses some.
#[derive(Debug)]
struct Rows;

impl View for Rows {
    fn prepare(&mut self, conn: &Connection) -> Result<(), ViewError> {
        Ok(conn.execute_batch("CREATE TABLE IF NOT EXISTS rows(place TEXT, n INTEGER, key TEXT UNIQUE)")?)
    }

    fn apply(&mut self, conn: &Connection, records: &[(Place, Stored)]) -> Result<(), ViewError> {
        for (place, record) in records {
            let row = (place.to_string(), record.offset.cast_signed(), &record.key);
            conn.prepare_cached("INSERT INTO rows VALUES (?1, ?2, ?3)")?.execute(row)?;
            if record.key == "refused" {
                return Err("this key is refused".to_owned().into());
            }
            assert_ne!(record.key, "panic");
        }
        Ok(())
    }
}

async fn rows(store: &Embedded) -> Vec<(String, i64, String)> {
    let query = |conn: &Connection| {
        let mut query = conn.prepare("SELECT place, n, key FROM rows ORDER BY place, n")?;
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        rows.collect()
    };
    store.query(query).await.expect("query")
}

#[tokio::test]
async fn journal_records_become_rows_in_the_same_commit() {
    let folder = folder();
    let store = Embedded::open(settings(&folder).with_view(Rows)).expect("open");
    append(&store, inbox(0), "not for the view", b"").await;
    append(&store, journal(1), "a", b"").await;
    let mut two = one(journal(1), "b", b"");
    two.append(journal(0), "c", "");
    store.commit(two).await.expect("done");
    let expected = [("journal/0", 0, "c"), ("journal/1", 0, "a"), ("journal/1", 1, "b")];
    assert_eq!(rows(&store).await, expected.map(|(place, n, key)| (place.to_owned(), n, key.to_owned())));
    store.close().await;
    let again = Embedded::open(settings(&folder).with_view(Rows)).expect("the tables are there already");
    assert_eq!(rows(&again).await.len(), 3);
}

#[tokio::test]
async fn a_refused_commit_fails_alone() {
    let folder = folder();
    let store = Embedded::open(settings(&folder).with_view(Rows)).expect("open");
    let (held, release) = hold(&store);
    let keys = ["a", "refused", "b", "a", "c"];
    let commits = keys.map(|key| {
        let mut commit = one(journal(0), key, b"");
        commit.append(inbox(0), key, "");
        commit.put(inbox(0), "s", key, "v");
        commit.done(inbox(1), if key == "refused" { 99 } else { 1 });
        commit
    });
    let waiting = hand_over(&store, commits);
    drop(release);
    held.await.expect("the task succeeds");
    let mut results = Vec::new();
    for commit in waiting {
        results.push(commit.await);
    }
    assert!(matches!(&results[1], Err(Error::Io(text)) if text.contains("this key is refused")), "{results:?}");
    assert!(matches!(&results[3], Err(Error::Io(text)) if text.contains("UNIQUE")), "{results:?}");
    let offsets: Vec<_> = results.into_iter().flatten().collect();
    assert_eq!(offsets, [[0, 0], [1, 1], [2, 2]], "the others are done, without gaps");
    let keys: Vec<_> = read_all(&store, inbox(0)).await.expect("read").into_iter().map(|record| record.key).collect();
    assert_eq!(keys, ["a", "b", "c"]);
    assert_eq!(store.get(inbox(0), "s", "refused").await.expect("get"), None);
    assert_eq!(store.position(inbox(1)).await.expect("position"), 1);
    assert_eq!(rows(&store).await.len(), 3);
    store.verify(journal(0)).await.expect("the chain holds");
    assert!(store.alarms().is_empty());
}

#[tokio::test]
async fn a_view_that_panics_leaves_nobody_waiting() {
    let folder = folder();
    let store = Embedded::open(settings(&folder).with_view(Rows)).expect("open");
    append(&store, journal(0), "a", b"").await;
    assert!(matches!(store.commit(one(journal(0), "panic", b"")).await, Err(Error::Io(_))));
    assert!(matches!(store.changed(journal(0), 1).await, Err(Error::Io(_))));
    drop(store);
    let store = Embedded::open(settings(&folder).with_view(Rows)).expect("open");
    assert_eq!((rows(&store).await.len(), read_all(&store, journal(0)).await.expect("read").len()), (1, 1));
}

#[tokio::test]
async fn write_changes_a_views_tables_whole_or_not_at_all() {
    let folder = folder();
    let store = Embedded::open(settings(&folder).with_view(Rows)).expect("open");
    append(&store, journal(0), "a", b"").await;
    let failed = store.write(|conn| {
        conn.execute("DELETE FROM rows", [])?;
        Err::<(), _>(ViewError::from("on purpose".to_owned()))
    });
    assert!(matches!(failed.await, Err(Error::Io(text)) if text.contains("on purpose")));
    assert_eq!(rows(&store).await.len(), 1);
    let gone = store.write(|conn| Ok(conn.execute("DELETE FROM rows", [])?)).await.expect("done");
    assert_eq!((gone, rows(&store).await.len()), (1, 0));
    append(&store, journal(0), "b", b"").await;
    assert_eq!(rows(&store).await.len(), 1, "the store goes on");
}

#[tokio::test]
async fn queries_cannot_write() {
    let folder = folder();
    let store = Embedded::open(settings(&folder).with_view(Rows)).expect("open");
    let error = store.query(|conn| conn.execute("DELETE FROM records", [])).await;
    assert!(matches!(error, Err(Error::Io(text)) if text.contains("readonly")));
}
