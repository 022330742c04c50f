//! Hubs of two releases: the older form is written while one is there that knows no newer, and never again after.

use hub_backbone::{Backbone, Commit, Error, Place, Topic};
use hub_kafka::{Kafka, KafkaSettings};

use crate::broker::{broker, settings};
use crate::{open, raw};

const SLOTS: u16 = 2;

fn hub(common: &KafkaSettings, id: &str, version: u8) -> KafkaSettings {
    let mut settings = common.clone();
    settings.transactional_id = format!("{}-{id}", common.prefix);
    settings.record_version = version;
    settings
}

fn own(store: &Kafka) -> Option<u16> {
    (0..SLOTS).find(|slot| store.term(*slot).is_some())
}

/// Waits until a hub has a slot; appends to it, and gives the version of the record.
async fn write(settings: &KafkaSettings, store: &Kafka) -> u8 {
    let mut known = vec![None; usize::from(SLOTS)];
    while own(store).is_none() {
        known = store.terms_beyond(&known).await.expect("terms");
    }
    let place = Place::new(Topic::INBOX, own(store).expect("a slot"));
    let mut one = Commit::new();
    one.append(place, "k", "content");
    store.commit(one).await.expect("a commit");
    let all = raw::read(settings, &raw::topic(settings, place), i32::from(place.partition));
    all.last().and_then(|record| record.header.as_ref()?.first().copied()).expect("a version")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_older_form_is_written_until_all_know_the_newer() {
    let Some(broker) = broker() else { return };
    let common = settings(broker, SLOTS);
    let older = open(&hub(&common, "older", 1)).await;
    let newer = open(&hub(&common, "newer", 2)).await;
    for _ in 0..4 {
        assert_eq!((write(&common, &older).await, write(&common, &newer).await), (1, 1), "while an older hub is there");
        // longer than the newer one waits between its looks
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    older.close().await;
    let begun = std::time::Instant::now();
    while write(&common, &newer).await == 1 {
        assert!(begun.elapsed().as_secs() < 60, "it never writes the newer form");
    }
    match Kafka::open(hub(&common, "older", 1)).await {
        Err(Error::Io(text)) => assert!(text.contains("version 2, this one knows 1"), "{text}"),
        other => panic!("a downgrade must be refused, not {other:?}"),
    }
    newer.close().await;
    let store = open(&hub(&common, "older", 2)).await;
    assert_eq!(write(&common, &store).await, 2, "for good");
    for slot in 0..SLOTS {
        let place = Place::new(Topic::INBOX, slot);
        let all = store.read(place, 0, usize::MAX, usize::MAX).await.expect("both forms are read");
        assert_eq!(all.len() as u64, store.end(place).await.expect("end"));
    }
    store.close().await;
}
