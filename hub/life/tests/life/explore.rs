//! Every history of a bounded world, breadth first.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use hub_life::outbound::{Outbound, Policy, State};

use crate::world::{Bounds, Life, Move, Node, World, second};

/// More points than this mean that the bounds are set too wide for a test.
const POINTS_MAX: usize = 2_000_000;

/// What a search saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Different pairs of durable state and world.
    pub(crate) points: usize,
    /// Steps between them.
    pub(crate) steps: usize,
    /// Longest shortest history.
    pub(crate) depth: usize,
    /// How many different histories lead from the beginning to an end of the bounded world.
    pub(crate) histories: f64,
    /// How many points are delivered, given up, parked.
    pub(crate) ends: [usize; 3],
}

/// A history that breaks an invariant: a shortest one.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) what: String,
    pub(crate) history: Vec<Move>,
}

/// What tells two durable states apart for the future. Words and the time of the first attempt do not.
pub(crate) type OutKey = ([u32; 5], [u32; 3], [bool; 3]);

pub(crate) fn key(out: &Outbound) -> OutKey {
    let life = |epoch: &str| epoch.get(1..).and_then(|number| number.parse().ok()).unwrap_or(u32::MAX);
    let state = match &out.state {
        State::Ready { not_before } => [0, second(*not_before), 0, 0, 0],
        State::Sending { epoch, not_after, .. } => [1, life(epoch), second(*not_after), 0, 0],
        State::InDoubt { epoch, since, not_after, ask_at, asked, .. } => {
            [100 + asked, life(epoch), second(*since), second(*not_after), second(*ask_at)]
        }
        State::Parked { kind, .. } => [2, *kind as u32, 0, 0, 0],
        State::Delivered => [3, 0, 0, 0, 0],
        State::GivenUp => [4, 0, 0, 0, 0],
    };
    let asking = match out.state {
        State::InDoubt { asking: Some(at), .. } => second(at) + 1,
        _ => 0,
    };
    (
        state,
        [out.attempts, out.failures, asking],
        [out.witness.is_some(), out.doubted, out.lost.is_some_and(|lost| lost.only)],
    )
}

/// What tells two points apart.
type PointKey = (OutKey, Option<OutKey>, World);

fn point(node: &Node) -> PointKey {
    (key(&node.out), node.copy.as_ref().map(key), node.world.clone())
}

struct Search {
    index: HashMap<PointKey, usize>,
    /// Durable states and seconds for which every event was tried.
    tried: HashSet<(OutKey, u32, usize)>,
    /// How each point was reached first.
    from: Vec<(usize, Option<Move>)>,
    edges: Vec<Vec<usize>>,
    seen: Seen,
}

/// Goes through every history; stops at the first that breaks an invariant.
pub(crate) fn explore(life: Life, policy: &Policy, bounds: &Bounds) -> Result<Seen, Broken> {
    let start = Node::start();
    let first = point(&start);
    let mut search = Search {
        index: HashMap::from([(first, 0)]),
        tried: HashSet::new(),
        from: vec![(0, None)],
        edges: vec![Vec::new()],
        seen: Seen::default(),
    };
    let mut layer = vec![(0, start)];
    while !layer.is_empty() {
        search.seen.depth += 1;
        layer = search.expand(&layer, life, policy, bounds)?;
    }
    search.seen.points = search.from.len();
    search.seen.histories = histories(&search.edges);
    Ok(search.seen)
}

impl Search {
    fn expand(
        &mut self,
        layer: &[(usize, Node)],
        life: Life,
        policy: &Policy,
        bounds: &Bounds,
    ) -> Result<Vec<(usize, Node)>, Broken> {
        let mut next = Vec::new();
        for (from, node) in layer {
            self.note(node);
            if self.tried.insert((key(&node.out), node.world.time, node.world.old.len())) {
                node.try_everything(life, policy).map_err(|what| self.broken(*from, None, what))?;
            }
            for a_move in node.moves(bounds) {
                let reached =
                    node.step(a_move, life, policy, bounds).map_err(|what| self.broken(*from, Some(a_move), what))?;
                self.seen.steps += 1;
                next.extend(self.reach(*from, a_move, reached));
            }
        }
        assert!(self.from.len() < POINTS_MAX, "the bounded world has more than {POINTS_MAX} points");
        Ok(next)
    }

    /// Files a point; gives it back if it is new.
    fn reach(&mut self, from: usize, a_move: Move, node: Node) -> Option<(usize, Node)> {
        let fresh = self.from.len();
        let (at, is_new) = match self.index.entry(point(&node)) {
            Entry::Occupied(known) => (*known.get(), false),
            Entry::Vacant(free) => (*free.insert(fresh), true),
        };
        if at != from {
            self.edges[from].push(at);
        }
        is_new.then(|| {
            self.from.push((from, Some(a_move)));
            self.edges.push(Vec::new());
            (at, node)
        })
    }

    fn note(&mut self, node: &Node) {
        match &node.out.state {
            State::Delivered => self.seen.ends[0] += 1,
            State::GivenUp => self.seen.ends[1] += 1,
            State::Parked { .. } => self.seen.ends[2] += 1,
            _ => {}
        }
    }

    fn broken(&self, from: usize, last: Option<Move>, what: String) -> Broken {
        let mut history: Vec<_> = last.into_iter().collect();
        let mut at = from;
        while let (earlier, Some(a_move)) = self.from[at] {
            history.push(a_move);
            at = earlier;
        }
        history.reverse();
        Broken { what, history }
    }
}

/// Paths from the first point to points without a successor; the graph has no cycles, because everything that happens is
/// counted somewhere.
fn histories(edges: &[Vec<usize>]) -> f64 {
    let mut open = vec![0_usize; edges.len()];
    for to in edges.iter().flatten() {
        open[*to] += 1;
    }
    let mut paths = vec![0.0; edges.len()];
    paths[0] = 1.0;
    let (mut ready, mut total, mut visited) = (vec![0], 0.0, 0);
    while let Some(at) = ready.pop() {
        visited += 1;
        total += if edges[at].is_empty() { paths[at] } else { 0.0 };
        for to in &edges[at] {
            paths[*to] += paths[at];
            open[*to] -= 1;
            if open[*to] == 0 {
                ready.push(*to);
            }
        }
    }
    assert_eq!(visited, edges.len(), "a history can run in a circle");
    total
}
