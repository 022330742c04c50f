//! What really became of each attempt, and whether the hub had the right to make it. The hub never sees this.

use std::collections::{BTreeMap, BTreeSet};

use hub_backbone::{Commit, Place, Topic};
use hub_core::journal::{Event, ParkedKind, SendOutcome, What};
use jiff::Timestamp;
use serde::Deserialize;

use crate::history::Via;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// The intent is durable.
    Intended,
    /// The sink works on it.
    Open,
    /// It has crossed; its bytes are still in the process.
    Crossed,
    /// Its bytes are on their way, whatever becomes of the process.
    Flying,
    Arrived,
    /// It can no longer arrive.
    Never,
}

struct Try {
    number: u32,
    process: u64,
    epoch: String,
    not_after: Timestamp,
    fate: Fate,
}

/// What is known about one outgoing message.
struct Out {
    n: u32,
    sink: String,
    lane: String,
    tries: Vec<Try>,
    /// The outcome of the last intent is not durable yet.
    unsettled: bool,
    /// Nobody knows whether it arrived.
    doubtful: bool,
    over: bool,
}

#[derive(Deserialize)]
struct Read {
    r: Record,
}

#[derive(Deserialize)]
struct Record {
    send: Option<Send>,
}

#[derive(Deserialize)]
struct Send {
    id: String,
    lane: String,
    work: Work,
    params: Params,
}

#[derive(Deserialize)]
struct Work {
    id: String,
}

#[derive(Deserialize)]
struct Params {
    to: String,
}

/// What a person who asks around can find out about one outgoing message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Truth {
    Arrived,
    MayArrive,
    Never,
}

#[derive(Default)]
pub(crate) struct Sends {
    /// Messages of orders, by id.
    pub(crate) orders: BTreeMap<String, u32>,
    /// The lane that an order asks for.
    pub(crate) lanes: BTreeMap<u32, String>,
    outs: BTreeMap<String, Out>,
    /// Outgoing messages in the order in which the outbox got them, and how many of them have been tried.
    queues: BTreeMap<(Place, String), (Vec<String>, usize)>,
    /// Processes, by the epochs that they wrote.
    epochs: BTreeMap<String, u64>,
    /// By epoch and lane.
    under_way: BTreeMap<(String, String), String>,
    /// What the receivers have: sink and order, then the keys that had an effect.
    effects: BTreeMap<(String, u32), Vec<String>>,
    dropped: u32,
}

fn wrong<T>(what: String) -> Result<T, String> {
    Err(what)
}

/// Whether repeating does not hurt at this receiver; known here apart from what the sink tells the hub.
fn may_repeat(sink: &str) -> bool {
    sink == "registro" || sink == Via::Harmless.sink() || sink == Via::Keyed.sink()
}

impl Sends {
    pub(crate) fn lives(&mut self, epoch: &str, process: u64) {
        let _ = self.epochs.insert(epoch.to_string(), process);
    }

    /// Follows a commit that is durable.
    pub(crate) fn follow(&mut self, process: u64, commit: &Commit, events: &[Event]) -> Result<(), String> {
        for (place, record) in &commit.outputs {
            if place.topic == Topic::OUTBOX
                && let Ok(Read { r: Record { send: Some(send) } }) = serde_json::from_slice(&record.bytes)
            {
                self.queue(*place, send)?;
            }
        }
        events.iter().try_for_each(|event| self.event(process, event))
    }

    fn queue(&mut self, place: Place, send: Send) -> Result<(), String> {
        let Some(n) = self.orders.get(&send.work.id).copied() else { return wrong("a stranger is sent".into()) };
        let (sink, lane) = (send.params.to, send.lane);
        let asked = if sink == Via::Askable.sink() { Some("ente") } else { self.lanes.get(&n).map(String::as_str) };
        if asked != Some(lane.as_str()) {
            return wrong(format!("order {n} is sent on lane {lane}, not {asked:?}"));
        }
        self.queues.entry((place, lane.clone())).or_default().0.push(send.id.clone());
        let out = Out { n, sink, lane, tries: Vec::new(), unsettled: false, doubtful: false, over: false };
        match self.outs.insert(send.id, out) {
            None => Ok(()),
            Some(_) => wrong(format!("order {n} is handed to its sink twice")),
        }
    }

    fn event(&mut self, process: u64, event: &Event) -> Result<(), String> {
        match &event.what {
            What::SendIntended { outgoing, attempt, epoch, not_after, .. } => {
                self.intended(outgoing, *attempt, epoch, *not_after)
            }
            What::SendSettled { outgoing, outcome, .. } => {
                self.never_begun(process, outgoing);
                let arrived = self.truth(outgoing) == Truth::Arrived;
                let may_be_there = self.truth(outgoing) != Truth::Never;
                let Some(out) = self.outs.get_mut(outgoing) else { return wrong("a stranger is settled".into()) };
                out.unsettled = false;
                out.doubtful = *outcome == SendOutcome::InDoubt;
                out.over |= *outcome == SendOutcome::Delivered;
                match outcome {
                    SendOutcome::Delivered if !arrived => {
                        wrong(format!("order {} is called delivered, and has not arrived", out.n))
                    }
                    SendOutcome::NotSent | SendOutcome::Rejected if may_be_there && !may_repeat(&out.sink) => {
                        wrong(format!("order {} is called not sent, and may be there", out.n))
                    }
                    _ => Ok(()),
                }
            }
            What::Parked(parked) if parked.kind == ParkedKind::InDoubt => {
                let _ = self.outs.get_mut(&parked.id).map(|out| out.doubtful = true);
                Ok(())
            }
            What::Released { parked, action, .. } => {
                if let Some(out) = self.outs.get_mut(parked) {
                    out.doubtful = false;
                    out.over |= ["give_up", "delivered", "settled"].contains(&action.as_str());
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A process that settles an attempt of its own without having called the sink will not call it.
    fn never_begun(&mut self, process: u64, key: &str) {
        for attempt in self.outs.get_mut(key).map_or(&mut [][..], |out| &mut out.tries) {
            if attempt.process == process && attempt.fate == Fate::Intended {
                attempt.fate = Fate::Never;
            }
        }
    }

    /// The rules of a new attempt, at the moment at which its intent is durable.
    fn intended(&mut self, key: &str, number: u32, epoch: &str, not_after: Timestamp) -> Result<(), String> {
        let Some(out) = self.outs.get(key) else { return wrong("a stranger is intended".into()) };
        let (n, lane) = (out.n, out.lane.clone());
        if number as usize != out.tries.len() + 1 {
            return wrong(format!("order {n}: attempt {number} after {} attempts", out.tries.len()));
        }
        if out.over {
            return wrong(format!("order {n} is sent again although it is over"));
        }
        if !may_repeat(&out.sink) && self.truth(key) != Truth::Never {
            return wrong(format!("order {n} is sent again although an attempt has, or may still have, its effect"));
        }
        let others = self.outs.iter().filter(|(other, out)| *other != key && out.lane == lane);
        for (_, other) in others {
            if other.unsettled || (other.doubtful && other.sink == Via::Askable.sink()) {
                return wrong(format!("order {n} is sent while order {} of its lane is open or in doubt", other.n));
            }
        }
        // A term of a hub has an epoch of its own, which begins with that of its life.
        let life = epoch.split_once('/').map_or(epoch, |(life, _)| life);
        let Some(process) = self.epochs.get(life).copied() else { return wrong("an unknown epoch intends".into()) };
        if number == 1 {
            self.in_order(key, &lane)?;
        }
        let Some(out) = self.outs.get_mut(key) else { return Ok(()) };
        out.unsettled = true;
        out.doubtful = false;
        out.tries.push(Try { number, process, epoch: epoch.to_string(), not_after, fate: Fate::Intended });
        Ok(())
    }

    /// First attempts of a lane come in the order of the outbox.
    fn in_order(&mut self, key: &str, lane: &str) -> Result<(), String> {
        let Some((keys, next)) = self
            .queues
            .iter_mut()
            .find(|((_, of), (keys, _))| of == lane && keys.iter().any(|k| k == key))
            .map(|q| q.1)
        else {
            return wrong("a send without a record".into());
        };
        if keys.get(*next).map(String::as_str) != Some(key) {
            return wrong(format!("lane {lane} is out of order: {key} is sent before {:?}", keys.get(*next)));
        }
        *next += 1;
        Ok(())
    }

    fn open_try(&mut self, process: u64, key: &str, number: u32) -> Result<&mut Try, String> {
        let of_process = |t: &&mut Try| t.number == number && t.process == process;
        match self.outs.get_mut(key).and_then(|out| out.tries.iter_mut().find(of_process)) {
            Some(attempt) => Ok(attempt),
            None => wrong(format!("a send without a durable intent: {key}, attempt {number}")),
        }
    }

    /// The sink is called.
    pub(crate) fn begin(&mut self, process: u64, key: &str, number: u32) -> Result<(), String> {
        let attempt = self.open_try(process, key, number)?;
        match attempt.fate {
            Fate::Intended => attempt.fate = Fate::Open,
            // Its slot was lost and came back, and it was settled in the later term: it must not cross.
            Fate::Never if attempt.epoch.contains('/') => return Ok(()),
            _ => return wrong(format!("attempt {number} of {key} is carried out twice")),
        }
        let (epoch, lane) = (attempt.epoch.clone(), self.lane(key));
        match self.under_way.insert((epoch, lane), key.to_string()) {
            None => Ok(()),
            Some(other) => wrong(format!("{key} and {other} of one lane are under way at once")),
        }
    }

    /// It crosses, by the hub's leave.
    pub(crate) fn cross(&mut self, process: u64, key: &str, number: u32, now: Timestamp) -> Result<(), String> {
        let attempt = self.open_try(process, key, number)?;
        if attempt.fate != Fate::Open {
            return wrong(format!("attempt {number} of {key} crosses from {:?}", attempt.fate));
        }
        if now > attempt.not_after {
            return wrong(format!("attempt {number} of life {} crosses after its end: {key}", attempt.epoch));
        }
        attempt.fate = Fate::Crossed;
        Ok(())
    }

    pub(crate) fn fly(&mut self, process: u64, key: &str, number: u32, arrives: bool) -> Result<(), String> {
        let attempt = self.open_try(process, key, number)?;
        attempt.fate = if arrives { Fate::Flying } else { Fate::Never };
        Ok(())
    }

    /// The receiver gets it.
    pub(crate) fn arrive(&mut self, process: u64, key: &str, number: u32) -> Result<(), String> {
        self.open_try(process, key, number)?.fate = Fate::Arrived;
        let Some(out) = self.outs.get(key) else { return Ok(()) };
        let (n, sink) = (out.n, out.sink.clone());
        let keys = self.effects.entry((sink.clone(), n)).or_default();
        if sink == Via::Keyed.sink() && keys.iter().any(|known| known == key) {
            self.dropped += 1;
            return Ok(());
        }
        keys.push(key.to_string());
        let distinct: BTreeSet<&String> = keys.iter().collect();
        if distinct.len() > 1 || (keys.len() > 1 && !may_repeat(&sink)) {
            return wrong(format!("order {n} arrived {} times at {sink}", keys.len()));
        }
        Ok(())
    }

    /// The sink's call is over (or was dropped).
    pub(crate) fn end(&mut self, process: u64, key: &str, number: u32) {
        if let Ok(attempt) = self.open_try(process, key, number)
            && matches!(attempt.fate, Fate::Intended | Fate::Open | Fate::Crossed)
        {
            attempt.fate = Fate::Never;
        }
        let epoch = self.open_try(process, key, number).map(|attempt| attempt.epoch.clone()).unwrap_or_default();
        let lane = self.lane(key);
        let _ = self.under_way.remove(&(epoch, lane));
    }

    /// The process is dead: what it had not handed to the network never arrives.
    pub(crate) fn died(&mut self, process: u64) {
        for attempt in self.outs.values_mut().flat_map(|out| &mut out.tries).filter(|t| t.process == process) {
            if matches!(attempt.fate, Fate::Intended | Fate::Open | Fate::Crossed) {
                attempt.fate = Fate::Never;
            }
        }
    }

    fn lane(&self, key: &str) -> String {
        self.outs.get(key).map(|out| out.lane.clone()).unwrap_or_default()
    }

    pub(crate) fn order_of(&self, key: &str) -> u32 {
        self.outs.get(key).map_or(0, |out| out.n)
    }

    pub(crate) fn truth(&self, key: &str) -> Truth {
        let tries = self.outs.get(key).map_or(&[][..], |out| &out.tries);
        match () {
            () if tries.iter().any(|t| t.fate == Fate::Arrived) => Truth::Arrived,
            () if tries.iter().any(|t| t.fate != Fate::Never) => Truth::MayArrive,
            () => Truth::Never,
        }
    }

    /// How many times an order had an effect at a receiver.
    pub(crate) fn effects(&self, sink: &str, n: u32) -> usize {
        self.effects.get(&(sink.to_string(), n)).map_or(0, Vec::len)
    }

    /// Attempts, and repetitions that keyed receivers dropped.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let tries = self.outs.values().map(|out| out.tries.len() as u64).sum();
        (tries, u64::from(self.dropped))
    }
}
