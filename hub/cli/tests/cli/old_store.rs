//! A backup that was made in mid-traffic is put back after more was sent: nothing is lost, nothing is sent twice.
//!
//! What is judged is what the simulator saw. The hub is killed when SIOPE+ has taken and answered orders that the backup has
//! never heard of; the senders offer everything again under the same keys; a person releases lane by lane.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use raccordo::demo::{Answer, Offer, Order, People, Sender, World, WorldSettings, repository};
use serde_json::Value;

use crate::crash::{api, many_orders, taken_by_case, the_ledger_is_what_the_journal_says};
use crate::life::Life;

/// Orders before the backup, while it is made, and that are new after it was put back.
const BEFORE: usize = 16;
const LOST: usize = 40;
const ALL: usize = 60;
/// Everything has to come to pass within this time.
const WITHIN: Duration = Duration::from_secs(60);

fn raccordo(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_raccordo")).args(args).output().expect("the command runs")
}

/// Runs a command that has to succeed; gives the JSON on its last line.
fn done(args: &[&str]) -> Value {
    let output = raccordo(args);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{args:?}: {out}{err}");
    serde_json::from_str(out.lines().last().unwrap_or_default()).unwrap_or_default()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

async fn offer(world: &World, offers: &[Offer]) {
    let sender = Sender::new(world).await.expect("a sender");
    for one in offers {
        assert_eq!(sender.post(one).await.expect("a yes or no"), Answer::Taken, "{}", one.name);
    }
}

async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    let begun = Instant::now();
    loop {
        match look().await {
            Ok(found) => return found,
            Err(missing) => assert!(begun.elapsed() < WITHIN, "waited in vain for {what}: {missing}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn orders(offers: &[Offer]) -> Vec<&Order> {
    offers.iter().filter_map(|offer| offer.order.as_ref()).collect()
}

/// How often each of these orders is in a flow that SIOPE+ took.
async fn times(world: &World, offers: &[Offer]) -> Vec<usize> {
    let taken = taken_by_case(&world.ask("flows").await.expect("flows"));
    orders(offers).iter().map(|order| taken.get(&order.case).map_or(0, Vec::len)).collect()
}

async fn uploads(world: &World) -> usize {
    world.ask("flows").await.expect("flows").as_array().map_or(0, Vec::len)
}

async fn all_taken(world: &World, offers: &[Offer]) {
    until("SIOPE+ to take the orders", async || {
        let missing = times(world, offers).await.iter().filter(|times| **times == 0).count();
        if missing == 0 { Ok(()) } else { Err(format!("{missing} are missing")) }
    })
    .await;
}

async fn recovery(world: &World, admin: &str) -> Value {
    api(admin, world.team.token("controllore"), "recovery").await.expect("the API answers")
}

fn lanes(recovery: &Value) -> &[Value] {
    recovery["lanes"].as_array().map_or(&[], Vec::as_slice)
}

fn sum(recovery: &Value, field: &str) -> u64 {
    lanes(recovery).iter().filter_map(|lane| lane[field].as_u64()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_put_back_in_mid_traffic_sends_nothing_twice() {
    let root = repository().expect("repository");
    let dir = tempfile::tempdir().expect("folder");
    let pace = Duration::from_millis(100);
    let settings = WorldSettings { pace, outcomes: pace, patience: Duration::from_secs(5), ..WorldSettings::default() };
    let world = Arc::new(World::prepare(&root, &dir.path().join("world"), settings).await.expect("world"));
    let (offers, backup) = (many_orders(&root, ALL), dir.path().join("backup"));
    let config = world.config.clone();

    let life = Life::begin(&config);
    let people = People::start(&life.admin, world.team.clone()).expect("people");
    offer(&world, &offers[..BEFORE]).await;
    // orders come in, are approved, signed and sent while the copy is made
    let (lost_ones, of_world) = (offers[BEFORE..LOST].to_vec(), world.clone());
    let traffic = tokio::spawn(async move { offer(&of_world, &lost_ones).await });
    until("traffic", async || if uploads(&world).await >= 4 { Ok(()) } else { Err(String::new()) }).await;
    let made =
        tokio::task::block_in_place(|| done(&["backup", "--config", text(&config), "--to", text(&backup), "--json"]));
    assert!(made["records"].as_u64() > Some(0) && made["blobs"].as_u64() > Some(0), "{made}");
    traffic.await.expect("every order gets a yes");
    all_taken(&world, &offers[..LOST]).await;
    people.stop().await;
    life.kill();

    let refused = raccordo(&["restore", "--config", text(&config), "--from", text(&backup)]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("--replace"));
    let _ = done(&["restore", "--config", text(&config), "--from", text(&backup), "--replace", "--json"]);

    let sent = uploads(&world).await;
    let life = Life::begin(&config);
    let found = recovery(&world, &life.admin).await;
    assert_eq!(found["active"], true);
    assert!(found["gaps"].as_array().is_some_and(|gaps| !gaps.is_empty()), "the anchor knows more: {found}");
    let people = People::start(&life.admin, world.team.clone()).expect("people");
    offer(&world, &offers).await;
    let held = everything_is_asked(&world, &life.admin).await;
    assert_eq!(uploads(&world).await, sent, "nothing is sent before a person says so");
    assert_eq!(sum(&held, "to_decide"), 0, "SIOPE+ has answered about all that was sent: {held}");
    println!(
        "{sent} sent before; held: {} of which {} not at SIOPE+; {} settled by proof, {} answers without a message",
        sum(&held, "waiting"),
        sum(&held, "proposed"),
        held["settled"],
        held["unclaimed"]
    );

    release_lane_by_lane(&world, &life.admin, &held).await;
    all_taken(&world, &offers).await;
    people.stop().await;
    let times = times(&world, &offers).await;
    assert!(times.iter().all(|times| *times == 1), "each order in exactly one flow: {times:?}");
    assert_eq!(uploads(&world).await, ALL, "and no upload that was refused");
    ended(&world, &life.admin, &offers).await;
    life.end();
    the_ledger_is_what_the_journal_says(&config);
}

/// Waits until every order is either settled or waits with an answer of SIOPE+ about it.
async fn everything_is_asked(world: &World, admin: &str) -> Value {
    until("SIOPE+ to be asked about everything", async || {
        let now = recovery(world, admin).await;
        let new = u64::try_from(ALL - LOST).unwrap_or_default();
        let (waiting, proposed) = (sum(&now, "waiting"), sum(&now, "proposed"));
        let open = api(admin, world.team.token("controllore"), "tasks?limit=200").await;
        let approvals = open.as_ref().and_then(|open| open["items"].as_array()).map_or(1, Vec::len);
        let ready = approvals == 0 && waiting == new && proposed == new;
        if ready { Ok(now) } else { Err(format!("{approvals} approvals are open; {now}")) }
    })
    .await
}

async fn release_lane_by_lane(world: &World, admin: &str, held: &Value) {
    let token = world.dir.join("token-controllore");
    let recover = |more: &[&str]| {
        let args = [&["recover", "--api", admin, "--token-file", text(&token)], more].concat();
        tokio::task::block_in_place(|| raccordo(&args))
    };
    let shown = recover(&[]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("HELD"), "{shown:?}");
    let early = recover(&["--end", "--note", "too early"]);
    assert!(String::from_utf8_lossy(&early.stderr).contains("not released"), "{early:?}");
    for lane in lanes(held) {
        let name = lane["lane"].as_str().expect("a name");
        let released =
            recover(&["--lane", name, "--release", "--note", "the old hub was killed; SIOPE+ shows all it has"]);
        assert!(released.status.success(), "{released:?}");
    }
    let end = recover(&["--end", "--note", "all senders have offered their orders again"]);
    assert!(end.status.success(), "{end:?}");
}

/// Every order goes on to the bank's answer, those too that only proofs had delivered; the alarm is over.
async fn ended(world: &World, admin: &str, offers: &[Offer]) {
    let token = world.team.token("controllore");
    let gone_on = ["accettato_siope", "accettato_banca", "acquisito", "pagato"];
    until("the orders to go on", async || {
        for order in orders(offers) {
            let case = api(admin, token, &format!("cases/{}", order.case.replace('/', "%2F"))).await;
            let state = case.as_ref().and_then(|case| case["state"].as_str()).unwrap_or_default().to_owned();
            if !gone_on.contains(&state.as_str()) {
                return Err(format!("{} is {state}: {case:?}", order.case));
            }
        }
        Ok(())
    })
    .await;
    assert_eq!(recovery(world, admin).await["active"], false);
    let parked = api(admin, token, "parked?limit=5").await.expect("the API answers");
    assert_eq!(parked["items"].as_array().map(Vec::len), Some(0), "{parked}");
}
