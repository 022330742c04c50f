//! One row change, one or two statements.

use jiff::Timestamp;
use rust_decimal::Decimal;

use crate::money::cents_of;
use crate::sql::{Sql, values};
use crate::{Error, RowChange};

/// Carries out one change of a case whose journal is `partition`.
pub(crate) fn carry_out(sql: &mut dyn Sql, partition: u16, change: &RowChange) -> Result<(), Error> {
    match change {
        RowChange::Case { .. } => case(sql, partition, change),
        RowChange::Event { .. } => event(sql, change),
        RowChange::State { case, to, month } => state(sql, partition, [case, to, month]),
        RowChange::Message { .. } | RowChange::MessageEnded { .. } => message(sql, change),
        RowChange::Document { .. } => document(sql, change),
        RowChange::Task { .. } => task(sql, change),
        RowChange::Decision { .. } | RowChange::TaskEscalated { .. } | RowChange::TaskClosed { .. } => {
            task_moves(sql, change)
        }
        RowChange::Send { .. } => send(sql, change),
        RowChange::Wait { .. } | RowChange::WaitClosed { .. } => wait(sql, change),
        RowChange::Parked { .. } => parked(sql, change),
        RowChange::Released { .. } => released(sql, change),
    }
}

fn case(sql: &mut dyn Sql, partition: u16, change: &RowChange) -> Result<(), Error> {
    let RowChange::Case { id, entity, .. } = change else { return Ok(()) };
    match update_case(sql, change)? {
        None => open_case(sql, partition, change),
        Some(known) if known.is_empty() && !entity.is_empty() => entity_becomes_known(sql, id, entity),
        Some(_) => Ok(()),
    }
}

fn open_case(sql: &mut dyn Sql, partition: u16, change: &RowChange) -> Result<(), Error> {
    let RowChange::Case { id, kind, entity, amount, at, month, event } = change else { return Ok(()) };
    let (text, cents) = amount_columns(*amount);
    let insert = "INSERT INTO ledger_cases VALUES (?1, ?2, ?3, ?4, ?5, '', ?6, ?6, ?7, 1)";
    sql.run(insert, &values![id, kind, entity, text, cents, *at, *event])?;
    count(sql, partition, [id, "", month])
}

/// Gives the entity that the case has; `None`: there is no such case yet.
fn update_case(sql: &mut dyn Sql, change: &RowChange) -> Result<Option<String>, Error> {
    let RowChange::Case { id, amount, at, event, .. } = change else { return Ok(None) };
    let (text, cents) = amount_columns(*amount);
    let update = "UPDATE ledger_cases SET cents = CASE WHEN CAST(?2 AS TEXT) IS NULL THEN cents ELSE ?3 END,
        amount = coalesce(?2, amount), changed_at = CASE WHEN changed_at < ?4 THEN ?4 ELSE changed_at END,
        last_event = ?5, events = events + 1 WHERE id = ?1 RETURNING entity";
    sql.first(update, &values![id, text, cents, *at, *event], |row| row.text(0))
}

/// A case that was opened by a message without an entity gets one: all that belongs to it gets it too.
fn entity_becomes_known(sql: &mut dyn Sql, case: &str, entity: &str) -> Result<(), Error> {
    for update in [
        "UPDATE ledger_cases SET entity = ?2 WHERE id = ?1",
        "UPDATE ledger_messages SET entity = ?2 WHERE case_id = ?1",
        "UPDATE ledger_tasks SET entity = ?2 WHERE case_id = ?1",
        "UPDATE ledger_sends SET entity = ?2 WHERE case_id = ?1",
        "UPDATE ledger_parked SET entity = ?2 WHERE case_id = ?1",
    ] {
        sql.run(update, &values![case, entity])?;
    }
    Ok(())
}

fn amount_columns(amount: Option<Decimal>) -> (Option<String>, Option<i64>) {
    (amount.map(|amount| amount.to_string()), amount.and_then(cents_of))
}

/// Counts a case under a state, with its own entity, kind and amount. Each partition counts for itself, so that owners of
/// different ones never wait for each other's rows.
fn count(sql: &mut dyn Sql, partition: u16, [case, state, month]: [&str; 3]) -> Result<(), Error> {
    let insert = "INSERT INTO ledger_statistics
        SELECT entity, ?2, kind, ?3, ?4, 1, coalesce(cents, 0), CASE WHEN cents IS NULL THEN 1 ELSE 0 END
        FROM ledger_cases WHERE id = ?1
        ON CONFLICT (entity, month, kind, state, partition) DO UPDATE SET count = ledger_statistics.count + 1,
            cents = ledger_statistics.cents + excluded.cents,
            without_amount = ledger_statistics.without_amount + excluded.without_amount";
    sql.run(insert, &values![case, month, state, partition])
}

fn state(sql: &mut dyn Sql, partition: u16, [case, to, month]: [&str; 3]) -> Result<(), Error> {
    sql.run("UPDATE ledger_cases SET state = ?2 WHERE id = ?1", &values![case, to])?;
    count(sql, partition, [case, to, month])
}

fn event(sql: &mut dyn Sql, change: &RowChange) -> Result<(), Error> {
    let RowChange::Event { case, n, at, kind, summary, message, route, segment, detail } = change else {
        return Ok(());
    };
    let insert = "INSERT INTO ledger_events VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
        ON CONFLICT (case_id, n) DO UPDATE SET at = excluded.at, kind = excluded.kind, summary = excluded.summary,
            message = excluded.message, route = excluded.route, segment = excluded.segment, detail = excluded.detail";
    sql.run(insert, &values![case, *n, *at, *kind, summary, message, route, segment, detail.to_string()])
}

fn message(sql: &mut dyn Sql, change: &RowChange) -> Result<(), Error> {
    match change {
        RowChange::Message { id, case, route, source, sender, sha256, bytes, at } => {
            // The first admission counts: a message is admitted once.
            let insert = "INSERT INTO ledger_messages
                SELECT ?1, ?2, entity, ?3, ?4, ?5, ?6, ?7, ?8, 'working' FROM ledger_cases WHERE id = ?2
                ON CONFLICT (id) DO NOTHING";
            sql.run(insert, &values![id, case, route, source, sender, sha256, *bytes, *at])
        }
        RowChange::MessageEnded { id, state } => set_message_state(sql, id, state),
        _ => Ok(()),
    }
}

fn set_message_state(sql: &mut dyn Sql, id: &str, state: &str) -> Result<(), Error> {
    sql.run("UPDATE ledger_messages SET state = ?2 WHERE id = ?1", &values![id, state])
}

fn document(sql: &mut dyn Sql, change: &RowChange) -> Result<(), Error> {
    let RowChange::Document { case, n, at, document: d } = change else { return Ok(()) };
    let insert = "INSERT INTO ledger_documents VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
        ON CONFLICT (case_id, n) DO UPDATE SET class = excluded.class, name = excluded.name, sha256 = excluded.sha256,
            bytes = excluded.bytes, mime = excluded.mime, at = excluded.at, retain_until = excluded.retain_until";
    let values = values![case, *n, &d.class, &d.name, &d.sha256, d.bytes, &d.mime, *at, d.retain_until];
    sql.run(insert, &values)
}

fn task(sql: &mut dyn Sql, change: &RowChange) -> Result<(), Error> {
    let RowChange::Task { case, at, kind, task: t } = change else { return Ok(()) };
    let insert = "INSERT INTO ledger_tasks
        SELECT ?1, ?2, entity, ?3, ?4, '', ?5, 0, ?6, ?7, ?8, ?9, ?10, ?11, NULL, '', 1 FROM ledger_cases WHERE id = ?2
        ON CONFLICT (id) DO UPDATE SET case_id = excluded.case_id, entity = excluded.entity, kind = excluded.kind,
            role = excluded.role, escalated_role = '', people = excluded.people, approvals = 0, title = excluded.title,
            requester = excluded.requester, sha256 = excluded.sha256, mime = excluded.mime,
            opened_at = excluded.opened_at, deadline = excluded.deadline, closed_at = NULL, outcome = '', open = 1";
    let values =
        values![&t.id, case, *kind, &t.role, t.people, &t.title, &t.requester, &t.sha256, &t.mime, *at, t.deadline];
    sql.run(insert, &values)
}

fn task_moves(sql: &mut dyn Sql, change: &RowChange) -> Result<(), Error> {
    match change {
        RowChange::Decision { task, n, at, person, decision, comment, sha256, approvals } => {
            let insert = "INSERT INTO ledger_decisions VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                ON CONFLICT (task, n) DO UPDATE SET person = excluded.person, decision = excluded.decision,
                    comment = excluded.comment, sha256 = excluded.sha256, approvals = excluded.approvals,
                    at = excluded.at";
            sql.run(insert, &values![task, *n, person, *decision, comment, sha256, *approvals, *at])?;
            sql.run("UPDATE ledger_tasks SET approvals = ?2 WHERE id = ?1", &values![task, *approvals])
        }
        RowChange::TaskEscalated { task, to } => {
            sql.run("UPDATE ledger_tasks SET escalated_role = ?2 WHERE id = ?1", &values![task, to])
        }
        RowChange::TaskClosed { task, outcome, at } => {
            let update = "UPDATE ledger_tasks SET outcome = ?2, closed_at = ?3, open = 0 WHERE id = ?1";
            sql.run(update, &values![task, outcome, *at])
        }
        _ => Ok(()),
    }
}

fn send(sql: &mut dyn Sql, change: &RowChange) -> Result<(), Error> {
    let RowChange::Send { outgoing, case, sink, attempt, state, remote_id, sha256, at } = change else {
        return Ok(());
    };
    let insert = "INSERT INTO ledger_sends AS s
        SELECT ?1, ?2, entity, ?3, ?4, ?5, ?6, ?7, ?8, ?8 FROM ledger_cases WHERE id = ?2
        ON CONFLICT (outgoing) DO UPDATE SET state = excluded.state, changed_at = excluded.changed_at,
            attempts = CASE WHEN s.attempts < excluded.attempts THEN excluded.attempts ELSE s.attempts END,
            remote_id = CASE WHEN excluded.remote_id = '' THEN s.remote_id ELSE excluded.remote_id END,
            sha256 = CASE WHEN excluded.sha256 = '' THEN s.sha256 ELSE excluded.sha256 END";
    sql.run(insert, &values![outgoing, case, sink, *attempt, *state, remote_id, sha256, *at])
}

fn wait(sql: &mut dyn Sql, change: &RowChange) -> Result<(), Error> {
    match change {
        RowChange::Wait { id, case, name, keys, at, deadline } => {
            let keys = serde_json::Value::from(keys.clone()).to_string();
            let insert = "INSERT INTO ledger_waits VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'open', '')
                ON CONFLICT (id) DO UPDATE SET case_id = excluded.case_id, name = excluded.name, keys = excluded.keys,
                    opened_at = excluded.opened_at, deadline = excluded.deadline, state = 'open', by_whom = ''";
            sql.run(insert, &values![id, case, name, keys, *at, *deadline])
        }
        RowChange::WaitClosed { id, state, by } => {
            sql.run("UPDATE ledger_waits SET state = ?2, by_whom = ?3 WHERE id = ?1", &values![id, *state, by])
        }
        _ => Ok(()),
    }
}

fn parked(sql: &mut dyn Sql, change: &RowChange) -> Result<(), Error> {
    let RowChange::Parked { case, at, kind, message, route, segment, parked: p } = change else { return Ok(()) };
    // The same message may be parked again after a retry: the row tells of the last time, the history of all.
    let insert = "INSERT INTO ledger_parked
        SELECT ?1, ?2, entity, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 'open', '', '', '', NULL
        FROM ledger_cases WHERE id = ?2
        ON CONFLICT (id) DO UPDATE SET case_id = excluded.case_id, entity = excluded.entity, kind = excluded.kind,
            reason = excluded.reason, evidence = excluded.evidence, sha256 = excluded.sha256, mime = excluded.mime,
            message = excluded.message, route = excluded.route, segment = excluded.segment, since = excluded.since,
            state = 'open', action = '', by_whom = '', note = '', released_at = NULL";
    let evidence = p.evidence.to_string();
    let values = values![&p.id, case, *kind, &p.reason, evidence, &p.sha256, &p.mime, message, route, segment, *at];
    sql.run(insert, &values)?;
    set_message_state(sql, message, "parked")
}

fn released(sql: &mut dyn Sql, change: &RowChange) -> Result<(), Error> {
    let RowChange::Released { parked, action, by, note, at } = change else { return Ok(()) };
    let update = "UPDATE ledger_parked SET state = 'released', action = ?2, by_whom = ?3, note = ?4, released_at = ?5
        WHERE id = ?1";
    sql.run(update, &values![parked, action, by, note, *at])?;
    send_decided(sql, parked, action, *at)?;
    // Only a message that still stands as parked moves: it may have ended before this event was written.
    let state = if action == "give_up" { "given_up" } else { "working" };
    let update = "UPDATE ledger_messages SET state = ?2
        WHERE state = 'parked' AND id = (SELECT message FROM ledger_parked WHERE id = ?1)";
    sql.run(update, &values![parked, state])
}

/// A person's word about a send in doubt ends the doubt: nobody would settle it otherwise.
fn send_decided(sql: &mut dyn Sql, outgoing: &str, action: &str, at: Timestamp) -> Result<(), Error> {
    let state = match action {
        "delivered" => "delivered",
        "not_delivered" => "not_sent",
        "give_up" => "given_up",
        _ => return Ok(()),
    };
    let update = "UPDATE ledger_sends SET state = ?2, changed_at = ?3 WHERE outgoing = ?1 AND state = 'in_doubt'";
    sql.run(update, &values![outgoing, state, at])
}
