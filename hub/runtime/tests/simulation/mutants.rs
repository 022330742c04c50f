//! Planted mistakes. A judge that finds nothing in the real hub must find something in each of these: otherwise its silence
//! proves nothing.

use std::collections::HashMap;

use serde_json::{Value, json};

/// A mistake in the store, in a sink, in the configuration or in the ledger. The hub's own code is the real one; each of these
/// makes it behave as if it broke one of its promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// Sends go out although the intent is not in the store.
    LosesIntents,
    /// The sender hears "taken" before the message is durable.
    AcknowledgesEarly,
    /// What follows a send is not written.
    ForgetsOutputs,
    /// Another hub that is frozen counts as dead.
    BelievesOthersDead,
    /// A send goes on when the fence is closed.
    IgnoresTheFence,
    /// "Nobody knows" is taken for "surely not sent": the hub repeats after a doubt.
    RepeatsDoubts,
    /// "Not there" counts at once, while bytes are still on their way.
    BelievesTooSoon,
    /// A doubt does not hold its lane.
    ReleasesTheLane,
    /// The receiver's own order is not kept.
    ForgetsItsLane,
    /// Cases make moves that the judge's model does not allow.
    MovesAsItLikes,
    /// The ledger passes an event over.
    LedgerForgets,
    /// A record of the journal changes after it was written.
    DamagesTheJournal,
}

impl Mutant {
    /// The planted mistake that a process is started with, for plug-ins.
    pub(crate) fn named(settings: &HashMap<String, HashMap<String, Value>>) -> Option<Self> {
        let index = settings.get("sim").and_then(|sim| sim.get("mutant")).and_then(Value::as_u64)?;
        Self::ALL.get(usize::try_from(index).ok()?).copied()
    }

    /// The settings that name it.
    pub(crate) fn settings(mutant: Option<Self>) -> HashMap<String, HashMap<String, Value>> {
        let index = mutant.and_then(|mutant| Self::ALL.iter().position(|known| *known == mutant));
        HashMap::from([("sim".into(), HashMap::from([("mutant".into(), json!(index))]))])
    }

    pub(crate) const ALL: [Self; 12] = [
        Self::LosesIntents,
        Self::AcknowledgesEarly,
        Self::ForgetsOutputs,
        Self::BelievesOthersDead,
        Self::IgnoresTheFence,
        Self::RepeatsDoubts,
        Self::BelievesTooSoon,
        Self::ReleasesTheLane,
        Self::ForgetsItsLane,
        Self::MovesAsItLikes,
        Self::LedgerForgets,
        Self::DamagesTheJournal,
    ];
}
