//! From columns to rows. Each list of columns stands beside the function that reads it.

use std::str::FromStr;

use hub_core::Value;
use jiff::Timestamp;
use rust_decimal::Decimal;

use crate::Error;
use crate::rows::{CaseRow, DecisionRow, DocumentRow, EventRow, MessageRow, ParkedRow, SendRow, TaskRow, WaitRow};
use crate::sql::{Row, unreadable};
use crate::summary::actions_of;

fn instant(column: usize, us: i64) -> Result<Timestamp, Error> {
    Timestamp::from_microsecond(us).map_err(|e| unreadable(column, e))
}

fn time(row: &Row, column: usize) -> Result<Timestamp, Error> {
    instant(column, row.int(column)?)
}

pub(super) fn time_if(row: &Row, column: usize) -> Result<Option<Timestamp>, Error> {
    row.int_if(column)?.map(|us| instant(column, us)).transpose()
}

fn json(row: &Row, column: usize) -> Result<Value, Error> {
    serde_json::from_str(&row.text(column)?).map_err(|e| unreadable(column, e))
}

fn amount(row: &Row, column: usize) -> Result<Option<Decimal>, Error> {
    row.text_if(column)?.map(|text| Decimal::from_str(&text).map_err(|e| unreadable(column, e))).transpose()
}

pub(super) const CASE: &str = "id, kind, entity, amount, state, opened_at, changed_at, last_event, events";

pub(super) fn case(row: &Row) -> Result<CaseRow, Error> {
    Ok(CaseRow {
        id: row.text(0)?,
        kind: row.text(1)?,
        entity: row.text(2)?,
        amount: amount(row, 3)?,
        state: row.text(4)?,
        opened_at: time(row, 5)?,
        changed_at: time(row, 6)?,
        last_event: row.text(7)?,
        events: row.count(8)?,
    })
}

pub(super) const EVENT: &str = "n, at, kind, summary, message, route, segment, detail";

pub(super) fn event(row: &Row) -> Result<EventRow, Error> {
    Ok(EventRow {
        n: row.count(0)?,
        at: time(row, 1)?,
        kind: row.text(2)?,
        summary: row.text(3)?,
        message: row.text(4)?,
        route: row.text(5)?,
        segment: row.text(6)?,
        detail: json(row, 7)?,
    })
}

pub(super) const MESSAGE: &str = "id, case_id, entity, route, source, sender, sha256, bytes, at, state";

pub(super) fn message(row: &Row) -> Result<MessageRow, Error> {
    Ok(MessageRow {
        id: row.text(0)?,
        case: row.text(1)?,
        entity: row.text(2)?,
        route: row.text(3)?,
        source: row.text(4)?,
        sender: row.text(5)?,
        sha256: row.text(6)?,
        bytes: row.count(7)?,
        at: time(row, 8)?,
        state: row.text(9)?,
    })
}

pub(super) const DOCUMENT: &str = "case_id, class, name, sha256, bytes, mime, at, retain_until";

pub(super) fn document(row: &Row) -> Result<DocumentRow, Error> {
    Ok(DocumentRow {
        case: row.text(0)?,
        class: row.text(1)?,
        name: row.text(2)?,
        sha256: row.text(3)?,
        bytes: row.count(4)?,
        mime: row.text(5)?,
        at: time(row, 6)?,
        retain_until: time(row, 7)?,
    })
}

pub(super) const TASK: &str = "id, case_id, entity, kind, role, escalated_role, people, approvals, title, requester,
    sha256, mime, opened_at, deadline, closed_at, outcome";

pub(super) fn task(row: &Row) -> Result<TaskRow, Error> {
    Ok(TaskRow {
        id: row.text(0)?,
        case: row.text(1)?,
        entity: row.text(2)?,
        kind: row.text(3)?,
        role: row.text(4)?,
        escalated_role: row.text(5)?,
        people: row.count(6)?,
        approvals: row.count(7)?,
        title: row.text(8)?,
        requester: row.text(9)?,
        sha256: row.text(10)?,
        mime: row.text(11)?,
        opened_at: time(row, 12)?,
        deadline: time(row, 13)?,
        closed_at: time_if(row, 14)?,
        outcome: row.text(15)?,
    })
}

pub(super) const DECISION: &str = "task, person, decision, comment, sha256, approvals, at";

pub(super) fn decision(row: &Row) -> Result<DecisionRow, Error> {
    Ok(DecisionRow {
        task: row.text(0)?,
        person: row.text(1)?,
        decision: row.text(2)?,
        comment: row.text(3)?,
        sha256: row.text(4)?,
        approvals: row.count(5)?,
        at: time(row, 6)?,
    })
}

pub(super) const SEND: &str =
    "outgoing, case_id, entity, sink, attempts, state, remote_id, sha256, first_at, changed_at";

pub(super) fn send(row: &Row) -> Result<SendRow, Error> {
    Ok(SendRow {
        outgoing: row.text(0)?,
        case: row.text(1)?,
        entity: row.text(2)?,
        sink: row.text(3)?,
        attempts: row.count(4)?,
        state: row.text(5)?,
        remote_id: row.text(6)?,
        sha256: row.text(7)?,
        first_at: time(row, 8)?,
        changed_at: time(row, 9)?,
    })
}

pub(super) const WAIT: &str = "id, case_id, name, keys, opened_at, deadline, state, by_whom";

pub(super) fn wait(row: &Row) -> Result<WaitRow, Error> {
    let keys = row.text(3)?;
    Ok(WaitRow {
        id: row.text(0)?,
        case: row.text(1)?,
        name: row.text(2)?,
        keys: serde_json::from_str(&keys).map_err(|e| unreadable(3, e))?,
        opened_at: time(row, 4)?,
        deadline: time(row, 5)?,
        state: row.text(6)?,
        by: row.text(7)?,
    })
}

pub(super) const PARKED: &str = "id, case_id, entity, kind, reason, evidence, sha256, mime, message, route, segment,
    since, state, action, by_whom, note, released_at";

pub(super) fn parked(row: &Row) -> Result<ParkedRow, Error> {
    let (kind, state) = (row.text(3)?, row.text(12)?);
    let actions = if state == "open" { actions_of(&kind) } else { &[] };
    Ok(ParkedRow {
        id: row.text(0)?,
        case: row.text(1)?,
        entity: row.text(2)?,
        reason: row.text(4)?,
        evidence: json(row, 5)?,
        sha256: row.text(6)?,
        mime: row.text(7)?,
        message: row.text(8)?,
        route: row.text(9)?,
        segment: row.text(10)?,
        since: time(row, 11)?,
        action: row.text(13)?,
        by: row.text(14)?,
        note: row.text(15)?,
        released_at: time_if(row, 16)?,
        actions: actions.iter().map(ToString::to_string).collect(),
        kind,
        state,
    })
}
