//! Moving a store in memory to another one, and back.

use async_trait::async_trait;

use super::{Memory, Partition};
use crate::chain::{Chain, genesis};
use crate::embedded::Bounds;
use crate::{Error, Life, Movable, Note, Offset, Place};

#[async_trait]
impl Movable for Memory {
    async fn bounds(&self, place: Place) -> Result<Bounds, Error> {
        let log = self.owned(place)?;
        let empty = Partition::default();
        let part = log.places.get(&place).unwrap_or(&empty);
        let first_chain = part.first_chain.unwrap_or_else(|| genesis(place));
        let chain = part.chain_before(place, part.records.len());
        Ok(Bounds { first: part.first, first_chain, end: part.end(), chain, position: part.position })
    }

    async fn begin_at(&self, place: Place, first: Offset, before: Chain) -> Result<(), Error> {
        let mut log = self.owned(place)?;
        self.check(&log)?;
        let part = log.places.entry(place).or_default();
        if part.end() != 0 {
            return Err(Error::Io(format!("{place} has begun already: name an empty store")));
        }
        (part.first, part.first_chain) = (first, Some(before));
        Ok(())
    }

    async fn lives(&self) -> Result<Vec<Life>, Error> {
        let log = self.shared.lock();
        let own = log.over.iter().chain([&self.epoch]);
        let own = own.map(|epoch| Life { epoch: epoch.clone(), over: Some("its store was moved".to_owned()) });
        Ok(own.chain(log.elsewhere.iter().cloned()).collect())
    }

    async fn import_lives(&self, lives: &[Life]) -> Result<(), Error> {
        let mut log = self.shared.lock();
        self.check(&log)?;
        log.elsewhere.extend(lives.iter().cloned());
        let over = lives.iter().filter(|life| life.over.is_some()).map(|life| life.epoch.clone());
        log.over.extend(over);
        Ok(())
    }

    async fn note(&self) -> Result<Option<Note>, Error> {
        Ok(self.shared.lock().note.clone())
    }

    async fn set_note(&self, note: Option<Note>) -> Result<(), Error> {
        let mut log = self.shared.lock();
        self.check(&log)?;
        log.note = note;
        Ok(())
    }
}
