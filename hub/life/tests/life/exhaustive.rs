//! What is explored, and how much of it there is.

use hub_core::Repeat;
use hub_life::outbound::{Policy, advance};

use crate::explore::explore;
use crate::world::{Bounds, policy};

/// Three lives of the hub, two of which may be frozen at once; two attempts; people decide twice.
pub(crate) const BOUNDS: Bounds = Bounds { horizon: 6, lives: 3, persons: 2, attempts: 2, truthful: true, restores: 0 };

/// An old copy of the store is put back, while the life that is lost may still run.
pub(crate) const OLD_STORE: Bounds = Bounds { horizon: 5, lives: 2, persons: 1, restores: 1, ..BOUNDS };

/// The same, and a hub crashes or freezes before or after it.
const OLD_STORE_AND_CRASH: Bounds = Bounds { horizon: 3, lives: 3, persons: 0, ..OLD_STORE };

/// People who say anything.
const LIARS: Bounds = Bounds { horizon: 5, lives: 2, truthful: false, ..BOUNDS };

pub(crate) fn askable() -> Policy {
    policy(Repeat::Askable, 2, 3, 1)
}

pub(crate) fn forbidden() -> Policy {
    policy(Repeat::Forbidden, 2, 3, 1)
}

pub(crate) fn keyed() -> Policy {
    policy(Repeat::Keyed, 2, 3, 1)
}

fn holds_in_every_history(name: &str, policy: &Policy, bounds: &Bounds) {
    match explore(advance, policy, bounds) {
        Ok(seen) => {
            println!("{name}: {seen:?}");
            assert!(seen.ends.iter().all(|points| *points > 0), "the search did not reach every end: {seen:?}");
        }
        Err(broken) => panic!("{name}: {} after {:#?}", broken.what, broken.history),
    }
}

#[test]
fn a_forbidden_sink_in_every_history() {
    holds_in_every_history("forbidden", &forbidden(), &BOUNDS);
    holds_in_every_history("forbidden, no second try", &policy(Repeat::Forbidden, 2, 3, 0), &BOUNDS);
    holds_in_every_history("forbidden, liars", &forbidden(), &LIARS);
}

#[test]
fn an_askable_sink_in_every_history() {
    holds_in_every_history("askable", &askable(), &BOUNDS);
}

#[test]
fn an_askable_sink_that_settles_slowly_or_at_once_in_every_history() {
    let narrow = Bounds { horizon: 5, ..BOUNDS };
    holds_in_every_history("askable, patience shorter than settling", &policy(Repeat::Askable, 3, 1, 1), &narrow);
    holds_in_every_history("askable, settles at once", &policy(Repeat::Askable, 0, 2, 0), &narrow);
    holds_in_every_history("askable, liars", &policy(Repeat::Askable, 1, 2, 1), &LIARS);
}

#[test]
fn a_store_that_is_put_back_in_every_history() {
    holds_in_every_history("old store, askable", &policy(Repeat::Askable, 1, 2, 1), &OLD_STORE);
    match explore(advance, &policy(Repeat::Askable, 1, 1, 0), &OLD_STORE_AND_CRASH) {
        Ok(seen) => println!("old store, askable, and a crash: {seen:?}"),
        Err(broken) => panic!("old store, askable, and a crash: {} after {:#?}", broken.what, broken.history),
    }
    holds_in_every_history("old store, forbidden", &forbidden(), &OLD_STORE);
    holds_in_every_history("old store, keyed", &keyed(), &OLD_STORE);
}

#[test]
fn a_harmless_or_keyed_sink_in_every_history() {
    let three = Bounds { attempts: 3, ..BOUNDS };
    holds_in_every_history("harmless", &policy(Repeat::Harmless, 2, 3, 0), &BOUNDS);
    holds_in_every_history("keyed", &keyed(), &three);
    holds_in_every_history("keyed, liars", &keyed(), &LIARS);
}
