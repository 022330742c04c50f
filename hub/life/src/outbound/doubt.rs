//! An attempt of which nobody knows how it ended: asking, the fence, and the account for the person who decides.

use hub_core::Value;
use hub_core::journal::ParkedKind;
use jiff::Timestamp;

use super::advance::{Cx, Next, later};
use super::lost::{self, LOST};
use super::{Answer, Command, Now, Policy, State};

/// How much of an answer goes into the account, in characters.
const EVIDENCE_CHARS_MAX: usize = 600;

/// The content of [`State::InDoubt`].
#[derive(Clone)]
pub(super) struct Doubt {
    epoch: String,
    since: Timestamp,
    not_after: Timestamp,
    cause: String,
    pub(super) ask_at: Timestamp,
    asked: u32,
    asking: Option<Timestamp>,
    evidence: Value,
}

impl Doubt {
    /// An attempt of this life that ended without an outcome: it is over, its bytes may still be on their way.
    pub(super) fn ended(now: &Now<'_>, not_after: Timestamp, cause: String, policy: &Policy) -> Self {
        let ask_at = later(now.at, policy.resolve_every);
        Self { not_after: not_after.min(now.at), ask_at, ..Self::new(now.epoch, now.at, cause) }
    }

    /// An attempt of another life, found at `at`.
    pub(super) fn orphaned(at: Timestamp, epoch: &str, attempt: u32, over: bool) -> Self {
        if over {
            return Self::new(epoch, at, format!("the hub's life {epoch} ended while attempt {attempt} was under way"));
        }
        let cause = format!("the hub's life {epoch} lost its place while attempt {attempt} was under way");
        Self { not_after: Timestamp::MAX, ..Self::new(epoch, at, cause) }
    }

    /// A life that the store has lost may have tried. What was asked before stays in the account.
    pub(super) fn lost(cx: &Cx<'_>, cause: String, over_at: Option<Timestamp>) -> Self {
        let not_after = over_at.unwrap_or(Timestamp::MAX);
        let (asked, evidence) = match Self::of(&cx.from.state) {
            Some(earlier) => (earlier.asked, earlier.evidence),
            None => (0, Value::Null),
        };
        Self { not_after, asked, evidence, ..Self::new(LOST, cx.now.at, cause) }
    }

    /// A person vouches that the lost life is over; the receiver's view is final when it has settled since.
    pub(super) fn vouched(self, cx: &Cx<'_>) -> Self {
        let at = cx.now.at;
        Self { not_after: at, since: at, ask_at: later(at, cx.policy.settles_after), ..self }
    }

    fn is_lost(&self) -> bool {
        self.epoch == LOST
    }

    fn new(epoch: &str, at: Timestamp, cause: String) -> Self {
        let (epoch, evidence) = (epoch.to_owned(), Value::Null);
        Self { epoch, since: at, not_after: at, cause, ask_at: at, asked: 0, asking: None, evidence }
    }

    fn of(state: &State) -> Option<Self> {
        let State::InDoubt { epoch, since, not_after, cause, ask_at, asked, asking, evidence } = state.clone() else {
            return None;
        };
        Some(Self { epoch, since, not_after, cause, ask_at, asked, asking, evidence })
    }

    pub(super) fn into_state(self) -> State {
        let Self { epoch, since, not_after, cause, ask_at, asked, asking, evidence } = self;
        State::InDoubt { epoch, since, not_after, cause, ask_at, asked, asking, evidence }
    }

    /// The life that tried is over: whatever it sent, it sent before this moment.
    fn note_over(&mut self, over: bool, at: Timestamp) {
        if over && self.not_after == Timestamp::MAX && !self.is_lost() {
            self.not_after = at;
        }
    }

    /// From when on the receiver's view is final; `None` while the life that tried may still run.
    fn settled_at(&self, policy: &Policy) -> Option<Timestamp> {
        // A lost life is not found by anybody: what counts is when a person said that it is over.
        let from = if self.is_lost() { self.not_after } else { self.since.max(self.not_after) };
        (self.not_after < Timestamp::MAX).then(|| later(from, policy.settles_after))
    }

    /// Whether the question under way was put when the receiver's view was final.
    fn asks_when_settled(&self, policy: &Policy) -> bool {
        self.asking.zip(self.settled_at(policy)).is_some_and(|(put, settled)| put >= settled)
    }

    /// When asking ends and a person has to decide; never before the receiver's view can be final.
    fn give_up_at(&self, policy: &Policy) -> Timestamp {
        let patience = policy.patience.max(policy.settles_after);
        later(self.since, patience).max(self.settled_at(policy).unwrap_or(self.since))
    }

    /// What is known, for the person who decides.
    pub(super) fn account(&self, attempt: u32) -> String {
        let Self { epoch, since, asked, .. } = self;
        let told = match self.is_lost() {
            true => format!("in doubt since {since}, after {attempt} known attempts"),
            false => format!("attempt {attempt} of life {epoch} is in doubt since {since}"),
        };
        let cause = shortened(&self.cause);
        let fence = match self.not_after == Timestamp::MAX {
            true if self.is_lost() => "nobody has released the lane",
            true => "that life is not known to be over and may still send",
            false => "that attempt is over",
        };
        let evidence = match &self.evidence {
            Value::Null => String::new(),
            evidence => format!(", last evidence: {}", shortened(&evidence.to_string())),
        };
        format!("{told}: {cause}; {fence}; the receiver was asked {asked} times{evidence}")
    }
}

/// A new life found the doubt; the answer to an older question has nobody who would hand it in.
pub(super) fn reopened(cx: &Cx<'_>, over: bool) -> Next {
    with(cx, |mut doubt| {
        doubt.asking = None;
        doubt.note_over(over, cx.now.at);
        wait(cx, doubt)
    })
}

/// Puts the next question, unless one is under way. `ask_at` moves on, so that a crash asks again.
pub(super) fn ask_due(cx: &Cx<'_>) -> Next {
    with(cx, |mut doubt| {
        if doubt.asking.is_some() {
            return cx.stay(Vec::new());
        }
        if cx.now.at < doubt.ask_at {
            return wait(cx, doubt);
        }
        doubt.asked = doubt.asked.saturating_add(1);
        doubt.asking = Some(cx.now.at);
        doubt.ask_at = later(cx.now.at, cx.policy.resolve_every);
        cx.to(doubt.into_state(), vec![Command::Ask])
    })
}

/// Judges an answer. One that nobody asked for may prove a delivery, and nothing else.
pub(super) fn asked(cx: &Cx<'_>, answer: Answer, over: bool) -> Next {
    with(cx, |mut doubt| {
        // Judged before the end of the other life is noted: a question that was put while it might still run proves nothing.
        // No epoch proves a lost life over: a person does, who releases the lane.
        let over = if doubt.is_lost() { doubt.not_after < Timestamp::MAX } else { over };
        let only_lost = over && doubt.is_lost() && cx.from.lost.is_some_and(|lost| lost.only);
        let counts = over && doubt.asks_when_settled(cx.policy);
        doubt.asking = None;
        doubt.note_over(over, cx.now.at);
        match answer {
            Answer::Delivered(receipt) => cx.delivered(receipt),
            Answer::NotDelivered(_) | Answer::Unknown(_) if counts && only_lost => lost::never_sent(cx),
            Answer::Unknown(evidence) if only_lost => ask_when_settled(cx, Doubt { evidence, ..doubt }),
            Answer::NotDelivered(evidence) if counts => arrived_nowhere(cx, &Doubt { evidence, ..doubt }),
            Answer::NotDelivered(evidence) if over => ask_when_settled(cx, Doubt { evidence, ..doubt }),
            Answer::NotDelivered(evidence) => ask_again(cx, Doubt { evidence, ..doubt }, None),
            Answer::Unknown(evidence) => ask_again(cx, Doubt { evidence, ..doubt }, None),
            Answer::CouldNotAsk(cause) => ask_again(cx, doubt, Some(&cause)),
        }
    })
}

/// "Not there, and can no longer arrive", inside the fence: like an attempt that was not sent.
fn arrived_nowhere(cx: &Cx<'_>, doubt: &Doubt) -> Next {
    cx.try_again(None, format!("{}; it did not arrive", doubt.account(cx.from.attempts)))
}

/// "Not there" came too early to count, but soon it can.
fn ask_when_settled(cx: &Cx<'_>, doubt: Doubt) -> Next {
    let pause = later(cx.now.at, cx.policy.resolve_every);
    let ask_at = doubt.settled_at(cx.policy).map_or(pause, |settled| settled.max(pause));
    wait(cx, Doubt { ask_at, ..doubt })
}

/// Asks again after the usual pause, or leaves it to a person when patience is over.
fn ask_again(cx: &Cx<'_>, doubt: Doubt, could_not: Option<&str>) -> Next {
    if cx.now.at >= doubt.give_up_at(cx.policy) {
        let could_not = could_not.map(|cause| format!("; could not ask: {}", shortened(cause))).unwrap_or_default();
        return cx.park(ParkedKind::InDoubt, doubt.account(cx.from.attempts) + &could_not);
    }
    let ask_at = later(cx.now.at, cx.policy.resolve_every);
    wait(cx, Doubt { ask_at, ..doubt })
}

pub(super) fn wait(cx: &Cx<'_>, doubt: Doubt) -> Next {
    let commands = vec![Command::WakeAt(doubt.ask_at)];
    cx.to(doubt.into_state(), commands)
}

pub(super) fn with(cx: &Cx<'_>, then: impl FnOnce(Doubt) -> Next) -> Next {
    match Doubt::of(&cx.from.state) {
        Some(doubt) => then(doubt),
        None => cx.stay(Vec::new()),
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(EVIDENCE_CHARS_MAX) {
        Some((end, _)) => format!("{} ...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
