//! The outbox: intent, send, outcome, and what to do when nobody knows. [`hub_life::outbound`] decides; this file carries out.

mod advance;
mod attempt;
mod fence;
mod held;
mod lanes;
mod recover;
mod spill;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hub_backbone::{Place, Stored, Topic};
use hub_failpoint::{Point, at as failpoint};
use hub_life::outbound as life;
use hub_life::outbound::{Answer, Command, Ended, Event, State};
use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use self::fence::Fence;
use self::held::Held;
use self::recover::{ASKS_MAX, REVISIT};
use crate::Error;
use crate::batch::{Batch, Written};
use crate::commands::Answers;
use crate::hub::Shared;
use crate::record::{OutboxRecord, decode};
use crate::routes::SinkSlot;
use crate::tenure::Tenure;
use crate::timers::Timers;
use crate::worker::Worker;

/// The timer on which spilled messages are taken back; no id looks like this.
const SPILL: &str = "spill";
/// Begins the timer on which a lane takes back its own messages; no id looks like this.
const LANE: &str = "lane:";
/// Pause before a question for which there is no room now.
const ASK_LATER: Duration = Duration::from_millis(200);
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
    /// The recovery in which it was judged; see [`recover`].
    era: String,
    lane: String,
    order: u64,
    life: life::Outbound,
    slot: Arc<SinkSlot>,
    fence: Fence,
}

/// What is durable beside [`Outbound`]: small, because each transition writes it.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Life {
    order: u64,
    pub(crate) lane: String,
    route: String,
    version: String,
    from: String,
    pub(crate) life: life::Outbound,
    /// Memory was full: keyed state `spill` names it.
    #[serde(default)]
    spilled: bool,
    /// Many of its lane come before it: keyed state `behind` names it.
    #[serde(default)]
    behind: bool,
    /// When it came to the outbox; unknown of those that an older version of the hub took.
    #[serde(default)]
    at: Option<Timestamp>,
    /// The recovery in which it was judged.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    era: String,
    /// Whether its receiver can be asked (for those who read the store).
    #[serde(default)]
    pub(crate) askable: bool,
}

impl Life {
    /// Whether it is in memory, or comes there whenever something happens to it.
    fn is_in_reach(&self) -> bool {
        !self.spilled && !self.behind
    }
}

/// What to carry out after the commit.
enum Effect {
    Send(String, OwnedSemaphorePermit),
    Ask(String),
    Place(String),
    /// The outcome of an attempt has become durable.
    Settled(String),
}

/// The messages of one lane that hold it, by order.
#[derive(Default)]
struct Lane {
    /// All of them.
    queue: BTreeMap<u64, String>,
    /// Those that are being sent or are in doubt: nothing else of the lane may be sent meanwhile, even if it came first.
    busy: BTreeSet<String>,
    /// How many more come behind them, in keyed state `behind`.
    behind: u64,
}

/// One partition of the outbox.
///
/// In memory are the messages that hold their lane. Those that wait for a person without holding it, or were given up, are
/// keyed state alone. So are those that come behind many of their own lane (`behind`: a receiver that is down for a day fills
/// the store, not the memory, and leaves other lanes their place), and those that came when memory was full (`spill`).
pub(crate) struct DeliverWorker {
    place: Place,
    tenure: Arc<Tenure>,
    shared: Arc<Shared>,
    sender: mpsc::Sender<Signal>,
    timers: Timers,
    pending: HashMap<String, Pending>,
    lanes: HashMap<String, Lane>,
    /// Messages that wait for a place at their sink.
    asking: BTreeSet<String>,
    /// When the messages in memory came, by order.
    ages: BTreeMap<u64, Timestamp>,
    /// How many messages keyed state `spill` holds; if any, later ones go there, too.
    spilled: u64,
    /// How many messages are behind their lanes, all lanes together.
    behind: u64,
    /// Messages that went behind their lane in the commit that is being made: the store does not show them yet.
    fresh: HashMap<String, u64>,
    under_way: usize,
    /// What people decided after the store was put back.
    held: Held,
    /// Messages that are to be judged again.
    revisit: BTreeSet<String>,
    effects: Vec<Effect>,
    answers: Answers,
}

impl DeliverWorker {
    pub(crate) fn new(tenure: Arc<Tenure>, shared: Arc<Shared>, sender: mpsc::Sender<Signal>) -> Self {
        Self {
            place: tenure.place(Topic::OUTBOX),
            tenure,
            shared,
            sender,
            timers: Timers::default(),
            pending: HashMap::new(),
            lanes: HashMap::new(),
            asking: BTreeSet::new(),
            ages: BTreeMap::new(),
            spilled: 0,
            behind: 0,
            fresh: HashMap::new(),
            under_way: 0,
            held: Held::default(),
            revisit: BTreeSet::new(),
            effects: Vec::new(),
            answers: Answers::default(),
        }
    }
}

#[async_trait]
impl Worker for DeliverWorker {
    type Signal = Signal;
    const FAILPOINTS: [Point; 2] = [Point::DeliverCommit, Point::DeliverCommitted];

    fn place(&self) -> Place {
        self.place
    }

    fn timers(&mut self) -> &mut Timers {
        &mut self.timers
    }

    async fn restore(&mut self, batch: &mut Batch<'_>) -> Result<(), Error> {
        self.restore_recovery(batch).await?;
        let mut after: Option<String> = None;
        loop {
            let page = self.shared.backbone.scan(self.place, "life", after.as_deref(), 500).await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (id, bytes) in page {
                let life: Life = decode("life of an outbound message", &self.shared.claims().whole(bytes).await?)?;
                // in a released lane a stop may have come between the release and its messages
                let released = self.held.is_open() && !self.held.holds(&life.lane);
                if (released || !self.is_judged(&life)) && life.is_in_reach() {
                    self.revisit(&id);
                }
                self.recall(&id, life).await?;
            }
        }
        // In the order of sending, not of a hash map: the same store is restored in the same way each time.
        let ids: BTreeMap<u64, String> = self.pending.iter().map(|(id, p)| (p.order, id.clone())).collect();
        for id in ids.into_values() {
            if !self.is_current(&id) {
                continue;
            }
            let over = self.pending.get(&id).is_some_and(|pending| self.is_over(&pending.life));
            let _ = self.advance(batch, &id, Event::Restarted { over }).await?;
        }
        let lanes: BTreeSet<String> = self.lanes.keys().cloned().collect();
        for lane in &lanes {
            self.next_of(lane);
            self.wants_more(lane);
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
            OutboxRecord::Recovery(command) => self.recover(batch, command).await,
        }
    }

    async fn due(&mut self, batch: &mut Batch<'_>, id: String) -> Result<(), Error> {
        if id == SPILL {
            return self.refill(batch).await;
        }
        if let Some(lane) = id.strip_prefix(LANE) {
            return self.more_of(batch, lane).await;
        }
        if id == REVISIT {
            return self.revisit_some(batch).await;
        }
        let Some(pending) = self.pending.get(&id) else { return Ok(()) };
        match pending.life.state {
            State::InDoubt { .. } if self.under_way >= ASKS_MAX && self.held.is_open() => {
                let later = self.shared.clock.now().checked_add(ASK_LATER).unwrap_or(Timestamp::MAX);
                self.timers.set(later, id);
                Ok(())
            }
            State::InDoubt { .. } if !self.shared.stopping() => self.advance(batch, &id, Event::AskDue).await.map(drop),
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
                if self.shared.stopping() || !head || !self.may_send(&id) {
                    return Ok(());
                }
                let commands = self.advance(batch, &id, Event::Due).await?;
                if commands.contains(&Command::Send) {
                    failpoint(Point::IntentCommit);
                    self.effects.push(Effect::Send(id, place));
                }
            }
            Signal::Ended(id, ended) => {
                self.under_way -= 1;
                let _ = self.advance(batch, &id, Event::Ended(ended)).await?;
                self.effects.push(Effect::Settled(id));
                failpoint(Point::OutcomeCommit);
            }
            Signal::Asked(id, answer) => {
                self.under_way -= 1;
                let over = self.pending.get(&id).is_some_and(|pending| self.is_over(&pending.life));
                let event = match self.too_early(&id, &answer) {
                    // As if the answer had been lost: it is asked again after the usual pause.
                    true => Event::Restarted { over },
                    false => Event::Asked { answer, over },
                };
                let _ = self.advance(batch, &id, event).await?;
                failpoint(Point::AskedCommit);
            }
        }
        Ok(())
    }

    async fn committed(&mut self, written: Written) -> Result<(), Error> {
        self.answers.send(&self.shared, &written);
        self.fresh.clear();
        self.measure();
        for effect in std::mem::take(&mut self.effects) {
            self.carry_out(effect).await?;
        }
        Ok(())
    }

    fn is_idle(&self) -> bool {
        self.under_way == 0
    }
}
