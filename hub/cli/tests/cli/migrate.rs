//! A store with orders in every condition moves to Kafka and back, killed on the way: no hub starts on both, nothing is lost,
//! nothing is sent twice.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use raccordo::demo::{Answer, Offer, People, Sender, World, WorldSettings, load_orders, repository};
use serde_json::{Value, json};

use crate::life::Life;
use crate::on_kafka::{broker, on_kafka};
use crate::verdict::{Released, api, every_taken_order_ends_paid, judge, many_orders, taken_by_case};

/// The machine may be busy.
const WITHIN: Duration = Duration::from_secs(60);

fn raccordo(args: &[&str], failpoint: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_raccordo"));
    if let Some(point) = failpoint {
        let _ = command.env("RACCORDO_FAILPOINT", point);
    }
    tokio::task::block_in_place(|| command.args(args).output().expect("the command runs"))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of ours")
}

fn errors(run: &Output) -> String {
    String::from_utf8_lossy(&run.stderr).into_owned()
}

/// One move, as its command line says it.
struct Move<'a> {
    to: &'a str,
    from: &'a Path,
    target: &'a Path,
}

impl Move<'_> {
    fn run(&self, failpoint: Option<&str>) -> Output {
        raccordo(&["migrate", "--to", self.to, "--config", text(self.from), "--target", text(self.target)], failpoint)
    }

    fn finish(&self) -> Value {
        let run = self.run(None);
        assert!(run.status.success(), "{}", errors(&run));
        serde_json::from_slice(&run.stdout).expect("JSON")
    }

    /// Dies at a fail point, and no hub starts afterwards, on either store.
    fn dies_at(&self, failpoint: &str, source_says: &str) {
        use std::os::unix::process::ExitStatusExt;
        let run = self.run(Some(failpoint));
        assert_eq!(run.status.signal(), Some(9), "it dies at {failpoint}: {}", errors(&run));
        refuses(self.from, source_says);
        refuses(self.target, "is being filled from");
    }
}

/// A hub does not start with this configuration, and says why.
fn refuses(config: &Path, why: &str) {
    let run = raccordo(&["run", "--until-stdin-closes", "--config", text(config)], None);
    assert!(!run.status.success() && errors(&run).contains(why), "wanted `{why}`: {}", errors(&run));
}

/// The same configuration with another backbone.
fn variant(world: &World, name: &str, change: impl FnOnce(&mut Value)) -> PathBuf {
    let text = std::fs::read_to_string(&world.config).expect("the configuration");
    let mut value: Value = serde_json::from_str(&text).expect("JSON");
    change(&mut value);
    let path = world.config.with_file_name(name);
    std::fs::write(&path, value.to_string()).expect("writable");
    path
}

async fn until(what: &str, mut look: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !look().await {
        assert!(begun.elapsed() < WITHIN, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn offer(sender: &Sender, offers: &[Offer]) {
    for one in offers {
        assert_eq!(sender.post(one).await.expect("a yes or no"), Answer::Taken, "{}", one.name);
    }
}

async fn taken(world: &World) -> usize {
    taken_by_case(&world.ask("flows").await.expect("flows")).len()
}

async fn ids(life: &Life, world: &World, what: &str) -> Vec<String> {
    let found = api(&life.admin, world.team.token("controllore"), what).await.expect("the API answers");
    let mut ids: Vec<String> =
        found["items"].as_array().into_iter().flatten().map(|one| one["id"].to_string()).collect();
    ids.sort();
    ids
}

/// Orders 0 to 2 are paid, 3 to 5 are at SIOPE+ or on their way (one of them in doubt), 6 to 8 wait for people, a file that is no
/// order is parked; then the hub is killed. Gives what is parked.
async fn in_every_condition(world: &World, root: &Path, sender: &Sender, offers: &[Offer]) -> Vec<String> {
    let life = Life::begin(&world.config);
    let people = People::start(&life.admin, world.team.clone()).expect("people");
    offer(sender, &offers[..3]).await;
    every_taken_order_ends_paid(world, &life.admin, &offers[..3], &Released::new()).await;
    let wrong = load_orders(&root.join("examples/mandati")).expect("samples");
    let wrong =
        wrong.iter().find(|offer| offer.order.is_none() && offer.path == "/ingest/mandati").expect("a wrong one");
    sender.drop_file(wrong).await.expect("the folder is there");
    until("the wrong file", async || !ids(&life, world, "parked").await.is_empty()).await;
    let parked = ids(&life, world, "parked").await;
    world.faults(&json!({ "timeout_after_taken": { "count": 1 } })).await.expect("a fault");
    offer(sender, &offers[3..6]).await;
    until("SIOPE+ to take six", async || taken(world).await == 6).await;
    people.stop().await;
    offer(sender, &offers[6..9]).await;
    until("three approvals", async || ids(&life, world, "tasks").await.len() == 3).await;
    life.kill();
    parked
}

/// A hub on the moved store has what was parked, takes one more order, refuses none of the old ones, and pays all.
async fn everything_ends(world: &World, config: &Path, sender: &Sender, offers: &[Offer], parked: &[String]) {
    let life = Life::begin(config);
    // On Kafka the ledger is computed anew while the hub works already.
    let has_all = |have: &[String]| parked.iter().all(|id| have.contains(id));
    until("what was parked", async || has_all(&ids(&life, world, "parked").await)).await;
    let people = People::start(&life.admin, world.team.clone()).expect("people");
    // the old ones are known by their keys, and not done again
    offer(sender, offers).await;
    every_taken_order_ends_paid(world, &life.admin, offers, &Released::new()).await;
    people.stop().await;
    judge(world, offers, &Released::new()).await;
    life.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_moves_to_kafka_and_back() {
    let root = repository().expect("repository");
    let Some(broker) = broker(&root) else { return };
    let dir = tempfile::tempdir().expect("folder");
    let (pace, outcomes) = (Duration::from_millis(800), Duration::from_millis(100));
    let settings =
        WorldSettings { pace, outcomes, seed: 11, patience: Duration::from_secs(20), ..WorldSettings::default() };
    let world = World::prepare(&root, &dir.path().join("world"), settings).await.expect("world");
    let (offers, sender) = (many_orders(&root, "move", 11), Sender::new(&world).await.expect("a sender"));
    let name = format!("move{}", uuid::Uuid::now_v7().simple());
    let kafka = variant(&world, "hub-kafka.yaml", |value| {
        on_kafka(value, &broker, "", (&name, 1));
        value["ledger"] = Value::Null;
    });
    let back = variant(&world, "hub-back.yaml", |value| {
        let anchor = dir.path().join("back.anchor");
        value["backbone"] = json!({ "embedded": { "path": "back.db", "anchor": anchor } });
    });

    let parked = in_every_condition(&world, &root, &sender, &offers).await;
    let there = Move { to: "kafka", from: &world.config, target: &kafka };
    there.dies_at("migrate.page:5", "is being moved to");
    there.dies_at("migrate.moved", "was moved to");
    let moved = there.finish();
    assert!(moved["records"].as_u64() > Some(50) && moved["values"].as_u64() > Some(10), "{moved}");
    assert_eq!((&moved["open_lives"], &moved["blobs"]["shared"]), (&json!([]), &json!(true)), "{moved}");
    assert_eq!(there.finish()["already"], true);
    refuses(&world.config, "was moved to");
    everything_ends(&world, &kafka, &sender, &offers[..10], &parked).await;

    let back_again = Move { to: "embedded", from: &kafka, target: &back };
    back_again.dies_at("migrate.page:3", "is being moved to");
    let moved = back_again.finish();
    println!("moved back: {moved}");
    refuses(&kafka, "was moved to");
    everything_ends(&world, &back, &sender, &offers, &parked).await;
    world.siope.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_moved_is_refused_before_anything_is_changed() {
    let root = repository().expect("repository");
    let Some(broker) = broker(&root) else { return };
    let dir = tempfile::tempdir().expect("folder");
    let world = World::prepare(&root, &dir.path().join("world"), WorldSettings::default()).await.expect("world");
    let name = format!("refused{}", uuid::Uuid::now_v7().simple());
    let kafka = variant(&world, "hub-kafka.yaml", |value| {
        on_kafka(value, &broker, "", (&name, 1));
        value["backbone"]["kafka"]["partitions"] = json!(8);
        value["ledger"] = Value::Null;
    });
    let there = Move { to: "kafka", from: &world.config, target: &kafka };
    assert!(errors(&there.run(None)).contains("there is no store"));
    Life::begin(&world.config).end();
    assert!(errors(&there.run(None)).contains("write `partitions: 4`"), "{}", errors(&there.run(None)));
    let wrong = Move { to: "embedded", ..there };
    assert!(errors(&wrong.run(None)).contains("another kind of store"));
    let life = Life::begin(&world.config);
    assert!(errors(&there.run(None)).contains("stop it first"), "{}", errors(&there.run(None)));
    life.end();
    world.siope.shutdown().await;
}

/// After `--abandon` the hub starts where it was, and the half-filled target never does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_is_taken_back() {
    let root = repository().expect("repository");
    let Some(broker) = broker(&root) else { return };
    let dir = tempfile::tempdir().expect("folder");
    let world = World::prepare(&root, &dir.path().join("world"), WorldSettings::default()).await.expect("world");
    let name = format!("abandon{}", uuid::Uuid::now_v7().simple());
    let kafka = variant(&world, "hub-kafka.yaml", |value| {
        on_kafka(value, &broker, "", (&name, 1));
        value["ledger"] = Value::Null;
    });
    let life = Life::begin(&world.config);
    let sender = Sender::new(&world).await.expect("a sender");
    offer(&sender, &many_orders(&root, "abandon", 2)).await;
    life.end();
    let there = Move { to: "kafka", from: &world.config, target: &kafka };
    there.dies_at("migrate.page", "is being moved to");
    let line = ["migrate", "--to", "kafka", "--abandon", "--config", text(&world.config), "--target", text(&kafka)];
    let run = raccordo(&line, None);
    assert!(run.status.success(), "{}", errors(&run));
    refuses(&kafka, "given up");
    Life::begin(&world.config).end();
    assert!(errors(&there.run(None)).contains("given up"), "a spoilt target is not filled again");
    world.siope.shutdown().await;
}
