//! A backup that was made in mid-traffic is put back after more was sent: nothing is lost, nothing is sent twice.
//!
//! What is judged is what the simulator saw. The hub is killed when SIOPE+ has taken and answered orders that the backup has
//! never heard of; the senders offer everything again under the same keys; a person releases lane by lane.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use raccordo::demo::{Answer, Offer, Order, People, Sender, World, repository};
use serde_json::{Value, json};

use crate::life::Life;
use crate::verdict::{
    Released, api, every_taken_order_ends_paid, many_orders, quick_world, taken_by_case,
    the_ledger_is_what_the_journal_says,
};

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

/// The configuration of the machine that takes over: a new data folder; the anchor's disk has survived.
fn on_another_disk(world: &World) -> PathBuf {
    let text = std::fs::read_to_string(&world.config).expect("the configuration");
    let mut config: Value = serde_json::from_str(&text).expect("JSON");
    config["data"] = json!(world.dir.join("another-disk/data"));
    config["backbone"] = json!({ "embedded": { "anchor": world.dir.join("data.anchor") } });
    let file = world.config.with_file_name("hub-2.yaml");
    std::fs::write(&file, config.to_string()).expect("it is written");
    file
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

/// How many records the anchor of a hub has seen.
fn anchored(world: &World) -> Option<u64> {
    let anchor = std::fs::read(world.dir.join("data.anchor")).ok()?;
    serde_json::from_slice::<Value>(&anchor).ok()?["records"].as_u64()
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
    let world = Arc::new(quick_world(&root, dir.path(), 1, Duration::from_secs(5)).await);
    let (offers, backup) = (many_orders(&root, "old", ALL), dir.path().join("backup"));
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
    until("the anchor, which is written once a second", async || {
        let anchored = anchored(&world);
        if anchored > made["records"].as_u64() { Ok(()) } else { Err(format!("{anchored:?} records")) }
    })
    .await;
    people.stop().await;
    life.kill();

    let refused = raccordo(&["restore", "--config", text(&config), "--from", text(&backup)]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("--replace"));
    let config = on_another_disk(&world);
    let _ = done(&["restore", "--config", text(&config), "--from", text(&backup), "--json"]);

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
    let (lost, twice) = (times.iter().filter(|n| **n == 0).count(), times.iter().filter(|n| **n > 1).count());
    println!("{ALL} orders offered, {lost} lost, {twice} twice");
    assert!(times.iter().all(|times| *times == 1), "each order in exactly one flow: {times:?}");
    assert_eq!(uploads(&world).await, ALL, "and no upload that was refused");
    ended(&world, &life.admin, &offers).await;
    life.end();
    the_ledger_is_what_the_journal_says(&config);
    let audit = raccordo(&["audit", "verify", "--config", text(&config)]);
    assert!(audit.status.success(), "{}", String::from_utf8_lossy(&audit.stdout));
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

/// Every order goes on to the bank's last word, those too that only proofs had delivered; the alarm is over.
async fn ended(world: &World, admin: &str, offers: &[Offer]) {
    every_taken_order_ends_paid(world, admin, offers, &Released::new()).await;
    assert_eq!(recovery(world, admin).await["active"], false);
    let parked = api(admin, world.team.token("controllore"), "parked?limit=5").await.expect("the API answers");
    assert_eq!(parked["items"].as_array().map(Vec::len), Some(0), "{parked}");
}

/// Runs a hub in which these orders are approved and sent; it ends in order.
async fn a_day(world: &World, offers: &[Offer]) {
    let life = Life::begin(&world.config);
    let people = People::start(&life.admin, world.team.clone()).expect("people");
    offer(world, offers).await;
    all_taken(world, offers).await;
    people.stop().await;
    life.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_file_in_the_place_of_the_store_is_noticed_without_a_restore() {
    let root = repository().expect("repository");
    let dir = tempfile::tempdir().expect("folder");
    let world = quick_world(&root, dir.path(), 2, Duration::from_secs(5)).await;
    let (offers, store) = (many_orders(&root, "file", 6), world.dir.join("data/raccordo.db"));
    a_day(&world, &offers[..2]).await;
    let _bytes = std::fs::copy(&store, dir.path().join("old.db")).expect("a copy of yesterday");
    a_day(&world, &offers[2..4]).await;
    let _bytes = std::fs::copy(dir.path().join("old.db"), &store).expect("it is put in place");

    let refused = raccordo(&["run", "--until-stdin-closes", "--config", text(&world.config)]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("this is an older file"), "the mark knows: {said}");
    std::fs::remove_file(world.dir.join("data/raccordo.db.mark")).expect("on purpose");
    let life = Life::begin(&world.config);
    let people = People::start(&life.admin, world.team.clone()).expect("people");
    offer(&world, &offers[2..]).await;
    let held = until("the orders to wait", async || {
        let now = recovery(&world, &life.admin).await;
        if sum(&now, "waiting") == 2 && now["settled"] == 2 { Ok(now) } else { Err(now.to_string()) }
    })
    .await;
    assert!(held["reason"].as_str().is_some_and(|reason| reason.contains("older than its anchor")), "{held}");
    assert_eq!((times(&world, &offers).await, uploads(&world).await), (vec![1, 1, 1, 1, 0, 0], 4), "nothing is sent");
    people.stop().await;
    life.end();
}
