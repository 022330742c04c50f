//! Drives one history: does its steps, ends and begins processes as faults and steps want it, and judges after each step.

mod machine;

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use self::machine::Machine;
use crate::history::{Do, History, Item, Order, Via};
use crate::mutants::Mutant;
use crate::outside::message_id;
use crate::people;
use crate::process::Wish;
use crate::world::{Feed, World};

/// Rounds of the end, in which everybody behaves; each lets this much time pass.
const ROUNDS_MAX: u32 = 800;
const ROUND: Duration = Duration::from_secs(20);

/// What became of a history.
pub(crate) struct Outcome {
    pub(crate) result: Result<(), String>,
    /// Equal histories give equal numbers.
    pub(crate) trace: u64,
    pub(crate) story: String,
    pub(crate) counts: Vec<(&'static str, u64)>,
}

struct Run {
    world: Arc<World>,
    machine: Machine,
}

impl Run {
    fn new(history: &History, mutant: Option<Mutant>, told: bool) -> Result<Self, String> {
        let world = World::new(history, mutant, told);
        let machine = Machine::new(world.clone(), history.seed)?;
        Ok(Self { world, machine })
    }

    async fn history(&mut self, history: &History) -> Result<(), String> {
        self.machine.start_all().await?;
        for (id, item) in &history.items {
            if let Item::Step { what, pause } = item {
                self.world.begin_step(*id);
                self.world.note(|| format!("-- {id}: {what:?}, then {pause} ms"));
                self.step(what).await;
                self.machine.pass(Duration::from_millis(*pause)).await?;
                self.machine.judge().await?;
            }
        }
        self.end().await?;
        self.judge().await
    }

    async fn step(&mut self, what: &Do) {
        match what {
            Do::Order(order) => {
                self.know(order);
                self.offer(order.n);
            }
            Do::Again { n } => self.offer(*n),
            Do::People { pick } => people::act(&self.world, &self.machine.journal, *pick, false),
            Do::Jump { ms } => self.world.clock.jump(*ms),
            Do::Right => self.world.clock.right(),
            Do::Kill { down } => self.machine.wish(Wish::Start { down: *down }),
            Do::Stop => self.machine.stop().await,
            Do::Freeze { ms, usurped } => self.machine.wish(Wish::Thaw { ms: *ms, usurped: *usurped }),
            Do::Nothing => {}
        }
    }

    fn know(&self, order: &Order) {
        let mut inner = self.world.inner();
        let id = message_id(&format!("o{}", order.n)).to_string();
        let _ = inner.sends.orders.insert(id, order.n);
        let _ = inner.sends.lanes.insert(order.n, format!("l{}", order.lane));
        let _ = inner.orders.insert(order.n, order.clone());
    }

    fn offer(&self, n: u32) {
        let Some(order) = self.world.inner().orders.get(&n).cloned() else { return };
        let (lane, via) = (format!("l{}", order.lane), order.via.sink());
        let body = json!({ "n": n, "corsia": lane, "via": via, "approva": order.approve }).to_string().into_bytes();
        self.world.feed("ordini", Feed { id: format!("o{n}"), body });
    }

    /// Everybody behaves from now on: everything has to get through.
    async fn end(&mut self) -> Result<(), String> {
        self.world.note(|| "-- the end: everybody behaves".into());
        self.world.inner().calm = true;
        self.world.clock.right();
        self.machine.only_one().await?;
        for round in 0..ROUNDS_MAX {
            self.machine.judge().await?;
            if self.is_done() {
                return Ok(());
            }
            people::act(&self.world, &self.machine.journal, u64::from(round), true);
            self.answer_all(round);
            self.machine.pass(ROUND).await?;
        }
        let waiting: Vec<String> = self.world.inner().custody.unfinished().cloned().collect();
        Err(format!("something does not get through: {waiting:?}"))
    }

    fn is_done(&self) -> bool {
        let inner = self.world.inner();
        inner.queues.values().all(std::collections::VecDeque::is_empty) && inner.custody.unfinished().next().is_none()
    }

    /// Receivers answer what they have and has not ended; not in every round, so that answers do not pile up.
    fn answer_all(&self, round: u32) {
        if !round.is_multiple_of(5) {
            return;
        }
        let arrived: Vec<u32> = {
            let inner = self.world.inner();
            let open = |order: &&Order| {
                inner.sends.effects(order.via.sink(), order.n) > 0
                    && !inner.custody.has_ended(message_id(&format!("o{}", order.n)).as_str())
                    && matches!(order.via, Via::Askable | Via::Forbidden)
            };
            inner.orders.values().filter(open).map(|order| order.n).collect()
        };
        for n in arrived {
            self.world.answer(n, &format!("end{round}"));
        }
    }

    /// What must hold when all is over.
    async fn judge(&mut self) -> Result<(), String> {
        self.machine.judge().await?;
        self.machine.compare().await?;
        let inner = self.world.inner();
        for order in inner.orders.values() {
            let id = message_id(&format!("o{}", order.n));
            let effects = |sink| inner.sends.effects(sink, order.n);
            let (paid, noted) = (effects(order.via.sink()), effects("registro"));
            if self.machine.journal.has_finished(id.as_str()) && (paid == 0 || noted == 0) {
                return Err(format!("order {} has ended, and its receivers have it {paid} and {noted} times", order.n));
            }
        }
        Ok(())
    }

    fn counts(&self) -> Vec<(&'static str, u64)> {
        let inner = self.world.inner();
        let (tries, dropped) = inner.sends.counts();
        let ended = inner.orders.keys().filter(|n| {
            let id = message_id(&format!("o{n}"));
            self.machine.journal.has_finished(id.as_str())
        });
        let ended = ended.count() as u64;
        let orders = inner.orders.len() as u64;
        drop(inner);
        let own = [
            ("histories", 1),
            ("histories of two hubs on one log", u64::from(self.world.many)),
            ("orders", orders),
            ("orders carried out", ended),
            ("attempts", tries),
            ("repetitions that keyed receivers dropped", dropped),
            ("events", self.machine.journal.length() as u64),
        ];
        own.into_iter().chain(self.world.fates()).collect()
    }
}

/// Runs a history; the same history has the same outcome each time.
pub(crate) fn simulate(history: &History, mutant: Option<Mutant>, told: bool) -> Outcome {
    // Paused time jumps to the next timer when nothing else is to do: a history of hours takes milliseconds.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime without input and output can always be built");
    runtime.block_on(async {
        let mut run = Run::new(history, mutant, told).expect("an empty ledger can be made");
        let result = run.history(history).await;
        let (trace, story) = {
            let inner = run.world.inner();
            (inner.trace.hash(), inner.trace.story())
        };
        Outcome { result, trace, story, counts: run.counts() }
    })
}
