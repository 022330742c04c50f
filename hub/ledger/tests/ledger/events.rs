//! Events to test with.

use hub_core::Case;
use hub_core::journal::{
    Decision, Document, EVENT_VERSION, Event, Parked, ParkedKind, SendOutcome, Task, TaskKind, What,
};
use jiff::Timestamp;
use rusqlite::Connection;
use serde_json::json;

pub(crate) fn instant(second: i64) -> Timestamp {
    Timestamp::from_second(1_774_000_000 + second).unwrap()
}

pub(crate) fn case(id: &str, entity: &str, amount: &str) -> Case {
    Case {
        kind: "mandato".into(),
        id: id.into(),
        entity: (!entity.is_empty()).then(|| entity.to_string()),
        amount: (!amount.is_empty()).then(|| amount.parse().unwrap()),
    }
}

pub(crate) fn event(case: Case, second: i64, what: What) -> Event {
    Event {
        v: EVENT_VERSION,
        case,
        at: instant(second),
        message: "m1".into(),
        route: "mandati-siope".into(),
        version: "v1".into(),
        segment: "s0".into(),
        what,
    }
}

pub(crate) fn received() -> What {
    What::Received { source: "http".into(), sender: "sap".into(), sha256: "aa".into(), bytes: 812 }
}

pub(crate) fn moved(to: &str) -> What {
    What::State { to: to.into(), from: "ricevuto".into(), moved: true, note: String::new() }
}

pub(crate) fn task(id: &str) -> Task {
    Task {
        id: id.into(),
        kind: TaskKind::Approve,
        role: "approvatore".into(),
        people: 2,
        title: "Mandato 1 di UFAAAA".into(),
        requester: "sap".into(),
        sha256: "dd".into(),
        mime: "application/xml".into(),
        deadline: instant(14_400),
    }
}

pub(crate) fn parked(id: &str, kind: ParkedKind) -> Parked {
    Parked {
        id: id.into(),
        kind,
        reason: "no answer after the last byte".into(),
        evidence: json!({ "attempts": 3, "importo": "12.10" }),
        sha256: "ee".into(),
        mime: "application/xml".into(),
    }
}

pub(crate) fn document() -> Document {
    Document {
        class: "opi".into(),
        name: "flusso.xml".into(),
        sha256: "dd".into(),
        bytes: 4_096,
        mime: "application/xml".into(),
        retain_until: instant(315_360_000),
    }
}

/// One event of each kind, in an order that makes sense.
pub(crate) fn one_of_each() -> Vec<What> {
    let sink = || "siope.flusso".to_string();
    vec![
        received(),
        moved("approvato"),
        What::State { to: "ricevuto".into(), from: "approvato".into(), moved: false, note: "late".into() },
        What::Archived(document()),
        What::TaskOpened(task("w0-t1")),
        What::TaskEscalated { task: "w0-t1".into(), to: "controllore".into() },
        What::TaskDecided {
            task: "w0-t1".into(),
            person: "anna".into(),
            decision: Decision::Approve,
            comment: "visto".into(),
            sha256: "dd".into(),
            approvals: 1,
        },
        What::TaskClosed { task: "w0-t1".into(), outcome: "approved".into() },
        What::SendIntended {
            outgoing: "o1".into(),
            sink: sink(),
            attempt: 1,
            epoch: "e1".into(),
            not_after: instant(60),
            sha256: "ff".into(),
        },
        What::SendSettled {
            outgoing: "o1".into(),
            sink: sink(),
            attempt: 1,
            outcome: SendOutcome::InDoubt,
            remote_id: String::new(),
            evidence: json!({ "cause": "reset" }),
        },
        What::Parked(parked("o0-o1", ParkedKind::InDoubt)),
        What::Released { parked: "o0-o1".into(), action: "delivered".into(), by: "bruno".into(), note: "seen".into() },
        What::SendSettled {
            outgoing: "o1".into(),
            sink: sink(),
            attempt: 1,
            outcome: SendOutcome::Delivered,
            remote_id: "77".into(),
            evidence: json!(null),
        },
        What::WaitOpened {
            wait: "w1".into(),
            name: "siope-ack".into(),
            keys: vec!["FLUSSO-1".into(), "77".into()],
            deadline: instant(7_200),
        },
        What::WaitTimedOut { wait: "w1".into(), name: "siope-ack".into() },
        What::WaitAnswered { wait: "w1".into(), name: "siope-ack".into(), by: "m2".into() },
        What::Logged { text: "ack OK".into() },
        What::Dropped { reason: "filtered".into() },
        What::Finished,
    ]
}

/// Ids of things are unique to their case, as the runtime makes them: this makes them so.
pub(crate) fn renamed(what: &What, which: &str) -> What {
    let text = serde_json::to_string(what).unwrap();
    let text = ["w0-t1", "o0-o1", "\"o1\"", "\"w1\""].iter().fold(text, |text, id| {
        let new = format!("{}-{which}", id.trim_matches('"'));
        text.replace(id, &if id.starts_with('"') { format!("\"{new}\"") } else { new })
    });
    serde_json::from_str(&text).unwrap()
}

/// Applies events as partition 0 from `offset` on, in one go.
pub(crate) fn apply(conn: &Connection, offset: u64, events: &[Event]) -> Result<(), hub_ledger::Error> {
    let bytes: Vec<Vec<u8>> = events.iter().map(|event| serde_json::to_vec(event).unwrap()).collect();
    let records = bytes.iter().enumerate().map(|(i, bytes)| hub_ledger::JournalRecord {
        partition: 0,
        offset: offset + i as u64,
        bytes,
    });
    hub_ledger::sqlite::apply(conn, records)
}

pub(crate) fn empty() -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    hub_ledger::sqlite::prepare(&conn).unwrap();
    conn
}
