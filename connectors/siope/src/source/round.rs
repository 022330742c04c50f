//! One reading of a list for all offices, and the source made of such rounds.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use hub_core::plugin::{OpenCx, OpenError};
use hub_core::{Body, Clock, Headers, Incoming, Intake, Media, MessageId, Source, SourceError, Verdict, header};
use jiff::Timestamp;
use jiff::civil::DateTime;

use super::Pace;
use super::cursor::{self, Place, Places};
use crate::FILE_PROBLEM;
use crate::archive::{self, DOCUMENT_BYTES_MAX};
use crate::call::{Api, Trouble};
use crate::listing::{Item, Kind};
use crate::office::Office;
use crate::time;

/// Documents of one batch.
const BATCH_MAX: usize = 200;
/// Bytes of one batch; the document that passes the mark is the last one.
const BATCH_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Tries to download a document before it is handed over without content, so that a person sees it.
const TRIES_MAX: u32 = 20;
/// Rounds in which some offices fail and others do not, before the source says that something is wrong.
const PARTIAL_FAILURES_MAX: u32 = 10;

/// Reads one list for all offices, again and again.
pub(crate) struct Poller {
    api: Arc<Api>,
    clock: Arc<dyn Clock>,
    kind: Kind,
    offices: Vec<Office>,
    pace: Pace,
    places: Places,
    /// The places after the batch that is being settled.
    offered: Option<Places>,
    next_at: Timestamp,
    tries: HashMap<(String, String), u32>,
    partial_failures: u32,
}

/// What one round brought.
#[derive(Default)]
struct Round {
    messages: Vec<Incoming>,
    bytes: usize,
    places: Places,
    /// Whether more is there.
    full: bool,
    answered: usize,
    trouble: Option<Trouble>,
}

impl Round {
    fn is_full(&self) -> bool {
        self.messages.len() >= BATCH_MAX || self.bytes >= BATCH_BYTES_MAX
    }
}

impl Poller {
    pub(crate) fn open(cx: &OpenCx, kind: Kind, connection: &str, pace: Pace) -> Result<Self, OpenError> {
        Ok(Self {
            api: Api::open(cx, connection)?,
            clock: cx.clock.clone(),
            kind,
            offices: Office::all(&cx.entities).map_err(OpenError)?,
            pace,
            places: cursor::read(&cx.cursor).map_err(OpenError)?,
            offered: None,
            next_at: cx.clock.now(),
            tries: HashMap::new(),
            partial_failures: 0,
        })
    }

    async fn round(&mut self) -> Round {
        let mut round = Round { places: self.places.clone(), ..Round::default() };
        for office in self.offices.clone() {
            if round.is_full() {
                round.full = true;
                break;
            }
            match self.read(&office, &mut round).await {
                Ok(()) => round.answered += 1,
                Err(trouble) => {
                    tracing::warn!(kind = self.kind.name(), ente = office.ente, %trouble, "list cannot be read");
                    let stop = matches!(trouble, Trouble::Later { .. });
                    round.trouble = Some(trouble);
                    // A wish to wait is meant for all offices of the connection.
                    if stop {
                        break;
                    }
                }
            }
        }
        round
    }

    /// Reads one office's list and opens what is new, oldest first.
    async fn read(&mut self, office: &Office, round: &mut Round) -> Result<(), Trouble> {
        let place = round.places.get(&office.name()).cloned().unwrap_or_default();
        let earliest = time::before(time::local(self.clock.now()), self.pace.look_back);
        let mut items = self.list(office, &place, place.from(earliest, self.pace.overlap)).await?;
        items.sort_by(|a, b| (a.at(), &a.prog).cmp(&(b.at(), &b.prog)));
        let (mut taken, mut left, mut trouble) = (Vec::new(), Vec::new(), None);
        for item in items {
            if round.is_full() || trouble.is_some() {
                round.full |= trouble.is_none();
                left.push(item);
                continue;
            }
            match self.message(office, &item).await {
                Ok(message) => {
                    round.bytes += message.body.bytes.len();
                    round.messages.push(message);
                    taken.push(item);
                }
                Err(Trouble::Refused { cause, .. }) => {
                    tracing::warn!(
                        kind = self.kind.name(),
                        prog = item.prog,
                        cause,
                        "document cannot be downloaded yet"
                    );
                    left.push(item);
                }
                Err(other) => {
                    trouble = Some(other);
                    left.push(item);
                }
            }
        }
        let _ = round.places.insert(office.name(), place.after(&taken, &left, self.pace.overlap));
        trouble.map_or(Ok(()), Err)
    }

    async fn list(&self, office: &Office, place: &Place, from: DateTime) -> Result<Vec<Item>, Trouble> {
        let (mut items, mut number, mut total) = (Vec::new(), 1, 1);
        while number <= total {
            if number > self.pace.page_max {
                let detail =
                    format!("the list has {total} pages, at most {} are read; raise `page_max`", self.pace.page_max);
                return Err(Trouble::Failed(detail));
            }
            let page = self.api.page(self.kind, office, from, number).await?;
            (total, number) = (page.pages_total, number + 1);
            if page.unreadable > 0 {
                tracing::warn!(
                    kind = self.kind.name(),
                    ente = office.ente,
                    page.unreadable,
                    "entries without a number"
                );
            }
            items.extend(page.items.into_iter().filter(|item| place.is_new(item, from)));
        }
        // While pages are read, entries move from one to the next.
        let mut known = std::collections::HashSet::new();
        items.retain(|item| known.insert((item.prog.clone(), item.data.clone())));
        Ok(items)
    }

    async fn message(&mut self, office: &Office, item: &Item) -> Result<Incoming, Trouble> {
        let tries = self.tries.entry((office.name(), item.prog.clone())).or_default();
        *tries += 1;
        let tries = *tries;
        let (body, problem) = match self.api.download(self.kind, office, item).await {
            Ok(zip) => content(zip),
            Err(Trouble::Refused { cause, .. }) if tries >= TRIES_MAX => {
                let problem = format!("document was not to be had in {tries} tries: {cause}");
                (Body::new(Media::Bytes, Bytes::new()), Some(problem))
            }
            Err(trouble) => return Err(trouble),
        };
        let _ = self.tries.remove(&(office.name(), item.prog.clone()));
        Ok(incoming(self.kind, office, item, body, problem))
    }
}

/// The document in an archive, or the archive itself and why it cannot be read.
fn content(zip: Bytes) -> (Body, Option<String>) {
    match archive::unpack(&zip, DOCUMENT_BYTES_MAX) {
        Ok(xml) => (Body::new(Media::Xml, xml), None),
        Err(problem) => (Body::new(Media::Bytes, zip), Some(problem)),
    }
}

fn incoming(kind: Kind, office: &Office, item: &Item, body: Body, problem: Option<String>) -> Incoming {
    let location = item.location.clone().unwrap_or_else(|| kind.document(&item.prog));
    let id = MessageId::derive(&["siope", kind.name(), &office.ente, &item.prog, &location, &item.data]);
    let facts = [
        ("kind", kind.name()),
        ("ente", &office.ente),
        ("prog", &item.prog),
        ("data", &item.data),
        ("location", &location),
        (header::ORIGIN, &location),
    ];
    let mut headers: Headers = facts.into_iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    if let Some(problem) = problem {
        let _ = headers.insert(FILE_PROBLEM.into(), problem);
    }
    Incoming { id, key: None, headers, body, answerable: false }
}

fn source_error(trouble: Trouble) -> SourceError {
    let retry_after = if let Trouble::Later { wish, .. } = &trouble { Some(*wish) } else { None };
    SourceError::Unavailable { cause: trouble.into(), retry_after }
}

#[async_trait]
impl Source for Poller {
    async fn next(&mut self) -> Result<Option<Intake>, SourceError> {
        loop {
            self.clock.sleep_until(self.next_at).await;
            let round = self.round().await;
            self.next_at = if round.full { self.clock.now() } else { self.clock.now() + self.pace.every };
            if !round.messages.is_empty() {
                let cursor = Some(cursor::write(&round.places));
                self.offered = Some(round.places);
                return Ok(Some(Intake { messages: round.messages, cursor }));
            }
            match round.trouble {
                None => self.partial_failures = 0,
                // Some answered: they are not held up by those that did not, until it lasts.
                Some(Trouble::Failed(_) | Trouble::Refused { .. })
                    if round.answered > 0 && self.partial_failures < PARTIAL_FAILURES_MAX =>
                {
                    self.partial_failures += 1;
                }
                Some(trouble) => return Err(source_error(trouble)),
            }
        }
    }

    async fn settle(&mut self, verdicts: Vec<Verdict>) -> Result<(), SourceError> {
        let busy = verdicts.iter().find_map(|verdict| match verdict {
            Verdict::Busy { retry_after } => Some(retry_after.0),
            _ => None,
        });
        match (busy, self.offered.take()) {
            (Some(pause), _) => self.next_at = self.clock.now() + pause,
            (None, Some(places)) => self.places = places,
            (None, None) => {}
        }
        Ok(())
    }
}
