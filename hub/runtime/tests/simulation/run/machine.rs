//! The machine on which processes run: it starts, freezes, thaws and buries them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::select_all;
use hub_backbone::{Backbone, Cluster, Memory, MemoryBlobs};
use hub_core::Entities;
use hub_runtime::{Hub, HubSettings, RuntimeLimits};
use tokio::time::Instant;

use crate::config;
use crate::disk::Disk;
use crate::journal::Journal;
use crate::mutants::Mutant;
use crate::outside::Link;
use crate::process::{Process, Wish};
use crate::world::World;

/// How long a process takes to be started again after it has ended by itself, or while another takes over.
const RESTART: Duration = Duration::from_millis(10);
/// How long an orderly stop may take before the process is killed.
const STOP_MAX: Duration = Duration::from_secs(60);
/// How often (in steps) the ledger is rebuilt and compared.
const COMPARE_EVERY: u32 = 16;

/// Hubs that share a log.
const HUBS: usize = 2;

/// What the driver has to do at an instant.
enum Due {
    Start,
    Thaw(u64),
    /// Slots go to the hubs that are awake.
    Balance,
}

struct Running {
    process: Arc<Process>,
    memory: Arc<Memory>,
    hub: Hub,
}

pub(super) struct Machine {
    world: Arc<World>,
    pub(super) journal: Journal,
    /// The store; this handle is never used by a process.
    store: Memory,
    /// The same, where several hubs share it.
    cluster: Option<Cluster>,
    blobs: Arc<MemoryBlobs>,
    limits: RuntimeLimits,
    running: BTreeMap<u64, Running>,
    /// The process that owns the store.
    current: Option<u64>,
    started: u64,
    agenda: BTreeMap<(Instant, u64), Due>,
    planned: u64,
    judged: u32,
}

impl Machine {
    pub(super) fn new(world: Arc<World>, seed: u64) -> Result<Self, String> {
        let partitions = 1 + u16::try_from(seed % 3).unwrap_or_default();
        let cluster = world.many.then(|| Cluster::new(partitions + 1));
        let partitions = partitions + u16::from(world.many);
        let journal = Journal::new(partitions, world.mutant)?;
        let usual = RuntimeLimits::default();
        let limits = RuntimeLimits {
            // Some do not look after the wall clock: the boot clock alone must keep them from sending twice.
            clock_off_max: if seed % 7 == 3 { Duration::MAX } else { usual.clock_off_max },
            // Some hubs have little room: outbound messages then wait in the store.
            pending_max: if seed.is_multiple_of(5) { 2 } else { usual.pending_max },
            ..usual
        };
        Ok(Self {
            world,
            journal,
            store: cluster.as_ref().map_or_else(|| Memory::new(partitions), Cluster::watch),
            cluster,
            blobs: Arc::default(),
            limits,
            running: BTreeMap::new(),
            current: None,
            started: 0,
            agenda: BTreeMap::new(),
            planned: 0,
            judged: 0,
        })
    }

    /// Starts a process over the store.
    pub(super) async fn start(&mut self) -> Result<(), String> {
        self.started += 1;
        let process = Process::new(self.started, self.world.clone());
        let memory = Arc::new(self.cluster.as_ref().map_or_else(|| self.store.take_over(), Cluster::join));
        self.world.inner().sends.lives(memory.epoch(), self.started);
        self.world.note(|| format!("p{} starts as {}", process.number, memory.epoch()));
        let settings = HubSettings {
            backbone: Arc::new(Disk { memory: memory.clone(), process: process.clone() }),
            seen: None,
            blobs: self.blobs.clone(),
            clock: self.world.clock.clone(),
            routes: config::routes(self.world.many),
            older: Vec::new(),
            versions: None,
            entities: Arc::new(Entities::default()),
            cases: Arc::new(config::cases(self.world.mutant)),
            named: Arc::new(Mutant::settings(self.world.mutant)),
            root: PathBuf::new(),
            limits: self.limits,
        };
        let hub = Hub::start(settings).await.map_err(|error| format!("the hub does not start: {error}"))?;
        Link::of(hub.things()).set(process.clone());
        self.world.inner().operate = Some((self.started, hub.operate()));
        self.current = Some(self.started);
        let _ = self.running.insert(self.started, Running { process, memory, hub });
        self.balance();
        Ok(())
    }

    /// Starts as many processes as there are at first.
    pub(super) async fn start_all(&mut self) -> Result<(), String> {
        for _ in 0..if self.cluster.is_some() { HUBS } else { 1 } {
            self.start().await?;
        }
        Ok(())
    }

    /// Gives the slots of a shared log to the hubs that are awake, in turn. People go to one of them.
    fn balance(&mut self) {
        let Some(cluster) = &self.cluster else { return };
        let awake: Vec<_> = self.running.values().filter(|running| !running.process.is_frozen()).collect();
        if let Some(last) = awake.last() {
            self.world.inner().operate = Some((last.process.number, last.hub.operate()));
            self.world
                .note(|| format!("slots go to {:?}", awake.iter().map(|one| one.process.number).collect::<Vec<_>>()));
            (0..self.store.partitions()).zip(awake.iter().cycle()).for_each(|(slot, one)| {
                cluster.assign(slot, Some(&one.memory));
            });
        }
    }

    /// The process to which something is done: the one that owns the store, or each in turn of those that share it.
    fn victim(&self) -> Option<u64> {
        match self.cluster {
            None => self.current,
            Some(_) => {
                let turn = usize::try_from(self.planned).unwrap_or_default() % self.running.len().max(1);
                self.running.keys().nth(turn).copied()
            }
        }
    }

    /// Lets time pass, and sees to the processes meanwhile.
    pub(super) async fn pass(&mut self, time: Duration) -> Result<(), String> {
        let (end, world) = (Instant::now() + time, self.world.clone());
        loop {
            let bell = world.bell.notified();
            self.attend().await?;
            if Instant::now() >= end {
                return Ok(());
            }
            let next = self.agenda.keys().next().map_or(end, |(at, _)| (*at).min(end));
            tokio::select! {
                biased;
                () = bell => {}
                () = self.someone_failed() => {}
                () = tokio::time::sleep_until(next) => {}
            }
        }
    }

    /// Completes when a hub has failed by itself.
    async fn someone_failed(&self) {
        let awake = self.running.values().filter(|running| !running.process.is_frozen());
        let failures: Vec<_> = awake.map(|running| Box::pin(running.hub.failed())).collect();
        match failures.is_empty() {
            true => std::future::pending().await,
            false => drop(select_all(failures).await),
        }
    }

    /// Does what is to do now.
    async fn attend(&mut self) -> Result<(), String> {
        for (number, wish) in self.world.wishes() {
            self.carry_out(number, wish);
        }
        let failed = |running: &&Running| !running.process.is_frozen() && !running.hub.operate().is_ready();
        let failed: Vec<u64> = self.running.values().filter(failed).map(|running| running.process.number).collect();
        for number in failed {
            self.world.fated("hubs that stopped by themselves");
            self.world.note(|| format!("p{number} has failed"));
            self.carry_out(number, Wish::Start { down: 0 });
        }
        while let Some(due) = self.agenda.first_entry().filter(|due| due.key().0 <= Instant::now()) {
            match due.remove() {
                Due::Start if self.wants_one() => self.start().await?,
                Due::Start => {}
                Due::Balance => self.balance(),
                Due::Thaw(number) => self.thaw(number),
            }
        }
        Ok(())
    }

    fn wants_one(&self) -> bool {
        match self.cluster {
            None => self.current.is_none(),
            Some(_) => self.running.len() < HUBS,
        }
    }

    /// What a step wants of a process.
    pub(super) fn wish(&mut self, wish: Wish) {
        let Some(number) = self.victim() else { return };
        if let (Wish::Thaw { .. }, Some(running)) = (wish, self.running.get(&number)) {
            running.process.freeze();
        }
        self.carry_out(number, wish);
    }

    fn carry_out(&mut self, number: u64, wish: Wish) {
        match wish {
            Wish::Start { down } if self.cluster.is_some() => {
                if self.bury(number) {
                    self.plan(RESTART, Due::Balance);
                    self.plan(RESTART * 2 + Duration::from_millis(down), Due::Start);
                }
            }
            Wish::Start { down } => {
                let _ = self.bury(number);
                if self.current == Some(number) {
                    self.current = None;
                    self.plan(RESTART + Duration::from_millis(down), Due::Start);
                }
            }
            Wish::Thaw { ms, usurped } => {
                if usurped && self.cluster.is_some() {
                    self.world.fated("slots taken over from a frozen hub");
                    self.plan(RESTART, Due::Balance);
                } else if usurped && self.current == Some(number) && self.running.contains_key(&number) {
                    self.world.fated("stores taken over from a frozen hub");
                    self.current = None;
                    self.plan(RESTART, Due::Start);
                }
                self.plan(RESTART + Duration::from_millis(ms), Due::Thaw(number));
            }
        }
    }

    fn plan(&mut self, after: Duration, due: Due) {
        self.planned += 1;
        let _ = self.agenda.insert((Instant::now() + after, self.planned), due);
    }

    fn thaw(&mut self, number: u64) {
        if let Some(running) = self.running.get(&number) {
            self.world.note(|| format!("p{number} thaws"));
            running.process.thaw();
            self.plan(RESTART, Due::Balance);
        }
    }

    /// The process is dead, and everybody can know. Says whether there was one.
    fn bury(&mut self, number: u64) -> bool {
        let Some(running) = self.running.remove(&number) else { return false };
        self.world.note(|| format!("p{number} is dead"));
        running.process.kill();
        running.memory.bury();
        true
    }

    /// Stops the hub in order, and starts it again.
    pub(super) async fn stop(&mut self) {
        let Some(running) = self.victim().and_then(|number| self.running.remove(&number)) else { return };
        self.current = None;
        let Running { process, memory, hub } = running;
        tokio::select! {
            biased;
            () = process.died() => {}
            _ = hub.stop() => self.world.fated("orderly stops"),
            () = tokio::time::sleep(STOP_MAX) => {}
        }
        process.kill();
        memory.bury();
        self.plan(RESTART, Due::Balance);
        self.plan(RESTART, Due::Start);
    }

    /// Ends all processes and starts one.
    pub(super) async fn only_one(&mut self) -> Result<(), String> {
        drop(self.world.wishes());
        self.agenda.clear();
        for number in self.running.keys().copied().collect::<Vec<_>>() {
            let _ = self.bury(number);
        }
        self.current = None;
        self.start().await
    }

    /// Everything that must hold at each moment.
    pub(super) async fn judge(&mut self) -> Result<(), String> {
        self.damage().await;
        let mut sent = std::mem::take(&mut self.world.inner().sent);
        let followed = self.journal.follow(&self.store, &mut sent).await;
        self.world.inner().sent = sent;
        self.judged += 1;
        if self.judged.is_multiple_of(COMPARE_EVERY) {
            self.compare().await?;
        }
        self.world.wrong().map_or(followed, Err)
    }

    pub(super) async fn compare(&self) -> Result<(), String> {
        self.journal.verify(&self.store).await?;
        self.journal.compare()
    }

    /// The planted mistake of a disk.
    async fn damage(&self) {
        if self.world.mutant == Some(Mutant::DamagesTheJournal) && self.journal.length() > 10 {
            let place = hub_backbone::Place::new(hub_backbone::Topic::JOURNAL, 0);
            let _ = self.store.damage(place, 3);
        }
    }
}
