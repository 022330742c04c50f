//! Deterministic simulation of the real runtime and the real ledger: thousands of histories of faults, each from a seed, each
//! judged after every step. See `docs/simulation.md`.
//!
//! - [`history`]: what a history is made of. [`run`]: drives one. [`shrink`]: makes a failing one small.
//! - [`process`], [`disk`], [`clock`], [`outside`], [`people`]: the processes of the hub, and everything around them.
//! - [`custody`] (nothing lost), [`sends`] (nothing twice, lanes), [`journal`] (chain, cases, stories, ledger): the judge.
//! - [`mutants`]: planted mistakes that the judge has to find.

mod clock;
mod config;
mod custody;
mod disk;
mod history;
mod journal;
mod mutants;
mod outside;
mod people;
mod process;
mod run;
mod sends;
mod shrink;
mod trace;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use history::History;
use mutants::Mutant;
use run::{Outcome, simulate};

/// Histories of a run that names no number; `./test` names a larger one.
const SEEDS: u64 = 300;
/// Histories within which a planted mistake must be found.
const MUTANT_SEEDS: u64 = 2_000;
/// Futures of a whole hub in a build without optimisation need room.
const STACK: usize = 16 << 20;

fn named<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

/// Runs `work` on each number on all cores until one gives something; the smallest number wins.
fn first_of<T: Send>(numbers: std::ops::Range<u64>, work: impl Fn(u64) -> Option<T> + Sync) -> Option<(u64, T)> {
    let (next, found) = (AtomicU64::new(numbers.start), Mutex::new(BTreeMap::new()));
    let stop = AtomicBool::new(false);
    let one = || {
        while !stop.load(Ordering::SeqCst) {
            let number = next.fetch_add(1, Ordering::SeqCst);
            if number >= numbers.end {
                return;
            }
            if let Some(result) = work(number) {
                stop.store(true, Ordering::SeqCst);
                let _ = found.lock().expect("no thread panics while it holds this").insert(number, result);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            let thread = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, one);
            drop(thread.expect("a thread can be started"));
        }
    });
    found.into_inner().expect("no thread panics while it holds this").pop_first()
}

/// What a person needs who looks for the mistake: the smallest history that fails, what happened in it, and how to see it again.
fn report(history: &History, error: &str) -> String {
    let small = shrink::shrink(history, |part| simulate(part, None, false).result.is_err());
    let Outcome { result, story, .. } = simulate(&small, None, true);
    let kept: Vec<String> = small.ids().iter().map(ToString::to_string).collect();
    let command = "cargo test --workspace --test simulation every_history -- --nocapture";
    format!(
        "seed {}: {error}\n\nthe smallest part of it that fails: {}\n{small}\nwhat happened:\n{story}\n\n\
         see it again: RACCORDO_SEED={} {command}\n\
         the small one: RACCORDO_SEED={} RACCORDO_KEEP={} {command}\n",
        history.seed,
        result.err().unwrap_or_default(),
        history.seed,
        history.seed,
        kept.join(",")
    )
}

/// The history that the environment names, if it names one.
fn one() -> Option<History> {
    let history = History::of(named("RACCORDO_SEED")?);
    let kept = std::env::var("RACCORDO_KEEP").ok();
    let kept = kept.map(|ids| ids.split(',').filter_map(|id| id.trim().parse().ok()).collect::<BTreeSet<usize>>());
    Some(kept.map_or(history.clone(), |kept| history.only(&kept)))
}

#[test]
fn every_history_keeps_every_promise() {
    let counts: Mutex<BTreeMap<&str, u64>> = Mutex::default();
    let work = |history: History| {
        let outcome = simulate(&history, None, false);
        let mut counts = counts.lock().expect("no thread panics while it holds this");
        for (name, count) in outcome.counts {
            *counts.entry(name).or_default() += count;
        }
        outcome.result.err().map(|error| (history, error))
    };
    let from = named("RACCORDO_FROM").unwrap_or(0);
    let seeds = from..from + named::<u64>("RACCORDO_SEEDS").unwrap_or(SEEDS);
    let failed = match one() {
        Some(history) => first_of(0..1, |_| work(history.clone())),
        None => first_of(seeds, |seed| work(History::of(seed))),
    };
    if let Some((_, (history, error))) = failed {
        let told = thread::Builder::new().stack_size(STACK).spawn(move || report(&history, &error));
        panic!("{}", told.expect("a thread can be started").join().unwrap_or_default());
    }
    let counts = counts.into_inner().expect("no thread panics while it holds this");
    println!("{counts:#?}");
    assert!(counts["orders"] > 0 && counts["attempts"] > 0, "nothing happened: {counts:?}");
}

#[test]
fn the_same_seed_gives_the_same_history() {
    let differs = first_of(0..40, |seed| {
        let run = || {
            let outcome = simulate(&History::of(seed), None, true);
            (outcome.trace, outcome.story)
        };
        let (first, second) = (run(), run());
        (first != second).then(|| {
            let differ = first.1.lines().zip(second.1.lines()).find(|(a, b)| a != b);
            format!("{:x} and {:x}, first at {differ:?}", first.0, second.0)
        })
    });
    assert_eq!(differs, None);
}

#[test]
fn planted_mistakes_are_found() {
    for mutant in Mutant::ALL {
        let found = first_of(0..MUTANT_SEEDS, |seed| simulate(&History::of(seed), Some(mutant), false).result.err());
        let (seed, error) = found.unwrap_or_else(|| panic!("{mutant:?} is not found in {MUTANT_SEEDS} histories"));
        println!("{mutant:?}: seed {seed}: {error}");
    }
}
