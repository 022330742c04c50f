//! Records that were worked on long ago.

use hub_backbone::{Offset, Place, Topic};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Keeper, SPACE};
use crate::Error;
use crate::batch::Batch;
use crate::record::decode;

/// What is trimmed by the position of its consumer.
const TOPICS: [Topic; 4] = [Topic::INBOX, Topic::OUTBOX, Topic::WAITS, Topic::CASES];
/// Notes of one partition, about: so many fit into the time that records are kept.
const NOTES: u32 = 24;
/// More than there ever are.
const NOTES_MAX: usize = 200;

/// Where the consumer of a partition stood at an instant. Keyed state of the partition itself.
#[derive(Serialize, Deserialize)]
struct Stood {
    at: Timestamp,
    position: Offset,
}

impl Keeper {
    /// Notes where consumers stand, and trims what was behind them long enough ago.
    pub(super) async fn trim(&self) -> Result<(), Error> {
        for place in self.places(&TOPICS) {
            self.trim_place(place).await?;
        }
        Ok(())
    }

    async fn trim_place(&self, place: Place) -> Result<(), Error> {
        let mut notes = self.notes_of(place).await?;
        let old = self.ago(self.settings.finished);
        let passed = notes.partition_point(|(_, stood)| stood.at <= old);
        if let Some((_, stood)) = notes[..passed].last() {
            self.shared.backbone.trim(place, stood.position).await?;
        }
        let mut batch = Batch::new(self.shared.claims());
        // After the trim: cut off in between, the same is trimmed again.
        notes.drain(..passed).for_each(|(key, _)| batch.delete(place, SPACE, &key));
        let position = self.shared.backbone.position(place).await?;
        let last = notes.last().map(|(_, stood)| stood);
        let young = self.ago(self.settings.finished / NOTES);
        if last.is_none_or(|last| last.position < position && last.at <= young) {
            let at = self.shared.clock.now();
            batch.put(place, SPACE, &key_of(at), &Stood { at, position });
        }
        match batch.is_empty() {
            true => Ok(()),
            false => batch.commit().await.map(drop),
        }
    }

    /// The notes of a partition, oldest first.
    async fn notes_of(&self, place: Place) -> Result<Vec<(String, Stood)>, Error> {
        let rows = self.shared.backbone.scan(place, SPACE, Some("stood:"), NOTES_MAX).await?;
        let ours = rows.into_iter().take_while(|(key, _)| key.starts_with("stood:"));
        ours.map(|(key, bytes)| Ok((key, decode("a note of retention", &bytes)?))).collect()
    }
}

/// Keys in the order of time.
fn key_of(at: Timestamp) -> String {
    format!("stood:{:015}", at.as_second().max(0))
}
