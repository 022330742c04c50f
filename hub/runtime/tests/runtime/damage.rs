//! A record that is not what was written, met by a running hub.

use hub_backbone::{Place, Topic};
use serde_json::json;

use super::outside::Does;
use super::world::World;

const ORDERS: &str = r#"
route: ordini
from: { test: { name: ordini } }
case: { kind: pratica, id: "'c' + string(body.n)" }
lane: body.corsia
steps:
  - test.step: { name: passo }
  - to: { test.sink: { name: banca, repeat: forbidden } }
"#;

/// Three orders of one lane: the first hangs in its step, the others are durable and unread. Gives where they lie.
async fn three_orders() -> (World, Place) {
    let world = World::started(&[ORDERS]).await;
    world.outside.does("passo", &[Does::Hang]);
    for n in 1..=3 {
        world.order(n, json!({ "corsia": "una" })).await;
    }
    let place = Place::of_key(Topic::INBOX, "una", world.backbone().partitions());
    assert_eq!(world.backbone().end(place).await.expect("an end"), 3);
    (world, place)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_record_stops_the_hub_and_says_where_and_nothing_is_lost() {
    let (mut world, place) = three_orders().await;
    world.damage(place, 1);
    world.crash().await;
    let error = world.failed().await.to_string();
    assert!(error.contains(&place.to_string()) && error.contains("offset 1"), "{error}");
    assert!(!world.is_ready());
    assert_eq!(world.outside.arrived(), Vec::<String>::new(), "nothing passes the damage");
    world.crash().await;
    let again = world.failed().await.to_string();
    assert_eq!(again, error, "a restart does not get past it");
    world.damage(place, 1);
    world.crash().await;
    for n in 1..=3 {
        drop(world.finished(n).await);
    }
    assert_eq!(world.outside.arrived(), ["1", "2", "3"]);
}
