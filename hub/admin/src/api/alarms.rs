//! Alarms: what stands, what was, and what happens.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;
use utoipa::ToSchema;

use super::Answer;
use crate::Right;
use crate::alarms::{AlarmWatch, Change, Since, Standing, known};
use crate::problem::Problem;
use crate::staff::Person;
use crate::state::Desk;

/// Changes in the answer to a question.
const HISTORY_MAX: usize = 200;
/// A comment goes out as often, so that both sides notice a connection that is dead.
const ALIVE_EVERY: Duration = Duration::from_secs(15);
/// How soon a client comes back after its stream has ended.
const COME_BACK_AFTER: Duration = Duration::from_secs(3);
/// A stream ends after this, below the age at which connections are broken off; the client goes on where it was.
const STREAM_AGE_MAX: Duration = Duration::from_secs(540);

/// Something an operator should look at.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Alarm {
    /// Stable name, for example `disk-full`.
    name: String,
    /// What it is about.
    subject: String,
    /// What happened.
    detail: String,
    /// Since when it stands.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    /// What it means.
    means: &'static str,
    /// The first thing to do.
    first: &'static str,
    /// The page of the manual about it.
    runbook: String,
}

/// An alarm was raised, or is over.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AlarmChange {
    /// Its place in the stream of events.
    id: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// `raised` or `cleared`.
    change: &'static str,
    /// Name of the alarm.
    name: String,
    /// What it is about.
    subject: String,
    /// What happened.
    detail: String,
    /// The page of the manual about it.
    runbook: String,
}

/// What stands, and what was.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Alarms {
    /// What stands now, the most urgent first.
    items: Vec<Alarm>,
    /// Always `null`: all alarms fit one page.
    next: Option<String>,
    /// What was raised and cleared in this life of the hub, the newest first, at most 200. The hub's log, target `alarm`,
    /// has all of it.
    history: Vec<AlarmChange>,
}

impl Alarm {
    fn of(standing: &Standing) -> Self {
        let alarm = &standing.alarm;
        let entry = known(&alarm.name);
        Self {
            name: alarm.name.clone(),
            subject: alarm.subject.clone(),
            detail: alarm.detail.clone(),
            since: standing.since,
            means: entry.map_or("", |known| known.means),
            first: entry.map_or("read the hub's log", |known| known.first),
            runbook: runbook(&alarm.name),
        }
    }
}

impl AlarmChange {
    fn of(watch: &AlarmWatch, change: &Change) -> Self {
        Self {
            id: watch.feed().id(change.n),
            at: change.at,
            change: if change.raised { "raised" } else { "cleared" },
            name: change.alarm.name.clone(),
            subject: change.alarm.subject.clone(),
            detail: change.alarm.detail.clone(),
            runbook: runbook(&change.alarm.name),
        }
    }
}

fn runbook(name: &str) -> String {
    format!("docs/runbook.md#{name}")
}

/// What an operator should look at, and what was raised and cleared before.
#[utoipa::path(get, path = "/api/v1/alarms", operation_id = "list_alarms", tag = "hub", responses(
    (status = 200, description = "All alarms", body = Alarms),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn list(State(desk): State<Arc<Desk>>, person: Person) -> Answer<Alarms> {
    person.must(Right::View)?;
    let look = desk.watch.fresh().await;
    let history = desk.watch.feed().newest(HISTORY_MAX);
    Ok(Json(Alarms {
        items: look.alarms.iter().map(Alarm::of).collect(),
        next: None,
        history: history.iter().map(|change| AlarmChange::of(&desk.watch, change)).collect(),
    }))
}

/// Alarms as they are raised and cleared, as server-sent events.
///
/// Event `standing` (data: an array of alarms, as in `GET /api/v1/alarms`) tells what stands at the beginning, and again when
/// a reader was too slow to be told of each change. Events `raised` and `cleared` (data: an object with `at`, `name`,
/// `subject`, `detail`, `runbook`) follow. A client that comes back with `Last-Event-ID` gets what it has missed. Streams end
/// after some minutes; clients come back by themselves.
#[utoipa::path(get, path = "/api/v1/alarms/events", operation_id = "watch_alarms", tag = "hub",
    params(("Last-Event-ID" = Option<String>, Header, description = "The last event that was seen")), responses(
    (status = 200, description = "The events", body = String, content_type = "text/event-stream"),
    (status = 429, description = "Too many watch already", body = Problem, content_type = "application/problem+json"),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn events(
    State(desk): State<Arc<Desk>>,
    person: Person,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    person.must(Right::View)?;
    let place = desk.watchers.clone().try_acquire_owned().map_err(|_| too_many())?;
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let seen = last.and_then(|id| desk.watch.feed().number(id));
    let reader = Reader {
        watch: desk.watch.clone(),
        stopped: desk.stopped.clone(),
        ends: Instant::now() + STREAM_AGE_MAX,
        seen,
        pending: Vec::new(),
        _place: place,
    };
    let events = stream::unfold(reader, |mut reader| async move {
        let event = reader.next().await?;
        Some((Ok(event), reader))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE_EVERY)))
}

fn too_many() -> Problem {
    let detail = "too many clients watch the alarms already; ask /api/v1/alarms now and then instead";
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "busy", "too many watch", detail)
}

/// One stream. It holds at most one page of changes; while its client does not read, it does nothing.
struct Reader {
    watch: AlarmWatch,
    stopped: watch::Receiver<()>,
    ends: Instant,
    /// The number of the last change that was handed over; `None`: begin with what stands.
    seen: Option<u64>,
    /// Changes that come next, the last one first.
    pending: Vec<Change>,
    _place: OwnedSemaphorePermit,
}

impl Reader {
    /// The next event, or the end of the stream.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(change) = self.pending.pop() {
                self.seen = Some(change.n);
                return Some(self.change(&change));
            }
            let Some(seen) = self.seen else { return Some(self.standing().await) };
            match self.watch.feed().since(seen) {
                Since::Gone => self.seen = None,
                Since::Changes(changes) if !changes.is_empty() => self.pending = changes.into_iter().rev().collect(),
                Since::Changes(_) => tokio::select! {
                    () = self.watch.feed().beyond(seen) => {}
                    _ = self.stopped.changed() => return None,
                    () = tokio::time::sleep_until(self.ends) => return None,
                },
            }
        }
    }

    async fn standing(&mut self) -> Event {
        let look = self.watch.fresh().await;
        let last = self.watch.feed().last();
        self.seen = Some(last);
        let alarms: Vec<_> = look.alarms.iter().map(Alarm::of).collect();
        let event = Event::default().event("standing").id(self.watch.feed().id(last)).retry(COME_BACK_AFTER);
        event.data(serde_json::to_string(&alarms).unwrap_or_default())
    }

    fn change(&self, change: &Change) -> Event {
        let shown = AlarmChange::of(&self.watch, change);
        let event = Event::default().event(shown.change).id(shown.id.clone());
        event.data(serde_json::to_string(&shown).unwrap_or_default())
    }
}
