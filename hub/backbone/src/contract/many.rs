//! Several hubs on one log: each sentence under "Where several hubs work on one log" of [`Backbone`]'s comment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinHandle;

use crate::contract::{PARTITIONS, commit, inbox, keys, read_all, within};
use crate::{Backbone, Commit, Error, MAILED, Offset, Place, Stored, Term, Topic};

/// A log that is fresh and empty at first, with [`PARTITIONS`] slots and no hub.
#[async_trait]
pub trait Hubs: Send {
    /// One more hub. From now on the slots are shared out among all hubs: each gets at least one, sooner or later.
    async fn join(&mut self) -> Arc<dyn Backbone>;

    /// The hub that joined as the `number`th ends; the others get its slots.
    async fn leave(&mut self, number: usize);
}

/// Makes one `#[tokio::test]` for each case, as [`contract_tests!`](crate::contract_tests) does. The closure makes fresh
/// [`Hubs`](crate::contract::Hubs), or gives `None`.
#[macro_export]
macro_rules! many_hubs_tests {
    ($make:expr) => {
        $crate::contract_tests!(@cases $make;
            a_slot_has_one_owner, what_is_about_lost_slots_is_not_written, a_slot_that_comes_back_has_another_term,
            mail_arrives_once_and_in_order, mail_stands_before_what_its_sender_appends_later,
            who_gets_a_slot_sees_everything, slots_of_others_may_not_be_asked, facts_are_known_to_all_and_stay,
            replies_reach_their_hub, moves_lose_nothing_and_double_nothing,
        );
    };
}

type Hub = Arc<dyn Backbone>;

/// Waits until each slot has one owner, and each hub a slot.
async fn settled(hubs: &[&Hub]) {
    within(async {
        while !is_settled(hubs) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

fn is_settled(hubs: &[&Hub]) -> bool {
    let owners = |slot| hubs.iter().filter(|hub| hub.term(slot).is_some()).count();
    (0..PARTITIONS).all(|slot| owners(slot) == 1)
        && hubs.iter().all(|hub| (0..PARTITIONS).any(|slot| hub.term(slot).is_some()))
}

/// Two hubs that share the slots: the first had all of them before.
async fn two(hubs: &mut dyn Hubs) -> (Hub, Hub) {
    let first = hubs.join().await;
    settled(&[&first]).await;
    let second = hubs.join().await;
    settled(&[&first, &second]).await;
    (first, second)
}

fn slot_of(hub: &Hub) -> u16 {
    (0..PARTITIONS).find(|slot| hub.term(*slot).is_some()).expect("a slot")
}

fn lost<T>(result: Result<T, Error>) -> Option<u16> {
    match result {
        Err(Error::Lost { slot }) => Some(slot),
        _ => None,
    }
}

fn put(place: Place) -> Commit {
    let mut commit = Commit::new();
    commit.put(place, "s", "k", "v");
    commit
}

/// A slot has one owner at most, and `terms_beyond` tells of changes.
pub async fn a_slot_has_one_owner(hubs: &mut dyn Hubs) {
    let first = hubs.join().await;
    settled(&[&first]).await;
    let before: Vec<Option<Term>> = (0..PARTITIONS).map(|slot| first.term(slot)).collect();
    assert_eq!(first.term(PARTITIONS), None, "there is no such slot");
    let second = hubs.join().await;
    let told = within(first.terms_beyond(&before)).await.expect("terms");
    assert_ne!(told, before, "the first is told that it has lost some");
    settled(&[&first, &second]).await;
    for slot in 0..PARTITIONS {
        assert!(
            first.term(slot).is_none() || first.term(slot) == before[usize::from(slot)],
            "what is kept keeps its term"
        );
    }
    assert_ne!(first.epoch(), second.epoch());
    hubs.leave(1).await;
    settled(&[&first]).await;
}

/// State or positions of a slot of somebody else, or a basis that is over: nothing of the commit is written.
pub async fn what_is_about_lost_slots_is_not_written(hubs: &mut dyn Hubs) {
    let first = hubs.join().await;
    settled(&[&first]).await;
    let terms: Vec<Option<Term>> = (0..PARTITIONS).map(|slot| first.term(slot)).collect();
    let second = hubs.join().await;
    settled(&[&first, &second]).await;
    let (mine, other) = (slot_of(&first), slot_of(&second));
    let mut position = Commit::new();
    position.done(inbox(other), 7);
    let mut basis = Commit::new();
    basis.based_on(other, terms[usize::from(other)].expect("it was the first's"));
    for mut bad in [put(inbox(other)), position, basis] {
        bad.append(inbox(mine), "never", "");
        bad.append(inbox(other), "never", "");
        bad.merge(put(inbox(mine)));
        assert_eq!(lost(within(first.commit(bad)).await), Some(other));
    }
    let mut good = put(inbox(mine));
    good.based_on(mine, first.term(mine).expect("mine"));
    assert!(within(first.get(inbox(mine), "s", "k")).await.expect("get").is_none());
    assert!(commit(&*first, good).await.is_empty());
    assert_eq!(within(first.end(inbox(mine))).await.expect("end"), 0);
    assert_eq!(within(second.end(inbox(other))).await.expect("end"), 0, "and nothing was mailed");
    assert_eq!(within(second.position(inbox(other))).await.expect("position"), 0);
}

/// A hub that loses a slot and gets it back owns it in a greater term; what was computed in the old one is refused.
pub async fn a_slot_that_comes_back_has_another_term(hubs: &mut dyn Hubs) {
    let first = hubs.join().await;
    settled(&[&first]).await;
    let terms: Vec<Option<Term>> = (0..PARTITIONS).map(|slot| first.term(slot)).collect();
    let second = hubs.join().await;
    settled(&[&first, &second]).await;
    let moved = slot_of(&second);
    commit(&*second, put(inbox(moved))).await;
    hubs.leave(1).await;
    settled(&[&first]).await;
    let old = terms[usize::from(moved)].expect("it was the first's");
    assert!(first.term(moved).expect("again") > old);
    let mut late = Commit::new();
    late.append(inbox(moved), "late", "");
    late.based_on(moved, old);
    assert_eq!(lost(within(first.commit(late)).await), Some(moved));
    assert_eq!(within(first.get(inbox(moved), "s", "k")).await.expect("get").as_deref(), Some(&b"v"[..]));
    assert_eq!(within(first.end(inbox(moved))).await.expect("end"), 0);
}

/// What a hub appends to another hub's slot arrives once, in the order of its commits, and can be waited for.
pub async fn mail_arrives_once_and_in_order(hubs: &mut dyn Hubs) {
    const COMMITS: u64 = 40;
    let (first, second) = two(hubs).await;
    let (mine, other) = (slot_of(&first), slot_of(&second));
    let mut newest = 0;
    for n in 0..COMMITS {
        let mut step = Commit::new();
        step.append(inbox(other), format!("{n}a"), "mail");
        step.append(inbox(mine), format!("{n}"), "own");
        step.append(Place::new(Topic::CASES, other), format!("{n}"), "to another log");
        step.append(inbox(other), format!("{n}b"), "mail");
        let offsets = commit(&*first, step).await;
        assert_eq!(offsets[1], n, "what is the hub's own has a place");
        assert!([0, 2, 3].iter().all(|at| offsets[*at] & MAILED != 0) && offsets[0] < offsets[3], "{offsets:?}");
        newest = offsets[3] & !MAILED;
    }
    within(second.changed(inbox(other), 2 * COMMITS - 1)).await.expect("it arrives");
    let found = read_all(&*second, inbox(other), 0).await;
    let wanted: Vec<String> = (0..COMMITS).flat_map(|n| [format!("{n}a"), format!("{n}b")]).collect();
    assert_eq!(keys(&found), wanted);
    within(until_taken(&second, other, newest)).await;
    assert_eq!(within(second.end(Place::new(Topic::CASES, other))).await.expect("end"), COMMITS);
}

async fn until_taken(hub: &Hub, slot: u16, number: u64) {
    while hub.mail_taken(slot).await.expect("how much is taken") <= number {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A hub that mails to a slot and then gets it appends behind its own mail.
pub async fn mail_stands_before_what_its_sender_appends_later(hubs: &mut dyn Hubs) {
    let (first, second) = two(hubs).await;
    let other = slot_of(&second);
    let mut mail = Commit::new();
    (0..20).for_each(|n| mail.append(inbox(other), n.to_string(), "mail"));
    commit(&*first, mail).await;
    hubs.leave(1).await;
    settled(&[&first]).await;
    let mut own = Commit::new();
    own.append(inbox(other), "20", "own");
    assert_eq!(commit(&*first, own).await, [20], "behind all the mail");
    let found = read_all(&*first, inbox(other), 0).await;
    assert_eq!(keys(&found), (0..=20).map(|n| n.to_string()).collect::<Vec<_>>());
}

/// Records, state and positions that were committed to a slot are there when its term begins with another hub.
pub async fn who_gets_a_slot_sees_everything(hubs: &mut dyn Hubs) {
    let first = hubs.join().await;
    settled(&[&first]).await;
    let mut all = Commit::new();
    for place in (0..PARTITIONS).flat_map(|slot| Topic::ALL.map(|topic| Place::new(topic, slot))) {
        (0..10).for_each(|n| all.append(place, n.to_string(), place.to_string()));
        all.put(place, "s", "k", place.to_string());
        all.put(place, "s", "gone", "");
        all.delete(place, "s", "gone");
        all.done(place, 5);
    }
    commit(&*first, all).await;
    within(first.trim(inbox(PARTITIONS - 1), 3)).await.expect("trim");
    let second = hubs.join().await;
    settled(&[&first, &second]).await;
    for slot in (0..PARTITIONS).filter(|slot| second.term(*slot).is_some()) {
        for topic in Topic::ALL {
            sees_everything(&second, Place::new(topic, slot)).await;
        }
    }
}

async fn sees_everything(hub: &Hub, place: Place) {
    let found = read_all(&**hub, place, 0).await;
    let first = if place == inbox(PARTITIONS - 1) { 3 } else { 0 };
    assert_eq!(keys(&found), (first..10).map(|n| n.to_string()).collect::<Vec<_>>(), "{place}");
    assert_eq!(within(hub.position(place)).await.expect("position"), 5);
    assert_eq!(within(hub.spaces(place)).await.expect("spaces"), ["s"]);
    let state = within(hub.scan(place, "s", None, 9)).await.expect("scan");
    assert_eq!(state, [("k".to_owned(), place.to_string().into())]);
    let mut more = Commit::new();
    more.append(place, "10", "");
    assert_eq!(commit(&**hub, more).await, [10], "the log goes on");
}

/// Of slots of others nothing may be asked; who waits for more of a slot is told when it is lost.
pub async fn slots_of_others_may_not_be_asked(hubs: &mut dyn Hubs) {
    let first = hubs.join().await;
    settled(&[&first]).await;
    let all = Arc::clone(&first);
    let waiting: Vec<JoinHandle<Result<(), Error>>> = (0..PARTITIONS)
        .map(|slot| {
            let hub = Arc::clone(&all);
            tokio::spawn(async move { hub.changed(inbox(slot), 99).await })
        })
        .collect();
    let second = hubs.join().await;
    settled(&[&first, &second]).await;
    for (slot, waiting) in (0..).zip(waiting) {
        match first.term(slot) {
            Some(_) => waiting.abort(),
            None => assert_eq!(lost(within(waiting).await.expect("no panic")), Some(slot)),
        }
    }
    let (slot, place) = (slot_of(&second), inbox(slot_of(&second)));
    assert_eq!(lost(within(first.get(place, "s", "k")).await), Some(slot));
    assert_eq!(lost(within(first.scan(place, "s", None, 1)).await), Some(slot));
    assert_eq!(lost(within(first.spaces(place)).await), Some(slot));
    assert_eq!(lost(within(first.read(place, 0, 1, 1)).await), Some(slot));
    assert_eq!(lost(within(first.end(place)).await), Some(slot));
    assert_eq!(lost(within(first.position(place)).await), Some(slot));
    assert_eq!(lost(within(first.changed(place, 0)).await), Some(slot));
    assert_eq!(lost(within(first.trim(place, 1)).await), Some(slot));
}

/// `share` makes a fact known to all hubs, those that come later included; one that is there is not changed.
pub async fn facts_are_known_to_all_and_stay(hubs: &mut dyn Hubs) {
    let (first, second) = two(hubs).await;
    within(first.share("kind", "a", "first".into())).await.expect("shared");
    until_known(&second, 1).await;
    within(second.share("kind", "a", "second".into())).await.expect("shared");
    within(second.share("kind", "b", "second".into())).await.expect("shared");
    within(second.share("other", "a", "other".into())).await.expect("shared");
    assert_eq!(
        within(second.shared("kind")).await.expect("facts").len(),
        2,
        "what is shared is known to who shares it"
    );
    until_known(&first, 2).await;
    let third = hubs.join().await;
    let wanted = [("a".to_owned(), "first".into()), ("b".to_owned(), "second".into())];
    for hub in [&first, &second, &third] {
        assert_eq!(within(hub.shared("kind")).await.expect("facts"), wanted);
    }
}

async fn until_known(hub: &Hub, count: usize) {
    within(async {
        while hub.shared("kind").await.expect("facts").len() < count {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

/// `reply` reaches the hub with that epoch, and no other; waiting for one may be given up.
pub async fn replies_reach_their_hub(hubs: &mut dyn Hubs) {
    let (first, second) = two(hubs).await;
    let early = tokio::time::timeout(Duration::from_millis(30), first.told()).await;
    assert!(early.is_err(), "nobody has said anything");
    within(first.reply("never-seen", "lost".into())).await.expect("nobody relies on it");
    for (n, to) in [(1u8, &first), (2, &second), (3, &first)] {
        within(second.reply(to.epoch(), vec![n].into())).await.expect("told");
    }
    assert_eq!(within(first.told()).await.expect("told"), &[1][..]);
    assert_eq!(within(first.told()).await.expect("told"), &[3][..]);
    assert_eq!(within(second.told()).await.expect("told"), &[2][..]);
}

/// While slots move between hubs that all write: what was acknowledged is there once, whatever was lost is not there, and
/// each hub's order is kept.
pub async fn moves_lose_nothing_and_double_nothing(hubs: &mut dyn Hubs) {
    let stop = Arc::new(AtomicBool::new(false));
    let first = hubs.join().await;
    settled(&[&first]).await;
    let mut writers = vec![tokio::spawn(write("first", Arc::clone(&first), Arc::clone(&stop)))];
    for (number, name) in [(1, "second"), (2, "third")] {
        let hub = hubs.join().await;
        settled(&[&first, &hub]).await;
        writers.push(tokio::spawn(write(name, Arc::clone(&hub), Arc::clone(&stop))));
        until_more(&first).await;
        hubs.leave(number).await;
        settled(&[&first]).await;
        until_more(&first).await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut acknowledged = BTreeMap::new();
    for writer in writers {
        acknowledged.extend(within(writer).await.expect("no panic"));
    }
    for slot in 0..PARTITIONS {
        check_log(&first, slot, &acknowledged).await;
    }
}

/// Waits until this hub has written something more.
async fn until_more(hub: &Hub) {
    let end = within(hub.end(inbox(slot_of(hub)))).await.expect("end");
    within(hub.changed(inbox(slot_of(hub)), end + 2)).await.expect("more");
}

/// What became of each step: `true` if it was acknowledged, `false` if it was lost. Those of which nobody knows are missing.
type Steps = BTreeMap<String, bool>;

/// Writes to all slots in turn, its own and others', until it is told to stop or its hub ends.
async fn write(name: &str, hub: Hub, stop: Arc<AtomicBool>) -> Steps {
    let mut steps = Steps::new();
    for n in 0u64.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let slot = u16::try_from(n % u64::from(PARTITIONS)).unwrap_or(0);
        let (key, mut step) = (format!("{name}/{slot}/{n:06}"), Commit::new());
        step.append(inbox(slot), &*key, "");
        if let Some(term) = hub.term(slot) {
            step.based_on(slot, term);
            step.put(inbox(slot), "steps", &*key, "");
        }
        match hub.commit(step).await {
            Ok(_) => drop(steps.insert(key, true)),
            Err(Error::Lost { .. }) => drop(steps.insert(key, false)),
            Err(_) => break,
        }
    }
    steps
}

async fn check_log(hub: &Hub, slot: u16, steps: &Steps) {
    let wanted: Vec<&str> = steps.iter().filter(|(_, there)| **there).map(|(key, _)| key.as_str()).collect();
    let found = within(until_all_there(hub, slot, &wanted)).await;
    let mut seen: BTreeMap<&str, Offset> = BTreeMap::new();
    for record in &found {
        assert!(seen.insert(&record.key, record.offset).is_none(), "{} is there twice", record.key);
        assert!(steps.get(&record.key) != Some(&false), "{} was said to be lost", record.key);
    }
    let in_order = |name: &str| {
        let places: Vec<Offset> = seen.iter().filter(|(key, _)| key.starts_with(name)).map(|(_, at)| *at).collect();
        places.is_sorted()
    };
    assert!(["first", "second", "third"].into_iter().all(in_order), "each hub's order is kept");
}

/// Reads a log until everything that was acknowledged is there: mail takes a moment.
async fn until_all_there(hub: &Hub, slot: u16, wanted: &[&str]) -> Vec<Stored> {
    let here = format!("/{slot}/");
    let wanted: BTreeSet<&str> = wanted.iter().copied().filter(|key| key.contains(&here)).collect();
    loop {
        let found = read_all(&**hub, inbox(slot), 0).await;
        let there: BTreeSet<&str> = found.iter().map(|record| record.key.as_str()).collect();
        if wanted.is_subset(&there) {
            return found;
        }
        hub.changed(inbox(slot), found.len() as Offset).await.expect("what was mailed arrives");
    }
}
