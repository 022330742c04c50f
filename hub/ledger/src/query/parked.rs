//! Messages, and those that wait for a person.

use super::list::{List, Shape};
use super::{MessageFilter, ParkedFilter, Visible, read};
use crate::Error;
use crate::page::{Key, Page};
use crate::rows::{MessageRow, ParkedRow};
use crate::sql::{Sql, values};

const PARKED: Shape<ParkedRow> =
    Shape { read: read::parked, key: |row| Key { at: row.since.as_microsecond(), id: row.id.clone() } };
const MESSAGE: Shape<MessageRow> =
    Shape { read: read::message, key: |row| Key { at: row.at.as_microsecond(), id: row.id.clone() } };

/// Parked messages, newest first.
pub(crate) fn parked_list(sql: &mut dyn Sql, filter: &ParkedFilter) -> Result<Page<ParkedRow>, Error> {
    let mut list = List::new(read::PARKED, "ledger_parked", "since");
    list.and_if("state = ?", filter.open.map(|open| if open { "open" } else { "released" }));
    list.and_if("kind = ?", filter.kind.clone());
    let entities = filter.visible.narrowed(filter.entity.as_deref());
    list.page(sql, entities.as_deref(), &filter.page, &PARKED)
}

/// One parked message, if it may be seen.
pub(crate) fn parked(sql: &mut dyn Sql, id: &str, visible: &Visible) -> Result<Option<ParkedRow>, Error> {
    let asked = format!("SELECT {} FROM ledger_parked WHERE id = ?1", read::PARKED);
    let row = sql.first(&asked, &values![id], read::parked)?;
    Ok(row.filter(|row| visible.allows(&row.entity)))
}

/// Admitted messages, newest first.
pub(crate) fn messages(sql: &mut dyn Sql, filter: &MessageFilter) -> Result<Page<MessageRow>, Error> {
    let mut list = List::new(read::MESSAGE, "ledger_messages", "at");
    list.and_if("case_id = ?", filter.case.clone());
    list.and_if("route = ?", filter.route.clone());
    list.and_if("state = ?", filter.state.clone());
    let entities = filter.visible.narrowed(filter.entity.as_deref());
    list.page(sql, entities.as_deref(), &filter.page, &MESSAGE)
}

/// One admitted message, if it may be seen.
pub(crate) fn message(sql: &mut dyn Sql, id: &str, visible: &Visible) -> Result<Option<MessageRow>, Error> {
    let asked = format!("SELECT {} FROM ledger_messages WHERE id = ?1", read::MESSAGE);
    let row = sql.first(&asked, &values![id], read::message)?;
    Ok(row.filter(|row| visible.allows(&row.entity)))
}
