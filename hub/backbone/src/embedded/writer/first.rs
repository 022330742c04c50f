//! Jobs that move the place where a log begins: removing old records, and going on from another store.

use super::Writer;
use super::job::{BeginJob, Job, TrimJob};
use crate::embedded::group::Trouble;
use crate::embedded::places::{Head, row_id};
use crate::embedded::records::chain_at;
use crate::{Error, Offset, Place};

/// Records that one transaction removes, at most: commits go in between.
const TRIM_RECORDS_MAX: u64 = 1_000;

impl Writer {
    pub(super) fn trim(&mut self) -> Result<(), Trouble> {
        let Some(Job::Trim(TrimJob { place, before, .. })) = self.waiting.front() else { return Ok(()) };
        let (place, before) = (*place, *before);
        let slot = self.shared.places.slot(place).map_err(Trouble::Own)?;
        let target = before.min(self.heads[slot].next);
        let first = target.min(self.heads[slot].first + TRIM_RECORDS_MAX);
        if first > self.heads[slot].first {
            self.trim_to(place, slot, first)?;
        }
        if let Some(Job::Trim(job)) = self.waiting.pop_front() {
            let _gone = job.ack.send(Ok(first < target)).is_err();
        }
        Ok(())
    }

    fn trim_to(&mut self, place: Place, slot: usize, first: Offset) -> Result<(), Trouble> {
        let id = self.shared.places.id_at(slot);
        self.begin()?;
        let first_chain = chain_at(&self.conn, place, id, first - 1).map_err(Trouble::Own)?;
        let (from, to) = (row_id(id, self.heads[slot].first), row_id(id, first));
        self.conn.execute("DELETE FROM records WHERE id >= ?1 AND id < ?2", [from, to])?;
        let head = Head { first, first_chain, ..self.heads[slot].clone() };
        self.shared.places.write(&self.conn, slot, &head)?;
        self.end_transaction(None)?;
        self.heads[slot] = head;
        Ok(())
    }

    pub(super) fn begin_log(&mut self) -> Result<(), Trouble> {
        let Some(Job::Begin(BeginJob { place, first, before, .. })) = self.waiting.front() else { return Ok(()) };
        let (place, first, before) = (*place, *first, *before);
        let slot = self.shared.places.slot(place).map_err(Trouble::Own)?;
        if self.heads[slot].next != 0 {
            return Err(Trouble::Own(Error::Io(format!("{place} has begun already: name an empty store"))));
        }
        self.begin()?;
        let head = Head { next: first, chain: before, first, first_chain: before, ..self.heads[slot].clone() };
        self.shared.places.write(&self.conn, slot, &head)?;
        self.end_transaction(None)?;
        self.heads[slot] = head;
        self.shared.publish(&self.heads, 0, 0);
        if let Some(Job::Begin(job)) = self.waiting.pop_front() {
            let _gone = job.ack.send(Ok(())).is_err();
        }
        Ok(())
    }
}
