//! One list, polled for all bodies of a connection.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use hub_core::plugin::{OpenCx, OpenError};
use hub_core::{Body, Clock, Headers, Incoming, Intake, Media, MessageId, Source, SourceError, Value, Verdict, header};
use jiff::Timestamp;
use jiff::civil::DateTime;
use transform_opi::ANSWER_BYTES_MAX;

use crate::connection::{AskError, Connection, Document};
use crate::cursor::{Cursor, Position, Taken};
use crate::entities::{self, Entity};
use crate::listing::{self, Item, Kind};
use crate::rome;

/// Lists asked for at once.
const LISTS_AT_ONCE: usize = 6;
/// Documents downloaded at once.
const DOWNLOADS_AT_ONCE: usize = 8;
/// Messages of one batch.
const BATCH_MAX: usize = 200;
/// Bytes of one batch, beyond which no further document is added.
const BATCH_BYTES_MAX: usize = 16 << 20;
/// The longest pause after failures, unless SIOPE+ asks for more.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Failures that one error names.
const NAMED_MAX: usize = 3;

pub(super) struct Settings {
    pub(super) kind: Kind,
    pub(super) every: Option<Duration>,
    pub(super) look_back: Duration,
    pub(super) overlap: Duration,
}

/// A body and how the polling of its list goes.
struct Polled {
    entity: Entity,
    position: Position,
    next_at: Timestamp,
    failures: u32,
    failure: Option<AskError>,
}

pub(super) struct Poller {
    connection: Arc<Connection>,
    clock: Arc<dyn Clock>,
    route: String,
    settings: Settings,
    every: Duration,
    polled: Vec<Polled>,
    /// Whether the durable cursor knows all bodies: until then the beginning of the first reading is not fixed.
    anchored: bool,
    /// What holds once the batch is settled.
    offered: Option<Offer>,
}

/// New positions, by place in `polled`; and whose list has more.
#[derive(Default)]
struct Offer {
    positions: BTreeMap<usize, Position>,
    unfinished: Vec<usize>,
}

/// An entry that was not taken yet.
struct Fresh {
    owner: usize,
    key: String,
    item: Item,
}

/// What became of one download.
struct Fetched {
    fresh: Fresh,
    document: Result<Document, AskError>,
}

impl Poller {
    pub(super) fn open(cx: &OpenCx, connection: &str, settings: Settings) -> Result<Self, OpenError> {
        let connection = Connection::shared(cx, connection)?;
        let only = connection.settings.id_a2a.as_deref();
        let entities = entities::all(&cx.entities, only).map_err(OpenError)?;
        let cursor: Option<Cursor> = serde_json::from_value(cx.cursor.clone())
            .map_err(|e| OpenError(format!("the stored position of route `{}` cannot be read: {e}", cx.route)))?;
        let (mut cursor, now) = (cursor.unwrap_or_default(), cx.clock.now());
        let start = rome::before(rome::local(now), settings.look_back);
        let anchored = entities.iter().all(|entity| cursor.contains_key(&entity.code));
        let polled = entities.into_iter().map(|entity| {
            let position = cursor.remove(&entity.code).unwrap_or_else(|| Position::start(start));
            Polled { entity, position, next_at: now, failures: 0, failure: None }
        });
        let (polled, every) = (polled.collect(), settings.every.unwrap_or(connection.settings.every.0));
        let (clock, route) = (cx.clock.clone(), cx.route.clone());
        Ok(Self { connection, clock, route, settings, every, polled, anchored, offered: None })
    }

    /// One look at everything that is due. `None`: nothing new.
    async fn round(&mut self) -> Result<Option<Intake>, SourceError> {
        let now = self.clock.now();
        let fresh = self.look(now).await;
        let (batch, rest) = split(fresh);
        let fetched = self.fetch(batch).await;
        let intake = self.gather(fetched, rest, now);
        if intake.messages.is_empty() && self.polled.iter().all(|polled| polled.failures > 0) {
            return Err(self.failure());
        }
        Ok((!intake.messages.is_empty() || !self.anchored).then_some(intake))
    }

    /// Asks for the lists that are due; gives what is new in them.
    async fn look(&mut self, now: Timestamp) -> Vec<Fresh> {
        let due = self.polled.iter().enumerate().filter(|(_, polled)| polled.next_at <= now);
        let questions: Vec<_> = due
            .map(|(owner, polled)| {
                list(self.connection.clone(), owner, polled.entity.clone(), self.settings.kind, polled.position.from)
            })
            .collect();
        let answers: Vec<_> = stream::iter(questions).buffer_unordered(LISTS_AT_ONCE).collect().await;
        let mut fresh = Vec::new();
        for (owner, answer) in answers {
            match answer {
                Err(error) => self.failed(owner, error, now),
                Ok(items) => {
                    let polled = &mut self.polled[owner];
                    (polled.failures, polled.failure) = (0, None);
                    polled.next_at = now.checked_add(self.every).unwrap_or(Timestamp::MAX);
                    fresh.extend(self.fresh(owner, items));
                }
            }
        }
        fresh
    }

    fn fresh(&self, owner: usize, items: Vec<Item>) -> impl Iterator<Item = Fresh> {
        let polled = &self.polled[owner];
        let keyed = items.into_iter().map(move |item| {
            let key = self.id(&polled.entity, &item).as_str().to_string();
            Fresh { owner, key, item }
        });
        keyed.filter(move |fresh| !polled.position.knows(&fresh.key))
    }

    fn id(&self, entity: &Entity, item: &Item) -> MessageId {
        let (prog, path) = item.key();
        MessageId::derive(&["siope", &self.route, self.settings.kind.name(), &entity.code, prog, path])
    }

    /// Downloads in order, until the batch is full. What was not fetched any more is missing at the end.
    async fn fetch(&self, batch: Vec<Fresh>) -> (Vec<Fetched>, Vec<Fresh>) {
        let mut waiting = batch.into_iter();
        let (mut fetched, mut bytes) = (Vec::new(), 0usize);
        while bytes < BATCH_BYTES_MAX {
            let chunk: Vec<Fresh> = waiting.by_ref().take(DOWNLOADS_AT_ONCE).collect();
            if chunk.is_empty() {
                break;
            }
            let downloads = chunk
                .into_iter()
                .map(|fresh| download(self.connection.clone(), self.polled[fresh.owner].entity.clone(), fresh));
            let chunk: Vec<Fetched> = stream::iter(downloads).buffered(DOWNLOADS_AT_ONCE).collect().await;
            bytes += chunk.iter().map(Fetched::bytes).sum::<usize>();
            fetched.extend(chunk);
        }
        (fetched, waiting.collect())
    }

    /// Makes messages of what was fetched, and remembers where the lists stand once these are settled.
    fn gather(&mut self, (fetched, left): (Vec<Fetched>, Vec<Fresh>), rest: Vec<Fresh>, now: Timestamp) -> Intake {
        let (mut messages, mut taken) = (Vec::new(), BTreeMap::<usize, Vec<Taken>>::new());
        let mut waiting: Vec<(usize, Option<DateTime>)> = Vec::new();
        let mut offer = Offer { unfinished: left.iter().chain(&rest).map(|f| f.owner).collect(), ..Offer::default() };
        waiting.extend(left.iter().chain(&rest).map(|f| (f.owner, f.item.date)));
        for Fetched { fresh, document } in fetched {
            match document {
                Ok(document) => {
                    messages.push(self.message(&fresh, document));
                    let one = Taken { key: fresh.key, date: fresh.item.date };
                    taken.entry(fresh.owner).or_default().push(one);
                }
                Err(error) => {
                    waiting.push((fresh.owner, fresh.item.date));
                    // Its list was just read well: documents that fail together count as one failure.
                    if self.polled[fresh.owner].failures == 0 {
                        self.failed(fresh.owner, error, now);
                    }
                }
            }
        }
        for (owner, taken) in taken {
            // An entry without date may be of any time: nothing before it may be passed.
            let oldest =
                waiting.iter().filter(|(of, _)| *of == owner).map(|(_, date)| date.unwrap_or(DateTime::MIN)).min();
            let (position, today) = (&self.polled[owner].position, rome::local(now));
            let _ = offer.positions.insert(owner, position.after(&taken, oldest, today, self.settings.overlap));
        }
        let cursor = Some(self.cursor(&offer));
        self.offered = Some(offer);
        Intake { messages, cursor }
    }

    fn cursor(&self, offer: &Offer) -> Value {
        let each = self.polled.iter().enumerate().map(|(place, polled)| {
            let position = offer.positions.get(&place).unwrap_or(&polled.position);
            (polled.entity.code.clone(), position.durable())
        });
        // Dates and text only: nothing in it can fail to be a value.
        serde_json::to_value(each.collect::<Cursor>()).unwrap_or_default()
    }

    fn message(&self, fresh: &Fresh, document: Document) -> Incoming {
        let (entity, item) = (&self.polled[fresh.owner].entity, &fresh.item);
        let mut headers: Headers = [
            ("prog", item.prog.clone()),
            ("ente", entity.code.clone()),
            ("kind", self.settings.kind.name().to_string()),
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
                tracing::warn!(route = self.route, location = %item.url, why, "a document of SIOPE+ cannot be unpacked");
                let _ = headers.insert("siope-problem".into(), why);
                Body::new(Media::Bytes, raw)
            }
        };
        Incoming { id: MessageId::from_text(fresh.key.clone()), key: None, headers, body, answerable: false }
    }

    /// Puts a body off: longer after each failure, or as long as SIOPE+ asked for.
    fn failed(&mut self, owner: usize, error: AskError, now: Timestamp) {
        let polled = &mut self.polled[owner];
        let longer = self.every.saturating_mul(1 << polled.failures.min(10)).min(PAUSE_MAX).max(self.every);
        let pause = error.retry_after.map_or(longer, |wish| wish.0);
        let (route, ente) = (&self.route, &polled.entity.code);
        tracing::warn!(route, ente, %error, pause_ms = pause.as_millis(), "a list or document of SIOPE+ could not be had");
        polled.failures = polled.failures.saturating_add(1);
        polled.next_at = now.checked_add(pause).unwrap_or(Timestamp::MAX);
        polled.failure = Some(error);
    }

    /// All bodies fail: the source says so.
    fn failure(&self) -> SourceError {
        let each = || self.polled.iter().filter_map(|polled| Some((&polled.entity.code, polled.failure.as_ref()?)));
        let named: Vec<_> = each().take(NAMED_MAX).map(|(code, error)| format!("{code}: {error}")).collect();
        let more = self.polled.len().saturating_sub(NAMED_MAX);
        let more = if more == 0 { String::new() } else { format!("; and {more} more") };
        let cause = format!("{}{more}", named.join("; ")).into();
        if each().all(|(_, error)| error.broken) {
            return SourceError::Broken { cause };
        }
        SourceError::Unavailable { cause, retry_after: each().filter_map(|(_, error)| error.retry_after).min() }
    }

    fn next_due(&self) -> Timestamp {
        self.polled.iter().map(|polled| polled.next_at).min().unwrap_or(Timestamp::MAX)
    }
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
fn split(mut fresh: Vec<Fresh>) -> (Vec<Fresh>, Vec<Fresh>) {
    fresh.sort_by_key(|one| one.item.order());
    let rest = fresh.split_off(fresh.len().min(BATCH_MAX));
    (fresh, rest)
}

async fn list(
    connection: Arc<Connection>,
    owner: usize,
    entity: Entity,
    kind: Kind,
    from: DateTime,
) -> (usize, Result<Vec<Item>, AskError>) {
    (owner, listing::list(&connection, &entity, kind, from).await)
}

async fn download(connection: Arc<Connection>, entity: Entity, fresh: Fresh) -> Fetched {
    let document = connection.document(&entity, &fresh.item.url, ANSWER_BYTES_MAX).await;
    Fetched { fresh, document }
}

#[async_trait]
impl Source for Poller {
    async fn next(&mut self) -> Result<Option<Intake>, SourceError> {
        loop {
            if self.next_due() <= self.clock.now()
                && let Some(intake) = self.round().await?
            {
                return Ok(Some(intake));
            }
            self.clock.sleep_until(self.next_due()).await;
        }
    }

    /// Nothing is marked at SIOPE+; only now the entries count as taken. A batch for which there was no room is read again.
    async fn settle(&mut self, verdicts: Vec<Verdict>) -> Result<(), SourceError> {
        let Some(offer) = self.offered.take() else { return Ok(()) };
        let now = self.clock.now();
        let busy = verdicts.iter().find_map(|verdict| match verdict {
            Verdict::Busy { retry_after } => Some(retry_after.0),
            _ => None,
        });
        if let Some(pause) = busy {
            let again = now.checked_add(pause).unwrap_or(Timestamp::MAX);
            self.polled.iter_mut().for_each(|polled| polled.next_at = polled.next_at.max(again));
            return Ok(());
        }
        self.anchored = true;
        for (owner, position) in offer.positions {
            self.polled[owner].position = position;
        }
        for owner in offer.unfinished {
            let polled = &mut self.polled[owner];
            // What failed waits for its time; what only found no room goes on at once.
            if polled.failures == 0 {
                polled.next_at = now;
            }
        }
        Ok(())
    }
}
