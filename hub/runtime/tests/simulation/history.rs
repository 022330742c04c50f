//! A history as data: what is done, what goes wrong, and how the others behave. All of it comes from the seed before anything
//! runs, so that a part can be left out and the rest replayed.

use std::collections::BTreeSet;
use std::fmt;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Orders of one history.
const ORDERS_MAX: u32 = 6;
/// More questions than the hub has patience for.
const QUESTIONS_MAX: u32 = 20;
/// Bytes that were handed to the network arrive within this time or never: less than the sinks' `settles_after`.
const TRANSIT_MAX_MS: u64 = 50_000;

/// What the order is paid through: what repeating means to that receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Via {
    Harmless,
    Keyed,
    Askable,
    Forbidden,
}

impl Via {
    pub(crate) const ALL: [Self; 4] = [Self::Harmless, Self::Keyed, Self::Askable, Self::Forbidden];

    /// The sink's name, as the route writes it.
    pub(crate) fn sink(self) -> &'static str {
        match self {
            Self::Harmless => "innocuo",
            Self::Keyed => "chiave",
            Self::Askable => "ente",
            Self::Forbidden => "vietato",
        }
    }
}

/// An order, and how its receiver answers once it has it: an answer after each of these times (milliseconds).
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) n: u32,
    pub(crate) lane: u32,
    pub(crate) via: Via,
    pub(crate) approve: bool,
    pub(crate) answers: Vec<u64>,
}

/// What the driver does.
#[derive(Clone, Debug)]
pub(crate) enum Do {
    Order(Order),
    /// The sender offers an order once more.
    Again {
        n: u32,
    },
    /// People look at what there is to do, and do part of it; `pick` says who does what how late.
    People {
        pick: u64,
    },
    /// The wall clock jumps.
    Jump {
        ms: i64,
    },
    /// The wall clock is set right.
    Right,
    /// The process is killed, and starts again after this time.
    Kill {
        down: u64,
    },
    /// The hub is stopped in order, and starts again.
    Stop,
    /// The process freezes for a while; `usurped`: another hub takes the store over meanwhile.
    Freeze {
        ms: u64,
        usurped: bool,
    },
    Nothing,
}

/// What goes wrong at a point of a process: before or after a commit, a call, a crossing, a verdict.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    Kill {
        down: u64,
    },
    Freeze {
        ms: u64,
        usurped: bool,
    },
    Delay {
        ms: u64,
    },
    /// The commit is not done, and the hub hears an error. (Elsewhere: nothing.)
    Refuse,
    /// The commit is done, and the hub hears an error. (Elsewhere: nothing.)
    Lose,
}

/// What a sink does with one attempt. `arrives`: how long the bytes are on their way; `None`: they are lost.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// The receiver takes it and answers.
    Take { transit: u64, answer: u64 },
    /// Surely nothing happened.
    NotSent,
    /// The receiver refuses it.
    Rejected,
    /// The connection breaks after the crossing.
    Reset { arrives: Option<u64> },
    /// No answer ever comes.
    Silent { arrives: Option<u64> },
    /// It takes this long to come to the crossing.
    Slow { before: u64 },
    /// The process freezes between the crossing and the first byte; what it sends when it thaws is on its way this long.
    Frozen { ms: u64, usurped: bool, transit: u64 },
    /// The sink's code fails, before or after the crossing.
    Panic { crossed: bool, arrives: Option<u64> },
}

/// What a receiver answers when it is asked.
#[derive(Clone, Debug)]
pub(crate) enum Says {
    Unknown,
    Busy,
    /// The truth of the moment at which it was asked, this much later.
    Late {
        ms: u64,
    },
    Never,
    Panic,
}

/// What the compute step does with an order.
#[derive(Clone, Debug)]
pub(crate) enum Does {
    Unavailable,
    Invalid,
    Panic,
    Slow { ms: u64 },
}

/// One part of a history; it can be left out.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    /// Do something, then let this much time pass.
    Step { what: Do, pause: u64 },
    /// At the `after`th point since the step began.
    Fault { step: usize, after: u32, fault: Fault },
    /// At the attempt (from 1) of an order at a sink.
    Act { n: u32, sink: &'static str, attempt: u32, act: Act },
    /// At the question (from 1) about an order.
    Says { n: u32, question: u32, says: Says },
    /// At the try (from 1) of an order.
    Does { n: u32, nth: u32, does: Does },
}

/// Everything that happens in one simulation, by number.
#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) seed: u64,
    pub(crate) items: Vec<(usize, Item)>,
}

impl History {
    pub(crate) fn of(seed: u64) -> Self {
        let mut make = Make { rng: StdRng::seed_from_u64(seed), items: Vec::new(), orders: 0 };
        for _ in 0..make.rng.random_range(20..40) {
            make.step();
        }
        Self { seed, items: make.items.into_iter().enumerate().collect() }
    }

    /// Whether two hubs share one log, and slots move between them; otherwise one hub at a time owns the store.
    pub(crate) fn many(&self) -> bool {
        self.seed % 4 == 3
    }

    /// The same with these items alone.
    pub(crate) fn only(&self, kept: &BTreeSet<usize>) -> Self {
        let items = self.items.iter().filter(|(id, _)| kept.contains(id)).cloned().collect();
        Self { seed: self.seed, items }
    }

    pub(crate) fn ids(&self) -> Vec<usize> {
        self.items.iter().map(|(id, _)| *id).collect()
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.items.iter().try_for_each(|(id, item)| writeln!(f, "  {id:>3} {item:?}"))
    }
}

struct Make {
    rng: StdRng,
    items: Vec<Item>,
    orders: u32,
}

impl Make {
    fn step(&mut self) {
        let (step, roll) = (self.items.len(), self.rng.random_range(0..100));
        let what = match roll {
            0..25 if self.orders < ORDERS_MAX => self.order(),
            25..30 if self.orders > 0 => Do::Again { n: self.rng.random_range(1..=self.orders) },
            30..55 => Do::People { pick: self.rng.random() },
            55..62 => self.jump(),
            62..65 => Do::Right,
            65..70 => Do::Kill { down: self.span(10_000) },
            70..72 => Do::Stop,
            72..79 => Do::Freeze { ms: self.span(120_000), usurped: self.rng.random_bool(0.6) },
            _ => Do::Nothing,
        };
        let behaviour = if let Do::Order(order) = &what { self.behaviour(order.n, order.via) } else { Vec::new() };
        let pause = self.pause();
        self.items.push(Item::Step { what, pause });
        self.items.extend(behaviour);
        if self.rng.random_bool(0.5) {
            let (after, fault) = (self.span(60) as u32, self.fault());
            self.items.push(Item::Fault { step, after, fault });
        }
    }

    fn order(&mut self) -> Do {
        self.orders += 1;
        let answers = (0..self.rng.random_range(0..3)).map(|_| self.span(7_200_000)).collect();
        let via = Via::ALL[self.rng.random_range(0..4)];
        let (lane, approve) = (self.rng.random_range(0..3), self.rng.random_bool(0.3));
        Do::Order(Order { n: self.orders, lane, via, approve, answers })
    }

    fn jump(&mut self) -> Do {
        // Within what the clock's guard lets pass, or beyond it.
        let size = if self.rng.random_bool(0.6) { 7_000..55_000 } else { 61_000..600_000 };
        let ms = self.rng.random_range(size);
        Do::Jump { ms: if self.rng.random() { ms } else { -ms } }
    }

    fn fault(&mut self) -> Fault {
        match self.rng.random_range(0..100) {
            0..45 => Fault::Kill { down: self.span(60_000) },
            45..70 => Fault::Freeze { ms: self.span(120_000), usurped: self.rng.random_bool(0.7) },
            70..85 => Fault::Delay { ms: self.span(5_000) },
            85..92 => Fault::Refuse,
            _ => Fault::Lose,
        }
    }

    /// How the others behave towards one order.
    fn behaviour(&mut self, n: u32, via: Via) -> Vec<Item> {
        let mut items = Vec::new();
        for (sink, chance) in [(via.sink(), 0.5), ("registro", 0.2)] {
            for attempt in 1..=3 {
                if self.rng.random_bool(chance) {
                    items.push(Item::Act { n, sink, attempt, act: self.act() });
                }
            }
        }
        // Some receivers never know, until the hub's patience is over.
        let mute = self.rng.random_bool(0.1);
        for question in 1..=if mute { QUESTIONS_MAX } else { 4 } {
            if mute {
                items.push(Item::Says { n, question, says: Says::Unknown });
            } else if self.rng.random_bool(0.3) {
                items.push(Item::Says { n, question, says: self.says() });
            }
        }
        if self.rng.random_bool(0.2) {
            let does = self.does();
            items.push(Item::Does { n, nth: self.rng.random_range(1..3), does });
        }
        items
    }

    fn act(&mut self) -> Act {
        let arrives = self.rng.random_bool(0.5).then(|| self.span(TRANSIT_MAX_MS));
        match self.rng.random_range(0..100) {
            0..20 => Act::Take { transit: self.span(TRANSIT_MAX_MS), answer: self.span(20_000) },
            20..32 => Act::NotSent,
            32..42 => Act::Rejected,
            42..65 => Act::Reset { arrives },
            65..75 => Act::Silent { arrives },
            75..84 => Act::Slow { before: self.span(60_000) },
            84..91 => self.frozen(),
            _ => Act::Panic { crossed: self.rng.random(), arrives },
        }
    }

    /// For longer than a question to the receiver takes, mostly.
    fn frozen(&mut self) -> Act {
        let ms = self.rng.random_range(1_000..600_000);
        Act::Frozen { ms, usurped: self.rng.random_bool(0.7), transit: self.span(TRANSIT_MAX_MS) }
    }

    fn says(&mut self) -> Says {
        match self.rng.random_range(0..100) {
            0..30 => Says::Unknown,
            30..50 => Says::Busy,
            50..85 => Says::Late { ms: self.span(60_000) },
            85..93 => Says::Never,
            _ => Says::Panic,
        }
    }

    fn does(&mut self) -> Does {
        match self.rng.random_range(0..4) {
            0 => Does::Unavailable,
            1 => Does::Invalid,
            2 => Does::Panic,
            _ => Does::Slow { ms: self.span(90_000) },
        }
    }

    /// Up to so much, each order of magnitude as likely as another.
    fn span(&mut self, most: u64) -> u64 {
        let bits = 64 - most.leading_zeros();
        let top = 1_u64 << self.rng.random_range(0..=bits);
        self.rng.random_range(0..=top.min(most))
    }

    fn pause(&mut self) -> u64 {
        match self.rng.random_range(0..100) {
            0..35 => self.rng.random_range(1..30),
            35..60 => self.rng.random_range(30..3_000),
            60..85 => self.rng.random_range(3_000..60_000),
            85..97 => self.rng.random_range(60_000..600_000),
            _ => self.rng.random_range(600_000..7_200_000),
        }
    }
}
