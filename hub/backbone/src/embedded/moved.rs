//! What the store knows about its moving to or from another one.

use std::path::Path;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension};
use tokio::sync::oneshot;

use super::schema::io;
use super::{BeginJob, Bounds, Embedded, Job, places};
use crate::chain::Chain;
use crate::{Backbone, Error, Life, Movable, Note, Offset, Place};

/// Why lives of this store are over for another one.
const LOCKED: &str = "its store was locked and moved";

/// Refuses a store that a hub must not start on.
pub(super) fn check(conn: &Connection, path: &Path) -> Result<(), Error> {
    let text = read(conn).map_err(|e| io("the notes of the store cannot be read", &e))?;
    parse(text)?.map_or(Ok(()), |note| note.check(&path.display().to_string()))
}

fn read(conn: &Connection) -> rusqlite::Result<Option<String>> {
    conn.query_row("SELECT value FROM notes WHERE name = 'migration'", [], |row| row.get(0)).optional()
}

fn parse(text: Option<String>) -> Result<Option<Note>, Error> {
    let read = text.map(|text| serde_json::from_str(&text)).transpose();
    read.map_err(|e| Error::Io(format!("the store's note `migration` cannot be read: {e}")))
}

fn write(conn: &Connection, note: Option<&str>) -> rusqlite::Result<usize> {
    match note {
        Some(text) => conn.execute("INSERT OR REPLACE INTO notes VALUES ('migration', ?1)", [text]),
        None => conn.execute("DELETE FROM notes WHERE name = 'migration'", []),
    }
}

/// Lives of another store stand below all of this one's, whose newest has the greatest id.
fn insert(conn: &Connection, lives: &[Life]) -> rusqlite::Result<()> {
    let sql = "INSERT INTO epochs(id, epoch, begun, elsewhere)
               SELECT min(0, min(id)) - 1, ?1, unixepoch(), ?2 FROM epochs WHERE true
               ON CONFLICT(epoch) DO UPDATE SET elsewhere = excluded.elsewhere WHERE id <= 0";
    let mut insert = conn.prepare_cached(sql)?;
    lives.iter().try_for_each(|life| insert.execute((&life.epoch, life.over.is_none())).map(drop))
}

fn lives(conn: &Connection) -> rusqlite::Result<Vec<Life>> {
    let life = |row: &rusqlite::Row<'_>| {
        let elsewhere: bool = row.get(1)?;
        Ok(Life { epoch: row.get(0)?, over: (!elsewhere).then(|| LOCKED.to_owned()) })
    };
    conn.prepare("SELECT epoch, elsewhere FROM epochs ORDER BY id")?.query_map([], life)?.collect()
}

#[async_trait]
impl Movable for Embedded {
    async fn bounds(&self, place: Place) -> Result<Bounds, Error> {
        let id = self.place(place)?;
        let head = self.readers.here(|conn| places::head(conn, place, id)).await?;
        let (first, first_chain, end, chain) = (head.first, head.first_chain, head.next, head.chain);
        Ok(Bounds { first, first_chain, end, chain, position: head.position })
    }

    async fn begin_at(&self, place: Place, first: Offset, before: Chain) -> Result<(), Error> {
        let _id = self.place(place)?;
        let (ack, answer) = oneshot::channel();
        self.hand_over(0, |room| Job::Begin(BeginJob { place, first, before, ack, _room: room })).await?;
        answer.await.unwrap_or_else(|_| Err(self.shared.failure()))
    }

    async fn lives(&self) -> Result<Vec<Life>, Error> {
        self.query(lives).await
    }

    async fn import_lives(&self, lives: &[Life]) -> Result<(), Error> {
        let lives: Vec<Life> = lives.iter().filter(|life| life.epoch != self.epoch()).cloned().collect();
        self.write(move |conn| Ok(insert(conn, &lives)?)).await
    }

    async fn note(&self) -> Result<Option<Note>, Error> {
        parse(self.query(read).await?)
    }

    async fn set_note(&self, note: Option<Note>) -> Result<(), Error> {
        let text = note.map(|note| serde_json::to_string(&note).expect("invariant: texts can be written"));
        self.write(move |conn| Ok(write(conn, text.as_deref()).map(drop)?)).await
    }
}
