//! A program that is not a hub: it writes into a store's topics what it likes.

use std::time::Duration;

use hub_backbone::Place;
use hub_kafka::KafkaSettings;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, Headers, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

/// A record as it stands in a topic.
#[derive(Clone, Debug)]
pub(crate) struct Raw {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
    pub(crate) header: Option<Vec<u8>>,
}

fn config(settings: &KafkaSettings) -> ClientConfig {
    let mut config = ClientConfig::new();
    let _ = config.set("bootstrap.servers", settings.brokers.join(","));
    config
}

pub(crate) fn topic(settings: &KafkaSettings, place: Place) -> String {
    format!("{}.{}", settings.prefix, place.topic.0)
}

/// Writes records to a partition of a topic, one after the other.
pub(crate) fn write(settings: &KafkaSettings, topic: &str, partition: i32, records: &[Raw]) {
    let mut config = config(settings);
    let producer: BaseProducer = config.set("message.max.bytes", "2500000").create().expect("a producer");
    for raw in records {
        let mut record = BaseRecord::to(topic).partition(partition).key(&raw.key).payload(&raw.value);
        if let Some(value) = &raw.header {
            record = record.headers(OwnedHeaders::new().insert(Header { key: "raccordo", value: Some(value) }));
        }
        producer.send(record).map_err(|(error, _)| error).expect("a record");
        producer.flush(Duration::from_secs(30)).expect("it is written");
    }
}

/// Everything that can be read in a partition.
pub(crate) fn read(settings: &KafkaSettings, topic: &str, partition: i32) -> Vec<Raw> {
    let mut config = config(settings);
    let config = config.set("group.id", "raw").set("enable.partition.eof", "true").set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create().expect("a consumer");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Beginning).expect("a partition");
    consumer.assign(&list).expect("an assignment");
    let mut found = Vec::new();
    loop {
        match consumer.poll(Duration::from_secs(30)).expect("an answer") {
            Ok(message) => found.push(Raw {
                key: message.key().unwrap_or_default().to_vec(),
                value: message.payload().unwrap_or_default().to_vec(),
                header: message.headers().and_then(|all| all.iter().next()?.value.map(<[u8]>::to_vec)),
            }),
            Err(KafkaError::PartitionEOF(_)) => return found,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Makes a log anew from its own records, after `change` has seen each value with its number in the partition.
pub(crate) async fn rewrite(settings: &KafkaSettings, place: Place, mut change: impl FnMut(u64, &mut Vec<u8>)) {
    let topic = topic(settings, place);
    let mut kept: Vec<Vec<Raw>> = (0..i32::from(settings.partitions)).map(|p| read(settings, &topic, p)).collect();
    let here = kept[usize::from(place.partition)].iter_mut();
    here.enumerate().for_each(|(number, raw)| change(number as u64, &mut raw.value));
    let admin: AdminClient<DefaultClientContext> = config(settings).create().expect("a client");
    let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(30)));
    let deleted = admin.delete_topics(&[&topic], &options).await.expect("an answer");
    assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
    make(settings, &topic, &[("max.message.bytes", "3000000"), ("retention.ms", "-1")]).await;
    await_empty(settings, &topic);
    for (partition, records) in kept.iter().enumerate() {
        write(settings, &topic, i32::try_from(partition).expect("small"), records);
    }
}

/// Waits until the broker shows the new topic: for a moment it still takes records for the one that was deleted.
fn await_empty(settings: &KafkaSettings, topic: &str) {
    let consumer: BaseConsumer = config(settings).create().expect("a consumer");
    let empty =
        |partition| consumer.fetch_watermarks(topic, partition, Duration::from_secs(5)).is_ok_and(|(_, end)| end == 0);
    for _ in 0..200 {
        if (0..i32::from(settings.partitions)).all(empty) {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("{topic} does not begin anew");
}

/// Makes a topic, as soon as the broker has forgotten an earlier one of that name.
pub(crate) async fn make(settings: &KafkaSettings, topic: &str, with: &[(&str, &str)]) {
    let admin: AdminClient<DefaultClientContext> = config(settings).create().expect("a client");
    for _ in 0..200 {
        let new = NewTopic::new(topic, i32::from(settings.partitions), TopicReplication::Fixed(1));
        let new = with.iter().fold(new, |new, (key, value)| new.set(key, value));
        let made = admin.create_topics(&[new], &AdminOptions::new()).await.expect("an answer");
        if made.iter().all(Result::is_ok) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{topic} cannot be made");
}
