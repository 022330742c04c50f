//! Computing the ledger again: that of an embedded store, from its archive and its journal, when no hub runs on it; and one in a
//! store of its own, which is only emptied here.

use std::sync::Arc;

use hub_backbone::{Archive, Backbone, Embedded, Place, Stored, Topic};

use crate::applier::journal::{self, RECORDS_MAX};
use crate::{Error, LedgerView, Store, marks, sqlite, store};

/// Drops the whole ledger and computes it again: from the archive what has left the log, then from the log. Gives how
/// many events there were.
///
/// Runs in several transactions: if it is interrupted, [`catch_up`] goes on where it stopped. No hub may be working on the
/// store meanwhile (its commits would be refused with [`Error::Gap`]).
///
/// # Errors
/// If the store or the archive cannot be used, or the journal is damaged or cannot be read by this version.
/// [`Error::Gap`] if what was trimmed from the log is not in the archive: then the archive's folder is not the right one.
pub async fn rebuild(store: &Embedded, archive: &Arc<Archive>) -> Result<u64, Error> {
    store.write(|conn| sqlite::clear(conn).map_err(Into::into)).await?;
    catch_up(store, archive).await
}

/// Empties a ledger in a store of its own. Hubs may run: those who follow the journal notice, and fill it again from the beginning.
///
/// # Errors
/// If the store cannot be used.
pub async fn empty(store: &dyn Store) -> Result<(), Error> {
    store::change(store, marks::clear).await
}

/// Applies what the ledger has not seen yet. Gives how many events that were. To be called at each start, before the hub:
/// usually there is nothing to do; after an update that changed the ledger's tables this fills them.
///
/// # Errors
/// As [`rebuild`].
pub async fn catch_up(store: &Embedded, archive: &Arc<Archive>) -> Result<u64, Error> {
    store.write(|conn| sqlite::prepare(conn).map_err(Into::into)).await?;
    let mut applied = 0;
    for partition in 0..store.partitions() {
        applied += catch_up_partition(store, archive, Place::new(Topic::JOURNAL, partition)).await?;
    }
    Ok(applied)
}

async fn catch_up_partition(store: &Embedded, archive: &Arc<Archive>, place: Place) -> Result<u64, Error> {
    let mut applied = 0;
    let mut next = position(store, place.partition).await?;
    loop {
        let records = journal::read(store, Some(archive), place, next).await?;
        let Some(last) = records.last() else { return Ok(applied) };
        next = last.offset + 1;
        applied += records.len() as u64;
        for some in records.chunks(RECORDS_MAX) {
            apply(store, place, some.to_vec()).await?;
        }
    }
}

async fn position(store: &Embedded, partition: u16) -> Result<u64, Error> {
    Ok(store.write(move |conn| sqlite::position(conn, partition).map_err(Into::into)).await?)
}

async fn apply(store: &Embedded, place: Place, records: Vec<Stored>) -> Result<(), Error> {
    let records: Vec<_> = records.into_iter().map(|record| (place, record)).collect();
    Ok(store.write(move |conn| LedgerView::apply_records(conn, &records).map_err(Into::into)).await?)
}
