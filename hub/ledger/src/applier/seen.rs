//! Whether the ledger has seen a position.

use std::time::Duration;

use hub_backbone::{MAILED, Offset};

use super::State;
use crate::marks::{self, Seen};
use crate::{Error, store};

/// How often the store is asked about another hub's slot: soon at first, then less often.
const ASKED: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(200));

impl Seen {
    fn reaches(self, offset: Offset) -> bool {
        match offset & MAILED {
            0 => self.cases > offset,
            _ => self.mail > offset & !MAILED,
        }
    }
}

pub(super) async fn reaches(state: &State, slot: u16, offset: Offset) -> Result<(), Error> {
    let Some(own) = state.seen.get(usize::from(slot)) else {
        return Err(Error::Store(format!("there is no slot {slot}")));
    };
    let mut own = own.subscribe();
    let mut pause = ASKED.0;
    loop {
        if own.borrow_and_update().reaches(offset) || asked(state, slot).await?.reaches(offset) {
            return Ok(());
        }
        tokio::select! {
            _ = own.changed() => {}
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(ASKED.1),
        }
    }
}

/// What the store says about a slot that another hub's loop fills. Of its own slots this hub knows without asking.
async fn asked(state: &State, slot: u16) -> Result<Seen, Error> {
    if state.backbone.term(slot).is_some() {
        return Ok(Seen::default());
    }
    let at = state.store.at().to_owned();
    Ok(store::ask(&*state.store, move |sql| marks::mark(sql, slot, &at)).await?.seen)
}
