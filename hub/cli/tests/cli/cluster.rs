//! The fault campaign: three hubs on a cluster of three brokers, their ledger in PostgreSQL, orders at all doors all the time,
//! SIOPE+ making trouble, and one fault after the other. At the end no order is lost, and none is in two flows.

#[path = "cluster/brokers.rs"]
mod brokers;
#[path = "cluster/cut.rs"]
mod cut;
#[path = "cluster/faults.rs"]
mod faults;
#[path = "cluster/flow.rs"]
mod flow;
#[path = "cluster/hub.rs"]
mod hub;
#[path = "cluster/scene.rs"]
mod scene;

use std::sync::Arc;
use std::time::{Duration, Instant};

use hub_testkit::Postgres;
use raccordo::demo::{Offer, Sender, World, repository};

use brokers::{Brokers, NODES, logs};
use cut::Wire;
use faults::{BrokerFrozen, BrokerKilled, Cut, DiskFull, Fault, HubFrozen, HubsKilled, Part, Rebalance, trouble};
use flow::Flow;
use hub::Hub;
use scene::{Goal, HUBS, Scene, address, configurations};

use crate::verdict::{Operator, every_taken_order_ends_paid, judge, many_orders, quick_world};

/// More than a campaign offers.
const ORDERS: usize = 20_000;
/// `RACCORDO_LONG` repeats it all: hundreds of kills.
const ROUNDS_LONG: usize = 20;
/// How often a hub may end by itself in one round. It may where it cannot know; its supervisor starts it again.
const ENDS: usize = 3;

/// Ten kills (a hub that is to freeze is killed first), a frozen hub and a cut. Hubs die while the broker that died before
/// them, which led partitions, too, is coming back.
fn faults() -> Vec<Box<dyn Fault>> {
    vec![
        Box::new(HubsKilled(&[0, 1])),
        Box::new(BrokerKilled(Part::CoordinatesTheGroup.into())),
        Box::new(HubsKilled(&[1, 2])),
        Box::new(HubFrozen(1)),
        Box::new(HubsKilled(&[2, 0])),
        Box::new(Cut(Part::CoordinatesTheGroup.into())),
        Box::new(HubsKilled(&[1, 2])),
    ]
}

/// What a long campaign has besides.
fn more_faults(small_disk: bool) -> Vec<Box<dyn Fault>> {
    let mut more: Vec<Box<dyn Fault>> = vec![
        Box::new(BrokerKilled(Part::Leads("inbox", 0).into())),
        Box::new(HubsKilled(&[0])),
        Box::new(BrokerKilled(Part::CoordinatesTransactions(1).into())),
        Box::new(Rebalance(1)),
        Box::new(BrokerFrozen(Part::Leads("outbox", 1).into())),
        Box::new(HubsKilled(&[2])),
    ];
    match small_disk {
        true => more.push(Box::new(DiskFull)),
        false => println!("skipped: a full disk of a broker: a small disk cannot be mounted (it takes root)"),
    }
    more
}

/// What one round does. To look into some of them: words of their names, with commas between them.
fn round(small_disk: bool) -> Vec<Box<dyn Fault>> {
    let only = std::env::var("RACCORDO_TEST_FAULT").ok();
    let more = if only.is_some() || long() { more_faults(small_disk) } else { Vec::new() };
    let is_wanted = |fault: &Box<dyn Fault>| {
        only.as_ref().is_none_or(|words| words.split(',').any(|word| fault.what().contains(word)))
    };
    faults().into_iter().chain(more).filter(is_wanted).collect()
}

fn long() -> bool {
    std::env::var_os("RACCORDO_LONG").is_some()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_of_hubs_and_brokers_lose_nothing_and_send_nothing_twice() {
    let root = repository().expect("repository");
    let Some(server) = Postgres::start() else { return };
    let mut wires = Vec::new();
    for _ in 0..NODES {
        wires.push(Wire::new().await);
    }
    let advertised: Vec<String> = wires.iter().map(|wire| wire.address.clone()).collect();
    let Some(brokers) = Brokers::start(&root, &advertised) else { return };
    wires.iter().zip(&brokers.behind).for_each(|(wire, behind)| wire.leads_to(behind));
    let dir = tempfile::tempdir().expect("folder");
    let world = quick_world(&root, dir.path(), 11, Duration::from_secs(4)).await;
    world.faults(&trouble()).await.expect("faults");
    let offers: Arc<[Offer]> = many_orders(&root, "cluster", ORDERS).into();
    let url = server.database("ledger");
    let mut scene = set(&world, brokers, wires, &url, offers).await;
    let mut operator = Operator::new(&world, "");
    let rounds = if long() { ROUNDS_LONG } else { 1 };
    for _ in 0..rounds {
        for mut fault in round(scene.brokers.small_disk) {
            suffer(&mut scene, &mut operator, fault.as_mut()).await;
        }
    }
    end(scene, operator, rounds * ENDS).await;
    world.siope.shutdown().await;
}

/// Everything is there, and every hub has work.
async fn set<'a>(world: &'a World, brokers: Brokers, wires: Vec<Wire>, url: &str, offers: Arc<[Offer]>) -> Scene<'a> {
    let name = format!("cluster{}", uuid::Uuid::now_v7().simple());
    let configs = configurations(world, &name, &brokers, &wires, url);
    drop(std::fs::remove_dir_all(logs()));
    std::fs::create_dir_all(logs()).expect("a folder for logs");
    let log = |hub| logs().join(format!("hub{hub}.log"));
    let hubs = configs.iter().enumerate().map(|(hub, config)| Hub::begin(config, &log(hub))).collect();
    let addresses: Vec<_> = (0..HUBS).map(|hub| address(world, hub)).collect();
    let flow = Flow::begin(&Sender::new(world).await.expect("sender"), &addresses, offers);
    Scene::new(world, brokers, wires, hubs, flow, &name)
}

/// One fault, from a calm moment until it is mended.
async fn suffer(scene: &mut Scene<'_>, operator: &mut Operator<'_>, fault: &mut dyn Fault) {
    let begun = Instant::now();
    if fault.takes_a_broker() {
        let _in_sync = scene.until(begun, Goal::InSync).await;
    }
    let (_, calm) = scene.works_again(begun).await;
    scene.people_at(fault.spares()).await;
    operator.admin = scene.hubs[fault.spares()].admin().expect("it is ready");
    operator.decide().await;
    let struck = fault.strike(scene).await;
    let (owned, flows) = scene.works_again(struck).await;
    tokio::time::sleep(fault.lasts().saturating_sub(struck.elapsed())).await;
    fault.mend(scene).await;
    println!(
        "{:50} taken over {:4.1} s, orders flow {:4.1} s after it (calm before after {:.1} s)",
        fault.what(),
        owned.as_secs_f64(),
        flows.as_secs_f64(),
        calm.as_secs_f64()
    );
}

/// All is mended: every order comes to its end, and every hub says so.
async fn end(mut scene: Scene<'_>, mut operator: Operator<'_>, ends: usize) {
    let _times = scene.works_again(Instant::now()).await;
    scene.people_at(0).await;
    let world = scene.world;
    drop(reqwest::Client::new().delete(format!("{}/faults", world.control())).send().await.expect("faults cleared"));
    let Scene { flow, mut hubs, brokers, wires, .. } = scene;
    let offered = flow.end().await;
    operator.admin = hubs[0].admin().expect("it is ready");
    let released = operator.until_the_end(&offered).await;
    judge(world, &offered, &released).await;
    for hub in &mut hubs {
        let admin = hub.admin().expect("it is ready");
        every_taken_order_ends_paid(world, &admin, &offered, &released).await;
    }
    let by_themselves: usize = hubs.iter().map(|hub| hub.ends).sum();
    println!("{by_themselves} times a hub ended by itself");
    assert!(by_themselves <= ends, "hubs ended by themselves {by_themselves} times, at most {ends} are expected");
    hubs.iter_mut().for_each(Hub::end);
    drop((brokers, wires));
}
