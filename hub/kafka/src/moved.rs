//! What the store knows about its moving to or from another one, and how it is kept from other hubs meanwhile.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use hub_backbone::chain::{Chain, admit_place};
use hub_backbone::embedded::Bounds;
use hub_backbone::{Backbone, Error, Life, Movable, Note, Offset, Place};
use tokio::sync::oneshot;

use crate::Kafka;
use crate::epochs::{self, NOTE, Said};
use crate::transact::Transactor;
use crate::wire::{First, OLDEST};
use crate::work::{Job, Work};

/// A version of records that no hub will ever know: one that does not read notes refuses the store by it.
const NO_HUBS_VERSION: u8 = u8::MAX;
/// Stands where a hub's name would, in what is said by or about a moving. No hub can be called so.
const MIGRATE: &str = "raccordo migrate";
/// How long slots may take to be all this hub's, beyond the session of a hub that has died.
const SLOTS_WITHIN: Duration = Duration::from_secs(30);

impl Kafka {
    /// Waits until all slots are this hub's: nobody else is in the group.
    ///
    /// # Errors
    /// [`Error::Fenced`] if another hub keeps some.
    pub async fn own_all(&self) -> Result<(), Error> {
        let mut terms = Vec::new();
        let all = async {
            while terms.is_empty() || terms.iter().any(Option::is_none) {
                terms = self.terms_beyond(&terms).await?;
            }
            Ok(())
        };
        let patience = SLOTS_WITHIN + 2 * self.shared.settings.timeouts.session.0;
        tokio::time::timeout(patience, all).await.unwrap_or_else(|_| {
            let prefix = &self.shared.settings.prefix;
            Err(Error::Fenced(format!(
                "another hub works on the store in Kafka under {prefix}: stop all of them first"
            )))
        })
    }

    /// Keeps every hub that was ever here from committing, for good: its `transactional.id` is taken. This proves no life over.
    ///
    /// # Errors
    /// [`Error::Io`] if no broker answers in time.
    pub async fn fence_others(&self) -> Result<(), Error> {
        let own = &self.shared.settings.transactional_id;
        let hubs: BTreeSet<String> = self.shared.lives().all().map(|(_, said)| said.hub.clone()).collect();
        for hub in hubs.into_iter().filter(|hub| hub != own && hub != MIGRATE) {
            let settings = crate::KafkaSettings { transactional_id: hub, ..self.shared.settings.clone() };
            let stop = self.shared.stop_flag();
            let taken = tokio::task::spawn_blocking(move || Transactor::open(&settings, stop).map(drop)).await;
            taken.unwrap_or_else(|error| Err(Error::Io(format!("Kafka: fencing failed: {error}"))))?;
        }
        Ok(())
    }

    /// Writes what is said of a life, or under the key of the note, and knows it at once.
    async fn write_said(&self, epoch: &str, said: Said) -> Result<(), Error> {
        let record = epochs::record(self.shared.names.epochs(), epoch, &said)?;
        let value = record.value.clone().unwrap_or_default();
        self.write(record).await?;
        let heard = self.shared.lives_mut().heard(epoch.to_owned(), &value);
        heard.map_err(|reason| Error::Io(format!("Kafka: {epoch} cannot be written down: {reason}")))
    }
}

#[async_trait]
impl Movable for Kafka {
    async fn bounds(&self, place: Place) -> Result<Bounds, Error> {
        self.with(place, |one| Bounds {
            first: one.first.0,
            first_chain: one.first.1,
            end: one.end.0,
            chain: one.end.1,
            position: one.position,
        })
    }

    async fn begin_at(&self, place: Place, first: Offset, before: Chain) -> Result<(), Error> {
        admit_place(place, self.partitions())?;
        if self.end(place).await? != 0 {
            return Err(Error::Io(format!("{place} has begun already: name an empty store")));
        }
        let (ack, answer) = oneshot::channel();
        let first = First { offset: first, chain: before, at: 0 };
        self.send(Job::Work(Work::Trim(place, first, ack))).await?;
        answer.await.unwrap_or_else(|_| Err(self.shared.failure()))
    }

    async fn lives(&self) -> Result<Vec<Life>, Error> {
        let lives = self.shared.lives();
        let life = |(epoch, said): (&str, &Said)| {
            let own = (epoch == self.epoch()).then(|| "it only moved the store".to_owned());
            Life { epoch: epoch.to_owned(), over: said.over.clone().or(own) }
        };
        Ok(lives.all().map(life).collect())
    }

    async fn import_lives(&self, lives: &[Life]) -> Result<(), Error> {
        for life in lives.iter().filter(|life| life.epoch != self.epoch()) {
            let hub = MIGRATE.to_owned();
            let said = Said { format: OLDEST, knows: 0, hub, over: life.over.clone(), lock: None, note: None };
            self.write_said(&life.epoch, said).await?;
        }
        Ok(())
    }

    async fn note(&self) -> Result<Option<Note>, Error> {
        Ok(self.shared.lives().note().cloned())
    }

    async fn set_note(&self, note: Option<Note>) -> Result<(), Error> {
        let stops = note.as_ref().is_some_and(|note| note.check("").is_err());
        let (format, hub) = (if stops { NO_HUBS_VERSION } else { OLDEST }, MIGRATE.to_owned());
        let over = Some("it is no life".to_owned());
        self.write_said(NOTE, Said { format, knows: format, hub, over, lock: None, note }).await
    }
}
