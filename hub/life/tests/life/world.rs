//! The world around one outbound message: what a hub, its frozen predecessors, a receiver and people can do.

use hub_core::{Receipt, Value};
use hub_life::outbound::{Action, Answer, Command, Ended, Event, LOST, Now, Outbound, Policy, State};
use jiff::Timestamp;
use std::time::Duration;

use crate::judge;

mod moves;

/// The function under test, or a mutant of it.
pub(crate) type Life = fn(&Outbound, Event, &Now<'_>, &Policy) -> (Outbound, Vec<Command>);

/// The model's second 0.
const BASE: i64 = 1_800_000_000;

pub(crate) fn ts(second: u32) -> Timestamp {
    Timestamp::from_second(BASE + i64::from(second)).expect("invariant: a valid second")
}

/// The model's second of an instant; `u32::MAX` for the end of time.
pub(crate) fn second(at: Timestamp) -> u32 {
    u32::try_from(at.as_second() - BASE).unwrap_or(u32::MAX)
}

pub(crate) fn life_name(number: usize) -> String {
    format!("e{number}")
}

fn life_number(name: &str) -> usize {
    name.get(1..).and_then(|n| n.parse().ok()).unwrap_or(usize::MAX)
}

/// How much world there is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Seconds.
    pub(crate) horizon: u32,
    /// Lives of the hub.
    pub(crate) lives: usize,
    /// Decisions of people.
    pub(crate) persons: u8,
    /// Attempts that may begin.
    pub(crate) attempts: u32,
    /// Whether people say what is true.
    pub(crate) truthful: bool,
    /// How often an old copy of the store is put back.
    pub(crate) restores: u8,
}

/// How far an attempt of a life is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    /// Not crossed (in a frozen life: behind its last check, so that it may cross at any time).
    Before,
    /// The bytes are on their way.
    InFlight,
    /// The receiver has acted.
    Landed,
}

/// An earlier life of the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct OldLife {
    /// Provably over; otherwise frozen: it may go on at any time.
    pub(crate) over: bool,
    pub(crate) attempt: Option<Stage>,
}

/// What the receiver says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reply {
    Delivered,
    NotDelivered,
    Unknown,
    CouldNotAsk,
}

/// How the sink ends an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum End {
    Receipt,
    NotSent,
    Rejected,
    InDoubt,
}

/// Everything but the durable state of the message.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct World {
    pub(crate) time: u32,
    /// Earlier lives, oldest first. The present life is number `old.len()`.
    pub(crate) old: Vec<OldLife>,
    /// The attempt of the present life.
    pub(crate) attempt: Option<Stage>,
    /// Bytes whose sender has gone: each may take effect before this second, and never after it.
    pub(crate) loose: Vec<u32>,
    /// Before this second the receiver may not see what it has.
    pub(crate) view_from: u32,
    /// The truth: how often the receiver has acted (counted to 3).
    pub(crate) effects: u8,
    /// `Command::Send` is to be carried out.
    pub(crate) send: bool,
    /// `Command::Ask` is to be carried out.
    pub(crate) ask: bool,
    /// The answer on its way.
    pub(crate) answer: Option<Reply>,
    /// `Command::WakeAt`.
    pub(crate) wake: Option<u32>,
    /// Proof came through another door.
    pub(crate) proven: bool,
    /// Decisions of people so far.
    pub(crate) persons: u8,
    /// How often the store was put back.
    pub(crate) restores: u8,
    /// A person has released the lane since: the receiver shows all that it has, once its view has settled.
    pub(crate) vouched: bool,
}

/// One thing that may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    Tick,
    Wake,
    CarrySend,
    Cross,
    Land,
    Finish(End),
    CarryAsk(Reply),
    Hear,
    LandLoose(usize),
    OldCrosses(usize),
    OldLands(usize),
    OldDies(usize),
    Crash,
    Freeze,
    Proof,
    Person(Action),
    /// The store is copied as it is.
    Backup,
    /// The copy is put back: the present life is lost, and may still run.
    Restore,
    /// A person releases the lane.
    Vouch,
}

/// A point in a history.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) out: Outbound,
    /// A copy of the store.
    pub(crate) copy: Option<Outbound>,
    pub(crate) world: World,
}

impl World {
    /// Whether an attempt has had an effect, or may still have one.
    pub(crate) fn may_be_there(&self) -> bool {
        self.effects > 0 || self.attempt.is_some() || self.on_its_way()
    }

    fn on_its_way(&self) -> bool {
        !self.loose.is_empty() || self.old.iter().any(|old| old.attempt.is_some())
    }

    /// Whether the receiver sees all that there is and all that can come.
    fn view_is_final(&self) -> bool {
        self.attempt.is_none() && !self.on_its_way() && self.time >= self.view_from
    }

    /// Whether the life named in the state is provably over, or has ended its attempt because it is ours.
    pub(crate) fn over(&self, out: &Outbound) -> bool {
        match &out.state {
            State::InDoubt { epoch, .. } if epoch == LOST => false,
            State::Sending { epoch, .. } | State::InDoubt { epoch, .. } => {
                self.old.get(life_number(epoch)).is_none_or(|old| old.over)
            }
            _ => true,
        }
    }

    /// The sender of an attempt is gone: bytes that are on their way have until `settles_after`.
    fn abandon(&mut self, attempt: Option<Stage>, policy: &Policy) {
        let until = self.time + u32::try_from(policy.settles_after.as_secs()).unwrap_or(u32::MAX / 2);
        if matches!(attempt, Some(Stage::InFlight)) && until > self.time {
            self.loose.push(until);
            self.loose.sort_unstable();
        }
        if matches!(attempt, Some(Stage::InFlight | Stage::Landed)) {
            self.view_from = self.view_from.max(until);
        }
    }

    /// Instants that have come are all the same: fewer points to explore.
    fn forget_the_past(&mut self) {
        if self.view_from <= self.time {
            self.view_from = 0;
        }
        self.wake = self.wake.map(|at| at.max(self.time));
    }

    fn act(&mut self) {
        self.effects = (self.effects + 1).min(3);
    }
}

impl Node {
    pub(crate) fn start() -> Self {
        Self { out: Outbound::new(ts(0)), copy: None, world: World { wake: Some(0), ..World::default() } }
    }

    /// Lets a move happen, and judges what the life made of it.
    pub(crate) fn step(&self, a_move: Move, life: Life, policy: &Policy, bounds: &Bounds) -> Result<Self, String> {
        let mut next = self.clone();
        let event = next.happen(a_move, policy);
        if let Some(event) = event {
            next.live(event, life, policy, bounds)?;
        }
        judge::world(&next, policy, bounds)?;
        Ok(next)
    }

    /// Changes the world; gives the event that the hub sees, if it sees one.
    fn happen(&mut self, a_move: Move, policy: &Policy) -> Option<Event> {
        let world = &mut self.world;
        match a_move {
            Move::Tick => {
                world.time += 1;
                world.loose.retain(|until| *until > world.time);
                world.forget_the_past();
            }
            Move::Cross => world.attempt = Some(Stage::InFlight),
            Move::Land => {
                world.attempt = Some(Stage::Landed);
                world.act();
            }
            Move::LandLoose(index) => {
                let _ = world.loose.remove(index);
                world.act();
            }
            Move::OldCrosses(index) => world.old[index].attempt = Some(Stage::InFlight),
            Move::OldLands(index) => {
                world.old[index].attempt = Some(Stage::Landed);
                world.act();
            }
            Move::OldDies(index) => {
                world.old[index].over = true;
                let attempt = world.old[index].attempt.take();
                world.abandon(attempt, policy);
            }
            Move::Backup => self.copy = Some(self.out.clone()),
            Move::CarryAsk(reply) => (world.ask, world.answer) = (false, Some(reply)),
            _ => return self.seen(a_move, policy),
        }
        None
    }

    /// The moves that the hub sees.
    fn seen(&mut self, a_move: Move, policy: &Policy) -> Option<Event> {
        match a_move {
            Move::Wake => {
                self.world.wake = None;
                Some(if matches!(self.out.state, State::Ready { .. }) { Event::Due } else { Event::AskDue })
            }
            Move::CarrySend => self.carry_send(),
            Move::Finish(end) => Some(Event::Ended(self.finish(end, policy))),
            Move::Hear => self.hear(),
            Move::Crash | Move::Freeze => Some(self.next_life(a_move == Move::Crash, policy)),
            Move::Proof => {
                self.world.proven = true;
                Some(Event::Witnessed(receipt()))
            }
            Move::Person(action) => {
                self.world.persons += 1;
                Some(Event::Person(action))
            }
            Move::Restore => self.restore(policy),
            Move::Vouch => {
                self.world.vouched = true;
                Some(Event::Vouched)
            }
            _ => None,
        }
    }

    /// The sender checks its fence once more before it begins.
    fn carry_send(&mut self) -> Option<Event> {
        self.world.send = false;
        if matches!(self.out.state, State::Sending { not_after, .. } if second(not_after) < self.world.time) {
            return Some(Event::Ended(Ended::NotSent { retry_after: None, cause: "not_after has passed".into() }));
        }
        self.world.attempt = Some(Stage::Before);
        None
    }

    fn finish(&mut self, end: End, policy: &Policy) -> Ended {
        let attempt = self.world.attempt.take();
        match end {
            End::Receipt => Ended::Receipt(receipt()),
            End::NotSent => Ended::NotSent { retry_after: None, cause: "refused connection".into() },
            End::Rejected => Ended::Rejected { code: "422".into(), cause: "no such account".into() },
            End::InDoubt => {
                self.world.abandon(attempt, policy);
                Ended::InDoubt { cause: "reset".into() }
            }
        }
    }

    fn hear(&mut self) -> Option<Event> {
        let answer = match self.world.answer.take()? {
            Reply::Delivered => Answer::Delivered(receipt()),
            Reply::NotDelivered => Answer::NotDelivered(Value::from("list is empty")),
            Reply::Unknown => Answer::Unknown(Value::from("list is late")),
            Reply::CouldNotAsk => Answer::CouldNotAsk("busy".into()),
        };
        Some(Event::Asked { answer, over: self.world.over(&self.out) })
    }

    /// This life ends or freezes, and the next one opens the store.
    fn next_life(&mut self, over: bool, policy: &Policy) -> Event {
        let world = &mut self.world;
        let attempt = world.attempt.take().or(world.send.then_some(Stage::Before));
        if over {
            world.abandon(attempt, policy);
        }
        world.old.push(OldLife { over, attempt: attempt.filter(|_| !over) });
        (world.send, world.ask, world.answer, world.wake) = (false, false, None, None);
        Event::Restarted { over: self.world.over(&self.out) }
    }

    /// The present life is lost with its store; proof that came to it will come again.
    fn restore(&mut self, policy: &Policy) -> Option<Event> {
        let _ = self.next_life(false, policy);
        self.out = self.copy.take()?;
        let world = &mut self.world;
        (world.proven, world.vouched, world.restores) = (false, false, world.restores + 1);
        Some(Event::Recovered { since: ts(0), over_at: None })
    }

    /// Hands the event to the life under test and carries its commands over into the world.
    fn live(&mut self, event: Event, life: Life, policy: &Policy, bounds: &Bounds) -> Result<(), String> {
        let epoch = life_name(self.world.old.len());
        let now = Now { at: ts(self.world.time), epoch: &epoch };
        let (after, commands) = life(&self.out, event.clone(), &now, policy);
        judge::transition(&self.out, &event, &after, &commands, &now, policy)?;
        if commands.contains(&Command::Send) && bounds.truthful {
            judge::send(&self.world, policy)?;
        }
        self.out = after;
        for command in &commands {
            self.carry(command);
        }
        if !matches!(self.out.state, State::Ready { .. } | State::InDoubt { .. }) {
            self.world.wake = None;
        }
        Ok(())
    }

    /// Hands in every event there is, to this life and to the next one, whether it makes sense there or not: no event may
    /// break a transition's rules.
    pub(crate) fn try_everything(&self, life: Life, policy: &Policy) -> Result<(), String> {
        let lives = [life_name(self.world.old.len()), life_name(self.world.old.len() + 1)];
        let tries = lives.iter().flat_map(|epoch| every_event().into_iter().map(move |event| (epoch, event)));
        for (epoch, event) in tries {
            let now = Now { at: ts(self.world.time), epoch };
            let (after, commands) = life(&self.out, event.clone(), &now, policy);
            judge::transition(&self.out, &event, &after, &commands, &now, policy)
                .map_err(|what| format!("{what}, when {event:?} meets {:?} in {epoch}", self.out.state))?;
        }
        Ok(())
    }

    fn carry(&mut self, command: &Command) {
        match command {
            Command::Send => self.world.send = true,
            Command::Ask => self.world.ask = true,
            Command::WakeAt(at) => self.world.wake = Some(second(*at)),
            _ => {}
        }
    }
}

/// One of each event.
pub(crate) fn every_event() -> Vec<Event> {
    let reset = || String::from("reset");
    let ends = [
        Ended::Receipt(receipt()),
        Ended::NotSent { retry_after: Some(Duration::from_secs(1)), cause: reset() },
        Ended::Rejected { code: "422".into(), cause: reset() },
        Ended::InDoubt { cause: reset() },
    ];
    let answers = || {
        let seen = Value::from("list");
        let known = [Answer::Delivered(receipt()), Answer::NotDelivered(seen.clone()), Answer::Unknown(seen)];
        known.into_iter().chain([Answer::CouldNotAsk("busy".into())])
    };
    let asked = [true, false].into_iter().flat_map(|over| answers().map(move |answer| Event::Asked { answer, over }));
    let people = [Action::Retry, Action::Delivered, Action::NotDelivered, Action::GiveUp].map(Event::Person);
    let stores = [
        Event::Recovered { since: ts(0), over_at: None },
        Event::Recovered { since: ts(0), over_at: Some(ts(1)) },
        Event::Vouched,
    ];
    let alarms = [Event::Due, Event::AskDue, Event::Restarted { over: true }, Event::Restarted { over: false }];
    let proof = [Event::Witnessed(receipt())];
    ends.map(Event::Ended).into_iter().chain(asked).chain(people).chain(alarms).chain(proof).chain(stores).collect()
}

pub(crate) fn receipt() -> Receipt {
    Receipt { remote_id: Some("4711".into()), reply: Value::Null, raw: None }
}

/// A policy in model seconds.
pub(crate) fn policy(repeat: hub_core::Repeat, settles_after: u64, patience: u64, times: u32) -> Policy {
    Policy {
        repeat,
        settles_after: Duration::from_secs(settles_after),
        patience: Duration::from_secs(patience),
        resolve_every: Duration::from_secs(1),
        attempt: Duration::from_secs(1),
        times,
        min: Duration::from_secs(1),
        max: Duration::from_secs(2),
        doubt_holds_lane: true,
    }
}
