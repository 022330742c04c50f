//! Notices: messages that go out as a file and to a plain HTTP receiver, once with keys and once without.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use raccordo::demo::{Offer, World};
use serde_json::{Value, json};

use crate::life::Life;
use crate::receiver::Receiver;
use crate::verdict::{api, release};

const END_WITHIN: Duration = Duration::from_secs(60);
/// Notices of one offering, through each door.
const OFFERED: usize = 2;

const KIND: &str = "avviso:\n  initial: [preso]\n  states:\n    preso: []\n  final: [preso]\n";

/// What came of the notices, from outside.
pub(crate) struct Notices {
    receiver: Receiver,
    count: AtomicUsize,
}

fn route(name: &str, url: &str, keyed: bool) -> String {
    format!(
        r#"route: {name}
from:
  http: {{ path: /{name}, auth: mtls }}
case: {{ kind: avviso, id: body.id }}
idempotent: {{ key: body.id, remember: 30d }}
steps:
  - to: {{ file: {{ folder: ../out, name: 'body.id + ".json"' }} }}
  - to: {{ http: {{ url: "{url}", idempotency_header: {keyed} }} }}
on_failure: {{ retry: {{ times: 20, min: 100ms, max: 1s }}, then: park }}
"#
    )
}

impl Notices {
    /// Gives the world a receiver and the routes to it.
    pub(crate) async fn prepare(world: &World) -> Self {
        let receiver = Receiver::start().await;
        let cases = world.dir.join("config/cases.yaml");
        let known = std::fs::read_to_string(&cases).expect("the world has kinds of cases");
        std::fs::write(&cases, format!("{known}\n{KIND}")).expect("writable");
        for (name, keyed) in [("avvisi", true), ("unici", false)] {
            let file = world.dir.join("routes").join(format!("{name}.yaml"));
            std::fs::write(file, route(name, &receiver.url, keyed)).expect("writable");
        }
        Self { receiver, count: AtomicUsize::new(0) }
    }

    /// Some new ones, through both doors.
    pub(crate) fn some(&self) -> Vec<Offer> {
        let one = |path: &'static str| {
            let name = format!("{}-{:04}", &path[1..], self.count.fetch_add(1, Ordering::SeqCst));
            let bytes = json!({ "id": name, "testo": "pagato" }).to_string().into_bytes();
            Offer { name, bytes, order: None, path }
        };
        (0..OFFERED).flat_map(|_| [one("/avvisi"), one("/unici")]).collect()
    }

    /// The names of those of one door.
    fn names(&self, door: &str) -> Vec<String> {
        let all = 0..self.count.load(Ordering::SeqCst);
        let parity = usize::from(door == "unici");
        all.filter(|number| number % 2 == parity).map(|number| format!("{door}-{number:04}")).collect()
    }

    /// A life without fail points: every notice has come to its receiver, those without key once at most, and those that
    /// did not come are parked with their evidence; a person who asks the receiver brings them to their end.
    pub(crate) async fn all_end_well(&self, world: &World) {
        let life = Life::begin(&world.config);
        let parked = self.until_settled(world, &life.admin).await;
        let names = self.names("unici");
        let twice: Vec<_> = names.iter().filter(|name| self.receiver.of(name).len() > 1).collect();
        assert!(twice.is_empty(), "sent twice without a key: {twice:?}");
        let token = world.team.token("controllore");
        for (name, id) in &parked {
            let action = if self.receiver.of(name).is_empty() { "not_delivered" } else { "delivered" };
            assert!(release(&life.admin, token, id, action, "asked the receiver").await, "{name} is released");
        }
        let begun = Instant::now();
        while names.iter().any(|name| self.receiver.of(name).len() != 1) {
            assert!(begun.elapsed() < END_WITHIN, "not all came: {names:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let keyed = self.names("avvisi");
        self.files_are_whole(world, names.iter().chain(&keyed));
        life.end();
        println!(
            "{} notices with keys, {} without: 0 lost, 0 twice, {} in doubt",
            keyed.len(),
            names.len(),
            parked.len()
        );
    }

    /// Waits until each has come or is parked; gives the parked ones.
    async fn until_settled(&self, world: &World, admin: &str) -> BTreeMap<String, String> {
        let begun = Instant::now();
        loop {
            let parked = parked(world, admin).await;
            let open = |name: &String| self.receiver.of(name).is_empty() && !parked.contains_key(name);
            let open: Vec<_> = ["avvisi", "unici"].iter().flat_map(|door| self.names(door)).filter(open).collect();
            if open.is_empty() {
                assert!(parked.keys().all(|name| name.starts_with("unici")), "keys need no person: {parked:?}");
                return parked;
            }
            assert!(begun.elapsed() < END_WITHIN, "lost: {open:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// And the repetitions with keys carried one key each, which the receiver drops.
    fn files_are_whole<'a>(&self, world: &World, names: impl Iterator<Item = &'a String>) {
        for name in names {
            let file = world.dir.join("out").join(format!("{name}.json"));
            let text = std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            assert_eq!(text, json!({ "id": name, "testo": "pagato" }).to_string().into_bytes());
            let keys = self.receiver.of(name);
            assert!(keys.iter().all(|key| *key == keys[0]), "{name} came under several keys: {keys:?}");
        }
    }
}

/// Parked notices: their name, and the id to release them by.
async fn parked(world: &World, admin: &str) -> BTreeMap<String, String> {
    let parked = api(admin, world.team.token("controllore"), "parked?limit=200").await.unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let one = |parked: &Value| {
        assert_eq!(parked["kind"], "in_doubt", "{parked}");
        (text(&parked["case"]), text(&parked["id"]))
    };
    parked["items"].as_array().into_iter().flatten().map(one).collect()
}
