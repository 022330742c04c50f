//! Entries of lists, and what they lead to.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use hub_core::{Body, Headers, Incoming, Media, MessageId, header};
use transform_opi::ANSWER_BYTES_MAX;

use super::polled::Polled;
use crate::connection::{AskError, Connection, Document};
use crate::entities::Entity;
use crate::listing::{Item, Kind};
use crate::rome;

/// Documents downloaded at once.
const DOWNLOADS_AT_ONCE: usize = 8;
/// Messages of one batch.
const BATCH_MAX: usize = 200;
/// Bytes of one batch, beyond which no further document is added.
const BATCH_BYTES_MAX: usize = 16 << 20;

/// An entry that was not taken yet.
pub(super) struct Fresh {
    /// The place of its body.
    pub(super) owner: usize,
    pub(super) key: String,
    pub(super) item: Item,
}

/// What became of one download.
pub(super) struct Fetched {
    pub(super) fresh: Fresh,
    pub(super) document: Result<Document, AskError>,
}

impl Fetched {
    fn bytes(&self) -> usize {
        match &self.document {
            Ok(Document::Xml(bytes) | Document::Unreadable { raw: bytes, .. }) => Bytes::len(bytes),
            Err(_) => 0,
        }
    }
}

/// The oldest entries, and those for which there is no room now.
pub(super) fn split(mut fresh: Vec<Fresh>) -> (Vec<Fresh>, Vec<Fresh>) {
    fresh.sort_by_cached_key(|one| one.item.order());
    let rest = fresh.split_off(fresh.len().min(BATCH_MAX));
    (fresh, rest)
}

/// Downloads in order, until the batch is full. What was not fetched any more is missing at the end.
pub(super) async fn fetch(
    connection: &Arc<Connection>,
    polled: &[Polled],
    batch: Vec<Fresh>,
) -> (Vec<Fetched>, Vec<Fresh>) {
    let mut waiting = batch.into_iter();
    let (mut fetched, mut bytes) = (Vec::new(), 0usize);
    while bytes < BATCH_BYTES_MAX {
        let chunk: Vec<Fresh> = waiting.by_ref().take(DOWNLOADS_AT_ONCE).collect();
        if chunk.is_empty() {
            break;
        }
        let one = |fresh: Fresh| download(connection.clone(), polled[fresh.owner].entity.clone(), fresh);
        let chunk: Vec<Fetched> = stream::iter(chunk.into_iter().map(one)).buffered(DOWNLOADS_AT_ONCE).collect().await;
        bytes += chunk.iter().map(Fetched::bytes).sum::<usize>();
        fetched.extend(chunk);
    }
    (fetched, waiting.collect())
}

async fn download(connection: Arc<Connection>, entity: Entity, fresh: Fresh) -> Fetched {
    let document = connection.document(&entity, &fresh.item.url, ANSWER_BYTES_MAX).await;
    Fetched { fresh, document }
}

/// The message that a document becomes.
pub(super) fn message(route: &str, kind: Kind, entity: &Entity, fresh: &Fresh, document: Document) -> Incoming {
    let item = &fresh.item;
    let mut headers: Headers = [
        ("prog", item.prog.clone()),
        ("ente", entity.code.clone()),
        ("kind", kind.name().to_string()),
        ("data", item.date.map(rome::text).unwrap_or_default()),
        ("location", item.url.to_string()),
        (header::ORIGIN, item.url.to_string()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_string(), value))
    .collect();
    let body = match document {
        Document::Xml(xml) => Body::new(Media::Xml, xml),
        Document::Unreadable { raw, why } => {
            tracing::warn!(route, location = %item.url, why, "a document of SIOPE+ cannot be unpacked");
            let _ = headers.insert("siope-problem".into(), why);
            Body::new(Media::Bytes, raw)
        }
    };
    Incoming { id: MessageId::from_text(fresh.key.clone()), key: None, headers, body, answerable: false }
}
