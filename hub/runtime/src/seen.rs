//! How far a ledger in a store of its own has come. The runtime does not know the ledger: whoever starts the hub hands this in.

use async_trait::async_trait;
use hub_backbone::{MAILED, Offset, Topic};

/// Waits for the ledger.
#[async_trait]
pub trait Seen: Send + Sync {
    /// Completes when the ledger shows what a record of `cases` in this slot has caused, whichever hub owns the slot. An offset
    /// with [`MAILED`] names a record of the slot's mail instead. It may be dropped.
    ///
    /// # Errors
    /// In words, if the ledger cannot be asked.
    async fn reaches(&self, slot: u16, offset: Offset) -> Result<(), String>;
}

/// `cases/3@17`, or `mail/3@17` for what is on its way to another hub: the slot, and the offset as [`Seen::reaches`] wants it.
pub(crate) fn read_position(text: &str) -> Option<(u16, Offset)> {
    let (place, offset) = text.split_once('@')?;
    let (topic, slot) = place.split_once('/')?;
    let (slot, offset) = (slot.parse().ok()?, offset.parse().ok().filter(|offset| offset & MAILED == 0)?);
    match topic {
        "mail" => Some((slot, offset | MAILED)),
        topic => (topic == Topic::CASES.0).then_some((slot, offset)),
    }
}

#[cfg(test)]
mod tests {
    use hub_backbone::Place;

    use super::*;

    #[test]
    fn positions_are_read_as_they_are_written() {
        assert_eq!(read_position(&format!("{}@17", Place::new(Topic::CASES, 3))), Some((3, 17)));
        assert_eq!(read_position("mail/3@17"), Some((3, MAILED | 17)));
        for wrong in ["cases@17", "nothing/1@1", "cases/1@", "mail/1@9223372036854775808", "cases/70000@1"] {
            assert_eq!(read_position(wrong), None, "{wrong}");
        }
    }
}
