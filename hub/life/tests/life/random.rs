//! Long random histories: many lives, many attempts, any policy; and after each one a fair end, in which nothing fails any
//! more and every message must come to rest.

use std::time::Duration;

use hub_core::Repeat;
use hub_life::outbound::{Policy, State, advance};
use proptest::prelude::*;

use crate::world::{Bounds, End, Move, Node, Reply, Stage};

/// Moves of a fair end before it counts as a message that never comes to rest.
const FAIR_MOVES_MAX: usize = 2_000;

fn bounds(truthful: bool) -> Bounds {
    Bounds { horizon: 100_000, lives: 60, persons: 40, attempts: 1_000, truthful, restores: 3 }
}

fn policies() -> impl Strategy<Value = Policy> {
    let repeats = prop_oneof![
        Just(Repeat::Harmless),
        Just(Repeat::Keyed),
        Just(Repeat::Askable),
        Just(Repeat::Askable),
        Just(Repeat::Forbidden)
    ];
    let seconds = || (0_u64..9).prop_map(Duration::from_secs);
    (repeats, [seconds(), seconds(), seconds(), seconds()], 1_u64..4, 0_u32..5, any::<bool>()).prop_map(
        |(repeat, [settles_after, patience, attempt, min], every, times, doubt_holds_lane)| Policy {
            repeat,
            settles_after,
            patience,
            resolve_every: Duration::from_secs(every),
            attempt,
            times,
            min,
            max: min * 3,
            doubt_holds_lane,
        },
    )
}

fn walk(choices: &[u16], policy: &Policy, bounds: &Bounds) -> Result<Node, TestCaseError> {
    let (mut node, mut history) = (Node::start(), Vec::new());
    for choice in choices {
        let moves = node.moves(bounds);
        let Some(a_move) = moves.get(usize::from(*choice) % moves.len().max(1)).copied() else { break };
        history.push(a_move);
        node = node
            .step(a_move, advance, policy, bounds)
            .map_err(|what| TestCaseError::fail(format!("{what} after {history:?}")))?;
        node.try_everything(advance, policy).map_err(TestCaseError::fail)?;
    }
    Ok(node)
}

/// The move of a world in which everybody does their work and tells what they know.
fn fair(node: &Node) -> Option<Move> {
    let world = &node.world;
    if node.out.is_final() || matches!(node.out.state, State::Parked { .. }) {
        return None;
    }
    if let Some(frozen) = world.old.iter().position(|old| !old.over) {
        return Some(Move::OldDies(frozen));
    }
    if world.answer.is_some() {
        return Some(Move::Hear);
    }
    if world.ask {
        return Some(Move::CarryAsk(if world.effects > 0 { Reply::Delivered } else { Reply::NotDelivered }));
    }
    let due = world.wake.is_some_and(|at| at <= world.time);
    Some(match world.attempt {
        Some(Stage::Before) if node.moves(&bounds(true)).contains(&Move::Cross) => Move::Cross,
        Some(Stage::Before) => Move::Finish(End::NotSent),
        Some(Stage::InFlight) => Move::Land,
        Some(Stage::Landed) => Move::Finish(End::Receipt),
        None if world.send => Move::CarrySend,
        None if due => Move::Wake,
        None => Move::Tick,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn long_histories_keep_every_promise_and_come_to_rest(
        policy in policies(),
        choices in proptest::collection::vec(any::<u16>(), 200),
    ) {
        let bounds = bounds(true);
        let mut node = walk(&choices, &policy, &bounds)?;
        let mut moves = 0;
        while let Some(a_move) = fair(&node) {
            node = node.step(a_move, advance, &policy, &bounds).map_err(TestCaseError::fail)?;
            moves += 1;
            prop_assert!(moves < FAIR_MOVES_MAX, "does not come to rest: {:?}", node.out);
        }
    }

    #[test]
    fn people_who_say_anything_break_nothing_else(
        policy in policies(),
        choices in proptest::collection::vec(any::<u16>(), 200),
    ) {
        let _ = walk(&choices, &policy, &bounds(false))?;
    }

    #[test]
    fn what_is_durable_survives_being_written(
        policy in policies(),
        choices in proptest::collection::vec(any::<u16>(), 0..60),
    ) {
        let node = walk(&choices, &policy, &bounds(true))?;
        let text = serde_json::to_string(&node.out).map_err(|e| TestCaseError::fail(e.to_string()))?;
        let read: hub_life::outbound::Outbound =
            serde_json::from_str(&text).map_err(|e| TestCaseError::fail(format!("{e}: {text}")))?;
        prop_assert_eq!(read, node.out);
    }
}
