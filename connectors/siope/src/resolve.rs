//! What became of an upload that nobody knows about.
//!
//! SIOPE+ cannot be asked for a flow by its name. But whatever it and the bank publish names it: ACK, bank outcome and
//! outcomes of orders are listed from a while before the first attempt, and each document is opened until one names our flow
//! (`identificativo_flusso`, body, year). What is not found proves nothing: the answer then is "unknown".

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use hub_core::{Attempt, Receipt, Resolution, SendError, Value};
use jiff::civil::DateTime;
use serde_json::{Map, json};
use transform_opi::{ANSWER_BYTES_MAX, Risposta, read_answer};

use crate::connection::{AskError, Connection, Document};
use crate::entities::Entity;
use crate::flow::FlowId;
use crate::listing::{self, Item, Kind};
use crate::rome;

/// How far before the first attempt the lists are read: clocks differ, and autumn repeats an hour.
const SLACK: Duration = Duration::from_secs(3600);
/// Documents that are opened at once.
const OPEN_AT_ONCE: usize = 8;
/// Documents remembered by one connection.
const OPENED_MAX: usize = 20_000;
/// ACK error of a flow whose name is known already: the first one counts, so it proves that there is a first one.
const NAME_USED: u64 = 101;

/// What a document says about flows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    ente: String,
    flows: BTreeSet<(String, Option<u16>)>,
    stato_flusso: Option<String>,
    /// It says that the name was used before: some earlier upload counts, not this one.
    repeats: bool,
    /// It could not be read.
    unreadable: bool,
}

impl Names {
    fn of(document: &Document) -> Self {
        let read = match document {
            Document::Xml(xml) => read_answer(xml).ok(),
            Document::Unreadable { .. } => None,
        };
        read.map_or(Self { unreadable: true, ..Self::default() }, |answer| Self::of_answer(&answer))
    }

    fn of_answer(answer: &Risposta) -> Self {
        let whole = answer.identificativo_flusso.iter().map(|id| (id.clone(), answer.esercizio));
        let lines = answer.esiti.iter().map(|line| (line.identificativo_flusso.clone(), Some(line.esercizio)));
        Self {
            ente: answer.ente.clone(),
            flows: whole.chain(lines).collect(),
            stato_flusso: answer.stato_flusso.clone(),
            repeats: answer.errori.iter().any(|e| e.codice == Some(NAME_USED)),
            unreadable: false,
        }
    }

    fn name(&self, flow: &FlowId) -> bool {
        let year_fits = |year: &Option<u16>| year.is_none_or(|year| year == flow.esercizio);
        self.ente == flow.codice_ente
            && self.flows.iter().any(|(id, year)| *id == flow.identificativo_flusso && year_fits(year))
    }
}

/// Documents that were opened already: they do not change, and the next question comes in seconds.
#[derive(Debug, Default)]
pub(crate) struct Opened(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    names: HashMap<String, Arc<Names>>,
    /// Keys, the oldest first.
    order: VecDeque<String>,
}

impl Opened {
    fn get(&self, key: &str) -> Option<Arc<Names>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).names.get(key).cloned()
    }

    fn put(&self, key: String, names: Arc<Names>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.names.insert(key.clone(), names).is_none() {
            known.order.push_back(key);
        }
        if known.order.len() > OPENED_MAX
            && let Some(oldest) = known.order.pop_front()
        {
            let _ = known.names.remove(&oldest);
        }
    }
}

/// Looks for a flow in everything that SIOPE+ and the bank have published since a while before the first attempt.
///
/// # Errors
/// If something could not be looked at and the flow was not found in the rest: "could not ask".
pub(crate) async fn resolve(
    connection: &Arc<Connection>,
    entity: &Entity,
    flow: &FlowId,
    attempt: &Attempt,
) -> Result<Resolution, SendError> {
    let began = rome::local(attempt.first_at);
    let mut search = Search { connection, entity, flow, began, found: None, failure: None, looked_at: Map::new() };
    for kind in Kind::ALL {
        search.look(kind).await;
        if search.found.as_ref().is_some_and(|(_, certain)| *certain) {
            break;
        }
    }
    search.conclude()
}

struct Search<'a> {
    connection: &'a Arc<Connection>,
    entity: &'a Entity,
    flow: &'a FlowId,
    began: DateTime,
    /// The proof, and whether it is of the flow itself (not of its repetition).
    found: Option<(Receipt, bool)>,
    failure: Option<AskError>,
    looked_at: Map<String, Value>,
}

impl Search<'_> {
    async fn look(&mut self, kind: Kind) {
        let from = rome::before(self.began, SLACK);
        let mut items = match listing::list(self.connection, self.entity, kind, from).await {
            Ok(items) => items,
            Err(error) => return self.failed(error),
        };
        // Ours is most likely the first one after the attempt.
        items.sort_by_key(|item| (item.date.is_some_and(|date| date < self.began), item.order()));
        let (listed, mut unreadable, mut opened) = (items.len(), 0usize, 0usize);
        let each = items.into_iter().map(|item| open(self.connection.clone(), self.entity.clone(), kind, item));
        let mut answers = stream::iter(each).buffered(OPEN_AT_ONCE);
        while let Some((item, names)) = answers.next().await {
            match names {
                Ok(names) if names.name(self.flow) => {
                    let certain = !names.repeats;
                    if certain || self.found.is_none() {
                        self.found = Some((proof(kind, &item, &names), certain));
                    }
                    if certain {
                        return;
                    }
                }
                Ok(names) => unreadable += usize::from(names.unreadable),
                Err(error) => self.failed(error),
            }
            opened += 1;
        }
        let seen = json!({ "listed": listed, "opened": opened, "unreadable": unreadable });
        let _ = self.looked_at.insert(kind.name().into(), seen);
    }

    fn failed(&mut self, error: AskError) {
        let _ = self.failure.get_or_insert(error);
    }

    fn conclude(self) -> Result<Resolution, SendError> {
        if let Some((receipt, _)) = self.found {
            return Ok(Resolution::Delivered(receipt));
        }
        if let Some(error) = self.failure {
            let retry_after = error.retry_after;
            return Err(SendError::NotSent { retry_after, cause: format!("could not ask SIOPE+: {error}").into() });
        }
        let evidence = json!({
            "identificativo_flusso": self.flow.identificativo_flusso,
            "esercizio": self.flow.esercizio,
            "ente": self.flow.codice_ente,
            "from": rome::text(rome::before(self.began, SLACK)),
            "looked_at": self.looked_at,
        });
        Ok(Resolution::Unknown { evidence })
    }
}

async fn open(
    connection: Arc<Connection>,
    entity: Entity,
    kind: Kind,
    item: Item,
) -> (Item, Result<Arc<Names>, AskError>) {
    let key = format!("{} {} {} {}", kind.name(), entity.code, item.prog, item.url.path());
    if let Some(names) = connection.opened.get(&key) {
        return (item, Ok(names));
    }
    let names = match connection.document(&entity, &item.url, ANSWER_BYTES_MAX).await {
        Ok(document) => Arc::new(Names::of(&document)),
        Err(error) => return (item, Err(error)),
    };
    connection.opened.put(key, names.clone());
    (item, Ok(names))
}

/// The proof, in the shape of the receipt of an upload. Outcomes of orders carry no `progFlusso`.
fn proof(kind: Kind, item: &Item, names: &Names) -> Receipt {
    let prog = (kind != Kind::EsitoApplicativo).then(|| item.prog.clone());
    let reply = json!({
        "prog_flusso": prog,
        "data_upload": null,
        "location": null,
        "found_in": kind.name(),
        "found_at": item.url.as_str(),
        "date": item.date.map(rome::text),
        "stato_flusso": names.stato_flusso,
        "repetition": names.repeats,
    });
    Receipt { remote_id: prog, reply, raw: None }
}
