//! One list, polled for all bodies of a connection.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use hub_core::plugin::{OpenCx, OpenError};
use hub_core::{Clock, Intake, MessageId, Source, SourceError, Value, Verdict};
use jiff::Timestamp;
use jiff::civil::DateTime;

use super::download::{Fetched, Fresh, fetch, message, split};
use super::polled::{Polled, after, is_due};
use crate::connection::{AskError, Connection};
use crate::cursor::{Cursor, Position, Progress, Taken};
use crate::entities::{self, Entity};
use crate::listing::{self, Item, Kind};
use crate::rome;

/// Lists asked for at once.
const LISTS_AT_ONCE: usize = 6;
/// How often the durable cursor is written, unless something fails. What was taken since then is read again after a crash,
/// and known to the hub by its message id.
const CURSOR_EVERY: Duration = Duration::from_secs(10);
/// Failures that one error names.
const NAMED_MAX: usize = 3;

pub(super) struct Settings {
    pub(super) kind: Kind,
    pub(super) every: Option<Duration>,
    pub(super) look_back: Duration,
    pub(super) overlap: Duration,
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
    /// Whether something was taken that the durable cursor does not know.
    behind: bool,
    /// When the durable cursor is written again.
    cursor_at: Timestamp,
    /// What holds once the batch is settled.
    offered: Option<Offer>,
}

/// What one round has brought, by place in `polled`; whose list has more; whether it carries the cursor.
#[derive(Default)]
struct Offer {
    progress: BTreeMap<usize, Progress>,
    unfinished: Vec<usize>,
    cursor: bool,
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
            Polled::new(entity, position, now)
        });
        let (polled, every) = (polled.collect(), settings.every.unwrap_or(connection.settings.every.0));
        let (clock, route, cursor_at) = (cx.clock.clone(), cx.route.clone(), now);
        let (behind, offered) = (false, None);
        Ok(Self { connection, clock, route, settings, every, polled, anchored, behind, cursor_at, offered })
    }

    /// One look at everything that is due. `None`: nothing new.
    async fn round(&mut self) -> Result<Option<Intake>, SourceError> {
        let now = self.clock.now();
        let (fresh, mut offer) = self.look(now).await;
        let (batch, rest) = split(fresh);
        let (fetched, left) = fetch(&self.connection, &self.polled, batch).await;
        for fresh in left.iter().chain(&rest) {
            offer.unfinished.push(fresh.owner);
            offer.progress.entry(fresh.owner).or_default().waits(fresh.item.date);
        }
        let messages = self.gather(fetched, &mut offer, now);
        if messages.is_empty() {
            // Nothing that has to become durable first.
            self.advance(std::mem::take(&mut offer.progress), now);
            if self.polled.iter().all(|polled| polled.failures > 0) {
                return Err(self.failure());
            }
        }
        offer.cursor = self.writes_cursor(messages.is_empty(), now);
        if messages.is_empty() && !offer.cursor {
            return Ok(None);
        }
        let cursor = offer.cursor.then(|| self.cursor(&offer, now));
        self.offered = Some(offer);
        Ok(Some(Intake { messages, cursor }))
    }

    /// Whether the cursor goes with this round. After a failure it does: a source that is opened again and again must not
    /// fetch the same again and again.
    fn writes_cursor(&self, idle: bool, now: Timestamp) -> bool {
        let failing = self.polled.iter().any(|polled| polled.failures > 0);
        let due = failing || is_due(self.cursor_at, CURSOR_EVERY, now);
        !self.anchored || (due && (self.behind || !idle))
    }

    /// Asks for the lists that are due; gives what is new in them.
    async fn look(&mut self, now: Timestamp) -> (Vec<Fresh>, Offer) {
        let due = self.polled.iter().enumerate().filter(|(_, polled)| polled.next_at <= now);
        let questions: Vec<_> = due
            .map(|(owner, polled)| {
                let deep = polled.is_deep(now);
                let (entity, from) = (polled.entity.clone(), polled.position.begins(deep));
                list(self.connection.clone(), (owner, deep), entity, self.settings.kind, from)
            })
            .collect();
        let answers: Vec<_> = stream::iter(questions).buffer_unordered(LISTS_AT_ONCE).collect().await;
        let (mut fresh, mut offer) = (Vec::new(), Offer::default());
        for ((owner, deep), answer) in answers {
            match answer {
                Err(error) => self.failed(owner, error, now),
                Ok(items) => {
                    self.polled[owner].answered(after(now, self.every));
                    let _ = offer.progress.insert(owner, Progress { deep, ..Progress::default() });
                    fresh.extend(self.fresh(owner, items));
                }
            }
        }
        (fresh, offer)
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

    /// Makes messages of what was fetched, and remembers where the lists stand once these are settled.
    fn gather(&mut self, fetched: Vec<Fetched>, offer: &mut Offer, now: Timestamp) -> Vec<hub_core::Incoming> {
        let mut messages = Vec::new();
        for Fetched { fresh, document } in fetched {
            let progress = offer.progress.entry(fresh.owner).or_default();
            match document {
                Ok(document) => {
                    let entity = &self.polled[fresh.owner].entity;
                    messages.push(message(&self.route, self.settings.kind, entity, &fresh, document));
                    progress.taken.push(Taken { key: fresh.key, date: fresh.item.date });
                }
                Err(error) => {
                    progress.waits(fresh.item.date);
                    // Its list was just read well: documents that fail together count as one failure.
                    if self.polled[fresh.owner].failures == 0 {
                        self.failed(fresh.owner, error, now);
                    }
                }
            }
        }
        messages
    }

    /// Moves the positions on.
    fn advance(&mut self, progress: BTreeMap<usize, Progress>, now: Timestamp) {
        let today = rome::local(now);
        for (owner, progress) in progress {
            self.behind |= self.polled[owner].advance(progress, now, today, self.settings.overlap);
        }
    }

    /// The cursor as it is once the round is settled.
    fn cursor(&self, offer: &Offer, now: Timestamp) -> Value {
        let today = rome::local(now);
        let each = self.polled.iter().enumerate().map(|(place, polled)| {
            let mut position = polled.position.clone();
            if let Some(progress) = offer.progress.get(&place) {
                let _ = position.advance(progress.clone(), today, self.settings.overlap);
            }
            (polled.entity.code.clone(), position)
        });
        // Dates and text only: nothing in it can fail to be a value.
        serde_json::to_value(each.collect::<Cursor>()).unwrap_or_default()
    }

    fn failed(&mut self, owner: usize, error: AskError, now: Timestamp) {
        let (route, text) = (&self.route, error.to_string());
        let polled = &mut self.polled[owner];
        let pause_ms = polled.failed(error, self.every, now).as_millis();
        let ente = &polled.entity.code;
        tracing::warn!(route, ente, error = text, pause_ms, "a list or document of SIOPE+ could not be had");
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

async fn list(
    connection: Arc<Connection>,
    look: (usize, bool),
    entity: Entity,
    kind: Kind,
    from: DateTime,
) -> ((usize, bool), Result<Vec<Item>, AskError>) {
    (look, listing::list(&connection, &entity, kind, from).await)
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
            let again = after(now, pause);
            self.polled.iter_mut().for_each(|polled| polled.next_at = polled.next_at.max(again));
            return Ok(());
        }
        self.advance(offer.progress, now);
        if offer.cursor {
            (self.anchored, self.behind, self.cursor_at) = (true, false, after(now, CURSOR_EVERY));
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
