//! The crash test on Kafka: three hubs share one log and one ledger, and are killed in turn while orders flow to all of them.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hub_testkit::Postgres;
use raccordo::demo::{Answer, Offer, People, Sender, World, repository};
use serde_json::{Value, json};

use crate::life::Life;
use crate::on_kafka::{broker, on_kafka};
use crate::verdict::{Operator, api, every_taken_order_ends_paid, judge, many_orders, quick_world};

const HUBS: usize = 3;
const ORDERS: usize = 60;
/// `RACCORDO_LONG` makes it hundreds.
const KILLS: usize = 6;
const KILLS_LONG: usize = 200;
/// Until work that nobody had begun is taken over; the goal is 10 s, the machine may be busy.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(60);

/// The configurations of all hubs: one data folder (for large bodies), each its own listener and admin API.
fn configurations(world: &World, broker: &str, url: &str) -> Vec<PathBuf> {
    let name = format!("three{}", uuid::Uuid::now_v7().simple());
    let text = std::fs::read_to_string(&world.config).expect("a configuration");
    let made = (1..=HUBS).map(|number| {
        let mut value: Value = serde_json::from_str(&text).expect("JSON");
        on_kafka(&mut value, broker, url, (&name, number));
        value["listeners"]["default"]["address_file"] = json!(address(world, number));
        let path = world.config.with_file_name(format!("hub{number}.yaml"));
        std::fs::write(&path, value.to_string()).expect("writable");
        path
    });
    made.collect()
}

fn address(world: &World, number: usize) -> PathBuf {
    world.dir.join(format!("http{number}.address"))
}

/// Offers everything to all doors in turn; who hears nothing asks at the next door, with the same key.
fn send_all(
    sender: &Sender,
    world: &World,
    offers: &Arc<[Offer]>,
    taken: &Arc<AtomicUsize>,
) -> Vec<tokio::task::JoinHandle<()>> {
    let next = Arc::new(AtomicUsize::new(0));
    let doors: Vec<Sender> = (1..=HUBS).map(|number| sender.to(address(world, number))).collect();
    let one = |first: usize| {
        let (next, offers, taken, doors) = (next.clone(), offers.clone(), taken.clone(), doors.clone());
        tokio::spawn(async move {
            while let Some(offer) = offers.get(next.fetch_add(1, Ordering::SeqCst)) {
                let mut door = first;
                loop {
                    match doors[door % HUBS].post_once(offer).await {
                        Ok(Some(Answer::Taken)) => break,
                        Ok(Some(other)) => panic!("{}: {other:?}", offer.name),
                        Ok(None) | Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
                    }
                    door += 1;
                }
                let _ = taken.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        })
    };
    (0..HUBS).map(one).collect()
}

/// How many slots a hub works on.
async fn slots(life: &Life, token: &str) -> u64 {
    let status = api(&life.admin, token, "status").await;
    status.and_then(|status| status["flow"]["slots"].as_u64()).unwrap_or_default()
}

/// Waits until all slots have owners among these hubs.
async fn all_owned(lives: &[Option<Life>], token: &str) -> Duration {
    let begun = Instant::now();
    loop {
        let mut owned = 0;
        for life in lives.iter().flatten() {
            owned += slots(life, token).await;
        }
        if owned == 4 {
            return begun.elapsed();
        }
        assert!(begun.elapsed() < TAKEN_OVER_WITHIN, "only {owned} of 4 slots have owners");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hubs_are_killed_in_turn_and_nothing_is_lost_or_sent_twice() {
    let root: PathBuf = repository().expect("repository");
    let (Some(broker), Some(server)) = (broker(&root), Postgres::start()) else { return };
    let dir = tempfile::tempdir().expect("folder");
    let world = quick_world(&root, dir.path(), 11, Duration::from_secs(4)).await;
    let trouble = json!({
        "reset_before_body": { "chance": 0.04 }, "reset_after_taken": { "chance": 0.04 },
        "status_503": { "chance": 0.03 }, "slow_ms": { "chance": 0.2, "ms": 400 }, "double_outcomes": { "chance": 0.1 },
    });
    world.faults(&trouble).await.expect("faults");
    let configs = configurations(&world, &broker, &server.database("ledger"));
    let token = world.team.token("controllore");
    let mut lives: Vec<Option<Life>> = configs.iter().map(|config| Some(Life::begin(config))).collect();
    println!("three hubs share the slots after {:?}", all_owned(&lives, token).await);

    let offers: Arc<[Offer]> = many_orders(&root, "three", ORDERS).into();
    let taken = Arc::new(AtomicUsize::new(0));
    let sender = Sender::new(&world).await.expect("sender");
    let senders = send_all(&sender, &world, &offers, &taken);
    let kills = if std::env::var_os("RACCORDO_LONG").is_some() { KILLS_LONG } else { KILLS };
    for kill in 0..kills {
        let victim = kill % HUBS;
        let admin = lives[(victim + 1) % HUBS].as_ref().expect("it lives").admin.clone();
        let people = People::start(&admin, world.team.clone()).expect("people");
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        lives[victim].take().expect("it lives").kill();
        println!("kill {kill}: hub {} is taken over within {:?}", victim + 1, all_owned(&lives, token).await);
        people.stop().await;
        lives[victim] = Some(Life::begin(&configs[victim]));
    }
    for sender in senders {
        sender.await.expect("every order gets a yes");
    }
    drop(reqwest::Client::new().delete(format!("{}/faults", world.control())).send().await.expect("faults cleared"));

    let admin = lives[0].as_ref().expect("it lives").admin.clone();
    let people = People::start(&admin, world.team.clone()).expect("people");
    let released = Operator::new(&world, &admin).until_the_end(&offers).await;
    judge(&world, &offers, &released).await;
    // Any hub answers for all.
    for life in lives.iter().flatten() {
        every_taken_order_ends_paid(&world, &life.admin, &offers, &released).await;
    }
    people.stop().await;
    for life in lives.into_iter().flatten() {
        life.end();
    }
    world.siope.shutdown().await;
}
