//! What does not lie in memory: the far end of long lanes, and all that came when memory was full.
//!
//! Two kinds of keyed state name such messages, both in the order in which they are taken back. `behind` holds the far end of
//! each long lane, by lane; `spill` holds whatever came when all of memory was taken, whatever its lane. A lane never has a
//! message in memory that comes after one of its own in the store, so nothing is overtaken.

use hub_core::sha256_hex;

use super::{DeliverWorker, LANE, Life, SPILL};
use crate::Error;
use crate::batch::Batch;

/// Messages of one lane in memory; the others come behind.
const LANE_MAX: usize = 256;
/// Spilled messages that one commit takes back.
const REFILL: usize = 500;

impl DeliverWorker {
    pub(super) fn memory_is_full(&self) -> bool {
        self.spilled > 0 || self.pending.len() >= self.shared.limits.pending_max
    }

    pub(super) fn lane_is_long(&self, lane: &str) -> bool {
        self.lanes.get(lane).is_some_and(|lane| lane.behind > 0 || lane.queue.len() >= LANE_MAX)
    }

    /// What an earlier life left: in memory again, or counted where it is.
    pub(super) async fn recall(&mut self, id: &str, life: Life) -> Result<(), Error> {
        if life.spilled {
            self.spilled += 1;
        } else if life.behind {
            self.lanes.entry(life.lane).or_default().behind += 1;
            self.behind += 1;
        } else {
            self.admit(id, life).await?;
            self.rest(id);
        }
        Ok(())
    }

    pub(super) fn spill(&mut self, batch: &mut Batch<'_>, id: &str, life: &Life) {
        self.spilled += 1;
        batch.put(self.place, "spill", &format!("{:020}", life.order), &id);
    }

    /// Into memory, or behind its lane, as `life` says.
    pub(super) async fn place_in_lane(&mut self, batch: &mut Batch<'_>, id: &str, life: Life) -> Result<(), Error> {
        let lane = life.lane.clone();
        if life.behind {
            batch.put(self.place, "behind", &behind_key(&lane, life.order), &id);
            self.lanes.entry(lane.clone()).or_default().behind += 1;
            self.behind += 1;
            *self.fresh.entry(lane).or_default() += 1;
            return Ok(());
        }
        let judged = self.is_judged(&life);
        self.admit(id, life).await?;
        if !judged {
            self.judge(batch, id).await?;
        }
        self.next_of(&lane);
        Ok(())
    }

    /// Comes back to spilled messages when half of memory is free.
    pub(super) fn wants_refill(&mut self) {
        if self.spilled > 0 && self.pending.len() <= self.shared.limits.pending_max / 2 {
            self.timers.set(self.shared.clock.now(), SPILL);
        }
    }

    /// Takes spilled messages back, as there is room again.
    pub(super) async fn refill(&mut self, batch: &mut Batch<'_>) -> Result<(), Error> {
        let page = self.shared.backbone.scan(self.place, "spill", None, REFILL).await?;
        for (order, _) in page {
            let Some(id) = batch.get::<String>(self.place, "spill", &order).await? else { continue };
            batch.delete(self.place, "spill", &order);
            self.spilled = self.spilled.saturating_sub(1);
            // One that was settled meanwhile, by proof from elsewhere, is not spilled any more.
            let life = batch.get::<Life>(self.place, "life", &id).await?.filter(|life| life.spilled);
            let Some(life) = life else { continue };
            let life = Life { spilled: false, behind: self.lane_is_long(&life.lane), ..life };
            batch.put(self.place, "life", &id, &life);
            self.place_in_lane(batch, &id, life).await?;
        }
        self.wants_refill();
        Ok(())
    }

    /// Comes back to what is behind a lane when half of its place in memory is free.
    pub(super) fn wants_more(&mut self, lane: &str) {
        if self.lanes.get(lane).is_some_and(|lane| lane.behind > 0 && lane.queue.len() <= LANE_MAX / 2) {
            self.timers.set(self.shared.clock.now(), format!("{LANE}{lane}"));
        }
    }

    /// Takes back what is behind a lane.
    pub(super) async fn more_of(&mut self, batch: &mut Batch<'_>, lane: &str) -> Result<(), Error> {
        let before = behind_prefix(lane);
        let room = LANE_MAX.saturating_sub(self.lanes.get(lane).map_or(0, |lane| lane.queue.len()));
        if room == 0 {
            return Ok(());
        }
        let page = self.shared.backbone.scan(self.place, "behind", Some(&before), room).await?;
        let mut taken = 0;
        for (key, _) in page.into_iter().take_while(|(key, _)| key.starts_with(&before)) {
            taken += 1;
            let Some(id) = batch.get::<String>(self.place, "behind", &key).await? else { continue };
            batch.delete(self.place, "behind", &key);
            let life = batch.get::<Life>(self.place, "life", &id).await?.filter(|life| life.behind);
            let Some(life) = life else { continue };
            let life = Life { behind: false, ..life };
            batch.put(self.place, "life", &id, &life);
            let judged = self.is_judged(&life);
            self.admit(&id, life).await?;
            if !judged {
                self.judge(batch, &id).await?;
            }
        }
        self.now_behind(lane, if taken < room { None } else { Some(taken) });
        self.next_of(lane);
        Ok(())
    }

    /// Counts what is still behind a lane: `taken` fewer, or nothing but what this commit adds.
    fn now_behind(&mut self, name: &str, taken: Option<usize>) {
        let fresh = self.fresh.get(name).copied().unwrap_or(0);
        let Some(lane) = self.lanes.get_mut(name) else { return };
        let before = lane.behind;
        lane.behind = match taken {
            Some(taken) => before.saturating_sub(taken as u64).max(1),
            None => fresh,
        };
        self.behind = (self.behind + lane.behind).saturating_sub(before);
        if lane.behind == 0 && lane.queue.is_empty() {
            let _ = self.lanes.remove(name);
        }
        self.wants_more(name);
    }
}

/// By lane, then by order.
fn behind_key(lane: &str, order: u64) -> String {
    format!("{}{order:020}", behind_prefix(lane))
}

/// The hash makes all lanes equally long: no lane's name begins another's.
fn behind_prefix(lane: &str) -> String {
    format!("{}.", sha256_hex(lane.as_bytes()))
}
