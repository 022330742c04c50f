//! One row change, one or two statements.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, ToSql, params};
use rust_decimal::Decimal;

use super::cents_of;
use crate::{Error, RowChange};

/// Carries out one change.
pub(super) fn carry_out(conn: &Connection, change: &RowChange) -> Result<(), Error> {
    match change {
        RowChange::Case { .. } => case(conn, change),
        RowChange::Event { .. } => event(conn, change),
        RowChange::State { case, to, month } => state(conn, case, to, month),
        RowChange::Message { .. } | RowChange::MessageEnded { .. } => message(conn, change),
        RowChange::Document { .. } => document(conn, change),
        RowChange::Task { .. } => task(conn, change),
        RowChange::Decision { .. } | RowChange::TaskEscalated { .. } | RowChange::TaskClosed { .. } => {
            task_moves(conn, change)
        }
        RowChange::Send { .. } => send(conn, change),
        RowChange::Wait { .. } | RowChange::WaitClosed { .. } => wait(conn, change),
        RowChange::Parked { .. } => parked(conn, change),
        RowChange::Released { .. } => released(conn, change),
    }
}

fn run(conn: &Connection, sql: &str, values: &[&dyn ToSql]) -> Result<usize, Error> {
    Ok(conn.prepare_cached(sql)?.execute(values)?)
}

/// Microseconds since 1970.
fn us(at: Timestamp) -> i64 {
    at.as_microsecond()
}

fn case(conn: &Connection, change: &RowChange) -> Result<(), Error> {
    let RowChange::Case { id, entity, .. } = change else { return Ok(()) };
    match update_case(conn, change)? {
        None => open_case(conn, change),
        Some(known) if known.is_empty() && !entity.is_empty() => entity_becomes_known(conn, id, entity),
        Some(_) => Ok(()),
    }
}

fn open_case(conn: &Connection, change: &RowChange) -> Result<(), Error> {
    let RowChange::Case { id, kind, entity, amount, at, month, event } = change else { return Ok(()) };
    let (text, cents) = amount_columns(*amount);
    let sql = "INSERT INTO ledger_cases VALUES (?1, ?2, ?3, ?4, ?5, '', ?6, ?6, ?7, 1)";
    let _ = run(conn, sql, params![id, kind, entity, text, cents, us(*at), event])?;
    count(conn, id, "", month)
}

/// Gives the entity that the case has; `None`: there is no such case yet.
fn update_case(conn: &Connection, change: &RowChange) -> Result<Option<String>, Error> {
    let RowChange::Case { id, amount, at, event, .. } = change else { return Ok(None) };
    let (text, cents) = amount_columns(*amount);
    let sql =
        "UPDATE ledger_cases SET cents = CASE WHEN ?2 IS NULL THEN cents ELSE ?3 END, amount = coalesce(?2, amount),
        changed_at = max(changed_at, ?4), last_event = ?5, events = events + 1 WHERE id = ?1 RETURNING entity";
    let mut statement = conn.prepare_cached(sql)?;
    Ok(statement.query_row(params![id, text, cents, us(*at), event], |row| row.get(0)).optional()?)
}

/// A case that was opened by a message without an entity gets one: all that belongs to it gets it too.
fn entity_becomes_known(conn: &Connection, case: &str, entity: &str) -> Result<(), Error> {
    for sql in [
        "UPDATE ledger_cases SET entity = ?2 WHERE id = ?1",
        "UPDATE ledger_messages SET entity = ?2 WHERE case_id = ?1",
        "UPDATE ledger_tasks SET entity = ?2 WHERE case_id = ?1",
        "UPDATE ledger_sends SET entity = ?2 WHERE case_id = ?1",
        "UPDATE ledger_parked SET entity = ?2 WHERE case_id = ?1",
    ] {
        let _ = run(conn, sql, params![case, entity])?;
    }
    Ok(())
}

fn amount_columns(amount: Option<Decimal>) -> (Option<String>, Option<i64>) {
    (amount.map(|amount| amount.to_string()), amount.and_then(cents_of))
}

/// Counts a case under a state, with its own entity, kind and amount.
fn count(conn: &Connection, case: &str, state: &str, month: &str) -> Result<(), Error> {
    let sql = "INSERT INTO ledger_statistics
        SELECT entity, ?2, kind, ?3, 1, coalesce(cents, 0), cents IS NULL FROM ledger_cases WHERE id = ?1
        ON CONFLICT (entity, month, kind, state) DO UPDATE SET count = count + 1, cents = cents + excluded.cents,
            without_amount = without_amount + excluded.without_amount";
    let _ = run(conn, sql, params![case, month, state])?;
    Ok(())
}

fn state(conn: &Connection, case: &str, to: &str, month: &str) -> Result<(), Error> {
    let _ = run(conn, "UPDATE ledger_cases SET state = ?2 WHERE id = ?1", params![case, to])?;
    count(conn, case, to, month)
}

fn event(conn: &Connection, change: &RowChange) -> Result<(), Error> {
    let RowChange::Event { case, n, at, kind, summary, message, route, segment, detail } = change else {
        return Ok(());
    };
    let sql = "INSERT OR REPLACE INTO ledger_events VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let _ = run(conn, sql, params![case, n, us(*at), kind, summary, message, route, segment, detail.to_string()])?;
    Ok(())
}

fn message(conn: &Connection, change: &RowChange) -> Result<(), Error> {
    match change {
        RowChange::Message { id, case, route, source, sender, sha256, bytes, at } => {
            // The first admission counts: a message is admitted once.
            let sql = "INSERT OR IGNORE INTO ledger_messages
                SELECT ?1, ?2, entity, ?3, ?4, ?5, ?6, ?7, ?8, 'working' FROM ledger_cases WHERE id = ?2";
            let _ = run(conn, sql, params![id, case, route, source, sender, sha256, bytes, us(*at)])?;
        }
        RowChange::MessageEnded { id, state } => set_message_state(conn, id, state)?,
        _ => {}
    }
    Ok(())
}

fn set_message_state(conn: &Connection, id: &str, state: &str) -> Result<(), Error> {
    let _ = run(conn, "UPDATE ledger_messages SET state = ?2 WHERE id = ?1", params![id, state])?;
    Ok(())
}

fn document(conn: &Connection, change: &RowChange) -> Result<(), Error> {
    let RowChange::Document { case, n, at, document: d } = change else { return Ok(()) };
    let sql = "INSERT OR REPLACE INTO ledger_documents VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let values = params![case, n, d.class, d.name, d.sha256, d.bytes, d.mime, us(*at), us(d.retain_until)];
    let _ = run(conn, sql, values)?;
    Ok(())
}

fn task(conn: &Connection, change: &RowChange) -> Result<(), Error> {
    let RowChange::Task { case, at, kind, task: t } = change else { return Ok(()) };
    let sql = "INSERT OR REPLACE INTO ledger_tasks
        SELECT ?1, ?2, entity, ?3, ?4, '', ?5, 0, ?6, ?7, ?8, ?9, ?10, ?11, NULL, '', 1 FROM ledger_cases WHERE id = ?2";
    let (opened, deadline) = (us(*at), us(t.deadline));
    let values = params![t.id, case, kind, t.role, t.people, t.title, t.requester, t.sha256, t.mime, opened, deadline];
    let _ = run(conn, sql, values)?;
    Ok(())
}

fn task_moves(conn: &Connection, change: &RowChange) -> Result<(), Error> {
    match change {
        RowChange::Decision { task, n, at, person, decision, comment, sha256, approvals } => {
            let sql = "INSERT OR REPLACE INTO ledger_decisions VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
            let _ = run(conn, sql, params![task, n, person, decision, comment, sha256, approvals, us(*at)])?;
            let _ = run(conn, "UPDATE ledger_tasks SET approvals = ?2 WHERE id = ?1", params![task, approvals])?;
        }
        RowChange::TaskEscalated { task, to } => {
            let _ = run(conn, "UPDATE ledger_tasks SET escalated_role = ?2 WHERE id = ?1", params![task, to])?;
        }
        RowChange::TaskClosed { task, outcome, at } => {
            let sql = "UPDATE ledger_tasks SET outcome = ?2, closed_at = ?3, open = 0 WHERE id = ?1";
            let _ = run(conn, sql, params![task, outcome, us(*at)])?;
        }
        _ => {}
    }
    Ok(())
}

fn send(conn: &Connection, change: &RowChange) -> Result<(), Error> {
    let RowChange::Send { outgoing, case, sink, attempt, state, remote_id, sha256, at } = change else {
        return Ok(());
    };
    let sql = "INSERT INTO ledger_sends
        SELECT ?1, ?2, entity, ?3, ?4, ?5, ?6, ?7, ?8, ?8 FROM ledger_cases WHERE id = ?2
        ON CONFLICT (outgoing) DO UPDATE SET attempts = max(attempts, excluded.attempts), state = excluded.state,
            remote_id = CASE WHEN excluded.remote_id = '' THEN remote_id ELSE excluded.remote_id END,
            sha256 = CASE WHEN excluded.sha256 = '' THEN sha256 ELSE excluded.sha256 END,
            changed_at = excluded.changed_at";
    let _ = run(conn, sql, params![outgoing, case, sink, attempt, state, remote_id, sha256, us(*at)])?;
    Ok(())
}

fn wait(conn: &Connection, change: &RowChange) -> Result<(), Error> {
    match change {
        RowChange::Wait { id, case, name, keys, at, deadline } => {
            let keys = serde_json::Value::from(keys.clone()).to_string();
            let sql = "INSERT OR REPLACE INTO ledger_waits VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'open', '')";
            let _ = run(conn, sql, params![id, case, name, keys, us(*at), us(*deadline)])?;
        }
        RowChange::WaitClosed { id, state, by } => {
            let _ =
                run(conn, "UPDATE ledger_waits SET state = ?2, by_whom = ?3 WHERE id = ?1", params![id, state, by])?;
        }
        _ => {}
    }
    Ok(())
}

fn parked(conn: &Connection, change: &RowChange) -> Result<(), Error> {
    let RowChange::Parked { case, at, kind, message, route, segment, parked: p } = change else { return Ok(()) };
    // The same message may be parked again after a retry: the row tells of the last time, the history of all.
    let sql = "INSERT OR REPLACE INTO ledger_parked
        SELECT ?1, ?2, entity, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 'open', '', '', '', NULL
        FROM ledger_cases WHERE id = ?2";
    let (evidence, since) = (p.evidence.to_string(), us(*at));
    let values = params![p.id, case, kind, p.reason, evidence, p.sha256, p.mime, message, route, segment, since];
    let _ = run(conn, sql, values)?;
    set_message_state(conn, message, "parked")
}

fn released(conn: &Connection, change: &RowChange) -> Result<(), Error> {
    let RowChange::Released { parked, action, by, note, at } = change else { return Ok(()) };
    let sql = "UPDATE ledger_parked SET state = 'released', action = ?2, by_whom = ?3, note = ?4, released_at = ?5
        WHERE id = ?1";
    let _ = run(conn, sql, params![parked, action, by, note, us(*at)])?;
    send_decided(conn, parked, action, *at)?;
    // Only a message that still stands as parked moves: it may have ended before this event was written.
    let state = if action == "give_up" { "given_up" } else { "working" };
    let sql = "UPDATE ledger_messages SET state = ?2
        WHERE state = 'parked' AND id = (SELECT message FROM ledger_parked WHERE id = ?1)";
    let _ = run(conn, sql, params![parked, state])?;
    Ok(())
}

/// A person's word about a send in doubt ends the doubt: nobody would settle it otherwise.
fn send_decided(conn: &Connection, outgoing: &str, action: &str, at: Timestamp) -> Result<(), Error> {
    let state = match action {
        "delivered" => "delivered",
        "not_delivered" => "not_sent",
        "give_up" => "given_up",
        _ => return Ok(()),
    };
    let sql = "UPDATE ledger_sends SET state = ?2, changed_at = ?3 WHERE outgoing = ?1 AND state = 'in_doubt'";
    let _ = run(conn, sql, params![outgoing, state, us(at)])?;
    Ok(())
}
