//! The names of topics.

use hub_backbone::{Place, Topic};

/// The topics of one store.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    prefix: String,
}

impl Names {
    pub(crate) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }
    /// Records of a topic.
    pub(crate) fn log(&self, topic: Topic) -> String {
        format!("{}.{}", self.prefix, topic.0)
    }
    /// Keyed state of the partitions of a topic: compacted.
    pub(crate) fn state(&self, topic: Topic) -> String {
        format!("{}.{}.state", self.prefix, topic.0)
    }
    /// Lives of hubs: compacted, one partition.
    pub(crate) fn epochs(&self) -> String {
        format!("{}.epochs", self.prefix)
    }
    /// Who has begun to own which slot; a partition for each. The group of hubs shares out its partitions.
    pub(crate) fn slots(&self) -> String {
        format!("{}.slots", self.prefix)
    }
    /// What hubs append to slots of others; a partition for each slot.
    pub(crate) fn mail(&self) -> String {
        format!("{}.mail", self.prefix)
    }
    /// Facts that all hubs know: compacted, one partition.
    pub(crate) fn shared(&self) -> String {
        format!("{}.shared", self.prefix)
    }
    /// What hubs tell each other: an hour, one partition.
    pub(crate) fn replies(&self) -> String {
        format!("{}.replies", self.prefix)
    }
}

/// All partitions of all topics, in the order of [`index`].
pub(crate) fn places(partitions: u16) -> impl Iterator<Item = Place> {
    Topic::ALL.into_iter().flat_map(move |topic| (0..partitions).map(move |partition| Place::new(topic, partition)))
}

/// All partitions of one slot, in the order of topics.
pub(crate) fn of_slot(slot: u16) -> impl Iterator<Item = Place> {
    Topic::ALL.into_iter().map(move |topic| Place::new(topic, slot))
}

/// The number of a place among all; the caller has checked that it exists.
pub(crate) fn index(place: Place, partitions: u16) -> usize {
    let topic = Topic::ALL.iter().position(|topic| *topic == place.topic).unwrap_or(0);
    topic * usize::from(partitions) + usize::from(place.partition)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_has_its_index() {
        for (n, place) in places(3).enumerate() {
            assert_eq!(index(place, 3), n, "{place}");
        }
        assert_eq!(Names::new("r").state(Topic::INBOX), "r.inbox.state");
    }
}
