//! The hub under SIGKILL: killed at random moments while orders flow and SIOPE+ makes trouble.
//!
//! What the simulator saw is judged in `verdict.rs`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use raccordo::demo::{Answer, Offer, People, Sender, World, repository};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

use crate::life::Life;
use crate::verdict::{
    Operator, every_taken_order_ends_paid, judge, many_orders, quick_world, the_ledger_is_what_the_journal_says,
};

const ORDERS: usize = 500;
const KILLS: usize = 30;
const SENDERS: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_kills_lose_nothing_and_send_nothing_twice() {
    let seed: u64 = std::env::var("RACCORDO_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_261_124);
    println!("seed {seed} (set RACCORDO_SEED to repeat)");
    let mut random = StdRng::seed_from_u64(seed);
    let root = repository().expect("repository");
    let dir = tempfile::tempdir().expect("folder");
    let world = Arc::new(quick_world(&root, dir.path(), seed, Duration::from_secs(4)).await);
    world
        .faults(&json!({
            "reset_before_body": { "chance": 0.04 }, "reset_after_taken": { "chance": 0.04 },
            "timeout_after_taken": { "chance": 0.01 }, "status_503": { "chance": 0.03 },
            "slow_ms": { "chance": 0.2, "ms": 400 }, "double_outcomes": { "chance": 0.1 },
        }))
        .await
        .expect("faults");

    let offers = many_orders(&root, "crash", ORDERS);
    let offered = Arc::new(AtomicUsize::new(0));
    let mut life = Life::begin(&world.config);
    let senders = send_all(&world, &offers, &offered).await;

    let (mut kills, begun) = (0, Instant::now());
    while kills < KILLS || offered.load(Ordering::SeqCst) < offers.len() {
        let people = People::start(&life.admin, world.team.clone()).expect("people");
        tokio::time::sleep(Duration::from_millis(random.random_range(300..1500))).await;
        if kills < KILLS {
            life.kill();
            kills += 1;
            people.stop().await;
            life = Life::begin(&world.config);
        } else {
            people.stop().await;
        }
        assert!(begun.elapsed() < Duration::from_secs(400), "orders are not taken: {}", offered.load(Ordering::SeqCst));
    }
    for sender in senders {
        sender.await.expect("every order gets a yes");
    }
    println!("{kills} kills, {} orders taken in {:?}", offers.len(), begun.elapsed());
    drop(reqwest::Client::new().delete(format!("{}/faults", world.control())).send().await.expect("faults cleared"));

    let people = People::start(&life.admin, world.team.clone()).expect("people");
    let operator = Operator::new(&world, &life.admin);
    let released = operator.until_the_end(&offers).await;
    people.stop().await;
    judge(&world, &offers, &released).await;
    every_taken_order_ends_paid(&world, &life.admin, &offers, &released).await;
    life.end();
    the_ledger_is_what_the_journal_says(&world.config);
}

/// Offers everything, some at a time; each sender repeats with the same key until it hears yes.
async fn send_all(
    world: &Arc<World>,
    offers: &[Offer],
    offered: &Arc<AtomicUsize>,
) -> Vec<tokio::task::JoinHandle<()>> {
    let next = Arc::new(AtomicUsize::new(0));
    let offers: Arc<[Offer]> = offers.into();
    let mut senders = Vec::new();
    for _ in 0..SENDERS {
        let sender = Sender::new(world).await.expect("sender");
        let (next, offers, offered) = (next.clone(), offers.clone(), offered.clone());
        senders.push(tokio::spawn(async move {
            while let Some(offer) = offers.get(next.fetch_add(1, Ordering::SeqCst)) {
                loop {
                    match sender.post_once(offer).await {
                        Ok(Some(Answer::Taken)) => break,
                        Ok(Some(other)) => panic!("{}: {other:?}", offer.name),
                        Ok(None) | Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                    }
                }
                offered.fetch_add(1, Ordering::SeqCst);
                // Spread over the kills.
                tokio::time::sleep(Duration::from_millis(400)).await;
            }
        }));
    }
    senders
}
