//! A partition of the outbox after its store was put back: what counts as in doubt, and which lanes a person has released.

use hub_core::journal::What;
use hub_life::outbound::Event;
use jiff::Timestamp;
use tokio::time::Instant;

use super::{DeliverWorker, Life};
use crate::Error;
use crate::batch::{Batch, event_about};
use crate::commands::released;
use crate::hub::Verdict;
use crate::record::{Outbound, RecoveryCommand, RecoveryWord, decode};
use crate::recovery::{self, ERA, Era, LANE, LaneRelease, SETTLED, SPACE, SettledByProof};

/// The timer on which messages are judged again; no id looks like this.
pub(super) const REVISIT: &str = "revisit";
/// Messages that one commit judges.
const REVISIT_MAX: usize = 200;
/// Questions that one partition has under way at once.
pub(super) const ASKS_MAX: usize = 64;
/// Rows that a scan takes at once.
const PAGE: usize = 500;

impl DeliverWorker {
    /// Reads what is known; begins a new recovery if the store's opening says so.
    pub(super) async fn restore_recovery(&mut self, batch: &mut Batch<'_>) -> Result<(), Error> {
        let shared = self.shared.clone();
        let known = recovery::era(&*shared.backbone, self.place).await?;
        let found = shared.recovering.found.as_ref();
        self.held.era = match (known, found) {
            (Some(era), Some(found)) if era.id == found.id => Some(era),
            (_, Some(found)) => {
                let (began, since) = (shared.clock.now(), shared.recovering.since);
                let era = Era { id: found.id.clone(), since, began, ended: None };
                batch.put(self.place, SPACE, ERA, &era);
                self.tell_begin(batch, found);
                Some(era)
            }
            (known, None) => known,
        };
        if found.is_some() && !self.held.is_open() {
            shared.recovering.over_in_one();
        }
        self.held.seen_ended = (!self.held.is_open()).then(Instant::now);
        self.restore_lanes().await
    }

    fn tell_begin(&self, batch: &mut Batch<'_>, found: &recovery::Recovery) {
        if self.place.partition == 0 {
            let gaps = if found.gaps.is_empty() { String::new() } else { format!("; {}", found.gaps.join("; ")) };
            let text =
                format!("recovery: {}{gaps}; nothing is sent until a person releases it lane by lane", found.reason);
            batch.event(event_about(&recovery::case_of(&found.id), self.shared.clock.now(), What::Logged { text }));
        }
    }

    async fn restore_lanes(&mut self) -> Result<(), Error> {
        let mut after: Option<String> = None;
        loop {
            let page = self.shared.backbone.scan(self.place, SPACE, after.as_deref(), PAGE).await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            for (key, bytes) in page {
                let Some(lane) = key.strip_prefix(LANE) else { continue };
                let release: LaneRelease = decode("the release of a lane", &self.shared.claims().whole(bytes).await?)?;
                if release.era == self.held.era() {
                    self.held.release(lane, release);
                }
            }
        }
    }

    /// Whether a message has heard what its era has to tell it.
    pub(super) fn is_judged(&self, life: &Life) -> bool {
        life.era == self.held.era()
    }

    /// Whether a message in memory has heard it.
    pub(super) fn is_current(&self, id: &str) -> bool {
        self.pending.get(id).is_some_and(|pending| pending.era == self.held.era())
    }

    /// Whether a message may go out as far as the recovery is concerned.
    pub(super) fn may_send(&self, id: &str) -> bool {
        self.is_current(id) && self.pending.get(id).is_some_and(|pending| !self.held.holds(&pending.lane))
    }

    /// Comes back to a message soon.
    pub(super) fn revisit(&mut self, id: &str) {
        let _ = self.revisit.insert(id.to_owned());
        self.timers.set(self.shared.clock.now(), REVISIT);
    }

    /// Judges some messages that have not been judged in this era, or whose lane was released.
    pub(super) async fn revisit_some(&mut self, batch: &mut Batch<'_>) -> Result<(), Error> {
        for _ in 0..REVISIT_MAX {
            let Some(id) = self.revisit.pop_first() else { return Ok(()) };
            let Some(life) = batch.get::<Life>(self.place, "life", &id).await? else { continue };
            match self.is_judged(&life) {
                false if life.is_in_reach() => self.judge(batch, &id).await?,
                true if !self.held.holds(&life.lane) => self.advance(batch, &id, Event::Vouched).await.map(drop)?,
                _ => {}
            }
        }
        self.timers.set(self.shared.clock.now(), REVISIT);
        Ok(())
    }

    /// Tells a message what a lost life may have done with it.
    pub(super) async fn judge(&mut self, batch: &mut Batch<'_>, id: &str) -> Result<(), Error> {
        let era = self.held.era().to_owned();
        if !self.pending.contains_key(id) {
            let Some(life) = batch.get::<Life>(self.place, "life", id).await? else { return Ok(()) };
            self.admit(id, life).await?;
        }
        let Some(out) = batch.get::<Outbound>(self.place, "outbound", id).await? else {
            return Err(Error::Format(format!("outbound message {id} has a life but no content")));
        };
        let Some(pending) = self.pending.get_mut(id) else { return Ok(()) };
        pending.era = era;
        let (repeat, never_tried) = (pending.slot.policy.repeat, pending.life.attempts == 0);
        let life = pending.life.clone();
        self.keep(batch, id, &out, life);
        let Some(event) = self.held.doubt_about(&out, repeat) else { return Ok(()) };
        if never_tried {
            self.watch_for(batch, &out);
        }
        let _ = self.advance(batch, id, event).await?;
        let lane = self.held.seen_released(&out.lane);
        if let (Some(pending), Some(released)) = (self.pending.get_mut(id), lane) {
            pending.fence.over_since(released);
        }
        Ok(())
    }

    /// Notes that a proof has settled a message of which the lost future may know more.
    pub(super) fn note_settled(&self, batch: &mut Batch<'_>, out: &Outbound, at: Timestamp) {
        if self.held.is_open() {
            let (lane, case, entity) = (out.lane.clone(), out.work.case.id.clone(), out.work.case.entity.clone());
            batch.put(self.place, SETTLED, &out.id, &SettledByProof { lane, case, entity, at });
        }
    }

    /// Who released a message's lane, and why.
    pub(super) fn lane_word(&self, lane: &str) -> (String, String) {
        let word = self.held.lanes.get(lane).map(|release| (release.by.clone(), release.note.clone()));
        word.unwrap_or_else(|| ("raccordo".into(), "the recovery is over".into()))
    }

    /// Judges a person's word about the recovery.
    pub(super) async fn recover(&mut self, batch: &mut Batch<'_>, command: RecoveryCommand) -> Result<(), Error> {
        let verdict = match (&command.word, self.held.is_open()) {
            (_, false) => Err("the hub is not in recovery".to_owned()),
            (RecoveryWord::ReleaseLane(lane), true) => self.release_lane(batch, &command, lane).await?,
            (RecoveryWord::End, true) => self.end_recovery(batch, &command),
        };
        let mark = batch.mark();
        self.answers.push(command.command, mark, move |position| Verdict::Released(released(verdict, position)));
        Ok(())
    }

    async fn release_lane(
        &mut self,
        batch: &mut Batch<'_>,
        command: &RecoveryCommand,
        lane: &str,
    ) -> Result<Result<(), String>, Error> {
        if let Some(earlier) = self.held.lanes.get(lane) {
            return Ok(Err(format!("{} released the lane at {}", earlier.by, earlier.at)));
        }
        let (era, at) = (self.held.era().to_owned(), self.shared.clock.now());
        let release = LaneRelease { era, at, by: command.by.clone(), note: command.note.clone() };
        batch.put(self.place, SPACE, &format!("{LANE}{lane}"), &release);
        self.held.release(lane, release);
        self.tell_word(batch, command, lane, "release_lane", at);
        self.revisit_lane(lane).await?;
        self.next_of(lane);
        Ok(Ok(()))
    }

    /// Every message of a lane, those that do not hold it included.
    async fn revisit_lane(&mut self, lane: &str) -> Result<(), Error> {
        let mut after: Option<String> = None;
        loop {
            let page = self.shared.backbone.scan(self.place, "life", after.as_deref(), PAGE).await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (id, bytes) in page {
                let life: Life = decode("life of an outbound message", &self.shared.claims().whole(bytes).await?)?;
                if life.lane == lane && !life.life.is_final() {
                    let _ = self.revisit.insert(id);
                }
            }
        }
        let in_memory = self.pending.iter().filter(|(_, pending)| pending.lane == lane);
        self.revisit.extend(in_memory.map(|(id, _)| id.clone()));
        self.timers.set(self.shared.clock.now(), REVISIT);
        Ok(())
    }

    fn end_recovery(&mut self, batch: &mut Batch<'_>, command: &RecoveryCommand) -> Result<(), String> {
        let held: Vec<_> = self.lanes.keys().filter(|lane| self.held.holds(lane)).take(10).cloned().collect();
        if !held.is_empty() {
            return Err(format!("lanes with messages are not released: {}", held.join(", ")));
        }
        if self.spilled > 0 || !self.revisit.is_empty() {
            return Err("messages are still being judged: try again in a moment".into());
        }
        let at = self.shared.clock.now();
        if let Some(era) = &mut self.held.era {
            era.ended = Some(at);
            self.held.seen_ended = Some(Instant::now());
            batch.put(self.place, SPACE, ERA, era);
        }
        self.shared.recovering.over_in_one();
        if self.place.partition == 0 {
            self.tell_word(batch, command, "recovery", "end_recovery", at);
        }
        Ok(())
    }

    fn tell_word(&self, batch: &mut Batch<'_>, command: &RecoveryCommand, about: &str, action: &str, at: Timestamp) {
        let (parked, action) = (about.to_owned(), action.to_owned());
        let what = What::Released { parked, action, by: command.by.clone(), note: command.note.clone() };
        batch.event(event_about(&recovery::case_of(self.held.era()), at, what));
    }
}
