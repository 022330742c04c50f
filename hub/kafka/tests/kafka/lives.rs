//! What a store keeps from one life to the next, and how a newer life ends an older one.

use hub_backbone::{Backbone, Commit, Error, Place, Topic};

use crate::broker::{broker, settings};
use crate::{open, reopen};

fn inbox(partition: u16) -> Place {
    Place::new(Topic::INBOX, partition)
}

async fn append(store: &dyn Backbone, place: Place, key: &str) -> Result<u64, Error> {
    let mut one = Commit::new();
    one.append(place, key, "content");
    one.put(place, "seen", key, "yes");
    one.done(place, 1);
    store.commit(one).await.map(|offsets| offsets[0])
}

/// Thousands of records in many transactions: any of them is found again by its offset, from a cold start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_record_is_found_after_a_restart() {
    let Some(broker) = broker() else { return };
    let settings = settings(broker, 2);
    let store = open(&settings).await;
    for block in 0..40u32 {
        let mut step = Commit::new();
        (0..100).for_each(|n| step.append(inbox(1), format!("{}", block * 100 + n), vec![7; 300]));
        step.put(inbox(1), "blocks", format!("{block:02}"), block.to_string());
        step.done(inbox(1), u64::from(block) * 100);
        store.commit(step).await.expect("a commit");
    }
    let store = reopen(store, &settings).await;
    assert_eq!(store.end(inbox(1)).await.expect("end"), 4_000);
    assert_eq!(store.position(inbox(1)).await.expect("position"), 3_900);
    assert_eq!(store.scan(inbox(1), "blocks", None, 100).await.expect("scan").len(), 40);
    for from in [0, 3_999, 1, 1_000, 2_517, 100, 99, 3_898] {
        let page = store.read(inbox(1), from, 3, 10_000).await.expect("read");
        assert_eq!((page[0].offset, page[0].key.as_str()), (from, from.to_string().as_str()));
    }
    store.trim(inbox(1), 3_000).await.expect("trim");
    let store = reopen(store, &settings).await;
    assert_eq!(store.read(inbox(1), 0, 1, 1).await.expect("read")[0].offset, 3_000, "what is trimmed stays away");
    store.close().await;
}

/// A second process under the same name takes over. The first one's commits are refused, but it is not provably over: it may
/// still send.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_life_fences_an_older_one() {
    let Some(broker) = broker() else { return };
    let settings = settings(broker, 1);
    let frozen = open(&settings).await;
    append(&frozen, inbox(0), "before").await.expect("a commit");
    let newer = open(&settings).await;
    match append(&frozen, inbox(0), "too late").await {
        Err(Error::Fenced(text)) => assert!(text.contains("transactional id"), "{text}"),
        other => panic!("it must be fenced, not {other:?}"),
    }
    assert!(matches!(frozen.changed(inbox(0), 99).await, Err(Error::Fenced(_))), "who waits is told, too");
    assert!(matches!(frozen.commit(Commit::new()).await, Err(Error::Fenced(_))), "for good");
    assert_eq!(newer.end(inbox(0)).await.expect("end"), 1);
    assert_eq!(newer.get(inbox(0), "seen", "too late").await.expect("get"), None);
    assert!(!newer.is_over(frozen.epoch()), "the cluster fences commits, not bytes");
    assert_eq!(append(&newer, inbox(0), "after").await.expect("a commit"), 1);
    frozen.close().await;
    let third = reopen(newer, &settings).await;
    assert!(!third.is_over(frozen.epoch()), "what was fenced cannot write its end");
    third.close().await;
}

/// A life that nobody has ended is over when somebody who knows says so, and stays so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_life_is_declared_over() {
    let Some(broker) = broker() else { return };
    let settings = settings(broker, 1);
    let dead = open(&settings).await;
    let epoch = dead.epoch().to_owned();
    append(&dead, inbox(0), "kept").await.expect("a commit");
    drop(dead);
    let store = open(&settings).await;
    assert!(!store.is_over(&epoch), "dropped is not ended");
    assert_eq!(store.end(inbox(0)).await.expect("end"), 1, "what was committed is there");
    assert!(store.declare_over("never-seen", "test").await.is_err());
    assert!(store.declare_over(store.epoch(), "test").await.is_err(), "not oneself");
    store.declare_over(&epoch, "its machine is off").await.expect("declared");
    assert!(store.is_over(&epoch));
    let store = reopen(store, &settings).await;
    assert!(store.is_over(&epoch), "in the next life, too");
    store.close().await;
}

/// The lock of a dead process is free: whoever has it next knows that the lives under it are over, and no others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_free_lock_proves_a_life_over() {
    let Some(broker) = broker() else { return };
    let folder = std::env::temp_dir().join(format!("raccordo-kafka-{}", uuid::Uuid::now_v7().simple()));
    std::fs::create_dir(&folder).expect("a folder");
    let mut settings = settings(broker, 1);
    let unlocked = open(&settings).await;
    settings.lock = Some(folder.join("hub.lock"));
    settings.transactional_id.push_str("-2");
    let locked = open(&settings).await;
    let mut second = settings.clone();
    second.transactional_id.push_str("-3");
    assert!(
        matches!(hub_kafka::Kafka::open(second.clone()).await, Err(Error::Fenced(text)) if text.contains("hub.lock"))
    );
    let lives = [unlocked.epoch().to_owned(), locked.epoch().to_owned()];
    drop((unlocked, locked));
    let store = open(&second).await;
    assert!(!store.is_over(&lives[0]), "it had no lock");
    assert!(store.is_over(&lives[1]), "its lock is free");
    let store = reopen(store, &second).await;
    assert!(store.is_over(&lives[1]), "in the next life, too");
    store.close().await;
    std::fs::remove_dir_all(&folder).expect("removed");
}
