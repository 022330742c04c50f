//! From columns to rows. Each list of columns stands beside the function that reads it.

use std::str::FromStr;

use hub_core::Value;
use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Result, Row};
use rust_decimal::Decimal;

use crate::rows::{CaseRow, DecisionRow, DocumentRow, EventRow, MessageRow, ParkedRow, SendRow, TaskRow, WaitRow};
use crate::summary::actions_of;

fn unreadable(column: usize, detail: String) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, detail.into())
}

fn instant(column: usize, us: i64) -> Result<Timestamp> {
    Timestamp::from_microsecond(us).map_err(|e| unreadable(column, e.to_string()))
}

fn time(row: &Row<'_>, column: usize) -> Result<Timestamp> {
    instant(column, row.get(column)?)
}

pub(super) fn time_if(row: &Row<'_>, column: usize) -> Result<Option<Timestamp>> {
    row.get::<_, Option<i64>>(column)?.map(|us| instant(column, us)).transpose()
}

fn json(row: &Row<'_>, column: usize) -> Result<Value> {
    serde_json::from_str(&row.get::<_, String>(column)?).map_err(|e| unreadable(column, e.to_string()))
}

fn amount(row: &Row<'_>, column: usize) -> Result<Option<Decimal>> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| Decimal::from_str(&text).map_err(|e| unreadable(column, e.to_string()))).transpose()
}

pub(super) const CASE: &str = "id, kind, entity, amount, state, opened_at, changed_at, last_event, events";

pub(super) fn case(row: &Row<'_>) -> Result<CaseRow> {
    Ok(CaseRow {
        id: row.get(0)?,
        kind: row.get(1)?,
        entity: row.get(2)?,
        amount: amount(row, 3)?,
        state: row.get(4)?,
        opened_at: time(row, 5)?,
        changed_at: time(row, 6)?,
        last_event: row.get(7)?,
        events: row.get(8)?,
    })
}

pub(super) const EVENT: &str = "n, at, kind, summary, message, route, segment, detail";

pub(super) fn event(row: &Row<'_>) -> Result<EventRow> {
    Ok(EventRow {
        n: row.get(0)?,
        at: time(row, 1)?,
        kind: row.get(2)?,
        summary: row.get(3)?,
        message: row.get(4)?,
        route: row.get(5)?,
        segment: row.get(6)?,
        detail: json(row, 7)?,
    })
}

pub(super) const MESSAGE: &str = "id, case_id, entity, route, source, sender, sha256, bytes, at, state";

pub(super) fn message(row: &Row<'_>) -> Result<MessageRow> {
    Ok(MessageRow {
        id: row.get(0)?,
        case: row.get(1)?,
        entity: row.get(2)?,
        route: row.get(3)?,
        source: row.get(4)?,
        sender: row.get(5)?,
        sha256: row.get(6)?,
        bytes: row.get(7)?,
        at: time(row, 8)?,
        state: row.get(9)?,
    })
}

pub(super) const DOCUMENT: &str = "case_id, class, name, sha256, bytes, mime, at, retain_until";

pub(super) fn document(row: &Row<'_>) -> Result<DocumentRow> {
    Ok(DocumentRow {
        case: row.get(0)?,
        class: row.get(1)?,
        name: row.get(2)?,
        sha256: row.get(3)?,
        bytes: row.get(4)?,
        mime: row.get(5)?,
        at: time(row, 6)?,
        retain_until: time(row, 7)?,
    })
}

pub(super) const TASK: &str = "id, case_id, entity, kind, role, escalated_role, people, approvals, title, requester,
    sha256, mime, opened_at, deadline, closed_at, outcome";

pub(super) fn task(row: &Row<'_>) -> Result<TaskRow> {
    Ok(TaskRow {
        id: row.get(0)?,
        case: row.get(1)?,
        entity: row.get(2)?,
        kind: row.get(3)?,
        role: row.get(4)?,
        escalated_role: row.get(5)?,
        people: row.get(6)?,
        approvals: row.get(7)?,
        title: row.get(8)?,
        requester: row.get(9)?,
        sha256: row.get(10)?,
        mime: row.get(11)?,
        opened_at: time(row, 12)?,
        deadline: time(row, 13)?,
        closed_at: time_if(row, 14)?,
        outcome: row.get(15)?,
    })
}

pub(super) const DECISION: &str = "task, person, decision, comment, sha256, approvals, at";

pub(super) fn decision(row: &Row<'_>) -> Result<DecisionRow> {
    Ok(DecisionRow {
        task: row.get(0)?,
        person: row.get(1)?,
        decision: row.get(2)?,
        comment: row.get(3)?,
        sha256: row.get(4)?,
        approvals: row.get(5)?,
        at: time(row, 6)?,
    })
}

pub(super) const SEND: &str =
    "outgoing, case_id, entity, sink, attempts, state, remote_id, sha256, first_at, changed_at";

pub(super) fn send(row: &Row<'_>) -> Result<SendRow> {
    Ok(SendRow {
        outgoing: row.get(0)?,
        case: row.get(1)?,
        entity: row.get(2)?,
        sink: row.get(3)?,
        attempts: row.get(4)?,
        state: row.get(5)?,
        remote_id: row.get(6)?,
        sha256: row.get(7)?,
        first_at: time(row, 8)?,
        changed_at: time(row, 9)?,
    })
}

pub(super) const WAIT: &str = "id, case_id, name, keys, opened_at, deadline, state, by_whom";

pub(super) fn wait(row: &Row<'_>) -> Result<WaitRow> {
    let keys: String = row.get(3)?;
    Ok(WaitRow {
        id: row.get(0)?,
        case: row.get(1)?,
        name: row.get(2)?,
        keys: serde_json::from_str(&keys).map_err(|e| unreadable(3, e.to_string()))?,
        opened_at: time(row, 4)?,
        deadline: time(row, 5)?,
        state: row.get(6)?,
        by: row.get(7)?,
    })
}

pub(super) const PARKED: &str = "id, case_id, entity, kind, reason, evidence, sha256, mime, message, route, segment,
    since, state, action, by_whom, note, released_at";

pub(super) fn parked(row: &Row<'_>) -> Result<ParkedRow> {
    let (kind, state): (String, String) = (row.get(3)?, row.get(12)?);
    let actions = if state == "open" { actions_of(&kind) } else { &[] };
    Ok(ParkedRow {
        id: row.get(0)?,
        case: row.get(1)?,
        entity: row.get(2)?,
        reason: row.get(4)?,
        evidence: json(row, 5)?,
        sha256: row.get(6)?,
        mime: row.get(7)?,
        message: row.get(8)?,
        route: row.get(9)?,
        segment: row.get(10)?,
        since: time(row, 11)?,
        action: row.get(13)?,
        by: row.get(14)?,
        note: row.get(15)?,
        released_at: time_if(row, 16)?,
        actions: actions.iter().map(ToString::to_string).collect(),
        kind,
        state,
    })
}
