//! One step of a message's life: the new state, what is written down about it, and what people decide.

use hub_backbone::Topic;
use hub_core::journal::{Parked, ParkedKind, SendOutcome, What};
use hub_core::{Receipt, Repeat};
use hub_life::outbound as life;
use hub_life::outbound::{Answer, Command, Ended, Event, Now, State};
use jiff::Timestamp;
use serde_json::json;

use super::{DeliverWorker, Effect, Life, Pending};
use crate::Error;
use crate::batch::Batch;
use crate::commands::released;
use crate::hub::Verdict;
use crate::process::may_touch;
use crate::record::{Outbound, Partition, ReleaseCommand, WaitRecord};

impl DeliverWorker {
    /// Applies an event; writes the new life and what follows from it. Gives the commands that need more than a record.
    pub(super) async fn advance(
        &mut self,
        batch: &mut Batch<'_>,
        id: &str,
        event: Event,
    ) -> Result<Vec<Command>, Error> {
        if !self.revive(batch, id).await? {
            return Ok(Vec::new());
        }
        let Some(pending) = self.pending.get(id) else { return Ok(Vec::new()) };
        let (tenure, at) = (self.tenure.clone(), self.shared.clock.now());
        let now = Now { at, epoch: tenure.epoch() };
        let (new, commands) = life::advance(&pending.life, event.clone(), &now, &pending.slot.policy);
        if new == pending.life && commands.is_empty() {
            self.rest(id);
            return Ok(Vec::new());
        }
        let (before, lane) = (pending.life.clone(), pending.lane.clone());
        let Some(out) = batch.get::<Outbound>(self.place, "outbound", id).await? else {
            return Err(Error::Format(format!("outbound message {id} has a life but no content")));
        };
        self.note(batch, &out, &before, &new, &event, now.at);
        for command in &commands {
            self.record(batch, &out, &new, command, now.at).await?;
        }
        let proved = new.state == State::Delivered && !matches!(before.state, State::Sending { .. });
        if proved && before.lost.is_some() {
            self.note_settled(batch, &out, now.at);
        }
        self.keep(batch, id, &out, new);
        self.next_of(&lane);
        Ok(commands)
    }

    /// Makes the new life durable, or forgets a message that is delivered.
    pub(super) fn keep(&mut self, batch: &mut Batch<'_>, id: &str, out: &Outbound, new: life::Outbound) {
        let Some(pending) = self.pending.get_mut(id) else { return };
        pending.fence.follow(&pending.life.state, &new.state);
        pending.life = new;
        if let State::InDoubt { ask_at, .. } = &pending.life.state {
            self.timers.set(*ask_at, id);
        }
        let life = Life {
            order: pending.order,
            lane: pending.lane.clone(),
            route: out.work.route.clone(),
            version: out.work.version.clone(),
            from: out.from.clone(),
            life: pending.life.clone(),
            spilled: false,
            behind: false,
            at: self.ages.get(&pending.order).copied(),
            era: pending.era.clone(),
            askable: pending.slot.policy.repeat == Repeat::Askable,
        };
        match life.life.state {
            State::Delivered => {
                self.shared.gauges.last_sent.set(Some(self.shared.clock.now()));
                batch.delete(self.place, "outbound", id);
                batch.delete(self.place, "life", id);
            }
            _ => batch.put(self.place, "life", id, &life),
        }
        self.queue(id);
        self.rest(id);
    }

    /// Leaves a message that does not hold its lane to the store.
    pub(super) fn rest(&mut self, id: &str) {
        if self.pending.get(id).is_some_and(|pending| !pending.life.holds_lane(&pending.slot.policy)) {
            if let Some(pending) = self.pending.remove(id) {
                let _ = self.ages.remove(&pending.order);
                self.wants_more(&pending.lane);
            }
            self.wants_refill();
        }
    }

    /// Whether the life that tried is provably over. Our own attempts have ended when we are asked.
    pub(super) fn is_over(&self, life: &life::Outbound) -> bool {
        match &life.state {
            State::Sending { epoch, .. } | State::InDoubt { epoch, .. } => {
                epoch == self.tenure.epoch() || self.shared.tenures.is_over(&*self.shared.backbone, epoch)
            }
            _ => true,
        }
    }

    /// Whether "not there" (of a lost life: "cannot say", too) comes before the receiver's view is final by the boot clock. Where a test turns the clock by hand
    /// there is no boot clock to compare with.
    pub(super) fn too_early(&self, id: &str, answer: &Answer) -> bool {
        let lets =
            |pending: &Pending| pending.fence.lets(&pending.life.state, answer, pending.slot.policy.settles_after);
        self.shared.watches_clock() && self.pending.get(id).is_some_and(|pending| !lets(pending))
    }

    /// Writes down what an event says about an attempt.
    pub(super) fn note(
        &self,
        batch: &mut Batch<'_>,
        out: &Outbound,
        before: &life::Outbound,
        new: &life::Outbound,
        event: &Event,
        now: Timestamp,
    ) {
        let settled = |outcome, remote_id: &str, evidence| What::SendSettled {
            outgoing: out.id.clone(),
            sink: out.sink.clone(),
            attempt: new.attempts,
            outcome,
            remote_id: remote_id.to_string(),
            evidence,
        };
        let remote = |receipt: &Receipt| receipt.remote_id.clone().unwrap_or_default();
        let what = match event {
            Event::Ended(Ended::Receipt(r)) => settled(SendOutcome::Delivered, &remote(r), r.reply.clone()),
            Event::Ended(Ended::NotSent { cause, .. }) => settled(SendOutcome::NotSent, "", json!({ "cause": cause })),
            Event::Ended(Ended::Rejected { code, cause }) => {
                settled(SendOutcome::Rejected, "", json!({ "code": code, "cause": cause }))
            }
            Event::Ended(Ended::InDoubt { cause }) => settled(SendOutcome::InDoubt, "", json!({ "cause": cause })),
            Event::Restarted { .. } if matches!(before.state, State::Sending { .. }) => {
                let cause = match &new.state {
                    State::InDoubt { cause, .. } => cause.clone(),
                    _ => "the hub was restarted during the attempt".to_string(),
                };
                let epoch = match &before.state {
                    State::Sending { epoch, .. } => epoch.clone(),
                    _ => String::new(),
                };
                settled(SendOutcome::InDoubt, "", json!({ "cause": cause, "epoch": epoch }))
            }
            Event::Asked { answer: Answer::Delivered(r), .. } => {
                settled(SendOutcome::Delivered, &remote(r), json!({ "resolved": r.reply }))
            }
            Event::Recovered { .. } if new.state != before.state && new.state != State::Delivered => {
                let cause = "the store was put back: a lost life of the hub may have sent it";
                settled(SendOutcome::InDoubt, "", json!({ "cause": cause }))
            }
            // Only where it counts: a life that may still run can make it untrue, and then a person must not read "not sent".
            Event::Asked { answer: Answer::NotDelivered(evidence) | Answer::Unknown(evidence), .. }
                if matches!(new.state, State::Ready { .. } | State::Parked { kind: ParkedKind::NotSent, .. }) =>
            {
                settled(SendOutcome::NotSent, "", json!({ "resolved": evidence }))
            }
            Event::Witnessed(r) if new.state == State::Delivered => {
                settled(SendOutcome::Delivered, &remote(r), r.reply.clone())
            }
            _ => return,
        };
        batch.tell(&out.work, now, what);
        // Proof had come while the attempt was under way, and outweighs how it ended.
        if new.state == State::Delivered
            && !matches!(event, Event::Ended(Ended::Receipt(_)))
            && let Some(proof) = &before.witness
        {
            batch.tell(&out.work, now, settled(SendOutcome::Delivered, &remote(proof), proof.reply.clone()));
        }
    }

    /// Writes down what a command says.
    pub(super) async fn record(
        &mut self,
        batch: &mut Batch<'_>,
        out: &Outbound,
        new: &life::Outbound,
        command: &Command,
        now: Timestamp,
    ) -> Result<(), Error> {
        match command {
            Command::Send => self.intend(batch, out, new, now),
            Command::Ask => self.effects.push(Effect::Ask(out.id.clone())),
            Command::WakeAt(at) => self.timers.set(*at, out.id.clone()),
            Command::GoOn(receipt) => {
                let segment = out.work.segment.clone();
                let work = out.work.clone().at_segment(&segment, now, out.bind.as_deref(), receipt.reply.clone());
                batch.work(work);
            }
            Command::Park { kind, reason } => self.park(batch, out, new, *kind, reason, now).await?,
            // A person's release is written with their name, in `release`.
            Command::Released { action: "settled" } => {
                let (parked, note) = (out.id.clone(), "a late answer proves the delivery".to_string());
                let (action, by) = ("settled".to_string(), "raccordo".to_string());
                batch.tell(&out.work, now, What::Released { parked, action, by, note });
            }
            Command::Released { action: "ask_again" } => {
                let (by, note) = self.lane_word(&out.lane);
                let (parked, action) = (out.id.clone(), "ask_again".to_string());
                batch.tell(&out.work, now, What::Released { parked, action, by, note });
            }
            Command::Released { .. } => {}
            Command::LateProof => {
                let text = "a late answer proves the delivery of a message that a person had given up".to_string();
                batch.tell(&out.work, now, What::Logged { text });
            }
        }
        Ok(())
    }

    /// The intent, and the keys by which an answer through another door would prove the delivery.
    pub(super) fn intend(&self, batch: &mut Batch<'_>, out: &Outbound, new: &life::Outbound, now: Timestamp) {
        let State::Sending { epoch, not_after, .. } = &new.state else { return };
        let what = What::SendIntended {
            outgoing: out.id.clone(),
            sink: out.sink.clone(),
            attempt: new.attempts,
            epoch: epoch.clone(),
            not_after: *not_after,
            sha256: out.sha256.clone(),
        };
        batch.tell(&out.work, now, what);
        if new.attempts == 1 {
            self.watch_for(batch, out);
        }
    }

    /// Registers the keys by which an answer through another door would prove the delivery.
    pub(super) fn watch_for(&self, batch: &mut Batch<'_>, out: &Outbound) {
        let Some((name, keys)) = &out.witness else { return };
        for key in keys {
            let place = batch.place(Topic::WAITS, &crate::interpret::wait_key(name, key));
            let (name, key, home) = (name.clone(), key.clone(), Partition(self.place.partition));
            batch.wait(place, &out.id, &WaitRecord::Witness { name, key, home, outgoing: out.id.clone() });
        }
    }

    pub(super) async fn park(
        &self,
        batch: &mut Batch<'_>,
        out: &Outbound,
        new: &life::Outbound,
        kind: ParkedKind,
        reason: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        let body = self.shared.load_body(&out.work.body).await?;
        let evidence = json!({
            "attempts": new.attempts, "first_attempt": new.first_at, "sink": out.sink, "sha256": out.sha256,
            "lane": out.lane, "key": out.id, "judged_by": self.tenure.epoch(),
        });
        let parked = Parked {
            id: out.id.clone(),
            kind,
            reason: reason.to_string(),
            evidence,
            sha256: batch.keep(&body.bytes).await?,
            mime: body.media.mime().to_string(),
        };
        batch.tell(&out.work, now, What::Parked(parked));
        let route = self.shared.routes.get(&out.work.route, &out.work.version);
        if let Some(role) = route.and_then(|route| route.plan.on_failure.task.clone()) {
            let title = format!("stopped: {} {}: {reason}", out.work.case.kind, out.work.case.id);
            crate::wait::open_note(&self.shared, batch, &out.work, &role, &title).await?;
        }
        Ok(())
    }

    pub(super) async fn release(&mut self, batch: &mut Batch<'_>, command: ReleaseCommand) -> Result<(), Error> {
        let out = batch.get::<Outbound>(self.place, "outbound", &command.parked).await?;
        let verdict = match out {
            None => Err("no such parked message".to_string()),
            Some(out) if !may_touch(&command, out.work.case.entity.as_deref()) => {
                Err("it belongs to an entity that is not yours".into())
            }
            Some(out) => self.decide(batch, &command, &out).await?,
        };
        let mark = batch.mark();
        self.answers.push(command.command, mark, move |position| Verdict::Released(released(verdict, position)));
        Ok(())
    }

    pub(super) async fn decide(
        &mut self,
        batch: &mut Batch<'_>,
        command: &ReleaseCommand,
        out: &Outbound,
    ) -> Result<Result<(), String>, Error> {
        let _ = self.revive(batch, &out.id).await?;
        let kind = match self.pending.get(&out.id).map(|pending| &pending.life.state) {
            Some(State::Parked { kind, .. }) => *kind,
            _ => {
                self.rest(&out.id);
                return Ok(Err("it is not parked".into()));
            }
        };
        let commands = self.advance(batch, &out.id, Event::Person(command.action.into())).await?;
        let released = commands.iter().find_map(|command| match command {
            Command::Released { action } => Some((*action).to_string()),
            _ => None,
        });
        let Some(action) = released else {
            return Ok(Err(format!("the action does not fit; possible: {}", kind.actions().join(", "))));
        };
        let (parked, by, note) = (out.id.clone(), command.by.clone(), command.note.clone());
        batch.tell(&out.work, self.shared.clock.now(), What::Released { parked, action, by, note });
        Ok(Ok(()))
    }
}
