//! What the history says about things that may be taken away: whether a message is over, whether a document is needed.

use jiff::Timestamp;

use crate::Error;
use crate::sql::{Sql, values};

/// Whether a message has come to its end (finished, dropped, or given up by a person), and nothing of its case is open: no
/// other message at work, no send that is not settled, no wait, task or parked message.
///
/// A message that the case does not know is not over.
pub(crate) fn is_over(sql: &mut dyn Sql, message: &str, case: &str) -> Result<bool, Error> {
    let asked = "SELECT 1 WHERE (
            EXISTS (SELECT 1 FROM ledger_events WHERE case_id = ?2 AND message = ?1 AND kind IN ('finished', 'dropped'))
            OR EXISTS (SELECT 1 FROM ledger_messages WHERE id = ?1 AND state IN ('finished', 'dropped', 'given_up')))
        AND NOT EXISTS (SELECT 1 FROM ledger_messages WHERE case_id = ?2 AND state IN ('working', 'parked'))
        AND NOT EXISTS (SELECT 1 FROM ledger_sends WHERE case_id = ?2 AND state IN ('sending', 'in_doubt'))
        AND NOT EXISTS (SELECT 1 FROM ledger_waits WHERE case_id = ?2 AND state = 'open')
        AND NOT EXISTS (SELECT 1 FROM ledger_tasks WHERE case_id = ?2 AND open = 1)
        AND NOT EXISTS (SELECT 1 FROM ledger_parked WHERE case_id = ?2 AND state = 'open')";
    Ok(sql.first(asked, &values![message, case], |_| Ok(()))?.is_some())
}

/// Whether a blob is a document that must be there at `now`: archived and not past its time, or shown to people or parked
/// at or after `shown_since`.
pub(crate) fn is_needed(
    sql: &mut dyn Sql,
    sha256: &str,
    now: Timestamp,
    shown_since: Timestamp,
) -> Result<bool, Error> {
    let asked = "SELECT 1 WHERE EXISTS (SELECT 1 FROM ledger_documents WHERE sha256 = ?1 AND retain_until > ?2)
        OR EXISTS (SELECT 1 FROM ledger_tasks WHERE sha256 = ?1 AND (open = 1 OR opened_at >= ?3))
        OR EXISTS (SELECT 1 FROM ledger_parked WHERE sha256 = ?1 AND (state = 'open' OR since >= ?3))";
    Ok(sql.first(asked, &values![sha256, now, shown_since], |_| Ok(()))?.is_some())
}
