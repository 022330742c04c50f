//! Messages, and those that wait for a person.

use rusqlite::{Connection, OptionalExtension};

use super::list::List;
use super::{MessageFilter, ParkedFilter, Visible, read};
use crate::Error;
use crate::page::{Key, Page};
use crate::rows::{MessageRow, ParkedRow};

/// Parked messages, newest first.
pub(crate) fn parked_list(conn: &Connection, filter: &ParkedFilter) -> Result<Page<ParkedRow>, Error> {
    let mut list = List::new(read::PARKED, "ledger_parked", "since");
    list.and_if("state = ?", filter.open.map(|open| if open { "open" } else { "released" }.to_string()));
    list.and_if("kind = ?", filter.kind.clone());
    let entities = filter.visible.narrowed(filter.entity.as_deref());
    list.page(conn, entities.as_deref(), &filter.page, read::parked, |row| Key {
        at: row.since.as_microsecond(),
        id: row.id.clone(),
    })
}

/// One parked message, if it may be seen.
pub(crate) fn parked(conn: &Connection, id: &str, visible: &Visible) -> Result<Option<ParkedRow>, Error> {
    let sql = format!("SELECT {} FROM ledger_parked WHERE id = ?1", read::PARKED);
    let row = conn.prepare_cached(&sql)?.query_row([id], read::parked).optional()?;
    Ok(row.filter(|row| visible.allows(&row.entity)))
}

/// Admitted messages, newest first.
pub(crate) fn messages(conn: &Connection, filter: &MessageFilter) -> Result<Page<MessageRow>, Error> {
    let mut list = List::new(read::MESSAGE, "ledger_messages", "at");
    list.and_if("case_id = ?", filter.case.clone());
    list.and_if("route = ?", filter.route.clone());
    list.and_if("state = ?", filter.state.clone());
    let entities = filter.visible.narrowed(filter.entity.as_deref());
    list.page(conn, entities.as_deref(), &filter.page, read::message, |row| Key {
        at: row.at.as_microsecond(),
        id: row.id.clone(),
    })
}

/// One admitted message, if it may be seen.
pub(crate) fn message(conn: &Connection, id: &str, visible: &Visible) -> Result<Option<MessageRow>, Error> {
    let sql = format!("SELECT {} FROM ledger_messages WHERE id = ?1", read::MESSAGE);
    let row = conn.prepare_cached(&sql)?.query_row([id], read::message).optional()?;
    Ok(row.filter(|row| visible.allows(&row.entity)))
}
