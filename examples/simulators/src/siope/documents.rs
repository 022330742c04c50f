//! Lists with their filters and pages, and downloads.

use std::sync::Arc;

use axum::extract::Query;
use hyper::Uri;
use hyper::header::{ACCEPT, HeaderMap};
use jiff::Timestamp;
use jiff::civil::DateTime;
use serde_json::{Map, Value, json};

use super::answer::{self, Refusal, Reply};
use super::archive;
use super::call::{Kind, Target};
use super::clock::RomeClock;
use super::ledger::{Ledger, Shared};
use super::world::{Document, Event, World};

/// One line of a list.
struct Item {
    document: Document,
    prog: u64,
    time: Timestamp,
}

/// Answers a list call.
pub(crate) async fn list(shared: &Arc<Shared>, target: Target, kind: Kind, uri: &Uri, headers: &HeaderMap) -> Answer {
    accepts(headers, "application/json")?;
    let filter = Filter::read(kind, uri)?;
    let origin = origin(shared, headers);
    let body = shared.with(move |shared, ledger| page(shared, ledger, &target, kind, &filter, &origin)).await;
    body.map(|body| answer::json(200, &body)).ok_or_else(|| Refusal::new(500, "the simulator failed"))
}

/// Answers a download, and marks the document as downloaded.
pub(crate) async fn download(
    shared: &Arc<Shared>,
    target: Target,
    document: (Kind, u64),
    headers: &HeaderMap,
) -> Answer {
    accepts(headers, "application/zip")?;
    let fetched = shared.with(move |_, ledger| fetch(ledger, &target, document)).await;
    let (name, xml) = fetched.ok_or_else(|| Refusal::new(500, "the simulator failed"))??;
    archive::pack(name, xml.as_bytes()).map(answer::zip).map_err(|e| Refusal::new(500, e.to_string()))
}

type Answer = Result<Reply, Refusal>;

/// 406 unless `Accept` names this type itself, as the API file demands; `*/*` is not enough.
pub(crate) fn accepts(headers: &HeaderMap, wanted: &str) -> Result<(), Refusal> {
    let named = |value: &str| value.split(',').any(|t| t.split(';').next().unwrap_or_default().trim() == wanted);
    let accepted = headers.get_all(ACCEPT).iter().any(|v| v.to_str().is_ok_and(|v| named(&v.to_ascii_lowercase())));
    if accepted { Ok(()) } else { Err(Refusal::new(406, format!("the header Accept: {wanted} is needed"))) }
}

/// Scheme and host under which the caller reached us.
pub(crate) fn origin(shared: &Shared, headers: &HeaderMap) -> String {
    let scheme = if shared.settings.tls.is_some() { "https" } else { "http" };
    let host = headers.get("host").and_then(|h| h.to_str().ok()).filter(|h| h.len() <= 255).unwrap_or("localhost");
    format!("{scheme}://{host}")
}

struct Filter {
    from: Option<DateTime>,
    to: Option<DateTime>,
    downloaded: Option<bool>,
    page: u64,
    /// The date parameters as they came, which the reply repeats.
    echo: Vec<(String, String)>,
}

impl Filter {
    fn read(kind: Kind, uri: &Uri) -> Result<Self, Refusal> {
        let wrong = |name: &str| Refusal::new(400, format!("parameter {name} is not known here or not well-formed"));
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri).map_err(|_| wrong("?"))?;
        let mut filter = Self { from: None, to: None, downloaded: None, page: 1, echo: Vec::new() };
        for (name, value) in pairs {
            filter.take(kind, &name, &value).ok_or_else(|| wrong(&name))?;
            if name.starts_with("data") {
                filter.echo.push((name, value));
            }
        }
        Ok(filter)
    }

    /// ACK lists filter on production, the others on upload; clients disagree about flow outcomes, which take both.
    fn take(&mut self, kind: Kind, name: &str, value: &str) -> Option<()> {
        let (produced, uploaded) = (matches!(kind, Kind::Ack | Kind::EsitoFlusso), kind != Kind::Ack);
        match name {
            "dataProduzioneDa" if produced => self.from = Some(RomeClock::parse(value)?),
            "dataProduzioneA" if produced => self.to = Some(RomeClock::parse(value)?),
            "dataUploadDa" if uploaded => self.from = Some(RomeClock::parse(value)?),
            "dataUploadA" if uploaded => self.to = Some(RomeClock::parse(value)?),
            "download" => self.downloaded = Some(value.parse().ok()?),
            "pagina" => self.page = value.parse().ok().filter(|p| *p > 0)?,
            _ => return None,
        }
        Some(())
    }

    fn holds(&self, item: &Item, world: &World, clock: &RomeClock) -> bool {
        let local = clock.local(item.time);
        self.from.is_none_or(|from| from <= local)
            && self.to.is_none_or(|to| local <= to)
            && self.downloaded.is_none_or(|wanted| wanted == world.fetched.contains(&item.document))
    }
}

fn page(shared: &Shared, ledger: &Ledger, target: &Target, kind: Kind, filter: &Filter, origin: &str) -> Value {
    let world = &ledger.world;
    let mut items = items(world, target, kind);
    items.retain(|item| filter.holds(item, world, &shared.clock));
    items.sort_by_key(|item| (item.time, item.prog));
    let size = shared.settings.page_size.max(1);
    let skip = usize::try_from(filter.page - 1).unwrap_or(usize::MAX).saturating_mul(size);
    let shown = items.iter().skip(skip).take(size).map(|item| show(item, world, &shared.clock, target, origin));
    let mut body = Map::new();
    for (name, value) in &filter.echo {
        let _ = body.insert(name.clone(), json!(value));
    }
    let _ = body.insert("numRisultati".to_owned(), json!(items.len()));
    let _ = body.insert("numPagine".to_owned(), json!(items.len().div_ceil(size)));
    let _ = body.insert("risultatiPerPagina".to_owned(), json!(size));
    let _ = body.insert("pagina".to_owned(), json!(filter.page));
    let _ = body.insert("risultati".to_owned(), Value::Array(shown.collect()));
    Value::Object(body)
}

/// What was published for a body, in order of time.
fn items(world: &World, target: &Target, kind: Kind) -> Vec<Item> {
    let body = world.of_body(&(target.id_a2a.clone(), target.ente.clone()));
    let published = body.into_iter().flat_map(|body| &body.published);
    published.filter_map(|(time, document)| item(*document, *time, kind)).collect()
}

fn item(document: Document, time: Timestamp, wanted: Kind) -> Option<Item> {
    let (kind, prog) = match document {
        Document::Ack(prog) => (Kind::Ack, prog),
        Document::EsitoFlusso(prog) => (Kind::EsitoFlusso, prog),
        Document::EsitoApplicativo(prog) => (Kind::EsitoApplicativo, prog),
    };
    (kind == wanted).then_some(Item { document, prog, time })
}

/// A document of a body, if it was produced.
fn find(world: &World, target: &Target, kind: Kind, prog: u64) -> Option<Document> {
    let own = |id_a2a: &str, ente: &str| id_a2a == target.id_a2a && ente == target.ente;
    let of_flow = || world.flow(prog).is_some_and(|(upload, _)| own(&upload.id_a2a, &upload.ente));
    let of_message = || world.outcomes.get(&prog).is_some_and(|message| own(&message.id_a2a, &message.ente));
    match kind {
        Kind::Ack => of_flow().then_some(Document::Ack(prog)),
        Kind::EsitoFlusso => of_flow().then_some(Document::EsitoFlusso(prog)),
        Kind::EsitoApplicativo => of_message().then_some(Document::EsitoApplicativo(prog)),
        Kind::Giornale | Kind::Disponibilita => None,
    }
}

fn show(item: &Item, world: &World, clock: &RomeClock, target: &Target, origin: &str) -> Value {
    let prog = item.prog.to_string();
    let (number, date, path) = match item.document {
        Document::Ack(_) => ("progFlusso", "dataProduzione", format!("flusso/{prog}/ack")),
        Document::EsitoFlusso(_) => ("progFlusso", "dataUpload", format!("flusso/{prog}/esitoflusso")),
        Document::EsitoApplicativo(_) => ("progEsitoApplicativo", "dataUpload", format!("esitoapplicativo/{prog}")),
    };
    json!({
        number: prog,
        date: clock.millis(item.time),
        "download": world.fetched.contains(&item.document),
        "location": location(target, origin, &path),
    })
}

/// The absolute address of something of this body.
pub(crate) fn location(target: &Target, origin: &str, path: &str) -> String {
    format!("{origin}{}/{}/PA/{}/{path}", target.base, target.id_a2a, target.ente)
}

fn fetch(ledger: &mut Ledger, target: &Target, (kind, prog): (Kind, u64)) -> Result<(&'static str, String), Refusal> {
    let unknown = || Refusal::new(404, "no such document, or not produced yet");
    let document = find(&ledger.world, target, kind, prog).ok_or_else(unknown)?;
    let (name, xml) = content(&ledger.world, document).ok_or_else(unknown)?;
    let xml = xml.to_owned();
    if !ledger.world.fetched.contains(&document) {
        ledger.commit(vec![Event::Fetched(document)]).map_err(|why| Refusal::new(500, why))?;
    }
    Ok((name, xml))
}

fn content(world: &World, document: Document) -> Option<(&'static str, &str)> {
    match document {
        Document::Ack(prog) => Some(("ack.xml", &world.flows.get(&prog)?.ack.as_ref()?.xml)),
        Document::EsitoFlusso(prog) => Some(("esitoflusso.xml", &world.flows.get(&prog)?.bank.as_ref()?.xml)),
        Document::EsitoApplicativo(prog) => Some(("esitoapplicativo.xml", &world.outcomes.get(&prog)?.xml)),
    }
}
