//! One slot in one term: what its workers and the sends they began hold on to.
//!
//! A slot may go to another hub while a send is under way, and may come back. So each term has an epoch of its own: what a
//! worker finds open under another epoch is not its own, even if the same process began it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use hub_backbone::{Backbone, Place, Term, Topic};

use crate::flag::Flag;

/// A slot of this hub, as long as its term lasts.
#[derive(Debug)]
pub(crate) struct Tenure {
    pub(crate) slot: u16,
    pub(crate) term: Term,
    /// Under which attempts are made.
    epoch: String,
    lost: Flag,
    backbone: Arc<dyn Backbone>,
}

impl Tenure {
    /// The slot's partition of a topic.
    pub(crate) fn place(&self, topic: Topic) -> Place {
        Place::new(topic, self.slot)
    }

    pub(crate) fn epoch(&self) -> &str {
        &self.epoch
    }

    /// Whether the slot is still this hub's, in this term: asked of the log right before bytes leave the hub.
    pub(crate) fn may_act(&self) -> Result<(), String> {
        match self.backbone.term(self.slot) == Some(self.term) && !self.lost.is_raised() {
            true => Ok(()),
            false => Err(format!("slot {} is another hub's now: its owner goes on", self.slot)),
        }
    }

    /// The term is over.
    pub(crate) fn lose(&self) {
        self.lost.raise();
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.lost.is_raised()
    }
}

/// All terms of this life of the hub that somebody still holds on to.
#[derive(Debug, Default)]
pub(crate) struct Tenures(Mutex<HashMap<String, Weak<Tenure>>>);

impl Tenures {
    /// Begins a term.
    pub(crate) fn begin(&self, backbone: &Arc<dyn Backbone>, slot: u16, term: Term) -> Arc<Tenure> {
        let epoch = epoch_of(backbone.epoch(), slot, term);
        let tenure = Arc::new(Tenure { slot, term, epoch, lost: Flag::default(), backbone: backbone.clone() });
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, tenure| tenure.strong_count() > 0);
        let _ = known.insert(tenure.epoch.clone(), Arc::downgrade(&tenure));
        tenure
    }

    /// Whether what was begun under `epoch` has provably ended. A term of this life has when neither a worker nor a send of it
    /// is left; another life, when the log says so.
    pub(crate) fn is_over(&self, backbone: &dyn Backbone, epoch: &str) -> bool {
        let life = epoch.split_once('/').map_or(epoch, |(life, _)| life);
        if life != backbone.epoch() {
            return backbone.is_over(life);
        }
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(epoch).is_none_or(|tenure| tenure.strong_count() == 0)
    }
}

/// The epoch of a term: that of the life and which slot, in which term. A store of one hub has one term for ever (0), and
/// there a life's epoch says all.
fn epoch_of(life: &str, slot: u16, term: Term) -> String {
    match term {
        0 => life.to_owned(),
        term => format!("{life}/{slot}.{term}"),
    }
}

#[cfg(test)]
mod tests {
    use hub_backbone::{Cluster, Memory};

    use super::*;

    #[test]
    fn a_term_is_over_when_nothing_of_it_is_left() {
        let cluster = Cluster::new(2);
        let (one, other) = (cluster.join(), cluster.join());
        cluster.assign(1, Some(&one));
        let (one, other): (Arc<dyn Backbone>, Arc<dyn Backbone>) = (Arc::new(one), Arc::new(other));
        let tenures = Tenures::default();
        let first = tenures.begin(&one, 1, 1);
        let send = first.clone();
        assert!(first.may_act().is_ok() && !tenures.is_over(&*one, first.epoch()));
        let epoch = first.epoch().to_owned();
        first.lose();
        assert!(send.may_act().is_err());
        drop(first);
        assert!(!tenures.is_over(&*one, &epoch), "a send is left");
        drop(send);
        assert!(tenures.is_over(&*one, &epoch));
        assert!(!Tenures::default().is_over(&*other, &epoch), "for others the life counts");
    }

    #[test]
    fn a_store_of_one_hub_has_one_epoch_for_all() {
        let memory: Arc<dyn Backbone> = Arc::new(Memory::new(2));
        let tenure = Tenures::default().begin(&memory, 1, 0);
        assert_eq!(tenure.epoch(), memory.epoch());
    }
}
