//! The hub dies at every fail point, with the real SIOPE+ simulator on the other side: one world, one life for each point,
//! while orders come in through HTTP and a folder, people approve, and notices go out to a plain HTTP receiver and as files.
//!
//! What is judged is what the simulator and the receiver saw, compared with what was offered.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hub_failpoint::Point;
use raccordo::demo::{Answer, Offer, People, Sender, World, repository};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;

use crate::doomed::Doomed;
use crate::life::Life;
use crate::notices::Notices;
use crate::verdict::{
    Operator, every_taken_order_ends_paid, judge, many_orders, quick_world, the_ledger_is_what_the_journal_says,
};

/// How long a life may take to reach its point.
const DIES_WITHIN: Duration = Duration::from_secs(60);
/// Orders of one offering: through HTTP, and as files.
const OFFERED: (usize, usize) = (3, 1);
/// How often more is offered while a hub does not die.
const OFFER_EVERY: Duration = Duration::from_secs(1);
const ORDERS_MAX: usize = 2_000;

/// What notices visit: the crossing points of the plain sinks, with a receiver that knows keys and one that does not.
const BY_NOTICES: [Point; 6] = [
    Point::HttpCrossing,
    Point::HttpCrossed,
    Point::HttpHanded,
    Point::HttpAnswered,
    Point::FileWritten,
    Point::FileNamed,
];

/// Points that a life passes once.
const ONCE: [Point; 5] =
    [Point::StoreOpened, Point::VersionsCommit, Point::VersionsCommitted, Point::StoreEnd, Point::StoreEnded];

/// What a running hub never visits: `migrate.rs` dies there.
const BY_MIGRATE: [Point; 3] = [Point::MigrateMarked, Point::MigratePage, Point::MigrateMoved];

/// What orders visit: all that is left, and once more the moment at which the HTTP client has a flow in its hands.
fn by_orders() -> Vec<Point> {
    let others = Point::ALL.iter().copied().filter(|point| !BY_NOTICES.contains(point) && !BY_MIGRATE.contains(point));
    others.chain([Point::HttpHanded]).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hub_dies_at_every_fail_point_and_nothing_is_lost_or_sent_twice() {
    let seed: u64 = std::env::var("RACCORDO_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_261_125);
    println!("seed {seed} (set RACCORDO_SEED to repeat)");
    let begun = Instant::now();
    let root = repository().expect("repository");
    let dir = tempfile::tempdir().expect("folder");
    let world = quick_world(&root, dir.path(), seed, Duration::from_secs(1)).await;
    let notices = Notices::prepare(&world).await;
    let mut scene = Scene::new(&world, &root, seed).await;
    let rounds = if std::env::var_os("RACCORDO_LONG").is_some() { 4 } else { 1 };

    let mut visited = BTreeSet::new();
    for _ in 0..rounds {
        for point in by_orders() {
            scene.orders_until_death(point).await;
            let _ = visited.insert(point);
        }
    }
    scene.everything_ends_well().await;
    for _ in 0..rounds {
        for (visit, point) in BY_NOTICES.into_iter().flat_map(|point| [(1, point), (2, point)]) {
            scene.notices_until_death(&notices, point, visit).await;
            let _ = visited.insert(point);
        }
    }
    notices.all_end_well(&world).await;
    visited.extend(BY_MIGRATE);
    assert_eq!(visited, Point::ALL.iter().copied().collect::<BTreeSet<_>>(), "every point is visited");
    println!("{} deaths at {} fail points in {:?}", scene.deaths, visited.len(), begun.elapsed());
}

/// One world, and the lives in it.
struct Scene<'a> {
    world: &'a World,
    sender: Arc<Sender>,
    operator: Operator<'a>,
    /// Orders that were not offered yet.
    orders: std::vec::IntoIter<Offer>,
    offered: Vec<Offer>,
    /// Senders that have not heard yes.
    sending: JoinSet<()>,
    random: StdRng,
    deaths: usize,
}

impl<'a> Scene<'a> {
    async fn new(world: &'a World, root: &Path, seed: u64) -> Self {
        Self {
            world,
            sender: Arc::new(Sender::new(world).await.expect("sender")),
            operator: Operator::new(world, ""),
            orders: many_orders(root, "failpoint", ORDERS_MAX).into_iter(),
            offered: Vec::new(),
            sending: JoinSet::new(),
            random: StdRng::seed_from_u64(seed),
            deaths: 0,
        }
    }

    /// A life that dies at a point while orders flow.
    async fn orders_until_death(&mut self, point: Point) {
        let visit = if ONCE.contains(&point) { 1 } else { self.random.random_range(1..=3) };
        let mut life = Doomed::begin(&self.world.config, point, visit);
        let (begun, mut more_at, mut people) = (Instant::now(), Instant::now(), None);
        while !life.has_died() {
            assert!(begun.elapsed() < DIES_WITHIN, "{} is not visited {visit} times", point.name());
            if Instant::now() >= more_at {
                self.offer_orders().await;
                more_at = Instant::now() + OFFER_EVERY;
            }
            if let Some(admin) = life.became_ready() {
                people = Some(People::start(&admin, self.world.team.clone()).expect("people"));
                self.operator.admin = admin;
                if matches!(point, Point::StoreEnd | Point::StoreEnded) {
                    life.end();
                }
            }
            if people.is_some() {
                self.operator.decide().await;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if let Some(people) = people {
            people.stop().await;
        }
        self.died(point, visit, begun);
    }

    /// A life that dies at a point while notices go out.
    async fn notices_until_death(&mut self, notices: &Notices, point: Point, visit: u64) {
        let mut life = Doomed::begin(&self.world.config, point, visit);
        let (begun, mut more_at) = (Instant::now(), Instant::now());
        while !life.has_died() {
            assert!(begun.elapsed() < DIES_WITHIN, "{} is not visited {visit} times", point.name());
            if Instant::now() >= more_at {
                notices.some().into_iter().for_each(|notice| self.send(notice));
                more_at = Instant::now() + OFFER_EVERY;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.died(point, visit, begun);
    }

    fn died(&mut self, point: Point, visit: u64, begun: Instant) {
        self.deaths += 1;
        println!("{:>3}  {:<26} visit {visit}  {:?}", self.deaths, point.name(), begun.elapsed());
    }

    async fn offer_orders(&mut self) {
        let (requests, files) = OFFERED;
        for (index, mut order) in
            self.orders.by_ref().take(requests + files).collect::<Vec<_>>().into_iter().enumerate()
        {
            if index < requests {
                self.send(order.clone());
            } else {
                order.name.push_str(".json");
                self.sender.drop_file(&order).await.expect("the folder is there");
            }
            self.offered.push(order);
        }
    }

    /// Sends until the hub, in whichever life, says yes.
    fn send(&mut self, offer: Offer) {
        let sender = self.sender.clone();
        let _ = self.sending.spawn(async move {
            loop {
                match sender.post_once(&offer).await {
                    Ok(Some(Answer::Taken)) => return,
                    Ok(Some(other)) => panic!("{}: {other:?}", offer.name),
                    Ok(None) | Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
        });
    }

    /// A last life without fail points: every order comes to its end, once.
    async fn everything_ends_well(&mut self) {
        let life = Life::begin(&self.world.config);
        let people = People::start(&life.admin, self.world.team.clone()).expect("people");
        while let Some(sent) = self.sending.join_next().await {
            sent.expect("every order gets a yes");
        }
        self.operator.admin.clone_from(&life.admin);
        let operator = std::mem::replace(&mut self.operator, Operator::new(self.world, ""));
        let released = operator.until_the_end(&self.offered).await;
        people.stop().await;
        judge(self.world, &self.offered, &released).await;
        every_taken_order_ends_paid(self.world, &life.admin, &self.offered, &released).await;
        let left = std::fs::read_dir(self.world.dir.join("drop")).expect("folder").map_while(Result::ok);
        let left: Vec<_> = left.map(|entry| entry.file_name()).filter(|name| *name != ".done").collect();
        assert!(left.is_empty(), "the folder is not empty: {left:?}");
        life.end();
        the_ledger_is_what_the_journal_says(&self.world.config);
    }
}

/// A point that nobody marks in the source would be a hole in the test above, if it did not hang: this one names it at once.
#[test]
fn every_fail_point_stands_in_the_source_once() {
    let root = repository().expect("repository");
    let mut text = String::new();
    for folder in ["hub", "connectors"] {
        read_sources(&root.join(folder), &mut text);
    }
    for point in Point::ALL {
        let mark = format!("Point::{point:?}");
        let uses =
            text.match_indices(&mark).filter(|(at, _)| !text[at + mark.len()..].starts_with(char::is_alphanumeric));
        assert_eq!(uses.count(), 1, "{mark} must mark one place");
    }
}

/// All sources of the crates but the list itself.
fn read_sources(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).expect("folder").map_while(Result::ok) {
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() && !["failpoint", "tests", "testkit"].iter().any(|skipped| name == *skipped) {
            read_sources(&path, text);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            text.push_str(&std::fs::read_to_string(&path).expect("a source"));
        }
    }
}
