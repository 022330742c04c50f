//! Everything in the store, looked at once: keyed state, then the log.
//!
//! A message moves from state to state by way of the log, and records stay in the log for a while after they were worked
//! on. So whatever a message names is seen: in the state that it has not left yet, or in the record by which it left. One
//! move goes without a record (a task that nobody decided in time): that is why keyed state is looked at a second time.

use hub_backbone::{Place, Topic};

use super::Keeper;
use crate::Error;

/// Records and values of one page.
const PAGE: usize = 500;
/// Bytes of one page, about.
const BYTES_MAX: usize = 1 << 20;
/// Keyed state that holds hashes only to compare them.
const HASHES_ONLY: [&str; 3] = ["transport", "business", "seen"];

/// What is seen: the topic, the kind of state (`None`: a record of the log), and the bytes, whole.
pub(super) type Seen<'s> = (Topic, Option<&'s str>, &'s [u8]);

impl Keeper {
    /// Shows everything that can name something to `look`.
    pub(super) async fn survey(&self, look: &mut (dyn FnMut(Seen<'_>) + Send)) -> Result<(), Error> {
        for place in self.places(&Topic::ALL) {
            self.survey_state(place, look).await?;
        }
        for place in self.places(&Topic::ALL) {
            self.survey_log(place, look).await?;
        }
        for place in self.places(&Topic::ALL) {
            self.survey_state(place, look).await?;
        }
        Ok(())
    }

    async fn survey_state(&self, place: Place, look: &mut (dyn FnMut(Seen<'_>) + Send)) -> Result<(), Error> {
        for space in self.shared.backbone.spaces(place).await? {
            let mut after: Option<String> = None;
            while !HASHES_ONLY.contains(&space.as_str()) {
                let page = self.shared.backbone.scan(place, &space, after.as_deref(), PAGE).await?;
                let Some((last, _)) = page.last() else { break };
                after = Some(last.clone());
                for (_, bytes) in page {
                    self.show((place.topic, Some(&space)), bytes, look).await?;
                }
            }
        }
        Ok(())
    }

    async fn survey_log(&self, place: Place, look: &mut (dyn FnMut(Seen<'_>) + Send)) -> Result<(), Error> {
        let mut next = 0;
        loop {
            let page = self.shared.backbone.read(place, next, PAGE, BYTES_MAX).await?;
            let Some(last) = page.last() else { return Ok(()) };
            next = last.offset + 1;
            for record in page {
                self.show((place.topic, None), record.bytes, look).await?;
            }
            // Others first: this is nobody's hurry.
            tokio::task::yield_now().await;
        }
    }

    /// Shows a value, and what it stands for if it is a claim check.
    async fn show(
        &self,
        (topic, space): (Topic, Option<&str>),
        bytes: bytes::Bytes,
        look: &mut (dyn FnMut(Seen<'_>) + Send),
    ) -> Result<(), Error> {
        look((topic, space, &bytes));
        if crate::claim::claimed(&bytes)?.is_some() {
            let whole = self.shared.claims().whole(bytes).await?;
            look((topic, space, &whole));
        }
        Ok(())
    }
}
