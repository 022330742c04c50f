//! What needs somebody's attention, over all entities: the ledger's part of the alarms.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::read::time_if;
use crate::Error;
use crate::sql::{Sql, values};

/// What needs somebody's attention now, over all entities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Attention {
    /// Parked messages.
    pub parked: u64,
    /// Since when the oldest of them is parked.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub oldest_parked: Option<Timestamp>,
    /// Sends of which nobody knows whether they happened.
    pub in_doubt: u64,
    /// Since when the oldest of them is in doubt.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub oldest_in_doubt: Option<Timestamp>,
    /// Open tasks.
    pub open_tasks: u64,
    /// Messages that wait for an answer from outside.
    pub waiting: u64,
    /// Open tasks and waits whose deadline is before the instant that was asked for.
    pub deadline_near: u64,
    /// The earliest deadline of all open tasks and waits.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_deadline: Option<Timestamp>,
}

/// What needs attention; deadlines before `near` count as near.
pub(crate) fn attention(sql: &mut dyn Sql, near: Timestamp) -> Result<Attention, Error> {
    let (parked, oldest_parked) = two(sql, "SELECT count(*), min(since) FROM ledger_parked WHERE state = 'open'")?;
    let (in_doubt, oldest_in_doubt) =
        two(sql, "SELECT count(*), min(changed_at) FROM ledger_sends WHERE state = 'in_doubt'")?;
    let (open_tasks, first_task) = two(sql, "SELECT count(*), min(deadline) FROM ledger_tasks WHERE open = 1")?;
    let (waiting, first_wait) = two(sql, "SELECT count(*), min(deadline) FROM ledger_waits WHERE state = 'open'")?;
    let near_tasks = before(sql, "ledger_tasks WHERE open = 1", near)?;
    let near_waits = before(sql, "ledger_waits WHERE state = 'open'", near)?;
    Ok(Attention {
        parked,
        oldest_parked,
        in_doubt,
        oldest_in_doubt,
        open_tasks,
        waiting,
        deadline_near: near_tasks + near_waits,
        next_deadline: [first_task, first_wait].into_iter().flatten().min(),
    })
}

/// How many, and the earliest time.
fn two(sql: &mut dyn Sql, asked: &str) -> Result<(u64, Option<Timestamp>), Error> {
    Ok(sql.first(asked, &[], |row| Ok((row.count(0)?, time_if(row, 1)?)))?.unwrap_or_default())
}

fn before(sql: &mut dyn Sql, rows: &str, near: Timestamp) -> Result<u64, Error> {
    let asked = format!("SELECT count(*) FROM {rows} AND deadline < ?1");
    Ok(sql.first(&asked, &values![near], |row| row.count(0))?.unwrap_or_default())
}
