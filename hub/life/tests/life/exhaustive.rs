//! What is explored, and how much of it there is.

use hub_core::Repeat;
use hub_life::outbound::{Policy, advance};

use crate::explore::explore;
use crate::world::{Bounds, policy};

/// Three lives of the hub, two of which may be frozen; two attempts; people decide twice.
pub(crate) const BOUNDS: Bounds =
    Bounds { horizon: 7, lives: 3, persons: 2, attempts: 2, answers: 1, truthful: true, drops_stale: true };

fn holds_in_every_history(name: &str, policy: &Policy, bounds: &Bounds) {
    let begun = std::time::Instant::now();
    match explore(advance, policy, bounds) {
        Ok(seen) => {
            println!("{name}: {seen:?} in {:?}", begun.elapsed());
            assert!(seen.ends.iter().all(|points| *points > 0), "the search did not reach every end: {seen:?}");
        }
        Err(broken) => panic!("{name}: {} after {:#?}", broken.what, broken.history),
    }
}

#[test]
fn forbidden() {
    holds_in_every_history("forbidden", &policy(Repeat::Forbidden, 2, 3, 1), &BOUNDS);
}
#[test]
fn askable() {
    holds_in_every_history("askable", &policy(Repeat::Askable, 2, 3, 1), &BOUNDS);
}
#[test]
fn keyed() {
    holds_in_every_history("keyed", &policy(Repeat::Keyed, 2, 3, 1), &BOUNDS);
}
