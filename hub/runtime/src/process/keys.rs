//! Keys that belong to this slot, asked for by others; and keys of others that messages of this slot wait for.

use std::time::Duration;

use hub_backbone::Topic;
use hub_core::Verdict as Admission;

use super::ProcessWorker;
use crate::Error;
use crate::admit::{Decision, Offer, Offered, take};
use crate::batch::Batch;
use crate::hub::Verdict;
use crate::interpret::claim_key;
use crate::record::{InboxRecord, KeyClaim, Work};

/// A key whose owner does not answer is asked for again: it answers a repetition as it did the first time.
const ASK_AGAIN: Duration = Duration::from_secs(30);

impl ProcessWorker {
    /// Another hub has judged a message; whether it is new is for this slot to say.
    pub(super) async fn offered(&mut self, batch: &mut Batch<'_>, offered: Offered) -> Result<(), Error> {
        batch.lock_keys(&self.shared.keys).await;
        match take(batch, &offered.offer).await? {
            Decision::Made(verdict) => self.verdict(offered.command, verdict),
            Decision::Passed(slot) => {
                let offer = Offer { passed: true, ..offered.offer };
                batch.offer(slot, Offered { offer, ..offered });
            }
        }
        Ok(())
    }

    fn verdict(&mut self, command: String, verdict: Admission) {
        self.answers.push(command, None, move |_| Verdict::Admitted(verdict));
    }

    /// Whether a key is new, for a message of another slot.
    pub(super) async fn claim(&mut self, batch: &mut Batch<'_>, claim: KeyClaim) -> Result<(), Error> {
        let again = claim_key(&self.shared, batch, &claim).await?;
        let KeyClaim { home, lane, note, by, .. } = claim;
        batch.inbox(home.0, &by, &InboxRecord::Claimed { lane, note, again });
        Ok(())
    }

    /// A message waits, and its lane with it, for the answer of a key's owner.
    pub(super) fn ask(&mut self, batch: &mut Batch<'_>, work: Work, key: &str, claim: KeyClaim) {
        let owner = batch.place(Topic::INBOX, &claim.key).partition;
        batch.inbox(owner, work.id.as_str(), &InboxRecord::Claim(claim));
        self.set_aside(batch, work, key, ASK_AGAIN);
    }

    /// The owner of a key has answered: the message that waits for it goes on. If none does, it has asked twice and gone on.
    pub(super) fn claimed(&mut self, batch: &mut Batch<'_>, lane: &str, note: &str, again: bool) -> Result<(), Error> {
        let now = self.shared.clock.now();
        if let Some(held) = self.held.get_mut(lane) {
            batch.put(self.place, "claimed", note, &again);
            held.again_at = now;
            self.timers.set(now, lane);
        }
        Ok(())
    }
}
