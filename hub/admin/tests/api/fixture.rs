//! A running admin API, and people who call it.

use std::path::Path;
use std::sync::Arc;

use hub_admin::{AdminSettings, AdminState, Role, Running, TokenSettings, serve};
use hub_backbone::Blobs;
use hub_core::journal::{Document, Event, Parked, ParkedKind, SendOutcome, Task, TaskKind, What};
use hub_core::{Case, Secret, Value};
use hub_ledger::{JournalRecord, Ledger, sqlite};
use jiff::Timestamp;
use reqwest::{Client, Method, Response, StatusCode};
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

use crate::hub::PlayedHub;

/// A document that is not what a page would be.
pub(crate) const FLUSSO: &[u8] = b"<flusso>\xc3\xa8 \x00 byte for byte</flusso>";

pub(crate) struct Api {
    pub(crate) base: String,
    pub(crate) hub: Arc<PlayedHub>,
    pub(crate) client: Client,
    pub(crate) flusso: String,
    running: Option<Running>,
    _folder: TempDir,
}

/// The token of a person: `anna`, role `approvatore`, sees all.
pub(crate) fn token_of(person: &str) -> String {
    format!("secret-token-of-{person}")
}

pub(crate) fn person(name: &str, roles: &[Role], entities: Option<&[&str]>) -> TokenSettings {
    TokenSettings {
        token: Secret::new(token_of(name)),
        person: name.into(),
        roles: roles.to_vec(),
        entities: entities.map(|list| list.iter().map(ToString::to_string).collect()),
    }
}

/// One person for each role (named like it), and `aaa`, who sees UFAAAA only.
pub(crate) fn settings() -> AdminSettings {
    let mut tokens: Vec<_> = Role::ALL.map(|role| person(role.name(), &[role], None)).into();
    tokens.push(person("aaa", &[Role::Operatore, Role::Approvatore], Some(&["UFAAAA"])));
    AdminSettings { bind: "127.0.0.1:0".into(), tokens, ..AdminSettings::default() }
}

impl Api {
    pub(crate) async fn start() -> Self {
        Self::with(settings()).await
    }

    pub(crate) async fn with(settings: AdminSettings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let hub = Arc::new(PlayedHub::default());
        let flusso = hub.blobs.put(FLUSSO).await.unwrap();
        let state = state_of(folder.path(), hub.clone(), &flusso);
        let scheme = if settings.tls.is_some() { "https" } else { "http" };
        let running = serve(&settings, state).await.unwrap();
        let base = format!("{scheme}://localhost:{}", running.addr().port());
        Self { base, hub, client: Client::new(), flusso, running: Some(running), _folder: folder }
    }

    pub(crate) async fn call(&self, method: Method, path: &str, person: &str, body: Option<Value>) -> Response {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if !person.is_empty() {
            request = request.bearer_auth(token_of(person));
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str, person: &str) -> Response {
        self.call(Method::GET, path, person, None).await
    }

    pub(crate) async fn json(&self, path: &str, person: &str) -> Value {
        let response = self.get(path, person).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.json().await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, person: &str, body: Value) -> Response {
        self.call(Method::POST, path, person, Some(body)).await
    }

    pub(crate) async fn stop(mut self) {
        self.running.take().unwrap().shutdown().await;
    }
}

/// Checks that an answer is a problem and gives its detail.
pub(crate) async fn problem(response: Response, status: u16) -> String {
    assert_eq!(response.status().as_u16(), status);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["status"], json!(status));
    assert!(body["type"].as_str().unwrap().starts_with("urn:raccordo:problem:"), "{body}");
    assert!(!body["title"].as_str().unwrap().is_empty());
    body["detail"].as_str().unwrap().to_string()
}

/// What the API shows: two cases of two entities, one file.
pub(crate) fn state_of(folder: &Path, hub: Arc<PlayedHub>, flusso: &str) -> AdminState {
    let path = folder.join("hub.db");
    let conn = Connection::open(&path).unwrap();
    conn.pragma_update(None, "journal_mode", "wal").unwrap();
    sqlite::prepare(&conn).unwrap();
    let events: Vec<Vec<u8>> = events(flusso).iter().map(|event| serde_json::to_vec(event).unwrap()).collect();
    let records = (0..).zip(&events).map(|(offset, bytes)| JournalRecord { partition: 0, offset, bytes });
    sqlite::apply(&conn, records).unwrap();
    AdminState { ledger: Ledger::file(path), operate: hub, metrics: None, version: "1.2.3".into() }
}

fn instant(second: i64) -> Timestamp {
    Timestamp::from_second(1_774_000_000 + second).unwrap()
}

fn events(flusso: &str) -> Vec<Event> {
    let mut second = 0;
    let mut event = |entity: &str, what: What| {
        second += 1;
        let case = Case {
            kind: "mandato".into(),
            id: format!("{entity}/2026/1"),
            entity: Some(entity.into()),
            amount: "1234.50".parse().ok(),
        };
        Event {
            v: 1,
            case,
            at: instant(second),
            message: format!("m-{entity}"),
            route: "mandati-siope".into(),
            version: "v1".into(),
            segment: "s0".into(),
            what,
        }
    };
    let mut events = Vec::new();
    for entity in ["UFAAAA", "UFBBBB"] {
        let bytes = FLUSSO.len() as u64;
        events.extend([
            event(entity, received()),
            event(entity, What::TaskOpened(task(&format!("w0-{entity}"), flusso))),
            event(entity, What::Archived(document(flusso, bytes))),
            event(entity, sending(entity)),
            event(entity, in_doubt(entity)),
            event(entity, What::Parked(parked(&format!("o0-{entity}"), flusso))),
            event(entity, What::State { to: "inviato".into(), from: String::new(), moved: true, note: String::new() }),
        ]);
    }
    events
}

fn received() -> What {
    What::Received { source: "http".into(), sender: "sap".into(), sha256: "aa".into(), bytes: 812 }
}

fn task(id: &str, sha256: &str) -> Task {
    Task {
        id: id.into(),
        kind: TaskKind::Approve,
        role: "approvatore".into(),
        people: 2,
        title: "Mandato 1".into(),
        requester: "sap".into(),
        sha256: sha256.into(),
        mime: "application/xml".into(),
        deadline: instant(14_400),
    }
}

fn document(sha256: &str, bytes: u64) -> Document {
    Document {
        class: "opi".into(),
        name: "flusso \"1\".xml".into(),
        sha256: sha256.into(),
        bytes,
        mime: "application/xml".into(),
        retain_until: instant(315_360_000),
    }
}

fn sending(entity: &str) -> What {
    What::SendIntended {
        outgoing: format!("out-{entity}"),
        sink: "siope.flusso".into(),
        attempt: 1,
        epoch: "e1".into(),
        not_after: instant(60),
        sha256: "ff".into(),
    }
}

fn in_doubt(entity: &str) -> What {
    What::SendSettled {
        outgoing: format!("out-{entity}"),
        sink: "siope.flusso".into(),
        attempt: 1,
        outcome: SendOutcome::InDoubt,
        remote_id: String::new(),
        evidence: json!({ "cause": "reset" }),
    }
}

fn parked(id: &str, sha256: &str) -> Parked {
    Parked {
        id: id.into(),
        kind: ParkedKind::InDoubt,
        reason: "no answer after the last byte".into(),
        evidence: json!({ "attempts": 3 }),
        sha256: sha256.into(),
        mime: "application/xml".into(),
    }
}
