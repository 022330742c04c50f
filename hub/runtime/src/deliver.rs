//! The outbox: intent, send, outcome, and what to do when nobody knows. [`hub_life::outbound`] decides; this file carries out.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use hub_backbone::{Place, Stored, Topic};
use hub_core::journal::{Parked, ParkedKind, SendOutcome, What};
use hub_core::{Attempt, Crossing, Outgoing, Receipt, Resolution, SendError};
use hub_life::outbound::{self as life, Answer, Command, Ended, Event, Now, State};
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::Error;
use crate::batch::{Batch, Written};
use crate::commands::{Answers, released};
use crate::hub::{Shared, Verdict};
use crate::process::may_touch;
use crate::record::{Outbound, OutboxRecord, Partition, ReleaseCommand, WaitRecord, decode};
use crate::routes::SinkSlot;
use crate::timers::Timers;
use crate::worker::Worker;

/// Spilled messages that one commit takes back.
const REFILL: usize = 500;
/// The timer on which spilled messages are taken back; no id looks like this.
const SPILL: &str = "spill";
/// A send may take this many times the attempt's limit: until the limit it may cross, then it waits for the answer.
const ANSWER_FACTOR: u32 = 2;

/// What a task of this worker tells it.
pub(crate) enum Signal {
    /// The sink has a place for this message.
    Place(String, OwnedSemaphorePermit),
    /// An attempt ended.
    Ended(String, Ended),
    /// The receiver was asked.
    Asked(String, Answer),
}

/// A message that is not final.
struct Pending {
    lane: String,
    order: u64,
    life: life::Outbound,
    slot: Arc<SinkSlot>,
}

/// What is durable beside [`Outbound`]: small, because each transition writes it.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct Life {
    order: u64,
    lane: String,
    route: String,
    version: String,
    from: String,
    life: life::Outbound,
    /// Memory was full: keyed state `spill` names it.
    #[serde(default)]
    spilled: bool,
}

/// What to carry out after the commit.
enum Effect {
    Send(String, OwnedSemaphorePermit),
    Ask(String),
    Place(String),
}

/// The messages of one lane that hold it, by order.
#[derive(Default)]
struct Lane {
    /// All of them.
    queue: BTreeMap<u64, String>,
    /// Those that are being sent or are in doubt: nothing else of the lane may be sent meanwhile, even if it came first.
    busy: BTreeSet<String>,
}

/// One partition of the outbox.
///
/// In memory are the messages that hold their lane. Those that wait for a person without holding it, or were given up, are
/// keyed state alone, and so are those that came when memory was full (`spilled`).
pub(crate) struct DeliverWorker {
    place: Place,
    shared: Arc<Shared>,
    sender: mpsc::Sender<Signal>,
    timers: Timers,
    pending: HashMap<String, Pending>,
    lanes: HashMap<String, Lane>,
    /// Messages that wait for a place at their sink.
    asking: BTreeSet<String>,
    /// Whether keyed state `spill` holds messages; then later ones go there, too.
    spilled: bool,
    under_way: usize,
    effects: Vec<Effect>,
    answers: Answers,
}

impl DeliverWorker {
    pub(crate) fn new(place: Place, shared: Arc<Shared>, sender: mpsc::Sender<Signal>) -> Self {
        Self {
            place,
            shared,
            sender,
            timers: Timers::default(),
            pending: HashMap::new(),
            lanes: HashMap::new(),
            asking: BTreeSet::new(),
            spilled: false,
            under_way: 0,
            effects: Vec::new(),
            answers: Answers::default(),
        }
    }

    // -- coming in --------------------------------------------------------------------------------------------------------

    async fn take(&mut self, batch: &mut Batch<'_>, out: Outbound, order: u64) -> Result<(), Error> {
        let life = Life {
            order,
            lane: out.lane.clone(),
            route: out.work.route.clone(),
            version: out.work.version.clone(),
            from: out.from.clone(),
            life: life::Outbound::new(self.shared.clock.now()),
            spilled: self.spilled || self.pending.len() >= self.shared.limits.pending_max,
        };
        batch.put(self.place, "outbound", &out.id, &out);
        batch.put(self.place, "life", &out.id, &life);
        if life.spilled {
            self.spilled = true;
            batch.put(self.place, "spill", &format!("{order:020}"), &out.id);
            return Ok(());
        }
        self.admit(&out.id, life)?;
        self.next_of(&out.lane);
        Ok(())
    }

    /// Takes a message into memory.
    fn admit(&mut self, id: &str, life: Life) -> Result<(), Error> {
        let route = self.shared.routes.get(&life.route, &life.version);
        let slot = route.and_then(|route| route.sink(&life.from).cloned()).ok_or_else(|| {
            let (route, version) = (&life.route, &life.version);
            Error::Format(format!("message {id} is on version {version} of route {route}, which is not loaded"))
        })?;
        let pending = Pending { lane: life.lane, order: life.order, life: life.life, slot };
        let _ = self.pending.insert(id.to_string(), pending);
        self.queue(id);
        Ok(())
    }

    /// Takes a message into memory that an event is about, if the store knows it.
    async fn revive(&mut self, batch: &Batch<'_>, id: &str) -> Result<bool, Error> {
        if !self.pending.contains_key(id) {
            let Some(life) = batch.get::<Life>(self.place, "life", id).await? else { return Ok(false) };
            self.admit(id, life)?;
        }
        Ok(true)
    }

    /// Takes spilled messages into memory, as there is room again.
    async fn refill(&mut self, batch: &mut Batch<'_>) -> Result<(), Error> {
        let page = self.shared.backbone.scan(self.place, "spill", None, REFILL).await?;
        self.spilled = page.len() == REFILL;
        for (order, _) in page {
            let Some(id) = batch.get::<String>(self.place, "spill", &order).await? else { continue };
            batch.delete(self.place, "spill", &order);
            let Some(life) = batch.get::<Life>(self.place, "life", &id).await? else { continue };
            let life = Life { spilled: false, ..life };
            batch.put(self.place, "life", &id, &life);
            let lane = life.lane.clone();
            self.admit(&id, life)?;
            self.next_of(&lane);
        }
        self.wants_refill();
        Ok(())
    }

    /// Comes back to spilled messages when half of memory is free.
    fn wants_refill(&mut self) {
        if self.spilled && self.pending.len() <= self.shared.limits.pending_max / 2 {
            self.timers.set(self.shared.clock.now(), SPILL);
        }
    }

    // -- order ------------------------------------------------------------------------------------------------------------

    /// Gives a message its place in its lane, or takes it away when it does not hold the lane (any more).
    fn queue(&mut self, id: &str) {
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
        if lane.queue.is_empty() {
            let _ = self.lanes.remove(&pending.lane);
        }
    }

    /// The message that has the lane: one that is under way or in doubt, else the first.
    fn head(&self, lane: &str) -> Option<&str> {
        let lane = self.lanes.get(lane)?;
        lane.busy.first().or_else(|| lane.queue.values().next()).map(String::as_str)
    }

    /// Lets the lane's first message ask for a place, if it is ready.
    fn next_of(&mut self, lane: &str) {
        let Some(id) = self.head(lane).map(str::to_string) else { return };
        let Some(pending) = self.pending.get(&id) else { return };
        if let State::Ready { not_before } = pending.life.state {
            if not_before > self.shared.clock.now() {
                self.timers.set(not_before, id);
            } else if self.asking.insert(id.clone()) {
                self.effects.push(Effect::Place(id));
            }
        }
    }

    // -- life -------------------------------------------------------------------------------------------------------------

    /// Applies an event; writes the new life and what follows from it. Gives the commands that need more than a record.
    async fn advance(&mut self, batch: &mut Batch<'_>, id: &str, event: Event) -> Result<Vec<Command>, Error> {
        if !self.revive(batch, id).await? {
            return Ok(Vec::new());
        }
        let Some(pending) = self.pending.get(id) else { return Ok(Vec::new()) };
        let (backbone, at) = (self.shared.backbone.clone(), self.shared.clock.now());
        let now = Now { at, epoch: backbone.epoch() };
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
        self.keep(batch, id, &out, new);
        self.next_of(&lane);
        Ok(commands)
    }

    /// Makes the new life durable, or forgets a message that is delivered.
    fn keep(&mut self, batch: &mut Batch<'_>, id: &str, out: &Outbound, new: life::Outbound) {
        let Some(pending) = self.pending.get_mut(id) else { return };
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
        };
        match life.life.state {
            State::Delivered => {
                batch.delete(self.place, "outbound", id);
                batch.delete(self.place, "life", id);
            }
            _ => batch.put(self.place, "life", id, &life),
        }
        self.queue(id);
        self.rest(id);
    }

    /// Leaves a message that does not hold its lane to the store.
    fn rest(&mut self, id: &str) {
        if self.pending.get(id).is_some_and(|pending| !pending.life.holds_lane(&pending.slot.policy)) {
            let _ = self.pending.remove(id);
            self.wants_refill();
        }
    }

    /// Whether the life that tried is provably over. Our own attempts have ended when we are asked.
    fn is_over(&self, life: &life::Outbound) -> bool {
        match &life.state {
            State::Sending { epoch, .. } | State::InDoubt { epoch, .. } => {
                epoch == self.shared.backbone.epoch() || self.shared.backbone.is_over(epoch)
            }
            _ => true,
        }
    }

    /// Writes down what an event says about an attempt.
    fn note(
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
            Event::Asked { answer: Answer::NotDelivered(evidence), .. } if !matches!(new.state, State::InDoubt { .. }) => {
                settled(SendOutcome::NotSent, "", json!({ "resolved": evidence }))
            }
            Event::Witnessed(r) if new.state == State::Delivered => {
                settled(SendOutcome::Delivered, &remote(r), r.reply.clone())
            }
            _ => return,
        };
        batch.tell(&out.work, now, what);
        // Proof had come while the attempt was under way, and outweighs how it ended.
        if new.state == State::Delivered && !matches!(event, Event::Ended(Ended::Receipt(_))) {
            if let Some(proof) = &before.witness {
                batch.tell(&out.work, now, settled(SendOutcome::Delivered, &remote(proof), proof.reply.clone()));
            }
        }
    }

    /// Writes down what a command says.
    async fn record(
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
            Command::Released { .. } => {}
            Command::LateProof => {
                let text = "a late answer proves the delivery of a message that a person had given up".to_string();
                batch.tell(&out.work, now, What::Logged { text });
            }
        }
        Ok(())
    }

    /// The intent, and the keys by which an answer through another door would prove the delivery.
    fn intend(&self, batch: &mut Batch<'_>, out: &Outbound, new: &life::Outbound, now: Timestamp) {
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
        let (Some((name, keys)), 1) = (&out.witness, new.attempts) else { return };
        for key in keys {
            let place = batch.place(Topic::WAITS, &crate::interpret::wait_key(name, key));
            let (name, key, home) = (name.clone(), key.clone(), Partition(self.place.partition));
            batch.wait(place, &out.id, &WaitRecord::Witness { name, key, home, outgoing: out.id.clone() });
        }
    }

    async fn park(
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
            "lane": out.lane, "key": out.id, "judged_by": self.shared.backbone.epoch(),
        });
        let parked = Parked {
            id: out.id.clone(),
            kind,
            reason: reason.to_string(),
            evidence,
            sha256: self.shared.blobs.put(&body.bytes).await?,
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

    // -- people -----------------------------------------------------------------------------------------------------------

    async fn release(&mut self, batch: &mut Batch<'_>, command: ReleaseCommand) -> Result<(), Error> {
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

    async fn decide(
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

    // -- effects ----------------------------------------------------------------------------------------------------------

    async fn outgoing(&self, id: &str) -> Result<Option<(Outgoing, Outbound)>, Error> {
        let Some(bytes) = self.shared.claims().get(self.place, "outbound", id).await? else { return Ok(None) };
        let out: Outbound = decode("outbound message", &bytes)?;
        let body = self.shared.load_body(&out.work.body).await?;
        let outgoing = Outgoing {
            id: hub_core::MessageId::from_text(out.id.clone()),
            message: out.work.id.clone(),
            case: out.work.case.clone(),
            headers: out.work.headers.clone(),
            body,
            params: out.params.clone(),
            bound: out.work.bound.clone(),
        };
        Ok(Some((outgoing, out)))
    }

    fn attempt(&self, id: &str, not_after: Option<Timestamp>) -> Option<(Attempt, Arc<SinkSlot>)> {
        let pending = self.pending.get(id)?;
        let now = self.shared.clock.now();
        let at = match &pending.life.state {
            State::Sending { at, .. } => *at,
            _ => now,
        };
        let shared = self.shared.clone();
        let crossing = Crossing::new(move || {
            shared.may_act()?;
            match not_after {
                Some(end) if shared.clock.now() > end => Err(format!("the attempt was allowed to cross until {end}")),
                _ => Ok(()),
            }
        });
        let first_at = pending.life.first_at.unwrap_or(at);
        let attempt = Attempt { key: id.to_string(), number: pending.life.attempts, first_at, at, crossing };
        Some((attempt, pending.slot.clone()))
    }

    async fn carry_out(&mut self, effect: Effect) -> Result<(), Error> {
        match effect {
            Effect::Place(id) => {
                let Some(pending) = self.pending.get(&id) else { return Ok(()) };
                let (places, sender) = (pending.slot.places.clone(), self.sender.clone());
                drop(tokio::spawn(async move {
                    if let Ok(place) = places.acquire_owned().await {
                        // The worker is gone only when the hub has stopped.
                        let _ = sender.send(Signal::Place(id, place)).await;
                    }
                }));
            }
            Effect::Send(id, place) => self.send(id, place).await?,
            Effect::Ask(id) => self.ask(id).await?,
        }
        Ok(())
    }

    async fn send(&mut self, id: String, place: OwnedSemaphorePermit) -> Result<(), Error> {
        let not_after = match self.pending.get(&id).map(|pending| &pending.life.state) {
            Some(State::Sending { not_after, .. }) => *not_after,
            _ => return Ok(()),
        };
        let Some((outgoing, _)) = self.outgoing(&id).await? else { return Ok(()) };
        let Some((attempt, slot)) = self.attempt(&id, Some(not_after)) else { return Ok(()) };
        let (sender, shared) = (self.sender.clone(), self.shared.clone());
        self.under_way += 1;
        drop(tokio::spawn(async move {
            // In a task of its own: a sink that panics has ended its attempt, too.
            let task = (shared, slot, outgoing, attempt.clone());
            let ended = tokio::spawn(async move { send_once(&task.0, &task.1, &task.2, &task.3).await }).await;
            let ended = ended.unwrap_or_else(|error| ended_of(attempt.failed(format!("the sink failed: {error}"))));
            drop(place);
            let _ = sender.send(Signal::Ended(id, ended)).await;
        }));
        Ok(())
    }

    async fn ask(&mut self, id: String) -> Result<(), Error> {
        let Some((outgoing, _)) = self.outgoing(&id).await? else { return Ok(()) };
        let Some((attempt, slot)) = self.attempt(&id, None) else { return Ok(()) };
        let (sender, shared) = (self.sender.clone(), self.shared.clone());
        self.under_way += 1;
        drop(tokio::spawn(async move {
            let asked = tokio::spawn(async move {
                let limit = slot.policy.attempt * ANSWER_FACTOR;
                // Questions take places, too: after an outage many are asked at once.
                let ask = async {
                    let _place = slot.places.acquire().await;
                    tokio::time::timeout(limit, slot.sink.resolve(&outgoing, &attempt)).await
                };
                tokio::select! {
                    () = shared.aborted() => Answer::CouldNotAsk("the hub is stopping".into()),
                    asked = ask => answer_of(asked),
                }
            });
            let answer = asked.await.unwrap_or_else(|error| Answer::CouldNotAsk(format!("the sink failed: {error}")));
            let _ = sender.send(Signal::Asked(id, answer)).await;
        }));
        Ok(())
    }
}

/// Calls the sink once; judges a send that takes too long, or that the hub's stop ends, by whether it has crossed.
async fn send_once(shared: &Shared, slot: &SinkSlot, outgoing: &Outgoing, attempt: &Attempt) -> Ended {
    let limit = slot.policy.attempt * ANSWER_FACTOR;
    let result = tokio::select! {
        () = shared.aborted() => Err(attempt.failed("the hub is stopping")),
        sent = tokio::time::timeout(limit, slot.sink.send(outgoing, attempt)) => {
            sent.unwrap_or_else(|_| Err(attempt.failed(format!("no answer within {limit:?}"))))
        }
    };
    tracing::debug!(id = attempt.key, sink = slot.kind, attempt = attempt.number, ok = result.is_ok(), "attempt ended");
    result.map_or_else(ended_of, Ended::Receipt)
}

fn ended_of(error: SendError) -> Ended {
    match error {
        SendError::NotSent { retry_after, cause } => {
            Ended::NotSent { retry_after: retry_after.map(|span| span.0), cause: cause.to_string() }
        }
        SendError::Rejected { code, cause } => Ended::Rejected { code, cause: cause.to_string() },
        SendError::InDoubt { cause } => Ended::InDoubt { cause: cause.to_string() },
    }
}

fn answer_of(asked: Result<Result<Resolution, SendError>, tokio::time::error::Elapsed>) -> Answer {
    match asked {
        Err(_) => Answer::CouldNotAsk("no answer in time".into()),
        Ok(Err(error)) => Answer::CouldNotAsk(error.to_string()),
        Ok(Ok(Resolution::Delivered(receipt))) => Answer::Delivered(receipt),
        Ok(Ok(Resolution::NotDelivered { evidence })) => Answer::NotDelivered(evidence),
        Ok(Ok(Resolution::Unknown { evidence })) => Answer::Unknown(evidence),
    }
}

#[async_trait]
impl Worker for DeliverWorker {
    type Signal = Signal;

    fn place(&self) -> Place {
        self.place
    }

    fn timers(&mut self) -> &mut Timers {
        &mut self.timers
    }

    async fn restore(&mut self, batch: &mut Batch<'_>) -> Result<(), Error> {
        let mut after: Option<String> = None;
        loop {
            let page = self.shared.backbone.scan(self.place, "life", after.as_deref(), 500).await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (id, bytes) in page {
                let life: Life = decode("life of an outbound message", &self.shared.claims().whole(bytes).await?)?;
                if !life.spilled {
                    self.admit(&id, life)?;
                    self.rest(&id);
                }
            }
        }
        self.spilled = !self.shared.backbone.scan(self.place, "spill", None, 1).await?.is_empty();
        let ids: Vec<String> = self.pending.keys().cloned().collect();
        for id in ids {
            let over = self.pending.get(&id).is_some_and(|pending| self.is_over(&pending.life));
            let _ = self.advance(batch, &id, Event::Restarted { over }).await?;
        }
        let lanes: Vec<String> = self.lanes.keys().cloned().collect();
        for lane in lanes {
            self.next_of(&lane);
        }
        self.wants_refill();
        Ok(())
    }

    async fn record(&mut self, batch: &mut Batch<'_>, record: Stored) -> Result<(), Error> {
        match decode(&format!("{} offset {}", self.place, record.offset), &record.bytes)? {
            OutboxRecord::Send(out) => self.take(batch, *out, record.offset).await,
            OutboxRecord::Witnessed { outgoing, receipt } => {
                self.advance(batch, &outgoing, Event::Witnessed(receipt)).await.map(drop)
            }
            OutboxRecord::Release(command) => self.release(batch, command).await,
        }
    }

    async fn due(&mut self, batch: &mut Batch<'_>, id: String) -> Result<(), Error> {
        if id == SPILL {
            return self.refill(batch).await;
        }
        let Some(pending) = self.pending.get(&id) else { return Ok(()) };
        match pending.life.state {
            State::InDoubt { .. } if !self.shared.stopping() => {
                self.advance(batch, &id, Event::AskDue).await.map(drop)
            }
            State::Ready { .. } => {
                let lane = pending.lane.clone();
                self.next_of(&lane);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn signal(&mut self, batch: &mut Batch<'_>, signal: Signal) -> Result<(), Error> {
        match signal {
            Signal::Place(id, place) => {
                let _ = self.asking.remove(&id);
                let head = self.pending.get(&id).and_then(|pending| self.head(&pending.lane)) == Some(id.as_str());
                if self.shared.stopping() || !head {
                    return Ok(());
                }
                let commands = self.advance(batch, &id, Event::Due).await?;
                if commands.contains(&Command::Send) {
                    self.effects.push(Effect::Send(id, place));
                }
            }
            Signal::Ended(id, ended) => {
                self.under_way -= 1;
                let _ = self.advance(batch, &id, Event::Ended(ended)).await?;
            }
            Signal::Asked(id, answer) => {
                self.under_way -= 1;
                let over = self.pending.get(&id).is_some_and(|pending| self.is_over(&pending.life));
                let _ = self.advance(batch, &id, Event::Asked { answer, over }).await?;
            }
        }
        Ok(())
    }

    async fn committed(&mut self, written: Written) -> Result<(), Error> {
        self.answers.send(&self.shared, &written);
        for effect in std::mem::take(&mut self.effects) {
            self.carry_out(effect).await?;
        }
        Ok(())
    }

    fn is_idle(&self) -> bool {
        self.under_way == 0
    }
}
