//! Order: which message of a lane is next, and what is in memory.

use std::sync::atomic::Ordering;

use hub_life::outbound as life;
use hub_life::outbound::State;

use super::fence::Fence;
use super::{DeliverWorker, Effect, Life, Pending};
use crate::Error;
use crate::batch::Batch;
use crate::record::Outbound;

impl DeliverWorker {
    pub(super) async fn take(&mut self, batch: &mut Batch<'_>, out: Outbound, order: u64) -> Result<(), Error> {
        let now = self.shared.clock.now();
        let mut life = Life {
            order,
            lane: out.lane.clone(),
            route: out.work.route.clone(),
            version: out.work.version.clone(),
            from: out.from.clone(),
            life: life::Outbound::new(now),
            at: Some(now),
            spilled: self.memory_is_full(),
            behind: false,
            era: String::new(),
            askable: false,
        };
        batch.put(self.place, "outbound", &out.id, &out);
        if life.spilled {
            self.spill(batch, &out.id, &life);
            batch.put(self.place, "life", &out.id, &life);
            return Ok(());
        }
        life.behind = self.lane_is_long(&out.lane);
        batch.put(self.place, "life", &out.id, &life);
        self.place_in_lane(batch, &out.id, life).await
    }

    /// Takes a message into memory.
    pub(super) async fn admit(&mut self, id: &str, life: Life) -> Result<(), Error> {
        let route = self.shared.routes.find(&life.route, &life.version).await?;
        let slot = route.and_then(|route| route.sink(&life.from).cloned()).ok_or_else(|| {
            let (route, version) = (&life.route, &life.version);
            Error::Format(format!("message {id} is on version {version} of route {route}, which is not loaded"))
        })?;
        if let Some(at) = life.at.or(life.life.first_at) {
            let _ = self.ages.insert(life.order, at);
        }
        let fence = Fence::now();
        let pending = Pending { era: life.era, lane: life.lane, order: life.order, life: life.life, slot, fence };
        let _ = self.pending.insert(id.to_string(), pending);
        self.queue(id);
        Ok(())
    }

    /// Takes a message into memory that an event is about, if the store knows it.
    pub(super) async fn revive(&mut self, batch: &Batch<'_>, id: &str) -> Result<bool, Error> {
        if !self.pending.contains_key(id) {
            let Some(life) = batch.get::<Life>(self.place, "life", id).await? else { return Ok(false) };
            if !self.is_judged(&life) {
                self.revisit(id);
            }
            self.admit(id, life).await?;
        }
        Ok(true)
    }

    /// Tells what waits here.
    pub(super) fn measure(&self) {
        let gauges = self.shared.gauges.of(self.place.partition);
        gauges.unsent.store(self.pending.len() as u64 + self.behind + self.spilled, Ordering::Relaxed);
        gauges.oldest_unsent.set(self.ages.first_key_value().map(|(_, at)| *at));
    }

    /// Gives a message its place in its lane, or takes it away when it does not hold the lane (any more).
    pub(super) fn queue(&mut self, id: &str) {
        let Some(pending) = self.pending.get(id) else { return };
        let lane = self.lanes.entry(pending.lane.clone()).or_default();
        let holds = pending.life.holds_lane(&pending.slot.policy);
        match holds {
            true => drop(lane.queue.insert(pending.order, id.to_string())),
            false => drop(lane.queue.remove(&pending.order)),
        }
        match holds && !matches!(pending.life.state, State::Ready { .. }) {
            true => drop(lane.busy.insert(id.to_string())),
            false => drop(lane.busy.remove(id)),
        }
        if lane.queue.is_empty() && lane.behind == 0 {
            let _ = self.lanes.remove(&pending.lane);
        }
    }

    /// The message that has the lane: one that is under way or in doubt, else the first.
    pub(super) fn head(&self, lane: &str) -> Option<&str> {
        let lane = self.lanes.get(lane)?;
        lane.busy.first().or_else(|| lane.queue.values().next()).map(String::as_str)
    }

    /// Lets the lane's first message ask for a place, if it is ready.
    pub(super) fn next_of(&mut self, lane: &str) {
        let Some(id) = self.head(lane).map(str::to_string) else { return };
        let Some(pending) = self.pending.get(&id).filter(|_| self.may_send(&id)) else { return };
        if let State::Ready { not_before } = pending.life.state {
            if not_before > self.shared.clock.now() {
                self.timers.set(not_before, id);
            } else if self.asking.insert(id.clone()) {
                self.effects.push(Effect::Place(id));
            }
        }
    }
}
