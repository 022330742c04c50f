//! A server that says what it is told: for answers that a well-made simulator never gives.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use hub_core::plugin::OpenCx;
use hub_core::{Clock, Value};
use hub_testkit::bench;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;

use crate::support::{A2A, WallClock, entities, zip};

/// Status, headers and body of an answer.
type Scripted = (u16, Vec<(&'static str, String)>, String);

#[derive(Default)]
struct World {
    lists: HashMap<String, Vec<Value>>,
    documents: HashMap<String, Vec<u8>>,
    /// Answers that come before everything else, by path.
    scripted: HashMap<String, VecDeque<Scripted>>,
    calls: Vec<String>,
}

/// The server; paths are those behind `/v1/{A2A}/PA/UFAAAA/`.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    world: Arc<Mutex<World>>,
}

impl Fake {
    pub(crate) async fn start() -> Self {
        let world = Arc::new(Mutex::new(World::default()));
        let app = Router::new().fallback(answer).with_state(world.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(tokio::spawn(async move { axum::serve(listener, app).await }));
        Self { address, world }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    pub(crate) fn cx(&self) -> OpenCx {
        self.cx_at(Arc::new(WallClock), "100ms")
    }

    /// The same by another clock.
    pub(crate) fn cx_at(&self, clock: Arc<dyn Clock>, every: &str) -> OpenCx {
        let cx = bench::open_cx(clock, std::path::Path::new("."));
        let settings = json!({ "base_url": format!("http://{}/v1/", self.address), "every": every });
        let cx = bench::with_settings(cx, "connections", "siope", settings);
        OpenCx { entities: entities(&[("UFAAAA", A2A)]), ..cx }
    }

    /// Lists a document that can be downloaded, dated now.
    pub(crate) fn publish(&self, list: &str, name: &str, prog: Value, path: &str, xml: &str) {
        self.list(list, json!({ name: prog, "dataProduzione": rome(0), "location": self.url(path) }));
        self.document(path, zip(xml.as_bytes()));
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/v1/{A2A}/PA/UFAAAA/{path}", self.address)
    }

    pub(crate) fn list(&self, list: &str, entry: Value) {
        self.world().lists.entry(list.to_string()).or_default().push(entry);
    }

    pub(crate) fn forget(&self, list: &str) {
        let _ = self.world().lists.remove(list);
    }

    pub(crate) fn document(&self, path: &str, bytes: Vec<u8>) {
        let _ = self.world().documents.insert(path.to_string(), bytes);
    }

    pub(crate) fn script(&self, path: &str, status: u16, headers: &[(&'static str, &str)], body: &str) {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_string())).collect();
        self.world().scripted.entry(path.to_string()).or_default().push_back((status, headers, body.to_string()));
    }

    /// How often a path was asked for.
    pub(crate) fn calls(&self, path: &str) -> usize {
        self.world().calls.iter().filter(|call| call.split('?').next() == Some(path)).count()
    }

    /// The queries with which a path was asked for.
    pub(crate) fn queries(&self, path: &str) -> Vec<String> {
        let world = self.world();
        let asked = world.calls.iter().filter_map(|call| call.split_once('?'));
        asked.filter(|(of, _)| *of == path).map(|(_, query)| query.to_string()).collect()
    }
}

/// The date so many minutes ago, as SIOPE+ writes it.
pub(crate) fn rome(minutes_ago: i64) -> String {
    rome_at(WallClock.now() - jiff::SignedDuration::from_mins(minutes_ago))
}

/// An instant, as SIOPE+ writes it.
pub(crate) fn rome_at(then: Timestamp) -> String {
    then.to_zoned(TimeZone::get("Europe/Rome").unwrap()).strftime("%Y-%m-%dT%H:%M:%S.%3f").to_string()
}

async fn answer(State(world): State<Arc<Mutex<World>>>, uri: Uri) -> Response {
    let path = uri.path().strip_prefix(&format!("/v1/{A2A}/PA/UFAAAA/")).unwrap_or("?").trim_end_matches('/');
    let mut world = world.lock().unwrap();
    world.calls.push(uri.query().map_or(path.to_string(), |query| format!("{path}?{query}")));
    if let Some((status, headers, body)) = world.scripted.get_mut(path).and_then(VecDeque::pop_front) {
        let mut reply = (StatusCode::from_u16(status).unwrap(), body).into_response();
        for (name, value) in headers {
            let _ = reply.headers_mut().insert(name, value.parse().unwrap());
        }
        return reply;
    }
    if let Some(bytes) = world.documents.get(path) {
        return bytes.clone().into_response();
    }
    if ["flusso/ack", "flusso/esitoflusso", "esitoapplicativo"].contains(&path) {
        let mut entries = world.lists.get(path).cloned().unwrap_or_default();
        let from = from(uri.query().unwrap_or_default());
        entries.retain(|entry| entry["dataProduzione"].as_str().is_none_or(|date| date >= from.as_str()));
        let pages = usize::from(!entries.is_empty());
        return axum::Json(json!({ "numRisultati": entries.len(), "numPagine": pages, "risultati": entries }))
            .into_response();
    }
    StatusCode::NOT_FOUND.into_response()
}

/// The date from which a query asks.
pub(crate) fn from(query: &str) -> String {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let from = pairs.find(|(name, _)| name.starts_with("data") && name.ends_with("Da"));
    from.map(|(_, date)| date.replace("%3A", ":")).unwrap_or_default()
}

fn header(ente: &str) -> String {
    format!(
        "<testata_messaggio><codice_ABI_BT>09991</codice_ABI_BT><codice_ente>{ente}</codice_ente></testata_messaggio>"
    )
}

pub(crate) fn ack(id: &str, ente: &str, state: &str, code: Option<u16>) -> String {
    let fault = code.map(|code| format!("<errore><codice>{code}</codice><descrizione>x</descrizione></errore>"));
    format!(
        "<messaggio_ack_siope>{}<identificativo_flusso>{id}</identificativo_flusso><esercizio>2026</esercizio>\
         <stato_flusso>{state}</stato_flusso>{}</messaggio_ack_siope>",
        header(ente),
        fault.unwrap_or_default()
    )
}

pub(crate) fn ricezione(id: &str, ente: &str) -> String {
    format!(
        "<messaggio_ricezione_flusso>{}<identificativo_flusso>{id}</identificativo_flusso>\
         <identificativo_flusso_BT>BT-1</identificativo_flusso_BT><esercizio>2026</esercizio></messaggio_ricezione_flusso>",
        header(ente)
    )
}

pub(crate) fn esiti(id: &str, ente: &str) -> String {
    let line = |id: &str| {
        format!(
            "<esito_mandati><identificativo_flusso>{id}</identificativo_flusso><esercizio>2026</esercizio>\
             <numero_mandato>1</numero_mandato><esito_operazione>ACQUISITO</esito_operazione>\
             <data_ora_esito_operazione>2026-11-24T10:00:00</data_ora_esito_operazione></esito_mandati>"
        )
    };
    format!(
        "<messaggi_esito_applicativo>{}<identificativo_flusso_BT>BT-2</identificativo_flusso_BT>{}{}\
         </messaggi_esito_applicativo>",
        header(ente),
        line("F-0"),
        line(id)
    )
}
